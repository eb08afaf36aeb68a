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
    /// Keytab of this host's principal, for login by Kerberos, as kojid's `keytab`.
    pub keytab: Option<PathBuf>,
    /// Credential cache that somebody keeps filled, for login by Kerberos without a keytab; with one, where tickets are kept.
    pub ccache: Option<PathBuf>,
    /// The principal, like `compile/builder1.example.com@EXAMPLE.COM`, where keytab or cache hold several.
    pub principal: Option<String>,
    /// Certificate authority of the hub; the system's when absent.
    pub ca: Option<PathBuf>,
    /// User name for password login (test hubs).
    pub user: Option<String>,
    /// File that holds the password.
    pub password_file: Option<PathBuf>,
}

impl HubSettings {
    /// What is wrong with the keys about the login: one way to log in must be there, whole.
    pub fn check(&self) -> Result<(), (&'static str, &'static str)> {
        let kerberos = self.keytab.is_some() || self.ccache.is_some();
        let ways = [self.cert.is_some(), self.password_file.is_some(), kerberos];
        if ways.into_iter().filter(|given| *given).count() != 1 {
            return Err(("hub", "needs one way to log in: `cert`, `keytab` or `ccache`, or `user` with `password_file`"));
        }
        if self.password_file.is_some() != self.user.is_some() {
            return Err(("hub.user", "goes with `password_file`"));
        }
        if self.principal.is_some() && !kerberos {
            return Err(("hub.principal", "goes with `keytab` or `ccache`"));
        }
        Ok(())
    }
}
