//! One file on its way into the cache: written to a part file that others read as it grows, verified, renamed.
//!
//! The part file's lock decides between processes who downloads; it goes with its process. A broken transfer goes on
//! where it stopped, so that readers never see bytes change under them.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::Duration;

use build_model::Diagnose as _;
use futures_util::StreamExt as _;
use rustix::fs::{FlockOperation, flock};
use tokio::sync::watch;

use super::{CachedFile, Shared, place};
use crate::gate::upstream::{FetchError, Upstream};
use crate::repodata::Checksum;

/// Tries of one download without a byte in between; the pauses between them grow.
const TRIES: u32 = 3;
/// How often the lock of another process's download is tried. flock(2) can only block a thread or be asked.
const LOCK_POLL: Duration = Duration::from_millis(25);

/// What is wanted.
pub(super) struct Order {
    pub upstream: Upstream,
    pub path: String,
    pub checksum: Checksum,
    pub size: Option<u64>,
    pub limit: u64,
}

/// How far a download is.
#[derive(Debug, Clone, Default)]
pub(in crate::gate) struct Progress {
    /// Bytes that can be read.
    pub written: u64,
    /// Set when it is over: the verified file, or why there is none.
    pub end: Option<Result<CachedFile, Arc<FetchError>>>,
}

/// A download that is running or over.
#[derive(Debug)]
pub(in crate::gate) struct Download {
    progress: watch::Sender<Progress>,
    part: OnceLock<Arc<File>>,
}

impl Download {
    pub(super) fn new() -> Self {
        Download { progress: watch::Sender::new(Progress::default()), part: OnceLock::new() }
    }

    /// Follows it.
    pub fn watch(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// The growing file; `None` until there is a first byte, and when another process made it.
    pub fn part(&self) -> Option<Arc<File>> {
        self.part.get().cloned()
    }

    /// Waits for the end.
    pub async fn finished(&self) -> Result<CachedFile, Arc<FetchError>> {
        let mut watched = self.watch();
        // The sender lives as long as this does.
        let _ = watched.wait_for(|p| p.end.is_some()).await;
        let end = watched.borrow().end.clone();
        end.unwrap_or_else(|| Err(Arc::new(FetchError::Stopped)))
    }

    /// A reader of what comes, for a thread that may block.
    pub fn reader(self: &Arc<Self>, runtime: tokio::runtime::Handle) -> GrowingReader {
        GrowingReader { watched: self.watch(), download: self.clone(), offset: 0, runtime }
    }

    fn end_with(&self, end: Result<CachedFile, Arc<FetchError>>) {
        self.progress.send_modify(|p| {
            if let Ok(file) = &end {
                p.written = file.size;
            }
            p.end.get_or_insert(end);
        });
    }
}

/// Reads a download from its start, waiting for bytes that are not there yet. Its end is the end of the verified file.
pub(in crate::gate) struct GrowingReader {
    download: Arc<Download>,
    watched: watch::Receiver<Progress>,
    offset: u64,
    runtime: tokio::runtime::Handle,
}

impl Read for GrowingReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let progress = self.watched.borrow_and_update().clone();
            if self.offset < progress.written {
                let whole = progress.end.and_then(Result::ok).map(|f| f.file);
                let Some(file) = whole.or_else(|| self.download.part()) else {
                    return Err(io::ErrorKind::NotFound.into());
                };
                let left = usize::try_from(progress.written - self.offset).unwrap_or(usize::MAX);
                let wanted = into.len().min(left);
                let n = file.read_at(into.get_mut(..wanted).unwrap_or_default(), self.offset)?;
                self.offset += n as u64;
                return Ok(n);
            }
            match progress.end {
                Some(Ok(_)) => return Ok(0),
                Some(Err(error)) => return Err(io::Error::other(error)),
                None => {
                    let changed = self.runtime.block_on(self.watched.changed());
                    changed.map_err(io::Error::other)?;
                }
            }
        }
    }
}

/// Does the work, as a task of the gate.
pub(super) async fn drive(shared: Arc<Shared>, order: Order, download: Arc<Download>) {
    // However this ends, nobody waits for it afterwards, and the next request starts anew.
    let over = Over { shared: &shared, checksum: &order.checksum, download: &download };
    let end = run(&shared, &order, &download).await;
    download.end_with(end.map_err(Arc::new));
    drop(over);
}

struct Over<'a> {
    shared: &'a Shared,
    checksum: &'a Checksum,
    download: &'a Download,
}

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.shared.running.lock().unwrap_or_else(PoisonError::into_inner).remove(self.checksum);
        // Keeps the end it has, if it has one.
        self.download.end_with(Err(Arc::new(FetchError::Stopped)));
    }
}

