//! Where the hub is, for subcommands that only read from it.

use std::path::PathBuf;
use std::time::Duration;

use build_model::BoxedDiagnose;
use koji_session::{Credentials, HubConfig, RetryPolicy, Session};

use crate::download::read_authority;
use crate::provenance::KojiFiles;

/// Options of subcommands that read from a hub, without login.
#[derive(clap::Args)]
pub struct HubArgs {
    /// The hub's XML-RPC address, https://…/kojihub. Nothing but reading is done there, without login.
    #[arg(long, value_name = "URL")]
    hub: Option<String>,
    /// Where the hub's files are served [default: the hub's address with kojifiles instead of kojihub].
    #[arg(long, value_name = "URL")]
    topurl: Option<String>,
    /// Certificate authority of the hub.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

/// The hub cannot be asked: none was named.
#[derive(Debug, thiserror::Error)]
#[error("no hub is named")]
pub struct NoHubError;

impl build_model::Diagnose for NoHubError {
    fn blame(&self) -> build_model::Blame {
        build_model::Blame::Site
    }
    fn kind(&self) -> &'static str {
        "hub-not-named"
    }
    fn hint(&self) -> Option<String> {
        Some("name it with --hub URL".into())
    }
}

impl HubArgs {
    /// A session that can only read.
    ///
    /// # Errors
    /// When the hub cannot be reached.
    pub async fn session(&self) -> Result<Session, BoxedDiagnose> {
        let hub = HubConfig {
            url: self.url()?.to_owned(),
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
        let ca = read_authority(self.ca.as_deref())?;
        Ok(KojiFiles::new(&self.topurl()?, ca.as_deref())?)
    }

    fn url(&self) -> Result<&str, NoHubError> {
        self.hub.as_deref().ok_or(NoHubError)
    }

    fn topurl(&self) -> Result<String, NoHubError> {
        let hub = self.url()?.trim_end_matches('/');
        let guessed =
            || hub.strip_suffix("kojihub").map_or_else(|| format!("{hub}/kojifiles"), |base| format!("{base}kojifiles"));
        Ok(self.topurl.clone().unwrap_or_else(guessed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_are_beside_the_hub_unless_told_otherwise() {
        let args = |hub: &str, topurl: Option<&str>| HubArgs { hub: Some(hub.into()), topurl: topurl.map(Into::into), ca: None };
        assert_eq!(args("https://koji.example.org/kojihub", None).topurl().expect("a hub"), "https://koji.example.org/kojifiles");
        assert_eq!(
            args("https://koji.example.org/kojihub/", None).topurl().expect("a hub"),
            "https://koji.example.org/kojifiles"
        );
        assert_eq!(args("https://koji.example.org/kojihub", Some("https://files/")).topurl().expect("a hub"), "https://files/");
    }
}
