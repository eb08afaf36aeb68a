//! Names that look alike and must not be mixed up: Koji tags, registry tags, targets.

use crate::{Blame, Diagnose};

/// Why a text cannot be such a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what}: {reason}")]
pub struct NameError {
    /// The text given.
    pub text: String,
    /// What it should have been.
    pub what: &'static str,
    /// The rule it breaks.
    pub reason: &'static str,
}

impl Diagnose for NameError {
    fn blame(&self) -> Blame {
        Blame::Packager
    }
    fn kind(&self) -> &'static str {
        "name-invalid"
    }
}

/// A tag of Koji: a set of builds, like `f40-container-updates-candidate`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct KojiTag(pub String);

/// A build target of Koji, like `f40-container-candidate`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct TargetName(pub String);

/// A tag in a registry repository (OCI distribution-spec: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageTag(String);

impl ImageTag {
    /// Checks the distribution-spec's grammar.
    ///
    /// # Errors
    /// When `text` is empty, longer than 128 characters or holds a character that is not allowed there.
    pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
        let text = text.into();
        let reason = if text.is_empty() {
            "it is empty"
        } else if text.len() > 128 {
            "it is longer than 128 characters"
        } else if text.starts_with(['.', '-']) {
            "it starts with a dot or a dash"
        } else if !text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) {
            "only letters, digits, dots, underscores and dashes are allowed"
        } else {
            return Ok(ImageTag(text));
        };
        Err(NameError { text, what: "registry tag", reason })
    }

    /// The tag's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ImageTag {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        ImageTag::new(text)
    }
}

impl From<ImageTag> for String {
    fn from(tag: ImageTag) -> String {
        tag.0
    }
}

macro_rules! display {
    ($($name:ident),*) => {$(
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}
display!(KojiTag, TargetName, ImageTag);
