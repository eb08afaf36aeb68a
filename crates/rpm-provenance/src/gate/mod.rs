//! The RPM gate: the one network peer of a build step. It hands out pinned repository metadata, and RPMs that Koji
//! has by digest; everything else is refused, with a verdict that says why (design §5).
//!
//! A request's way: `server` (sockets, limits) → `request` (which file, may it) → `release` (fetch, verify, ask Koji)
//! → `response` (ranges, validators). Started by the worker before the first RUN, stopped after the last.

mod cache;
mod checksum;
mod decompress;
mod location;
mod primary;
mod release;
mod repo_files;
mod repomd;
mod request;
mod response;
mod server;
mod source;
mod upstream;
mod xml;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use build_model::{Blame, Diagnose};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub(crate) use cache::cached_file;
pub use source::{ContentSource, Pin};
pub use upstream::FetchError;

use crate::verdict::VerdictLog;
use crate::{KojiRpms, Verdict};
use cache::FileCache;
use release::Releases;
use request::Shared;

/// What a gate is started with.
pub struct GateOptions {
    /// The content sources, in the order dnf is to see them.
    pub sources: Vec<ContentSource>,
    /// Directory of the file cache, shared by all builds of a worker. Made where needed, never emptied here.
    pub cache_dir: PathBuf,
    /// Who knows Koji's RPMs. `None` releases RPMs by repository checksum alone (`containerbuild build` without a
    /// hub); their verdicts then say `not-checked`.
    pub lookup: Option<Arc<dyn KojiRpms>>,
    /// For `http://` and `https://` sources. Build it with `.no_gzip()`, or a server that labels `.gz` files with a
    /// content encoding would have them unpacked on the way.
    pub http: reqwest::Client,
}

/// Why a gate cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// A content source that cannot be used as written.
    #[error("content source `{name}` is not usable: {reason}")]
    BadSource {
        /// Its name.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// Its metadata cannot be had.
    #[error("cannot pin content source `{name}`")]
    Fetch {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: FetchError,
    },
    /// It is not what the build was pinned to.
    #[error("content source `{name}` has repomd.xml sha256:{found}, but the build is pinned to sha256:{wanted}")]
    PinDiffers {
        /// Its name.
        name: String,
        /// The pin.
        wanted: String,
        /// What is there.
        found: String,
    },
    /// Its metadata is not understood.
    #[error("content source `{name}`: {file}: {reason}")]
    Metadata {
        /// Its name.
        name: String,
        /// File below the source's base.
        file: String,
        /// What is wrong, and where.
        reason: String,
    },
    /// A public key cannot be read.
    #[error("cannot read the public key {path}")]
    Key {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The cache directory cannot be used.
    #[error("cannot use the gate's cache")]
    Cache(#[source] FetchError),
    /// A listener cannot be served.
    #[error("cannot listen in the sandbox")]
    Listener(#[source] std::io::Error),
}

impl Diagnose for GateError {
    fn blame(&self) -> Blame {
        Blame::Site
    }
    fn kind(&self) -> &'static str {
        match self {
            GateError::BadSource { .. } => "content-source-invalid",
            GateError::Fetch { source, .. } => source.kind(),
            GateError::PinDiffers { .. } => "content-source-changed",
            GateError::Metadata { .. } => "content-source-metadata",
            GateError::Key { .. } => "content-source-key",
            GateError::Cache(_) => "gate-cache",
            GateError::Listener(_) => "gate-listener",
        }
    }
    fn is_transient(&self) -> bool {
        match self {
            GateError::Fetch { source, .. } => source.is_transient(),
            _ => false,
        }
    }
}

/// A running gate. Dropping it stops it at once; [`Gate::stop`] lets answers under way finish.
pub struct Gate {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    loops: JoinSet<()>,
}

impl Gate {
    /// Pins every source (repomd.xml and primary.xml, checksums verified), then serves on `listeners`.
    ///
    /// # Errors
    /// When a source cannot be pinned; nothing is served then. Leaves verified files in the cache.
    pub async fn start(listeners: Vec<std::net::TcpListener>, options: GateOptions) -> Result<Self, GateError> {
        let cache = Arc::new(FileCache::open(&options.cache_dir).map_err(GateError::Cache)?);
        let mut sources = Vec::new();
        for source in &options.sources {
            if options.sources.iter().filter(|s| s.name == source.name).count() > 1 {
                return Err(GateError::BadSource { name: source.name.clone(), reason: "there are two of this name".to_owned() });
            }
            let pinned = source::pin(source, &options.http, &cache).await?;
            tracing::info!(source = source.name, repomd = pinned.pin.repomd_sha256, packages = pinned.pin.packages, "pinned");
            sources.push(pinned);
        }
        let releases = Releases::new(cache.clone(), options.lookup);
        let shared = Arc::new(Shared { sources, cache, releases, log: Mutex::new(VerdictLog::default()) });
        let (stop, stopped) = watch::channel(false);
        let mut loops = JoinSet::new();
        for listener in listeners {
            listener.set_nonblocking(true).map_err(GateError::Listener)?;
            let listener = tokio::net::TcpListener::from_std(listener).map_err(GateError::Listener)?;
            loops.spawn(server::serve(listener, shared.clone(), stopped.clone()));
        }
        Ok(Gate { shared, stop, loops })
    }

    fn log<T>(&self, read: impl FnOnce(&VerdictLog) -> T) -> T {
        read(&self.shared.log.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// All verdicts so far, oldest first.
    pub fn verdicts(&self) -> Vec<Verdict> {
        self.log(|log| log.all().to_vec())
    }

    /// How many verdicts there are; taken before a step, for [`Gate::refusals_since`] after it.
    pub fn verdict_count(&self) -> usize {
        self.log(|log| log.all().len())
    }

    /// What was refused after the first `n` verdicts. A file that does not exist is not a refusal.
    pub fn refusals_since(&self, n: usize) -> Vec<Verdict> {
        self.log(|log| log.refusals_since(n))
    }

    /// What the sources were pinned to.
    pub fn pins(&self) -> Vec<Pin> {
        self.shared.sources.iter().map(|s| s.pin.clone()).collect()
    }

    /// The files to mount into the sandbox: path in the image, and text.
    ///
    /// `/etc/yum.repos.d/koji.repo` (and the keys beside it) are meant to be mounted as a directory over the image's
    /// own; the others are single files. `image_file` reads a file of the image, so that the image's own dnf options
    /// stay in force (`tsflags`, `install_weak_deps`, …) except for those that say where packages come from.
    pub fn repo_files(&self, port: u16, image_file: &dyn Fn(&str) -> Option<String>) -> Vec<(String, String)> {
        repo_files::repo_files(&self.shared.sources, port, image_file)
    }

    /// Stops accepting, and waits up to two seconds for answers under way.
    pub async fn stop(mut self) {
        let _ = self.stop.send(true);
        while self.loops.join_next().await.is_some() {}
    }
}
