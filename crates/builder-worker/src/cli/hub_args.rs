//! Where the hub is, for subcommands that only read from it.

use std::path::PathBuf;
use std::time::Duration;

use build_model::BoxedDiagnose;
use koji_session::{Credentials, HubConfig, RetryPolicy, Session};

use crate::provenance::KojiFiles;

/// Options of subcommands that read from a hub, without login.
#[derive(clap::Args)]
pub struct HubArgs {
    /// The hub's XML-RPC address, https://…/kojihub. Nothing but reading is done there, without login.
    #[arg(long, value_name = "URL")]
    hub: String,
    /// Where the hub's files are served [default: the hub's address with kojifiles instead of kojihub].
    #[arg(long, value_name = "URL")]
    topurl: Option<String>,
    /// Certificate authority of the hub.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

/// A file of certificates cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the certificate authority {path}")]
pub struct CaError {
    path: PathBuf,
    source: std::io::Error,
}

impl build_model::Diagnose for CaError {
    fn blame(&self) -> build_model::Blame {
        build_model::Blame::Site
    }
    fn kind(&self) -> &'static str {
        "certificate-authority"
    }
}

impl HubArgs {
    /// A session that can only read.
    ///
    /// # Errors
    /// When the hub cannot be reached.
    pub async fn session(&self) -> Result<Session, BoxedDiagnose> {
        let hub = HubConfig {
            url: self.hub.clone(),
            credentials: Credentials::Anonymous,
            ca: self.ca.clone(),
            // A person waits: no minutes between tries.
            retry: RetryPolicy { attempts: 3, interval: Duration::from_secs(2), ..RetryPolicy::default() },
        };
        Ok(Session::anonymous(&hub).await?)
    }

    /// The hub's files.
    ///
    /// # Errors
    /// When the certificate authority cannot be read.
    pub fn files(&self) -> Result<KojiFiles, BoxedDiagnose> {
        let ca = match &self.ca {
            Some(path) => Some(std::fs::read(path).map_err(|source| CaError { path: path.clone(), source })?),
            None => None,
        };
        Ok(KojiFiles::new(&self.topurl(), ca.as_deref())?)
    }

    fn topurl(&self) -> String {
        let hub = self.hub.trim_end_matches('/');
        let guessed =
            || hub.strip_suffix("kojihub").map_or_else(|| format!("{hub}/kojifiles"), |base| format!("{base}kojifiles"));
        self.topurl.clone().unwrap_or_else(guessed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_are_beside_the_hub_unless_told_otherwise() {
        let args = |hub: &str, topurl: Option<&str>| HubArgs { hub: hub.into(), topurl: topurl.map(Into::into), ca: None };
        assert_eq!(args("https://koji.example.org/kojihub", None).topurl(), "https://koji.example.org/kojifiles");
        assert_eq!(args("https://koji.example.org/kojihub/", None).topurl(), "https://koji.example.org/kojifiles");
        assert_eq!(args("https://koji.example.org/kojihub", Some("https://files/")).topurl(), "https://files/");
    }
}
