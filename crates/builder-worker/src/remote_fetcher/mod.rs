//! What `ADD https://…` and ADD of git repositories get, where a build has the machine's network
//! (`containerbuild build --network=host`; never in a task): files by [`Downloads`], repositories by `dist-git`.

mod credentials;
mod file_error;

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use build_model::{Blame, BoxedDiagnose, Diagnose};
use dist_git::TreeRequest;
use dockerfile::{GitSource, GitTransport};
use image_build::{CancelFlag, FetchedTree, Progress, ProgressEvent, RemoteFetcher, Secrets};

use crate::download::{DownloadSetupError, Downloads};
use file_error::AddFileError;

/// The largest file, and the largest file of a repository: what is added to an image is far smaller.
const MAX_BYTES: u64 = 8 << 30;
/// How often a fetch looks whether the build goes on.
const CANCEL_POLL: Duration = Duration::from_millis(100);

/// Fetches with the machine's network. Its calls block, and must come from a thread of the runtime that may.
pub(crate) struct HostFetcher<'a> {
    downloads: Downloads,
    runtime: tokio::runtime::Handle,
    /// The agent that repositories over ssh are fetched with, when the build was given one.
    ssh_agent: Option<&'a Path>,
    /// Among them may be what servers ask for.
    secrets: &'a Secrets,
    progress: &'a dyn Progress,
    cancel: &'a CancelFlag,
}

/// The build was stopped meanwhile.
#[derive(Debug, thiserror::Error)]
#[error("the build was cancelled")]
struct Cancelled;

impl Diagnose for Cancelled {
    fn blame(&self) -> Blame {
        Blame::Cancelled
    }
    fn kind(&self) -> &'static str {
        "cancelled"
    }
}

impl<'a> HostFetcher<'a> {
    /// A fetcher for one build.
    ///
    /// # Errors
    /// Without TLS.
    pub(crate) fn new(
        ssh_agent: Option<&'a Path>,
        secrets: &'a Secrets,
        progress: &'a dyn Progress,
        cancel: &'a CancelFlag,
    ) -> Result<Self, DownloadSetupError> {
        let downloads = Downloads::new(None)?;
        Ok(Self { downloads, runtime: tokio::runtime::Handle::current(), ssh_agent, secrets, progress, cancel })
    }

    fn wait<T, E: Into<BoxedDiagnose>>(&self, fetch: impl Future<Output = Result<T, E>>) -> Result<T, BoxedDiagnose> {
        self.runtime.block_on(async {
            let cancelled = async {
                while !self.cancel.is_cancelled() {
                    tokio::time::sleep(CANCEL_POLL).await;
                }
            };
            tokio::select! {
                fetched = fetch => fetched.map_err(Into::into),
                () = cancelled => Err(Cancelled.into()),
            }
        })
    }
}

impl RemoteFetcher for HostFetcher<'_> {
    fn file(&self, url: &str, into: &Path) -> Result<Option<i64>, BoxedDiagnose> {
        let authorization = credentials::for_file(self.secrets, url)?;
        let fetch = self.downloads.fetch_as(authorization.as_ref(), url, into, MAX_BYTES);
        let downloaded = self.wait(async { fetch.await.map_err(AddFileError::from) })?;
        Ok(downloaded.modified)
    }

    fn repository(&self, source: &GitSource, keep_git_dir: bool, into: &Path) -> Result<FetchedTree, BoxedDiagnose> {
        let transport = match source.transport {
            GitTransport::Git => "git",
            GitTransport::Http => "http",
            GitTransport::Https => "https",
            GitTransport::Ssh => "ssh",
        };
        let authorization = credentials::for_repository(self.secrets, &source.remote)?;
        let request = TreeRequest {
            url: &source.remote,
            transport,
            revision: source.revision.as_deref(),
            subdir: &source.subdir,
            keep_git_dir,
            without_submodules: source.submodules == Some(false),
            file_limit: MAX_BYTES,
            ssh_agent: self.ssh_agent,
            authorization: authorization.as_ref(),
        };
        let log = |line: &str| {
            // Command lines are for those who look for a fault.
            match line.strip_prefix("$ ") {
                Some(command) => tracing::debug!(command, "git"),
                None => self.progress.event(ProgressEvent::Note { text: format!("git: {line}") }),
            }
        };
        let tree = self.wait(dist_git::fetch_tree(&request, into, &log))?;
        Ok(FetchedTree { root: tree.root, commit: tree.commit, tag: tree.tag })
    }
}
