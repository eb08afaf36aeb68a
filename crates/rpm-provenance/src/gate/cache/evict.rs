//! Keeps the cache below its limit: what was not used for longest goes first, and nothing that a running build used.
//!
//! The time of last use is a file's modification time: contents never change here, and access times may be off. Runs at
//! the start and the end of a build; what one build alone brings in may exceed the limit until then.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, Timespec, Timestamps, flock};

use super::{ALGORITHMS, session};

/// Clocks of files tick a few milliseconds apart.
const CLOCK_SLACK: Duration = Duration::from_secs(2);
/// Unfinished files of processes that died are kept as long as nobody can still be writing them.
const STALE: Duration = Duration::from_secs(3600);

/// Notes that a file is used now.
pub(super) fn touch(file: &File) {
    let now = Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
    if let Err(error) = rustix::fs::futimens(file, &Timestamps { last_access: now, last_modification: now }) {
        tracing::debug!(%error, "cannot note that a cached file is used");
    }
}

/// What an eviction did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(in crate::gate) struct Evicted {
    /// Bytes there before.
    pub before: u64,
    /// Bytes removed.
    pub removed: u64,
}

struct Entry {
    path: PathBuf,
    size: u64,
    used: SystemTime,
}

/// Brings the cache at `root` to `limit` bytes, or as near as running builds allow. Blocks on the disk.
pub(in crate::gate) fn evict(root: &Path, limit: u64) -> io::Result<Evicted> {
    remove_stale(&root.join("tmp"))?;
    let spared_since = session::oldest(root)?.map(|t| t.checked_sub(CLOCK_SLACK).unwrap_or(t));
    let mut entries = Vec::new();
    for algorithm in ALGORITHMS {
        for shard in directories(&root.join(algorithm))? {
            files(&shard, &mut entries)?;
        }
    }
    files(&root.join("offers"), &mut entries)?;
    for dir in directories(&root.join("solver"))? {
        // One cache of a package manager is one thing: half of it is of no use.
        let mut inside = Vec::new();
        tree(&dir, &mut inside)?;
        let used = fs::metadata(&dir)?.modified()?;
        entries.push(Entry { path: dir, size: inside.iter().map(|e: &Entry| e.size).sum(), used });
    }
    let mut evicted = Evicted { before: entries.iter().map(|e| e.size).sum(), removed: 0 };
    entries.sort_by(|a, b| (a.used, &a.path).cmp(&(b.used, &b.path)));
    for entry in entries {
        if evicted.before - evicted.removed <= limit || spared_since.is_some_and(|since| entry.used >= since) {
            break;
        }
        if remove(root, &entry)? {
            evicted.removed += entry.size;
        }
    }
    Ok(evicted)
}

/// Takes an entry out, unless somebody used it since it was looked at. `false` then.
fn remove(root: &Path, entry: &Entry) -> io::Result<bool> {
    let aside = tempfile::Builder::new().prefix("evicted-").tempdir_in(root.join("tmp"))?;
    let to = aside.path().join("entry");
    match fs::rename(&entry.path, &to) {
        Ok(()) => {}
        // Another build's eviction had the same idea.
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(e),
    }
    if fs::metadata(&to)?.modified()? != entry.used {
        fs::rename(&to, &entry.path)?;
        return Ok(false);
    }
    Ok(true)
}

fn remove_stale(tmp: &Path) -> io::Result<()> {
    for entry in fs::read_dir(tmp)? {
        let entry = entry?;
        let Ok(meta) = entry.metadata() else { continue };
        let old = meta.modified()?.elapsed().is_ok_and(|age| age > STALE);
        if !old {
            continue;
        }
        if meta.is_dir() {
            let _ = fs::remove_dir_all(entry.path());
        } else if File::open(entry.path()).is_ok_and(|f| flock(&f, FlockOperation::NonBlockingLockExclusive).is_ok()) {
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
}

fn directories(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn files(dir: &Path, into: &mut Vec<Entry>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        // Gone meanwhile.
        let Ok(meta) = entry.metadata() else { continue };
        if meta.is_file() {
            into.push(Entry { path: entry.path(), size: meta.len(), used: meta.modified()? });
        }
    }
    Ok(())
}

fn tree(dir: &Path, into: &mut Vec<Entry>) -> io::Result<()> {
    files(dir, into)?;
    directories(dir)?.iter().try_for_each(|below| tree(below, into))
}

#[cfg(test)]
mod tests {
    use super::super::FileCache;
    use super::*;
    use crate::gate::cache::Session;

    fn aged(path: &Path, bytes: usize, hours: u64) {
        fs::create_dir_all(path.parent().expect("parent")).expect("mkdir");
        fs::write(path, vec![0; bytes]).expect("write");
        let then = SystemTime::now() - Duration::from_secs(3600 * hours);
        File::options().write(true).open(path).expect("open").set_modified(then).expect("date");
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let dir = tempfile::tempdir().expect("tempdir");
        let root = dir.path();
        FileCache::open(root).expect("cache");
        let paths = ["sha256/aa/old", "sha512/bb/middle", "offers/new"].map(|p| root.join(p));
        for (path, hours) in paths.iter().zip([9, 5, 1]) {
            aged(path, 1000, hours);
        }
        assert_eq!(evict(root, 3000).expect("evict"), Evicted { before: 3000, removed: 0 });
        assert_eq!(evict(root, 2500).expect("evict"), Evicted { before: 3000, removed: 1000 });
        assert_eq!(paths.clone().map(|p| p.exists()), [false, true, true]);
        // used again, it outlives the one used before it
        touch(&File::open(&paths[1]).expect("open"));
        assert_eq!(evict(root, 1500).expect("evict").removed, 1000);
        assert_eq!(paths.map(|p| p.exists()), [false, true, false]);
        assert_eq!(fs::read_dir(root.join("tmp")).expect("tmp").count(), 0);
    }

    #[test]
    fn what_a_running_build_uses_stays_whatever_the_limit() {
        let dir = tempfile::tempdir().expect("tempdir");
        let root = dir.path();
        FileCache::open(root).expect("cache");
        let (before, during) = (root.join("sha256/aa/before"), root.join("sha256/aa/during"));
        aged(&before, 1000, 5);
        aged(&during, 1000, 5);
        let session = Session::begin(root).expect("session");
        touch(&File::open(&during).expect("open"));
        assert_eq!(evict(root, 0).expect("evict").removed, 1000);
        assert!(during.exists() && !before.exists());
        drop(session);
        assert_eq!(evict(root, 0).expect("evict").removed, 1000);
    }

    #[test]
    fn the_mark_of_a_build_that_died_protects_nothing() {
        let dir = tempfile::tempdir().expect("tempdir");
        let root = dir.path();
        FileCache::open(root).expect("cache");
        // as after a kill: the file is there, the lock is not
        fs::write(root.join("sessions/session-dead"), "").expect("write");
        aged(&root.join("sha256/aa/file"), 10, 0);
        aged(&root.join("tmp/sha256-aa.part"), 10, 9);
        assert_eq!(evict(root, 0).expect("evict").removed, 10);
        assert_eq!(fs::read_dir(root.join("sessions")).expect("sessions").count(), 0);
        assert!(!root.join("tmp/sha256-aa.part").exists());
    }
}
