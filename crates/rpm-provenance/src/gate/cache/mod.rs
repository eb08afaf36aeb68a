//! Files of content sources, kept by checksum: `<dir>/<algorithm>/<first two digits>/<digest>`.
//!
//! One directory for all builds of a worker, which are processes of their own. A file gets its name only after its
//! bytes were verified (part file, then rename), so what is there is what it is called. One process downloads a file
//! ([`download`]), the others wait for its lock and find it. [`evict`] keeps the directory below its limit; what a
//! running build has used ([`session`]) stays. Nothing a RUN step writes ever comes here.

mod download;
mod evict;
mod note;
mod session;
mod solver;

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::upstream::{FetchError, Upstream};
use crate::repodata::Checksum;

pub(super) use download::Download;
pub(super) use evict::evict;
pub(super) use note::Note;
pub use session::Session;

/// Downloads from content sources at a time and build.
const PARALLEL: usize = 8;
/// Directories below the cache's own.
const ALGORITHMS: [&str; 3] = ["sha256", "sha384", "sha512"];

/// A verified file. It stays readable while this exists, evicted or not.
#[derive(Debug, Clone)]
pub(super) struct CachedFile {
    pub file: Arc<File>,
    pub size: u64,
}

impl CachedFile {
    /// Reads it from its start. The descriptor has an offset of its own, which is wherever writing it ended.
    pub fn reader(&self) -> impl Read + '_ {
        ReadAt { file: &self.file, at: 0 }
    }
}

struct ReadAt<'a> {
    file: &'a File,
    at: u64,
}

impl Read for ReadAt<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let n = self.file.read_at(into, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

/// What [`FileCache::fetch`] finds.
#[derive(Debug, Clone)]
pub(super) enum Fetched {
    /// It is there.
    Ready(CachedFile),
    /// It is on its way, and can be read as far as it has come.
    Running(Arc<Download>),
}

/// The cache as one build sees it. Dropping it stops its downloads.
pub(super) struct FileCache {
    shared: Arc<Shared>,
    tasks: Mutex<JoinSet<()>>,
}

/// What downloads hold on to.
struct Shared {
    root: PathBuf,
    running: Mutex<HashMap<Checksum, Arc<Download>>>,
    slots: Semaphore,
}

/// Where a cache below `root` has the file with this checksum.
fn place(root: &Path, checksum: &Checksum) -> PathBuf {
    let shard: String = checksum.hex().chars().take(2).collect();
    root.join(checksum.algorithm()).join(shard).join(checksum.hex())
}

/// The place of a file in the cache at `root`, by the checksum a verdict has (`sha256:HEX`); it need not be there.
pub(crate) fn cached_file(root: &Path, checksum: &str) -> Option<PathBuf> {
    Some(place(root, &Checksum::from_text(checksum)?))
}

impl FileCache {
    /// Makes the directories where needed.
    pub fn open(root: &Path) -> Result<Self, FetchError> {
        for dir in ALGORITHMS.into_iter().chain(["tmp", "sessions", "offers", "solver"]) {
            let path = root.join(dir);
            std::fs::create_dir_all(&path).map_err(|source| FetchError::Cache { path, source })?;
        }
        let shared = Shared { root: root.to_owned(), running: Mutex::default(), slots: Semaphore::new(PARALLEL) };
        Ok(FileCache { shared: Arc::new(shared), tasks: Mutex::default() })
    }

    /// The file, from the cache or on its way from `upstream`. `limit` bounds files whose size is not known.
    pub fn fetch(&self, upstream: &Upstream, path: &str, checksum: &Checksum, size: Option<u64>, limit: u64) -> Fetched {
        let mut running = self.shared.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(download) = running.get(checksum) {
            return Fetched::Running(download.clone());
        }
        if let Some(file) = self.shared.cached(checksum, size) {
            return Fetched::Ready(file);
        }
        let download = Arc::new(Download::new());
        running.insert(checksum.clone(), download.clone());
        drop(running);
        let order = download::Order {
            upstream: upstream.clone(),
            path: path.to_owned(),
            checksum: checksum.clone(),
            size,
            limit: size.unwrap_or(limit),
        };
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(download::drive(self.shared.clone(), order, download.clone()));
        Fetched::Running(download)
    }

    /// As [`FileCache::fetch`], and waits for all of it.
    pub async fn fetch_whole(
        &self,
        upstream: &Upstream,
        path: &str,
        checksum: &Checksum,
        size: Option<u64>,
        limit: u64,
    ) -> Result<CachedFile, Arc<FetchError>> {
        match self.fetch(upstream, path, checksum, size, limit) {
            Fetched::Ready(file) => Ok(file),
            Fetched::Running(download) => download.finished().await,
        }
    }

    /// Where the caches of package managers are kept.
    pub fn root(&self) -> &Path {
        &self.shared.root
    }
}

impl Shared {
    fn cached(&self, checksum: &Checksum, size: Option<u64>) -> Option<CachedFile> {
        let file = File::open(place(&self.root, checksum)).ok()?;
        let meta = file.metadata().ok()?;
        if !meta.is_file() || size.is_some_and(|s| s != meta.len()) {
            return None;
        }
        evict::touch(&file);
        Some(CachedFile { file: Arc::new(file), size: meta.len() })
    }
}
