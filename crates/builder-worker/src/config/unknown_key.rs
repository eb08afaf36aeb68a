//! Says where a configuration or a policy case is wrong: file, line and column, and the nearest valid key.
//!
//! serde names the unknown key and lists the valid ones in its message; the parser knows the place. Called by
//! [`super::Settings::load`] and by `containerbuild policy test`.

use std::path::Path;

use build_model::nearest;

/// One message: `FILE:LINE:COLUMN: what is wrong`, then the line itself.
pub fn explain(path: &Path, text: &str, error: &toml::de::Error) -> String {
    let message = near(error.message());
    let Some(span) = error.span() else { return format!("{}: {message}", path.display()) };
    let before = text.get(..span.start).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let column = before.get(start..).unwrap_or_default().chars().count() + 1;
    let source = text.get(start..).unwrap_or_default().lines().next().unwrap_or_default();
    let width = text.get(span.clone()).unwrap_or_default().lines().next().unwrap_or_default().chars().count().max(1);
    let gutter = " ".repeat(line.to_string().len());
    let marks = format!("{}{}", " ".repeat(column - 1), "^".repeat(width));
    format!("{}:{line}:{column}: {message}\n{gutter} |\n{line} | {source}\n{gutter} | {marks}", path.display())
}

/// The same for JSON, whose parser puts the place into its message.
pub fn explain_json(path: &Path, error: &serde_json::Error) -> String {
    let text = error.to_string();
    let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message);
    format!("{}:{}:{}: {}", path.display(), error.line(), error.column(), near(message))
}

/// Keys that older configurations have: the key, a valid one beside it (names alone do not tell the table), and what to
/// write instead.
const REPLACED: [(&str, &str, &str); 2] = [
    (
        "rpms",
        "signing_keys",
        "the gate holds to the rules of the proof: write `allowed_keys` as `allowed` of [[policy.signing_keys]], and \
         `blocked` as `forbidden` of [[policy.packages]]",
    ),
    ("rpm_versions_may_differ", "same_versions", "write its packages as `except` of [[policy.same_versions]]"),
];

/// Puts the nearest valid word into serde's message about an unknown one.
fn near(message: &str) -> String {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let (Some(unknown), Some(kind)) =
        (quoted.first(), ["unknown field ", "unknown variant "].iter().find(|k| message.starts_with(**k)))
    else {
        return message.to_owned();
    };
    let valid: Vec<&str> = quoted.iter().skip(1).copied().collect();
    if let Some((_, _, instead)) = REPLACED.iter().find(|(old, beside, _)| old == unknown && valid.contains(beside)) {
        return format!("the key `{unknown}` is no more: {instead} (docs/POLICY.md)");
    }
    let what = if kind.contains("field") { "key" } else { "value" };
    match nearest(unknown, valid.iter().copied()) {
        Some(word) => format!("unknown {what} `{unknown}`; did you mean `{word}`?"),
        None if valid.is_empty() => format!("unknown {what} `{unknown}`"),
        None => format!(
            "unknown {what} `{unknown}`; there is {}",
            valid.iter().map(|v| format!("`{v}`")).collect::<Vec<_>>().join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Site {
        #[serde(default)]
        labels: Vec<Labels>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Labels {
        name: String,
        decision: Option<rpm_provenance::files::Decision>,
    }

    #[test]
    fn what_is_right_is_read() {
        let site: Site = toml::from_str("[[labels]]\nname = \"a\"\ndecision = \"warn\"\n").expect("right");
        let [label] = site.labels.as_slice() else { panic!("{site:?}") };
        assert_eq!((label.name.as_str(), label.decision), ("a", Some(rpm_provenance::files::Decision::Warn)));
    }

    fn message(text: &str) -> String {
        explain(Path::new("/etc/site.toml"), text, &toml::from_str::<Site>(text).expect_err("refused"))
    }

    #[test]
    fn an_unknown_key_is_shown_in_its_line_with_the_nearest_valid_one() {
        let text = message("\n[[labels]]\nname = \"a\"\n  decison = \"warn\"\n");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "/etc/site.toml:4:3: unknown key `decison`; did you mean `decision`?");
        assert_eq!(lines[2..], ["4 |   decison = \"warn\"", "  |   ^^^^^^^"]);
        assert!(message("[[lables]]\nname = \"a\"").contains(":1:3: unknown key `lables`; did you mean `labels`?"));
        assert!(message("colour = 1").contains("unknown key `colour`; there is `labels`"));
    }

    #[test]
    fn an_unknown_value_and_a_missing_key_are_told_with_their_line() {
        let text = message("[[labels]]\nname = \"a\"\ndecision = \"refused\"\n");
        assert!(text.starts_with("/etc/site.toml:3:12: unknown value `refused`; did you mean `refuse`?"), "{text}");
        assert!(message("[[labels]]\ndecision = \"warn\"\n").contains(":1:1: missing field `name`"));
    }

    #[test]
    fn json_has_its_place_too() {
        let error = serde_json::from_str::<Site>("{\n \"lables\": []}").expect_err("refused");
        let text = explain_json(Path::new("a.json"), &error);
        assert_eq!(text, "a.json:2:9: unknown key `lables`; did you mean `labels`?");
    }
}
