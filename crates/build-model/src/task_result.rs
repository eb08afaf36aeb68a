//! What a finished `buildContainer` task returns (koji-containerbuild's contract; read by rpkg, pungi and kojiweb).

use crate::BuildId;

/// The result struct of a `buildContainer` task.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct BuildContainerResult {
    /// Pull specifications, digest form first.
    pub repositories: Vec<String>,
    /// Build ids **as strings**: clients call `int()` on them. Empty for scratch builds, never null.
    pub koji_builds: Vec<String>,
    /// Remarks for the packager; left out when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub user_warnings: Vec<String>,
}

impl BuildContainerResult {
    /// The result of a build that was imported.
    pub fn imported(repositories: Vec<String>, build: BuildId) -> Self {
        Self { repositories, koji_builds: vec![build.to_string()], user_warnings: Vec::new() }
    }

    /// The result of a scratch build.
    pub fn scratch(repositories: Vec<String>) -> Self {
        Self { repositories, koji_builds: Vec::new(), user_warnings: Vec::new() }
    }
}
