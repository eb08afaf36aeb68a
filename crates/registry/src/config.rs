//! What a site configures about registries. Read from the worker's TOML file.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Registries of a site. The default reaches any registry over https, anonymously.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegistryConfig {
    /// Registries spoken to over plain http, as `host` or `host:port` (after aliases were applied).
    pub insecure: Vec<String>,
    /// Names that are really somewhere else; the longest matching prefix counts.
    pub aliases: Vec<RegistryAlias>,
    /// Credentials: docker's `config.json` or podman's `auth.json`.
    pub auth_file: Option<PathBuf>,
    /// PEM files with certificate authorities trusted besides the system's.
    pub ca_files: Vec<PathBuf>,
}

/// A mapping as in containers-registries.conf: images under `prefix` are pulled from and pushed to `location`.
/// Everything that is recorded keeps the name with the prefix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistryAlias {
    /// `registry.example.com`, or with a path: `registry.example.com/f40`.
    pub prefix: String,
    /// `127.0.0.1:5000`, or with a path.
    pub location: String,
}
