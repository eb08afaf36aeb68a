//! `.dockerignore` (engine notes I1, I2): which paths of the build context are not sent to COPY and ADD.
//!
//! The last line that matches decides; a line matches what is below its match too; `!` brings back. Evaluated from the
//! top directory down, as BuildKit does while it walks: that differs from looking at the path alone when a `!` line names
//! a directory and an earlier line excludes something inside it.

use build_model::{Blame, Diagnose};

use crate::path_match::{PathPattern, PatternError, check_pattern};

/// The lines of a `.dockerignore`.
#[derive(Debug, Clone, Default)]
pub struct IgnoreRules {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone)]
struct Rule {
    pattern: PathPattern,
    /// `!`: brings back what earlier rules excluded.
    exception: bool,
    /// The pattern's path elements, to tell which directories may hold a match.
    elements: Vec<String>,
}

/// A line that is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IgnoreError {
    /// The pattern cannot be read.
    #[error("line {line} of the ignore file")]
    Pattern {
        /// From 1.
        line: usize,
        /// Why.
        #[source]
        source: PatternError,
    },
    /// `!` with nothing after it.
    #[error("line {line} of the ignore file is `!` without a pattern")]
    EmptyException {
        /// From 1.
        line: usize,
    },
}

impl Diagnose for IgnoreError {
    fn blame(&self) -> Blame {
        Blame::Packager
    }
    fn kind(&self) -> &'static str {
        "dockerignore-invalid"
    }
}

impl IgnoreRules {
    /// Reads the file's text.
    ///
    /// # Errors
    /// At the first line that is no pattern.
    pub fn parse(text: &str) -> Result<Self, IgnoreError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut rules = Vec::new();
        for (index, line) in text.lines().enumerate() {
            // Only in the first column: ` #x` is a pattern.
            if line.starts_with('#') {
                continue;
            }
            let line = line.trim();
            if line.is_empty() {
                continue;
            }
            let (exception, pattern) = match line.strip_prefix('!') {
                Some(rest) => (true, rest.trim()),
                None => (false, line),
            };
            if pattern.is_empty() {
                return Err(IgnoreError::EmptyException { line: index + 1 });
            }
            let cleaned = clean(pattern);
            let pattern = PathPattern::parse(&cleaned).map_err(|source| IgnoreError::Pattern { line: index + 1, source })?;
            let mut elements: Vec<String> = cleaned.split('/').map(str::to_owned).collect();
            // A slash that is escaped or in brackets does not part elements: its pieces are no patterns, and which
            // directories it may match in is not looked into.
            if elements.iter().any(|element| check_pattern(element).is_err()) {
                elements = vec!["**".to_owned()];
            }
            rules.push(Rule { pattern, exception, elements });
        }
        Ok(IgnoreRules { rules })
    }

    /// Whether a path below the context (slash-separated, no leading slash) is left out. The context's root never is.
    pub fn is_excluded(&self, path: &str) -> bool {
        let cleaned = clean(path);
        if cleaned == "." || self.rules.is_empty() {
            return false;
        }
        // Asked of the path from the top down. In one pass for each rule: a path of many directories is as long as they are many.
        let matched: Vec<Vec<bool>> = self.rules.iter().map(|rule| rule.pattern.matches_each(&cleaned)).collect();
        // What each rule matched in the directory above.
        let mut above = vec![false; self.rules.len()];
        let mut excluded = false;
        for level in 0..=cleaned.matches('/').count() {
            excluded = false;
            for ((rule, above), matched) in self.rules.iter().zip(above.iter_mut()).zip(&matched) {
                // A rule that could not change the outcome is not asked, and what is below does not inherit from it.
                *above = *above || (rule.exception == excluded && matched.get(level) == Some(&true));
                if *above {
                    excluded = !rule.exception;
                }
            }
        }
        excluded
    }

    /// Whether a directory needs to be entered: it is not excluded, or a `!` line may bring back something inside.
    /// May say yes without need, never no.
    pub fn may_contain_included(&self, dir: &str) -> bool {
        if !self.is_excluded(dir) {
            return true;
        }
        let cleaned = clean(dir);
        let path: Vec<&str> = cleaned.split('/').collect();
        self.rules.iter().filter(|r| r.exception).any(|rule| {
            for (i, element) in rule.elements.iter().enumerate() {
                // From here on it can match at any depth.
                if element.contains("**") {
                    return true;
                }
                let Some(name) = path.get(i) else {
                    // The directory is used up, and there is pattern left for what is inside.
                    return true;
                };
                if !crate::path_match(element, name) {
                    return false;
                }
            }
            // The pattern ends at or above the directory: its match reaches down into it.
            true
        })
    }
}

