//! `# syntax=`, `# escape=`, `# check=`: comments at the very top that steer the parser (engine notes L2).

use std::collections::BTreeSet;

use crate::Span;
use crate::logical_lines::SourceLines;

/// What the directives say.
pub(crate) struct Directives {
    pub escape: char,
    pub syntax: Option<String>,
    /// Place, message, hint.
    pub problems: Vec<(Span, String, Option<String>)>,
    /// As the problems; for what is read all the same.
    pub warnings: Vec<(Span, String, Option<String>)>,
}

/// Reads the lines before the first that is no directive. An unknown key is an ordinary comment and ends them.
pub(crate) fn read(source: &SourceLines) -> Directives {
    let mut found = Directives { escape: '\\', syntax: None, problems: Vec::new(), warnings: Vec::new() };
    let mut seen = BTreeSet::new();
    for number in 1..=source.count() {
        let Some((key, value, column)) = directive(source.text(number)) else { break };
        let key = key.to_ascii_lowercase();
        if !matches!(key.as_str(), "syntax" | "escape" | "check") {
            break;
        }
        let span = Span { first_line: number, last_line: number, column };
        if !seen.insert(key.clone()) {
            found.problems.push((span, format!("the directive `{key}` is given twice"), None));
            continue;
        }
        match (key.as_str(), value) {
            ("escape", "\\") => found.escape = '\\',
            ("escape", "`") => found.escape = '`',
            ("escape", other) => {
                let message = format!("`{other}` cannot be the escape character");
                found.problems.push((span, message, Some("it is \\ or `".to_owned())));
            }
            ("syntax", image) => {
                found.syntax = Some(image.to_owned());
                if !is_dockerfile_frontend(image) {
                    let message = format!("the front end `{image}` is not run: this file is read as a Dockerfile");
                    let hint = "the newest language is always known, as with docker/dockerfile:1";
                    found.warnings.push((span, message, Some(hint.to_owned())));
                }
            }
            // `check` steers a linter only.
            _ => {}
        }
    }
    found
}

/// Whether an image is the language itself, of whatever version and from whatever registry.
fn is_dockerfile_frontend(image: &str) -> bool {
    // What follows is for the front end itself.
    let image = image.split_whitespace().next().unwrap_or_default();
    let name = image.split('@').next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
    matches!(name.split(':').next(), Some("dockerfile" | "dockerfile-upstream" | "dockerfile.v0"))
}

/// Key, value and the value's column of `# key = value`.
fn directive(line: &str) -> Option<(&str, &str, u32)> {
    let comment = line.trim_start().strip_prefix('#')?;
    let (key, value) = comment.split_once('=')?;
    let (key, value) = (key.trim(), value.trim());
    let key_ok = key.bytes().all(|b| b.is_ascii_alphanumeric()) && key.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
    if !key_ok || value.is_empty() {
        return None;
    }
    let before = line.find('=').and_then(|eq| Some(eq + 1 + line.get(eq + 1..)?.find(value)?))?;
    let column = u32::try_from(line.get(..before)?.chars().count()).ok()?.saturating_add(1);
    Some((key, value, column))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escape(text: &str) -> char {
        read(&SourceLines::read(text.as_bytes())).escape
    }

    #[test]
    fn directives_count_only_at_the_top() {
        assert_eq!(escape("# escape=`\nFROM a"), '`');
        assert_eq!(escape("#syntax=docker/dockerfile:1\n  # ESCAPE = ` \nFROM a"), '`');
        assert_eq!(escape("# a comment\n# escape=`\nFROM a"), '\\');
        assert_eq!(escape("\n# escape=`\nFROM a"), '\\');
        assert_eq!(escape("# unknown=1\n# escape=`\nFROM a"), '\\');
    }

    #[test]
    fn another_front_end_is_told_of() {
        let warned = |image: &str| read(&SourceLines::read(format!("# syntax={image}\n").as_bytes())).warnings.len();
        for image in [
            "docker/dockerfile:1",
            "docker/dockerfile",
            "docker.io/docker/dockerfile:1.20@sha256:00",
            "registry.example.org:5000/docker/dockerfile-upstream:master",
            "docker/dockerfile:1-labs",
            "dockerfile.v0",
        ] {
            assert_eq!(warned(image), 0, "{image}");
        }
        for image in ["example/frontend:1", "docker/dockerfilex", "registry.example.org:5000/front"] {
            assert_eq!(warned(image), 1, "{image}");
        }
    }

    #[test]
    fn twice_or_with_another_character_is_a_problem() {
        let source = SourceLines::read(b"# escape=`\n# escape=\\\n");
        assert_eq!(read(&source).problems[0].1, "the directive `escape` is given twice");
        let source = SourceLines::read(b"# escape = x\n");
        let problem = &read(&source).problems[0];
        assert_eq!((problem.0.column, problem.1.as_str()), (12, "`x` cannot be the escape character"));
    }
}
