//! Patterns of names: `*` is any text, `?` one character, everything else is itself.

/// Whether the whole text fits the pattern.
pub fn glob_matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where to go on when a star has to take one character more.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some(c) if *c == '?' || Some(c) == text.get(t) => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                Some((after_star, from)) => {
                    retry = Some((after_star, from + 1));
                    p = after_star;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}

/// Whether a pattern is a plain name.
pub(super) fn is_plain(pattern: &str) -> bool {
    !pattern.contains(['*', '?'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_take_any_text_and_the_whole_must_fit() {
        let yes = [("*", ""), ("a*", "a"), ("a*c*e", "abcde"), ("*ab", "aab"), ("?b", "äb"), ("f4?-*", "f40-build"), ("**", "x")];
        let no = [("", "a"), ("a", ""), ("a*b", "ac"), ("?", ""), ("a?", "abc"), ("*a", "ab")];
        assert!(yes.iter().all(|(p, t)| glob_matches(p, t)));
        assert!(no.iter().all(|(p, t)| !glob_matches(p, t)));
        assert!(!glob_matches(&"*a".repeat(40), &"b".repeat(4000)), "and it does not take forever");
    }
}
