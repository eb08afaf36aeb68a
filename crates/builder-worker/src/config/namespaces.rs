//! `[[scm.namespaces]]`: what the directories of dist-git mean for names in Koji, where a package is known by its name alone.

use build_model::ScmUrl;
use rpm_provenance::files::Decision;
use serde::{Deserialize, Serialize};

/// One namespace of dist-git: the directory above the repositories, like `container`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamespaceSettings {
    /// The directory; empty for repositories without one.
    pub name: String,
    /// What the label `com.redhat.component` may be, `{name}` for the repository's name: `["{name}-container"]`. Empty:
    /// anything.
    #[serde(default)]
    pub components: Vec<String>,
    /// What becomes of an image whose package has RPM builds in the destination tag, inherited ones too: tagged there, it
    /// would be the newest "build" of the RPM package.
    #[serde(default = "refuse")]
    pub rpm_builds: Decision,
}

fn refuse() -> Decision {
    Decision::Refuse
}

impl Default for NamespaceSettings {
    /// What holds where a site names no namespaces.
    fn default() -> Self {
        Self { name: String::new(), components: Vec::new(), rpm_builds: refuse() }
    }
}

impl NamespaceSettings {
    /// The components that a repository may have; empty for any.
    pub fn components_of(&self, repository: &ScmUrl) -> Vec<String> {
        self.components.iter().map(|pattern| pattern.replace("{name}", repository.name())).collect()
    }

    /// What is wrong with the settings, in words that follow the name of the key.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        if self.name.contains('/') {
            return Err(("name", "is one directory, the one above the repositories".to_owned()));
        }
        for pattern in &self.components {
            let rest = pattern.replace("{name}", "");
            if pattern.is_empty() || rest.contains(['{', '}', '/', ' ']) {
                return Err(("components", format!("has `{pattern}`; the only variable part is {{name}}")));
            }
        }
        Ok(())
    }
}
