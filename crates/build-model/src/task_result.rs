//! What a finished `buildContainer` task returns (koji-containerbuild's contract; read by rpkg, pungi and kojiweb).

use std::collections::BTreeMap;

use crate::{Arch, BuildId, KojiTag};

/// The result struct of a `buildContainer` task.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct BuildContainerResult {
    /// Pull specifications, digest form first.
    pub repositories: Vec<String>,
    /// Build ids **as strings**: clients call `int()` on them. Empty for scratch builds, never null.
    pub koji_builds: Vec<String>,
    /// Remarks for the packager; left out when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub user_warnings: Vec<String>,
    /// Of a dry run: what would have been built. Then the two lists are empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<Box<DryRun>>,
}

/// What a build would have been. Nothing is reserved: somebody else may take the name.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DryRun {
    /// Its name; a scratch build's is none of Koji.
    pub nvr: String,
    /// The commit.
    pub source: String,
    /// Where it would be tagged; nothing for a scratch build.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub koji_tag: Option<KojiTag>,
    /// Architectures.
    pub arches: Vec<Arch>,
    /// What would be pushed, in the order it is.
    pub tags: Vec<String>,
    /// Images by the reference of the Dockerfile: digest and Koji build.
    pub parents: BTreeMap<String, DryRunParent>,
    /// Repositories that RUN steps would be offered, by architecture: name and URL.
    pub repositories: BTreeMap<Arch, BTreeMap<String, String>>,
}

/// A parent image of a dry run.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DryRunParent {
    /// Reference with digest.
    pub pinned: String,
    /// Its Koji build; nothing where the site allows others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
}

impl BuildContainerResult {
    /// The result of a build that was imported.
    pub fn imported(repositories: Vec<String>, build: BuildId) -> Self {
        Self { repositories, koji_builds: vec![build.to_string()], ..Self::default() }
    }

    /// The result of a scratch build.
    pub fn scratch(repositories: Vec<String>) -> Self {
        Self { repositories, ..Self::default() }
    }
}