async fn run(shared: &Shared, order: &Order, download: &Download) -> Result<CachedFile, FetchError> {
    // The semaphore is never closed, so a failure to acquire only means there is no slot to hold.
    let _slot = shared.slots.acquire().await.ok();
    let mut part = Part::lock(&shared.root, &order.checksum).await?;
    // While the lock was waited for, another process may have brought it.
    if let Some(file) = shared.cached(&order.checksum, order.size) {
        return Ok(file);
    }
    let target = place(&shared.root, &order.checksum);
    let mut transfer = Transfer { order, hasher: order.checksum.hasher(), got: 0 };
    let mut tried = 1;
    while let Err(error) = transfer.go_on(&mut part, download).await {
        // Wrong bytes are not asked for again: the refusal should come at once.
        let passing = matches!(error.error, FetchError::Transport { .. } | FetchError::Status { .. });
        if !passing || !error.error.is_transient() || tried == TRIES {
            return Err(error.error);
        }
        tracing::info!(error = %error.error, tried, at = transfer.got, "fetching again");
        tokio::time::sleep(Duration::from_millis(200 << tried)).await;
        tried = if error.moved { 1 } else { tried + 1 };
    }
    transfer.check()?;
    part.publish(&target)?;
    Ok(CachedFile { file: part.file.clone(), size: transfer_size(&part)? })
}

fn transfer_size(part: &Part) -> Result<u64, FetchError> {
    let meta = part.file.metadata();
    meta.map(|m| m.len()).map_err(|source| FetchError::Cache { path: part.path.clone(), source })
}

/// A transfer over one or more connections.
struct Transfer<'a> {
    order: &'a Order,
    hasher: crate::repodata::Hasher,
    got: u64,
}

/// A connection that broke, and whether it brought anything.
struct Broken {
    error: FetchError,
    moved: bool,
}

impl Transfer<'_> {
    async fn go_on(&mut self, part: &mut Part, download: &Download) -> Result<(), Broken> {
        let Order { upstream, path, limit, .. } = self.order;
        let begun = self.got;
        let broken = |error: FetchError, got: u64| Broken { error, moved: got > begun };
        let mut stream = upstream.open(path, begun).await.map_err(|e| broken(e, begun))?;
        let _ = download.part.set(part.file.clone());
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(|e| broken(e, self.got))?;
            if self.got + piece.len() as u64 > *limit {
                let error = FetchError::TooLarge { url: upstream.name_of(path), limit: *limit };
                return Err(broken(error, self.got));
            }
            self.hasher.update(&piece);
            // Page-cache writes of some hundred KB; not worth a thread hop each.
            let written = (&*part.file).write_all(&piece);
            written.map_err(|source| broken(FetchError::Cache { path: part.path.clone(), source }, self.got))?;
            self.got += piece.len() as u64;
            download.progress.send_modify(|p| p.written = self.got);
        }
        Ok(())
    }

    fn check(self) -> Result<(), FetchError> {
        let Order { upstream, path, checksum, size, .. } = self.order;
        let computed = self.hasher.finish();
        if computed == checksum.hex() && size.is_none_or(|s| s == self.got) {
            return Ok(());
        }
        Err(FetchError::ChecksumDiffers {
            url: upstream.name_of(path),
            expected: checksum.to_string(),
            expected_size: size.unwrap_or_default(),
            computed: format!("{}:{computed}", checksum.algorithm()),
            size: self.got,
        })
    }
}

/// The part file, locked and empty. Removed when it is dropped before it was published.
struct Part {
    file: Arc<File>,
    path: PathBuf,
    published: bool,
}

impl Part {
    async fn lock(root: &Path, checksum: &Checksum) -> Result<Self, FetchError> {
        let path = root.join("tmp").join(format!("{}-{}.part", checksum.algorithm(), checksum.hex()));
        let failed = |source: io::Error| FetchError::Cache { path: path.clone(), source };
        loop {
            let file = File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    tokio::time::sleep(LOCK_POLL).await;
                    continue;
                }
                locked => locked.map_err(|e| failed(e.into()))?,
            }
            // The one who had the lock has renamed or removed the file: this is a lock on nothing.
            let same = std::fs::metadata(&path).is_ok_and(|m| file.metadata().is_ok_and(|f| f.ino() == m.ino()));
            if same {
                file.set_len(0).map_err(failed)?;
                return Ok(Part { file: Arc::new(file), path, published: false });
            }
        }
    }

    fn publish(&mut self, target: &Path) -> Result<(), FetchError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| FetchError::Cache { path, source }
        };
        if let Some(shard) = target.parent() {
            std::fs::create_dir_all(shard).map_err(failed(shard))?;
        }
        std::fs::rename(&self.path, target).map_err(failed(target))?;
        self.published = true;
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Still under its lock, so it cannot be another process's file that goes.
        if !self.published
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove an unfinished download");
        }
    }
}
