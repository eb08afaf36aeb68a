//! How to reach a hub and as whom. Filled in by the worker from its configuration file.

use std::path::PathBuf;
use std::time::Duration;

use crate::KerberosIdentity;

/// How a session proves who it is.
#[derive(Clone)]
pub enum Credentials {
    /// A TLS client certificate; the hub takes the user's name from it (`sslLogin`).
    Certificate {
        /// Certificate and unencrypted key in one PEM file, as Koji's tools write it.
        pem: PathBuf,
        /// The CA that signed the hub's certificate, instead of the system's. [`HubConfig::ca`] is used as well.
        ca: Option<PathBuf>,
    },
    /// User and password (`login`).
    Password {
        /// The user.
        user: String,
        /// The password. Never shown by `Debug`.
        password: String,
    },
    /// A Kerberos ticket (`sslLogin`, too).
    Kerberos(KerberosIdentity),
    /// No login: queries only.
    Anonymous,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Credentials::Certificate { pem, ca } => f.debug_struct("Certificate").field("pem", pem).field("ca", ca).finish(),
            Credentials::Password { user, .. } => f.debug_struct("Password").field("user", user).finish_non_exhaustive(),
            Credentials::Kerberos(identity) => f.debug_tuple("Kerberos").field(identity).finish(),
            Credentials::Anonymous => f.write_str("Anonymous"),
        }
    }
}

/// A hub and the identity used there.
#[derive(Debug, Clone)]
pub struct HubConfig {
    /// The hub's URL, like `https://koji.example.org/kojihub`.
    pub url: String,
    /// Who we are.
    pub credentials: Credentials,
    /// How patient to be.
    pub retry: RetryPolicy,
    /// CA bundle (PEM) that the hub's certificate must be signed by; the system's when absent.
    pub ca: Option<PathBuf>,
}

/// How often and how long a call is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries of one call, the first included; at least one is made.
    pub attempts: u32,
    /// Pause before every repeat but the first, which is immediate (a kept-alive connection may just have ended).
    pub interval: Duration,
    /// Pause when the hub says that it is offline. Such answers do not count as tries: the hub is well and says wait.
    pub offline_interval: Duration,
    /// Longest wait for one answer.
    pub call_timeout: Duration,
    /// Longest wait for the answer to a login.
    pub login_timeout: Duration,
}

impl Default for RetryPolicy {
    /// kojid's patience: 120 tries a minute apart (KT `max_retries`, `retry_interval`), two minutes when offline.
    /// An answer may take 12 hours, as in Koji's client: an import copies gigabytes before the hub answers.
    fn default() -> Self {
        Self {
            attempts: 120,
            interval: Duration::from_secs(60),
            offline_interval: Duration::from_secs(120),
            call_timeout: Duration::from_secs(12 * 3600),
            login_timeout: Duration::from_secs(60),
        }
    }
}
