//! The RPM gate: the one network peer of a build step. It hands out pinned repository metadata, and RPMs that Koji
//! has by digest; everything else is refused, with a verdict that says why (design §5).
//!
//! A request's way: `server`, `http1` (sockets, limits) → `request` (which file, may it) → `release` (fetch, verify,
//! compare with Koji) → `response` (ranges, validators) → `confirm` (what Koji says today, of many at once) → verdict.
//! Started by the worker before the first RUN, stopped after the last.

mod cache;
mod confirm;
mod http1;
mod release;
mod repo_files;
mod request;
mod response;
mod server;
mod source;
mod upstream;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use build_model::{Blame, Diagnose};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use cache::Session;
pub(crate) use cache::cached_file;
pub use repo_files::{CONF_DIRS, CONF_ENDING, MAIN_CONFS, OTHER_REPO_DIRS, REPO_DIR, without_repositories};
pub use source::{ContentSource, Pin};
pub use upstream::{FetchError, HttpClients};

use crate::policy::ReleaseRules;
use crate::verdict::VerdictLog;
use crate::{BuildStep, KojiRpms, Verdict};
use cache::FileCache;
use release::Releases;
use request::Shared;

/// What a gate is started with.
pub struct GateOptions {
    /// The content sources, in the order dnf is to see them.
    pub sources: Vec<ContentSource>,
    /// Directory of the file cache, shared by all builds of a worker. Made where needed.
    pub cache_dir: PathBuf,
    /// Bytes the cache may have; what was not used for longest goes, unless a running build used it. `None`: no limit.
    pub cache_limit: Option<u64>,
    /// Who knows Koji's RPMs. `None` releases RPMs by repository checksum alone (`containerbuild build` without a
    /// hub); their verdicts then say `not-checked`.
    pub lookup: Option<Arc<dyn KojiRpms>>,
    /// The site's rules about RPMs.
    pub rules: ReleaseRules,
    /// For `http://` and `https://` sources.
    pub http: HttpClients,
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
        /// Whose move it is.
        blame: Blame,
    },
    /// Its metadata cannot be had.
    #[error("cannot pin content source `{name}`")]
    Fetch {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: Arc<FetchError>,
        /// Whose move it is.
        blame: Blame,
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
        /// Whose move it is.
        blame: Blame,
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
        match self {
            GateError::BadSource { blame, .. } | GateError::Fetch { blame, .. } | GateError::Metadata { blame, .. } => *blame,
            GateError::PinDiffers { .. } | GateError::Key { .. } | GateError::Cache(_) | GateError::Listener(_) => Blame::Site,
        }
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
    fn hint(&self) -> Option<String> {
        match self {
            GateError::Metadata { .. } => Some("have the repository's metadata made again with createrepo_c".to_owned()),
            GateError::PinDiffers { .. } => Some("the repository was made anew; submit the build again".to_owned()),
            GateError::Fetch { blame: Blame::Packager, .. } => Some(
                "check the baseurl in the .repo file of the request; redirections to other hosts are not followed".to_owned(),
            ),
            _ => None,
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
    session: Arc<Session>,
    cache_limit: Option<u64>,
}

impl Gate {
    /// Pins every source (repomd.xml and primary.xml, checksums verified), then serves on `listeners`.
    ///
    /// # Errors
    /// When a source cannot be pinned; nothing is served then. Leaves verified files in the cache.
    pub async fn start(listeners: Vec<std::net::TcpListener>, options: GateOptions) -> Result<Self, GateError> {
        let cache = Arc::new(FileCache::open(&options.cache_dir).map_err(GateError::Cache)?);
        let session = Arc::new(Session::begin(&options.cache_dir).map_err(GateError::Cache)?);
        make_room(&options.cache_dir, options.cache_limit).await;
        let mut sources = Vec::new();
        for source in &options.sources {
            if options.sources.iter().filter(|s| s.name == source.name).count() > 1 {
                return Err(GateError::BadSource {
                    name: source.name.clone(),
                    reason: "there are two of this name".to_owned(),
                    blame: source.blame(),
                });
            }
            let pinned = source::pin(source, &options.http, &cache).await?;
            tracing::info!(source = source.name, repomd = pinned.pin.repomd_sha256, packages = pinned.pin.packages, "pinned");
            sources.push(pinned);
        }
        let releases = Releases::new(cache.clone(), options.lookup, options.rules);
        let shared = Arc::new(Shared {
            sources,
            cache,
            releases,
            log: Mutex::new(VerdictLog::default()),
            step: Mutex::default(),
            open: watch::Sender::new(0),
        });
        let (stop, stopped) = watch::channel(false);
        let mut loops = JoinSet::new();
        if let Some(confirmations) = &shared.releases.confirmations {
            loops.spawn(confirmations.clone().serve(stopped.clone()));
        }
        for listener in listeners {
            listener.set_nonblocking(true).map_err(GateError::Listener)?;
            let listener = tokio::net::TcpListener::from_std(listener).map_err(GateError::Listener)?;
            loops.spawn(server::serve(listener, shared.clone(), stopped.clone()));
        }
        Ok(Gate { shared, stop, loops, session, cache_limit: options.cache_limit })
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

    /// Names the RUN that the next verdicts belong to.
    pub fn set_step(&self, step: Option<BuildStep>) {
        *self.shared.step.lock().unwrap_or_else(PoisonError::into_inner) = step;
    }

    /// Waits until every request so far has its verdict: a file that was released by its headers may turn out to be
    /// another one at its end, and Koji is asked about what is left to ask. Called after a RUN, before
    /// [`Gate::refusals_since`].
    pub async fn settle(&self) {
        let _hurry = self.shared.releases.confirmations.as_ref().map(|c| c.hurry());
        // The sender is part of `self`, so there is no error.
        let _ = self.shared.open.subscribe().wait_for(|open| *open == 0).await;
    }

    /// Keeps what this build used in the cache, for readers of it after the gate ([`crate::files::released_elsewhere`]).
    pub fn session(&self) -> Arc<Session> {
        self.session.clone()
    }

    /// The verdicts after the first `n`.
    pub fn verdicts_since(&self, n: usize) -> Vec<Verdict> {
        self.log(|log| log.all().get(n..).unwrap_or_default().to_vec())
    }

    /// What was refused after the first `n` verdicts. A file that does not exist is not a refusal.
    pub fn refusals_since(&self, n: usize) -> Vec<Verdict> {
        self.log(|log| log.refusals_since(n))
    }

    /// What the sources were pinned to.
    pub fn pins(&self) -> Vec<Pin> {
        self.shared.sources.iter().map(|s| s.pin.clone()).collect()
    }

    /// The repositories' definitions and keys: path in the image below [`REPO_DIR`], and text. Meant to be mounted as a
    /// directory over the image's own.
    pub fn repo_files(&self, port: u16) -> Vec<(String, String)> {
        repo_files::repo_files(&self.shared.sources, port)
    }

    /// The package managers' caches kept under a key, if there are any. See docs/adr/0007-solver-caches.md.
    pub fn solver_cache(&self, key: &str) -> Option<PathBuf> {
        self.shared.cache.solver_cache(key)
    }

    /// A directory beside them, to make new ones in.
    ///
    /// # Errors
    /// The system's.
    pub fn solver_scratch(&self) -> std::io::Result<tempfile::TempDir> {
        self.shared.cache.solver_scratch()
    }

    /// Keeps caches that were made in a [`Gate::solver_scratch`]; `None` when there is no file among them.
    ///
    /// # Errors
    /// The system's.
    pub fn keep_solver_cache(&self, key: &str, made: &std::path::Path) -> std::io::Result<Option<PathBuf>> {
        self.shared.cache.keep_solver_cache(key, made)
    }

    /// Stops accepting, and waits up to two seconds for answers under way.
    pub async fn stop(mut self) {
        let _ = self.stop.send(true);
        while self.loops.join_next().await.is_some() {}
        make_room(self.shared.cache.root(), self.cache_limit).await;
    }
}

/// Brings the cache below its limit. A cache that is too large is no reason to fail a build.
async fn make_room(root: &std::path::Path, limit: Option<u64>) {
    let Some(limit) = limit else { return };
    let root = root.to_owned();
    match tokio::task::spawn_blocking(move || cache::evict(&root, limit)).await {
        Ok(Ok(evicted)) if evicted.removed > 0 => {
            tracing::info!(before = evicted.before, removed = evicted.removed, limit, "evicted from the gate's cache");
        }
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::warn!(%error, "cannot evict from the gate's cache"),
        Err(error) => tracing::warn!(%error, "cannot evict from the gate's cache"),
    }
}
