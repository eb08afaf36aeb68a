//! `[lookaside]`: the cache of large files beside dist-git.

use std::path::PathBuf;

use dist_git::LookasideUrl;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Where the files are that a repository's `sources` names, and how large they may be.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LookasideSettings {
    /// Address of a file, with the parts `{namespace}`, `{name}`, `{file}`, `{hashtype}`, `{hash}`. rpkg's is
    /// `https://HOST/repo/pkgs/{namespace}/{name}/{file}/{hashtype}/{hash}/{file}`. Without it, `sources` is refused.
    #[serde(serialize_with = "write", deserialize_with = "read", skip_serializing_if = "Option::is_none")]
    pub url: Option<LookasideUrl>,
    /// Certificate authority of the cache; the system's when absent.
    pub ca: Option<PathBuf>,
    /// Largest file, in MB.
    pub max_file_mb: u64,
    /// Largest sum of a repository's files, in MB.
    pub max_total_mb: u64,
    /// Whether files may be named by their MD5, as old repositories do: it tells damage, not malice.
    pub allow_md5: bool,
}

impl Default for LookasideSettings {
    fn default() -> Self {
        Self { url: None, ca: None, max_file_mb: 2048, max_total_mb: 8192, allow_md5: true }
    }
}

fn write<S: Serializer>(url: &Option<LookasideUrl>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(url.as_ref().map_or("", LookasideUrl::pattern))
}

fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<LookasideUrl>, D::Error> {
    let pattern = String::deserialize(deserializer)?;
    LookasideUrl::parse(&pattern).map(Some).map_err(serde::de::Error::custom)
}
