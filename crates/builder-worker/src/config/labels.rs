//! `[labels]`: what the site adds to every image (compat §3.2: `image_labels`, `image_equal_labels`,
//! `image_label_info_url_format` of the earlier service). Followed by `task/steps/site_labels.rs`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `[labels]`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LabelSettings {
    /// Labels of every image. They win over the Dockerfile, but for `distribution-scope` and `com.redhat.license_terms`.
    pub set: BTreeMap<String, String>,
    /// Groups of labels that mean the same: one that is set gives its value to the others.
    pub equal: Vec<Vec<String>>,
    /// The `url` label of every image; `{LABEL}` stands for the value of a label of the image.
    pub url_format: Option<String>,
}

/// A piece of a `url_format`.
#[derive(Debug, PartialEq, Eq)]
pub enum UrlPiece<'a> {
    /// As it is.
    Text(&'a str),
    /// The value of this label.
    Label(&'a str),
}

/// Labels the service sets itself; a site that set them too would give images two truths.
const OWN: [&str; 8] =
    ["com.redhat.component", "name", "version", "release", "architecture", "vcs-type", "vcs-ref", "build-date"];

impl LabelSettings {
    /// What cannot work, as key and problem.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        if let Some(label) = OWN.iter().find(|label| self.set.contains_key(**label)) {
            return Err(("labels.set", format!("holds `{label}`, which the service sets itself")));
        }
        if self.set.keys().any(String::is_empty) {
            return Err(("labels.set", "holds a label without a name".into()));
        }
        for group in &self.equal {
            if group.len() < 2 || group.iter().any(String::is_empty) {
                return Err(("labels.equal", format!("each entry names two or more labels; {group:?} does not")));
            }
        }
        if let Some(format) = &self.url_format {
            if self.set.contains_key("url") {
                return Err(("labels.url_format", "and the label `url` in `set` exclude each other".into()));
            }
            url_pieces(format).map_err(|problem| ("labels.url_format", problem.to_owned()))?;
        }
        Ok(())
    }
}

/// Splits a `url_format` at its braces.
///
/// # Errors
/// A brace without its other half, or nothing between two.
pub fn url_pieces(format: &str) -> Result<Vec<UrlPiece<'_>>, &'static str> {
    let mut pieces = Vec::new();
    let mut rest = format;
    while let Some((text, after)) = rest.split_once('{') {
        let (label, next) = after.split_once('}').ok_or("has a `{` without its `}`")?;
        if text.contains('}') || label.contains('{') {
            return Err("has braces that do not pair up");
        }
        if label.is_empty() {
            return Err("has `{}`; a label's name belongs between the braces");
        }
        pieces.extend([UrlPiece::Text(text), UrlPiece::Label(label)]);
        rest = next;
    }
    if rest.contains('}') {
        return Err("has a `}` without its `{`");
    }
    pieces.push(UrlPiece::Text(rest));
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_format_is_split_at_its_braces() {
        use UrlPiece::{Label, Text};
        let pieces = url_pieces("https://x/{name}/{com.redhat.component}").expect("pieces");
        assert_eq!(pieces, [Text("https://x/"), Label("name"), Text("/"), Label("com.redhat.component"), Text("")]);
        for bad in ["{", "}", "{}", "a{b", "a}b", "{a{b}}", "{a}}"] {
            assert!(url_pieces(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn settings_that_cannot_work_are_refused_with_their_key() {
        let key = |text: &str| toml::from_str::<LabelSettings>(text).expect("toml").check().err().map(|(key, _)| key);
        assert_eq!(key("set = { vendor = 'Example' }\nequal = [['a', 'b']]\nurl_format = 'https://x/{name}'"), None);
        assert_eq!(key("set = { release = '1' }"), Some("labels.set"));
        assert_eq!(key("equal = [['alone']]"), Some("labels.equal"));
        assert_eq!(key("url_format = '{name'"), Some("labels.url_format"));
        assert_eq!(key("set = { url = 'x' }\nurl_format = 'y'"), Some("labels.url_format"));
    }
}
