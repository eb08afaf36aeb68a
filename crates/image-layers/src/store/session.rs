//! Temporary files of one process: `tmp/<random>/`, locked as long as the process lives.
//!
//! Whether the owner of a leftover is alive is asked of the kernel (flock), not of a process id: ids are reused.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::error::StoreError;

const LOCK: &str = ".lock";

/// A directory under `tmp` that goes away with the last [`super::Store`] of this process that shares it.
#[derive(Debug)]
pub(super) struct Session {
    dir: PathBuf,
    _lock: File,
}

impl Session {
    /// Makes a new one. `gate` is held while the directory has no lock yet, so that no sweep takes it for a leftover.
    pub(super) fn create(tmp: &Path, gate: &Path) -> Result<Self, StoreError> {
        let _gate = lock_exclusive(gate)?;
        let dir =
            tempfile::Builder::new().prefix("p-").tempdir_in(tmp).map_err(StoreError::io("make a directory in", tmp))?.keep();
        let path = dir.join(LOCK);
        let lock = File::create(&path).map_err(StoreError::io("create", &path))?;
        lock.lock().map_err(StoreError::io("lock", &path))?;
        Ok(Self { dir, _lock: lock })
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.dir)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(dir = %self.dir.display(), %error, "temporary files of the store are left for the next sweep");
        }
    }
}

/// Removes the directories in `tmp` whose owners are gone; returns how many.
pub(super) fn remove_dead(tmp: &Path, gate: &Path) -> Result<usize, StoreError> {
    let _gate = lock_exclusive(gate)?;
    let mut removed = 0;
    for entry in fs::read_dir(tmp).map_err(StoreError::io("list", tmp))? {
        let path = entry.map_err(StoreError::io("list", tmp))?.path();
        let alive = match File::open(path.join(LOCK)) {
            Ok(lock) => match lock.try_lock() {
                Ok(()) => false,
                Err(TryLockError::WouldBlock) => true,
                Err(TryLockError::Error(source)) => return Err(StoreError::Io { action: "lock", path, source }),
            },
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => false,
            Err(source) => return Err(StoreError::Io { action: "open the lock of", path, source }),
        };
        if !alive {
            remove_any(&path)?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Removes a file or a tree; symbolic links are not followed. Gone already is fine.
pub(super) fn remove_any(path: &Path) -> Result<(), StoreError> {
    let result = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(StoreError::io("remove", path)),
    }
}

/// Opens or creates the lock file `path` and waits until it is ours. Released when the file is dropped.
pub(super) fn lock_exclusive(path: &Path) -> Result<File, StoreError> {
    let file = File::options().create(true).truncate(false).write(true).open(path).map_err(StoreError::io("create", path))?;
    file.lock().map_err(StoreError::io("lock", path))?;
    Ok(file)
}
