//! `[content.TARGET]`: which repositories a build may install from. The source decides what is *offered*;
//! the gate decides what is *released* (design §5).

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The content of one target.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContentSettings {
    /// Repositories in the order of their priority.
    pub sources: Vec<ContentSourceSettings>,
}

/// One repository: of a Koji tag, or at a URL.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContentSourceSettings {
    /// Name of the repository inside the sandbox.
    pub name: String,
    /// The Koji tag whose repository it is.
    pub tag: Option<String>,
    /// A repository elsewhere; `$arch` stands for the architecture.
    pub url: Option<String>,
    /// Public keys; when given, dnf checks signatures.
    #[serde(default)]
    pub gpgkeys: Vec<PathBuf>,
}

/// Where a repository comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin<'a> {
    /// The repository of this Koji tag.
    Tag(&'a str),
    /// The repository at this URL.
    Url(&'a str),
}

impl ContentSourceSettings {
    /// Where the repository comes from.
    ///
    /// # Errors
    /// With a sentence for the configuration's author when not exactly one of `tag` and `url` is given,
    /// or the name cannot be a repository id.
    pub fn origin(&self) -> Result<Origin<'_>, &'static str> {
        let name_is_id =
            !self.name.is_empty() && self.name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        if !name_is_id || self.name.starts_with('.') {
            return Err("must have a name of letters, digits, dashes, dots and underscores");
        }
        match (&self.tag, &self.url) {
            (Some(tag), None) => Ok(Origin::Tag(tag)),
            (None, Some(url)) => Ok(Origin::Url(url)),
            _ => Err("needs exactly one of `tag` and `url`"),
        }
    }
}
