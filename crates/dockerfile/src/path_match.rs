//! Go's `filepath.Match` per path element (`*` `?` `[a-z]` `[^a]` `\x`), plus `**` as `.dockerignore` has it.
//!
//! `**/` is any number of directories, none included; `**` at the end is everything below. Used for `.dockerignore`,
//! `--exclude` and COPY wildcards. Matching takes time pattern × path, whatever the pattern.

/// A pattern that Go's `filepath.Match` would refuse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{pattern}` is not a path pattern: {reason}")]
pub struct PatternError {
    /// The pattern.
    pub pattern: String,
    /// What is wrong.
    pub reason: &'static str,
}

/// Whether the whole of `path` (slash-separated) matches. A pattern that is no pattern matches nothing.
pub fn path_match(pattern: &str, path: &str) -> bool {
    PathPattern::parse(pattern).is_ok_and(|p| p.matches(path))
}

/// Whether a text is a pattern at all.
///
/// # Errors
/// An open or empty `[…]`, or an escape at the end.
pub fn check_pattern(pattern: &str) -> Result<(), PatternError> {
    PathPattern::parse(pattern).map(|_| ())
}

/// A pattern, ready to match.
#[derive(Debug, Clone)]
pub(crate) struct PathPattern {
    tokens: Vec<Token>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Char(char),
    /// `?`
    One,
    /// `*`
    Star,
    /// `[…]`
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
    /// `**` at the end, or before a plain suffix at the beginning: any text, slashes too.
    Deep,
    /// `**/`: nothing, or what [`Token::Directories`] reads.
    MaybeDirectories,
    /// Any text that ends with a slash.
    Directories,
}

impl PathPattern {
    /// Compiles a pattern. Nothing is trimmed or cleaned here.
    pub fn parse(pattern: &str) -> Result<Self, PatternError> {
        let bad = |reason| PatternError { pattern: pattern.to_owned(), reason };
        let mut tokens = Vec::new();
        let mut chars = pattern.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '*' if chars.peek() == Some(&'*') => {
                    chars.next();
                    let slash = chars.next_if_eq(&'/').is_some();
                    let rest: String = chars.clone().collect();
                    // `**file` is "ends with file" as long as the rest is plain text; the reference does so.
                    let plain_suffix = tokens.is_empty() && !slash && !rest.contains(['*', '?', '[', ']', '\\']);
                    if rest.is_empty() || plain_suffix {
                        tokens.push(Token::Deep);
                    } else {
                        tokens.extend([Token::MaybeDirectories, Token::Directories]);
                    }
                }
                '*' => tokens.push(Token::Star),
                '?' => tokens.push(Token::One),
                '\\' => tokens.push(Token::Char(chars.next().ok_or_else(|| bad("it ends with `\\`"))?)),
                '[' => {
                    let negated = chars.next_if_eq(&'^').is_some();
                    let mut ranges = Vec::new();
                    while ranges.is_empty() || chars.peek() != Some(&']') {
                        let low = class_char(&mut chars).ok_or_else(|| bad("a `[` is not closed properly"))?;
                        let high = match chars.next_if_eq(&'-') {
                            Some(_) => class_char(&mut chars).ok_or_else(|| bad("a range in `[…]` has no end"))?,
                            None => low,
                        };
                        ranges.push((low, high));
                    }
                    chars.next();
                    tokens.push(Token::Class { negated, ranges });
                }
                c => tokens.push(Token::Char(c)),
            }
        }
        Ok(PathPattern { tokens })
    }

    /// Whether the whole path matches.
    pub fn matches(&self, path: &str) -> bool {
        self.matches_each(path).last() == Some(&true)
    }

    /// Whether the path up to each of its slashes matches, and the whole of it, in one pass: the set of places in the pattern
    /// that the path so far can have reached.
    pub fn matches_each(&self, path: &str) -> Vec<bool> {
        let count = self.tokens.len();
        let mut matched = Vec::new();
        let mut places = vec![false; count + 1];
        if let Some(first) = places.first_mut() {
            *first = true;
        }
        self.skip_optional(&mut places);
        for (at, c) in path.char_indices() {
            if c == '/' {
                matched.push(places.last() == Some(&true));
            }
            let mut next = vec![false; count + 1];
            for (i, token) in self.tokens.iter().enumerate().filter(|(i, _)| places.get(*i) == Some(&true)) {
                let (stay, step) = match token {
                    Token::Char(own) => (false, *own == c),
                    Token::One => (false, c != '/'),
                    Token::Class { negated, ranges } => {
                        let inside = ranges.iter().any(|(low, high)| (*low..=*high).contains(&c));
                        (false, inside != *negated && c != '/')
                    }
                    Token::Star => (c != '/', false),
                    Token::Deep => (true, false),
                    Token::MaybeDirectories => (false, false),
                    Token::Directories => (true, c == '/'),
                };
                for (reached, place) in [(stay, i), (step, i + 1)] {
                    if let Some(place) = next.get_mut(place) {
                        *place |= reached;
                    }
                }
            }
            self.skip_optional(&mut next);
            places = next;
            if !places.contains(&true) {
                let left = path.get(at + c.len_utf8()..).unwrap_or_default();
                matched.resize(matched.len() + left.matches('/').count() + 1, false);
                return matched;
            }
        }
        matched.push(places.last() == Some(&true));
        matched
    }

    /// From a token that may match nothing, the place after it is reached too.
    fn skip_optional(&self, places: &mut [bool]) {
        for (i, token) in self.tokens.iter().enumerate() {
            if places.get(i) != Some(&true) {
                continue;
            }
            let skips: &[usize] = match token {
                Token::Star | Token::Deep => &[1],
                Token::MaybeDirectories => &[1, 2],
                _ => &[],
            };
            for skip in skips {
                if let Some(place) = places.get_mut(i + skip) {
                    *place = true;
                }
            }
        }
    }
}

