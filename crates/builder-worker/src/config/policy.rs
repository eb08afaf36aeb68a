//! `[policy]`: what must be true of an image before it is pushed. The rules themselves are the provenance crate's
//! ([`rpm_provenance::policy`]); here they are read from the site's configuration. Documented in docs/POLICY.md.

use std::path::Path;

use build_model::Arch;
use rpm_provenance::files::FilePolicy;
use rpm_provenance::policy::{
    ContentTags, ForbiddenPackages, LabelRule, ParentImages, Policy, Registries, Repositories, SameVersions, SigningKeys,
    SizeLimit,
};
use serde::{Deserialize, Serialize};

use super::{ConfigError, unknown_key};

/// A file with the table `[policy]` alone: `policy_file` of the configuration, shared by all builders of a site.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyFile {
    #[serde(default)]
    policy: PolicySettings,
}

/// `[policy]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicySettings {
    /// Architectures whose failure does not fail a build (container.yaml can name more).
    pub optional_arches: Vec<Arch>,
    /// Hosts that `.repo` files of a request may come from and point to; none by default.
    pub repo_url_hosts: Vec<String>,
    /// Keys that RPMs must be signed with; this and the next kind bind gate and proof.
    pub signing_keys: Vec<SigningKeys>,
    /// Koji tags that the builds of RPMs must be in.
    pub content_tags: Vec<ContentTags>,
    /// What becomes of parent images that are no Koji builds; by default they are refused.
    pub parent_images: Vec<ParentImages>,
    /// Registries that images may be named from.
    pub registries: Vec<Registries>,
    /// Repositories that a Koji package's images may go to.
    pub repositories: Vec<Repositories>,
    /// Labels an image must or must not have.
    pub labels: Vec<LabelRule>,
    /// Packages that must not be in an image; binds gate and proof.
    pub packages: Vec<ForbiddenPackages>,
    /// RPMs have one version on all architectures; by default all must.
    pub same_versions: Vec<SameVersions>,
    /// How large an image may be.
    pub size: Vec<SizeLimit>,
    /// What becomes of files that are not as an RPM or the commit has them.
    pub files: FilePolicy,
}

impl Default for PolicySettings {
    fn default() -> Self {
        Self {
            optional_arches: Vec::new(),
            repo_url_hosts: Vec::new(),
            signing_keys: Vec::new(),
            content_tags: Vec::new(),
            // Spelled out, so that `check-config` shows it: this is the promise of the service.
            parent_images: vec![ParentImages::strict()],
            registries: Vec::new(),
            repositories: Vec::new(),
            labels: Vec::new(),
            packages: Vec::new(),
            same_versions: vec![SameVersions::strict()],
            size: Vec::new(),
            files: FilePolicy::default(),
        }
    }
}

impl PolicySettings {
    /// Reads a file that holds the table `[policy]` alone, and checks the rules.
    ///
    /// # Errors
    /// As [`super::Settings::load`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let file: PolicyFile = toml::from_str(&text)
            .map_err(|error| ConfigError::Parse { explanation: unknown_key::explain(path, &text, &error) })?;
        file.policy.check(path)?;
        Ok(file.policy)
    }

    /// Checks the rules; `path` is where they stand.
    pub(super) fn check(&self, path: &Path) -> Result<(), ConfigError> {
        let value = |found: rpm_provenance::policy::RuleProblem| ConfigError::Value {
            path: path.to_owned(),
            key: found.key,
            problem: found.problem,
        };
        self.rules().check().map_err(value)
    }

    /// The rules, to judge images with.
    pub fn rules(&self) -> Policy<'_> {
        Policy {
            signing_keys: &self.signing_keys,
            content_tags: &self.content_tags,
            parent_images: &self.parent_images,
            registries: &self.registries,
            repositories: &self.repositories,
            labels: &self.labels,
            packages: &self.packages,
            same_versions: &self.same_versions,
            size: &self.size,
            files: &self.files,
        }
    }
}
