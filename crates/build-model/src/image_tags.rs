//! Which tags a build gets in the registry: unique, primary and floating (compat §3.3).

use crate::{ImageTag, NameError};

/// The kind of build, as far as tags depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BuildKind {
    /// Imported, tagged in Koji, floating tags move.
    Normal,
    /// Imported, with its own primary tag, but floating tags stay.
    Isolated,
    /// Pushed only under its unique tag; not a Koji build.
    Scratch,
}

/// The registry tags of one build.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ImageTagSet {
    /// A tag no other build has; keeps the manifest alive whatever else moves.
    pub unique: ImageTag,
    /// `version-release`; absent for scratch builds.
    pub primary: Option<ImageTag>,
    /// Tags that move from build to build, `latest` first; moved last.
    pub floating: Vec<ImageTag>,
}

impl ImageTagSet {
    /// The tags of a build.
    ///
    /// `unique_suffix` must differ between any two builds (the task id serves); `declared` are container.yaml's
    /// `tags`, which replace the default floating tags.
    ///
    /// # Errors
    /// When a tag breaks the registry's grammar, for example through a 129-character version.
    pub fn new(
        kind: BuildKind,
        target: &str,
        unique_suffix: &str,
        version: &str,
        release: &str,
        declared: Option<&[String]>,
    ) -> Result<Self, NameError> {
        let unique = ImageTag::new(format!("{target}-{unique_suffix}"))?;
        if kind == BuildKind::Scratch {
            return Ok(Self { unique, primary: None, floating: Vec::new() });
        }
        let primary = Some(ImageTag::new(format!("{version}-{release}"))?);
        let floating = match (kind, declared) {
            (BuildKind::Normal, None) => vec![ImageTag::new("latest")?, ImageTag::new(version)?],
            (BuildKind::Normal, Some(tags)) => tags.iter().map(ImageTag::new).collect::<Result<_, _>>()?,
            _ => Vec::new(),
        };
        Ok(Self { unique, primary, floating })
    }

    /// Every tag, unique first, floating last.
    pub fn all(&self) -> impl Iterator<Item = &ImageTag> {
        std::iter::once(&self.unique).chain(&self.primary).chain(&self.floating)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(kind: BuildKind, declared: Option<&[String]>) -> Vec<String> {
        let set = ImageTagSet::new(kind, "f40-candidate", "77", "1.2", "3", declared).expect("tags");
        set.all().map(ToString::to_string).collect()
    }

    #[test]
    fn floating_tags_belong_to_normal_builds_only() {
        assert_eq!(texts(BuildKind::Normal, None), ["f40-candidate-77", "1.2-3", "latest", "1.2"]);
        assert_eq!(texts(BuildKind::Normal, Some(&["stable".into()])), ["f40-candidate-77", "1.2-3", "stable"]);
        assert_eq!(texts(BuildKind::Isolated, None), ["f40-candidate-77", "1.2-3"]);
        assert_eq!(texts(BuildKind::Scratch, None), ["f40-candidate-77"]);
    }
}