/// One end of a range: not `-`, not `]`, unless escaped.
fn class_char(chars: &mut std::iter::Peekable<std::str::Chars>) -> Option<char> {
    match chars.next()? {
        '-' | ']' => None,
        '\\' => chars.next(),
        c => Some(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gos_rules_for_one_element_hold() {
        for (pattern, path, expected) in [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*c", "abc", true),
            ("a*", "a", true),
            ("a*", "ab/c", false),
            ("a*/b", "abc/b", true),
            ("a*/b", "a/c/b", false),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/f", true),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/fff", false),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("a*b?c*x", "abxbbxdbxebxczzy", false),
            ("ab[b-d]", "abc", true),
            ("ab[^b-d]", "abc", false),
            ("a\\*b", "a*b", true),
            ("a\\*b", "ab", false),
            ("a?b", "a☺b", true),
            ("a???b", "a☺b", false),
            ("[a-ζ]*", "α", true),
            ("a?b", "a/b", false),
            ("a[^a]b", "a/b", false),
            ("[\\]a]", "]", true),
            ("[x\\-]", "-", true),
            ("[\\-x]", "a", false),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(path_match(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn two_stars_cross_directories() {
        for (pattern, path, expected) in [
            ("**", "a/b/c", true),
            ("**/c", "c", true),
            ("**/c", "a/b/c", true),
            ("**/c", "a/bc", false),
            ("dir/**", "dir/a/b", true),
            ("dir/**", "dir", false),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b", true),
            ("a/**/b", "a/xb", false),
            ("**/dir2/*", "x/dir2/f", true),
            ("**/dir2/*", "dir2/f/g", false),
            ("**file", "a/bfile", true),
            ("**/*.txt", "a/b/c.txt", true),
            ("**/**/*.txt", "c.txt", true),
            ("a**b", "ax/b", true),
            ("a**b", "axb", false),
        ] {
            assert_eq!(path_match(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn every_directory_above_is_answered_for_at_once() {
        let each = |pattern: &str, path: &str| PathPattern::parse(pattern).expect(pattern).matches_each(path);
        assert_eq!(each("a/*", "a/b/c"), [false, true, false]);
        assert_eq!(each("a", "a/b/c"), [true, false, false]);
        assert_eq!(each("**/c", "c/b/c"), [true, false, true]);
        assert_eq!(each("x", "a/b/c/d"), [false; 4]);
        assert_eq!(each("", ""), [true]);
        assert_eq!(each("☺/b", "☺/b"), [false, true]);
    }

    #[test]
    fn texts_that_go_refuses_are_refused() {
        for pattern in ["[]a]", "[-]", "[x-]", "[-x]", "\\", "[a-b-c]", "[", "[^", "[^bc", "a[", "[a"] {
            assert!(check_pattern(pattern).is_err(), "{pattern}");
            assert!(!path_match(pattern, "a"), "{pattern}");
        }
    }

    #[test]
    fn a_hostile_pattern_is_not_slow() {
        assert!(!path_match(&format!("{}x", "**/*a".repeat(200)), &"a/".repeat(2000)));
    }
}