/// Go's `path.Clean` on a path taken as relative: no leading, double or trailing slash, no `.`, `..` resolved where possible.
fn clean(path: &str) -> String {
    let mut out: Vec<&str> = Vec::new();
    let rooted = path.starts_with('/');
    for element in path.split('/') {
        match element {
            "" | "." => {}
            ".." => match out.last() {
                Some(&last) if last != ".." => {
                    out.pop();
                }
                _ if rooted => {}
                _ => out.push(".."),
            },
            element => out.push(element),
        }
    }
    if out.is_empty() { ".".to_owned() } else { out.join("/") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> IgnoreRules {
        IgnoreRules::parse(text).expect(text)
    }

    #[test]
    fn a_slash_that_parts_no_elements_hides_nothing() {
        // Found by fuzzing: the pieces `b\\` and `[x` match nothing, and the directory was not entered.
        for (exception, path, dir) in [(r"a/b\/b/c", "a/b/b/c", "a/b"), ("a[x/]/c", "ax/c", "ax")] {
            let rules = IgnoreRules::parse(&format!("**\n!{exception}\n")).expect("rules");
            assert!(!rules.is_excluded(path), "{path}");
            assert!(rules.may_contain_included(dir), "{dir}");
        }
    }

    #[test]
    fn deep_paths_under_long_patterns_are_not_slow() {
        // Found by fuzzing: each directory of the path took the pattern's time from its beginning again.
        let deep = "a/b/*/".repeat(150);
        let rules = IgnoreRules::parse(&format!("**\n!{deep}x*\n")).expect("rules");
        let path = "a/b/c/".repeat(200);
        for (end, _) in path.match_indices('/') {
            assert!(rules.is_excluded(&path[..end]));
        }
    }

    #[test]
    fn lines_are_cleaned_and_comments_skipped() {
        let r = rules("\u{feff}# note\n\n  /build/  \r\n./a/../b//c\n #odd\n");
        for (path, expected) in [
            ("build", true),
            ("build/x/y", true),
            ("a/build", false),
            ("b/c", true),
            ("b", false),
            ("#odd", true),
            ("# note", false),
        ] {
            assert_eq!(r.is_excluded(path), expected, "{path}");
        }
    }

    #[test]
    fn the_last_match_decides() {
        let r = rules("*.md\n!README*.md\nREADME-secret.md");
        assert!(r.is_excluded("NEWS.md") && !r.is_excluded("README-a.md") && r.is_excluded("README-secret.md"));
        assert!(!r.is_excluded("docs/NEWS.md"), "a star stays in its directory");
        assert!(!rules("a\n!a").is_excluded("a/b"));
        assert!(rules("!a\na").is_excluded("a/b"));
    }

    #[test]
    fn exceptions_inside_excluded_directories_are_found() {
        let r = rules("a\n!a/b/c");
        assert!(
            r.is_excluded("a")
                && r.is_excluded("a/b")
                && r.is_excluded("a/x")
                && !r.is_excluded("a/b/c")
                && !r.is_excluded("a/b/c/d")
        );
        assert!(r.may_contain_included("a") && r.may_contain_included("a/b") && !r.may_contain_included("a/x"));
        assert!(r.may_contain_included("other"));
        let deep = rules("*\n!**/keep");
        assert!(deep.may_contain_included("x/y") && !deep.is_excluded("x/y/keep") && deep.is_excluded("x/y/z"));
        assert!(!rules("node_modules").may_contain_included("node_modules/x"));
    }

    #[test]
    fn two_stars_match_at_any_depth() {
        let r = rules("**/*.o\n**/.git");
        assert!(r.is_excluded("a.o") && r.is_excluded("a/b/c.o") && r.is_excluded("x/.git/config") && !r.is_excluded("x/git"));
    }

    #[test]
    fn the_root_is_never_excluded() {
        for r in ["*", "**", ".", "/"] {
            assert!(!rules(r).is_excluded("") && !rules(r).is_excluded("."), "{r}");
        }
    }

    #[test]
    fn an_exception_above_does_not_undo_an_exclusion_inside() {
        // As BuildKit's walk has it: at `a/b` the `!` line had nothing to undo, so nothing below inherits it.
        assert!(rules("a/b/c\n!a/b").is_excluded("a/b/c"));
    }

    #[test]
    fn bad_lines_are_named() {
        assert_eq!(IgnoreRules::parse("a\n!\n").map(|_| ()), Err(IgnoreError::EmptyException { line: 2 }));
        assert!(matches!(IgnoreRules::parse("[a\n"), Err(IgnoreError::Pattern { line: 1, .. })));
    }
}
