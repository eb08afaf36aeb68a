//! `[hub]`: where the Koji hub is and how this builder logs in.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How to reach the hub, and as whom.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubSettings {
    /// The hub's XML-RPC address, `https://…/kojihub`.
    pub url: String,
    /// Where the hub's files are served, `https://…/kojifiles`: repositories are read from there.
    pub topurl: String,
    /// Certificate and key of this host in one PEM file, as kojid's `client.crt`.
    pub cert: Option<PathBuf>,
    /// Certificate authority of the hub; the system's when absent.
    pub ca: Option<PathBuf>,
    /// User name for password login (test hubs).
    pub user: Option<String>,
    /// File that holds the password.
    pub password_file: Option<PathBuf>,
}
