//! Files of content sources, kept by checksum: `<dir>/<algorithm>/<first two digits>/<digest>`.
//!
//! Shared by all builds of a worker. A file gets its name only after its bytes were verified (temporary file, then
//! rename), so what is there is what it is called. Requests for one file share one download.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use build_model::Diagnose as _;
use futures_util::StreamExt as _;
use tokio::sync::Semaphore;

use super::checksum::Checksum;
use super::upstream::{FetchError, Upstream};

/// Downloads from content sources at a time.
const PARALLEL: usize = 8;
/// Tries of one download; the pauses between them grow.
const TRIES: u32 = 3;

pub(super) struct FileCache {
    root: PathBuf,
    running: Mutex<HashMap<Checksum, Arc<tokio::sync::Mutex<()>>>>,
    slots: Semaphore,
}

/// Where a cache below `root` has the file with this checksum.
fn place(root: &Path, checksum: &Checksum) -> PathBuf {
    let shard: String = checksum.hex.chars().take(2).collect();
    root.join(checksum.algorithm).join(shard).join(&checksum.hex)
}

/// The place of a file in the cache at `root`, by the checksum a verdict has (`sha256:HEX`); it need not be there.
pub(crate) fn cached_file(root: &Path, checksum: &str) -> Option<PathBuf> {
    let (algorithm, hex) = checksum.split_once(':')?;
    Some(place(root, &Checksum::new(algorithm, hex)?))
}

impl FileCache {
    /// Makes the directories where needed.
    pub fn open(root: &Path) -> Result<Self, FetchError> {
        for dir in ["sha256", "sha384", "sha512", "tmp"] {
            let path = root.join(dir);
            std::fs::create_dir_all(&path).map_err(|source| FetchError::Cache { path, source })?;
        }
        Ok(FileCache { root: root.to_owned(), running: Mutex::default(), slots: Semaphore::new(PARALLEL) })
    }

    fn path(&self, checksum: &Checksum) -> PathBuf {
        place(&self.root, checksum)
    }

    /// The verified file, fetched when it is not there. `limit` bounds files whose size is not known.
    pub async fn fetch(
        &self,
        upstream: &Upstream,
        path: &str,
        checksum: &Checksum,
        size: Option<u64>,
        limit: u64,
    ) -> Result<PathBuf, FetchError> {
        let target = self.path(checksum);
        let lock = {
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            running.entry(checksum.clone()).or_default().clone()
        };
        let guard = lock.lock().await;
        let there = tokio::fs::metadata(&target).await.is_ok_and(|m| m.is_file() && size.is_none_or(|s| s == m.len()));
        let result = if there { Ok(()) } else { self.download(upstream, path, checksum, size, limit, &target).await };
        drop(guard);
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        // one in the map, one here: nobody else waits
        if Arc::strong_count(&lock) == 2 {
            running.remove(checksum);
        }
        result.map(|()| target)
    }

    async fn download(
        &self,
        upstream: &Upstream,
        path: &str,
        checksum: &Checksum,
        size: Option<u64>,
        limit: u64,
        target: &Path,
    ) -> Result<(), FetchError> {
        // The semaphore is never closed, so a failure to acquire only means there is no slot to hold.
        let _slot = self.slots.acquire().await.ok();
        let mut tried = 1;
        loop {
            match self.download_once(upstream, path, checksum, size, limit, target).await {
                // Wrong bytes are not asked for again: the refusal should come at once.
                Err(e @ (FetchError::Transport { .. } | FetchError::Status { .. })) if e.is_transient() && tried < TRIES => {
                    tracing::info!(error = %e, tried, "fetching again");
                    tokio::time::sleep(std::time::Duration::from_millis(200 << tried)).await;
                    tried += 1;
                }
                done => return done,
            }
        }
    }

    async fn download_once(
        &self,
        upstream: &Upstream,
        path: &str,
        checksum: &Checksum,
        size: Option<u64>,
        limit: u64,
        target: &Path,
    ) -> Result<(), FetchError> {
        let limit = size.unwrap_or(limit);
        let temporary = self.root.join("tmp");
        let cache_failed = |path: &Path, source| FetchError::Cache { path: path.to_owned(), source };
        let mut file = tempfile::NamedTempFile::new_in(&temporary).map_err(|e| cache_failed(&temporary, e))?;
        let (mut hasher, mut got) = (checksum.hasher(), 0u64);
        let mut stream = upstream.open(path).await?;
        while let Some(piece) = stream.next().await {
            let piece = piece?;
            got += piece.len() as u64;
            if got > limit {
                return Err(FetchError::TooLarge { url: upstream.name_of(path), limit });
            }
            hasher.update(&piece);
            // Page-cache writes of some hundred KB; not worth a thread hop each.
            file.write_all(&piece).map_err(|e| cache_failed(file.path(), e))?;
        }
        let computed = hasher.finish();
        if computed != checksum.hex || size.is_some_and(|s| s != got) {
            return Err(FetchError::ChecksumDiffers {
                url: upstream.name_of(path),
                expected: checksum.to_string(),
                expected_size: size.unwrap_or_default(),
                computed: format!("{}:{computed}", checksum.algorithm),
                size: got,
            });
        }
        if let Some(shard) = target.parent() {
            std::fs::create_dir_all(shard).map_err(|e| cache_failed(shard, e))?;
        }
        file.persist(target).map_err(|e| cache_failed(target, e.error))?;
        Ok(())
    }
}
