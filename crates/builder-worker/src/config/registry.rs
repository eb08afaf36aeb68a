//! `[registry]`: where parent images come from and results go to.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where images come from and go to.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistrySettings {
    /// Registry (`host[:port]`) that results are pushed to.
    pub push: String,
    /// Registries spoken to without TLS.
    #[serde(default)]
    pub insecure: Vec<String>,
    /// Names in Dockerfiles that stand for another place, as `location` in registries.conf.
    #[serde(default)]
    pub aliases: Vec<AliasSettings>,
    /// Credentials in the format of containers-auth.json.
    pub auth_file: Option<PathBuf>,
    /// Additional certificate authorities.
    #[serde(default)]
    pub ca: Vec<PathBuf>,
}

/// A name and the place it stands for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AliasSettings {
    /// What Dockerfiles say, for example `registry.example.com`.
    pub prefix: String,
    /// Where it is, for example `mirror.example.com:5000`.
    pub location: String,
}

impl RegistrySettings {
    /// The same as the registry client's configuration.
    pub fn client_config(&self) -> registry::RegistryConfig {
        registry::RegistryConfig {
            insecure: self.insecure.clone(),
            aliases: self
                .aliases
                .iter()
                .map(|a| registry::RegistryAlias { prefix: a.prefix.clone(), location: a.location.clone() })
                .collect(),
            auth_file: self.auth_file.clone(),
            ca_files: self.ca.clone(),
        }
    }
}
