//! The patterns of `${n#p}`, `${n%p}` and `${n/p/r}`: `*` is any text, `?` any character, `\` makes `* ? \ } /` plain.
//!
//! No regular expressions: a pattern is literal runs between stars, so the earliest and the latest place of each run
//! is all there is to search for, and no input makes it slow.

use super::ExpandReason;

/// A longer pattern is refused; its search is bounded by pattern times value.
const MAX_PATTERN: usize = 1024;

/// Runs of characters with stars between them: `a*b?` is `["a", "b?"]`.
pub(super) struct Pattern {
    runs: Vec<Vec<Symbol>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Symbol {
    Any,
    Char(char),
}

impl Symbol {
    fn matches(self, c: char) -> bool {
        match self {
            Symbol::Any => true,
            Symbol::Char(own) => own == c,
        }
    }
}

impl Pattern {
    pub fn parse(text: &str) -> Result<Pattern, ExpandReason> {
        let bad = |reason| ExpandReason::Pattern { pattern: text.chars().take(100).collect(), reason };
        if text.len() > MAX_PATTERN {
            return Err(bad("it is longer than 1024 bytes"));
        }
        let mut runs = vec![];
        let mut run = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            match c {
                '*' => runs.push(std::mem::take(&mut run)),
                '?' => run.push(Symbol::Any),
                '\\' => match chars.next() {
                    Some(c @ ('*' | '?' | '\\' | '}' | '/')) => run.push(Symbol::Char(c)),
                    Some(_) => return Err(bad("`\\` stands only before * ? \\ } and /")),
                    None => return Err(bad("it ends with `\\`")),
                },
                c => run.push(Symbol::Char(c)),
            }
        }
        runs.push(run);
        Ok(Pattern { runs })
    }

    /// Removes the shortest or longest match at the start.
    pub fn trim_start(&self, value: &str, longest: bool) -> String {
        let chars: Vec<char> = value.chars().collect();
        match self.match_at(&chars, 0, longest) {
            Some(end) => chars.get(end..).unwrap_or_default().iter().collect(),
            None => value.to_owned(),
        }
    }

    /// Removes the shortest or longest match at the end: the same, read backwards.
    pub fn trim_end(&self, value: &str, longest: bool) -> String {
        let backwards = Pattern { runs: self.runs.iter().rev().map(|run| run.iter().rev().copied().collect()).collect() };
        let mut chars: Vec<char> = value.chars().rev().collect();
        if let Some(end) = backwards.match_at(&chars, 0, longest) {
            chars.drain(..end);
        }
        chars.into_iter().rev().collect()
    }

    /// Replaces the first or every match, each as long as possible. The replacement is taken as it is.
    pub fn replace(&self, value: &str, replacement: &str, all: bool, limit: usize) -> Result<String, ExpandReason> {
        let chars: Vec<char> = value.chars().collect();
        let mut out = String::new();
        let mut at = 0;
        // Where no match begins: after one failed search with stars none can follow, as the runs' places only move on.
        let mut exhausted = false;
        while at <= chars.len() {
            let end = if exhausted { None } else { self.match_at(&chars, at, true) };
            match end {
                Some(end) => {
                    out.push_str(replacement);
                    if end == at {
                        out.extend(chars.get(at));
                        at += 1;
                    } else {
                        at = end;
                        // A match that reached the end leaves no room for an empty one behind it.
                        if at == chars.len() {
                            break;
                        }
                    }
                    if !all {
                        out.extend(chars.get(at..).unwrap_or_default());
                        return bounded(out, limit);
                    }
                }
                None => {
                    exhausted = exhausted || (self.runs.len() > 1 && self.starts_at(&chars, at));
                    out.extend(chars.get(at));
                    at += 1;
                }
            }
            if out.len() > limit {
                return Err(ExpandReason::TooLong { limit });
            }
        }
        bounded(out, limit)
    }

    /// The end of the match that begins at `start`, if there is one.
    fn match_at(&self, chars: &[char], start: usize, longest: bool) -> Option<usize> {
        let (first, rest) = self.runs.split_first()?;
        if !matches_here(first, chars, start) {
            return None;
        }
        let mut at = start + first.len();
        let Some((last, middle)) = rest.split_last() else { return Some(at) };
        // The earliest place of each run leaves the most room for the runs after it.
        for run in middle {
            at = (at..=chars.len()).find(|i| matches_here(run, chars, *i))? + run.len();
        }
        let mut places = at..=chars.len();
        let place = if longest {
            places.rfind(|i| matches_here(last, chars, *i))
        } else {
            places.find(|i| matches_here(last, chars, *i))
        };
        place.map(|i| i + last.len())
    }

    fn starts_at(&self, chars: &[char], start: usize) -> bool {
        self.runs.first().is_some_and(|run| matches_here(run, chars, start))
    }
}

fn matches_here(run: &[Symbol], chars: &[char], at: usize) -> bool {
    chars.get(at..at + run.len()).is_some_and(|part| run.iter().zip(part).all(|(s, c)| s.matches(*c)))
}

fn bounded(out: String, limit: usize) -> Result<String, ExpandReason> {
    if out.len() > limit { Err(ExpandReason::TooLong { limit }) } else { Ok(out) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).expect(text)
    }

    #[test]
    fn shortest_and_longest_matches_are_trimmed() {
        for (p, value, short, long) in [
            ("*/", "a/b/c", "b/c", "c"),
            ("a*", "abc", "bc", ""),
            ("*", "abc", "abc", ""),
            ("", "abc", "abc", "abc"),
            ("?", "äbc", "bc", "bc"),
            ("x", "abc", "abc", "abc"),
            ("*b*b", "abcbd", "d", "d"),
            ("\\*", "*a", "a", "a"),
        ] {
            assert_eq!(pattern(p).trim_start(value, false), short, "{p} {value}");
            assert_eq!(pattern(p).trim_start(value, true), long, "{p} {value}");
        }
        assert_eq!(pattern(".*").trim_end("a.tar.gz", false), "a.tar");
        assert_eq!(pattern(".*").trim_end("a.tar.gz", true), "a");
        assert_eq!(pattern("\\**\\*").trim_end("a***yy*", true), "a");
    }

    #[test]
    fn replacements_take_the_longest_match_from_the_left() {
        let replace = |p: &str, value: &str, with: &str, all| pattern(p).replace(value, with, all, 100);
        assert_eq!(replace("o", "foo", "0", false).as_deref(), Ok("f0o"));
        assert_eq!(replace("o", "foo", "0", true).as_deref(), Ok("f00"));
        assert_eq!(replace("/?/", "/a/foo/b/c.txt", "/", true).as_deref(), Ok("/foo/c.txt"));
        assert_eq!(replace("b*d", "abcdcdx", "-", true).as_deref(), Ok("a-x"));
        assert_eq!(replace("*", "abc", "-", true).as_deref(), Ok("-"));
        assert_eq!(replace("", "ab", "-", false).as_deref(), Ok("-ab"));
        assert_eq!(replace("a", "aaaa", &"x".repeat(60), true), Err(ExpandReason::TooLong { limit: 100 }));
    }

    #[test]
    fn a_hostile_pattern_is_not_slow() {
        let value = "a".repeat(200_000);
        let hostile = format!("{}b", "a*".repeat(400));
        assert_eq!(pattern(&hostile).replace(&value, "x", true, usize::MAX).map(|v| v.len()), Ok(200_000));
        assert_eq!(pattern(&hostile).trim_end(&value, true).len(), 200_000);
        assert!(Pattern::parse(&"a".repeat(2000)).is_err());
    }
}
