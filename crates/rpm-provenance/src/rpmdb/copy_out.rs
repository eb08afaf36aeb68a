//! A private copy of the database files, so that reading can never change an image's layer.
//!
//! SQLite wants to write beside a database with a live write-ahead log. The log is copied along; the shared-memory
//! index (`-shm`) is not: the first opener rebuilds it from the log, and a stranger's index need not be trusted.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::RpmDbError;
use super::locate::Found;

/// Bytes allowed in a database; the largest seen are a few hundred MB (full desktops).
const MAX_SIZE: u64 = 2 << 30;

/// The copy; removed when dropped.
pub(super) struct Copy {
    _dir: tempfile::TempDir,
    pub file: PathBuf,
    /// Bytes of the database and its log.
    pub size: u64,
}

pub(super) fn copy(found: &Found) -> Result<Copy, RpmDbError> {
    let failed = |source| RpmDbError::Read { path: found.path.clone(), source };
    let dir = tempfile::Builder::new().prefix("rpmdb-").tempdir().map_err(failed)?;
    let file = dir.path().join("rpmdb.sqlite");
    let mut size = copy_file(&found.host, &file, &found.path)?;
    if let Some(wal) = &found.wal {
        size += copy_file(wal, &dir.path().join("rpmdb.sqlite-wal"), &found.path)?;
    }
    Ok(Copy { _dir: dir, file, size })
}

fn copy_file(from: &Path, to: &Path, path: &str) -> Result<u64, RpmDbError> {
    let failed = |source| RpmDbError::Read { path: path.to_owned(), source };
    let meta = std::fs::symlink_metadata(from).map_err(failed)?;
    if !meta.is_file() {
        return Err(RpmDbError::Unsupported { format: "(not a regular file)".into(), path: path.to_owned() });
    }
    if meta.len() > MAX_SIZE {
        return Err(RpmDbError::TooLarge { path: path.to_owned(), size: meta.len(), unit: "bytes", limit: MAX_SIZE });
    }
    // Not fs::copy: it would carry over the modes, and a database of mode 0444 could not be opened with its log.
    let mut from = std::fs::File::open(from).map_err(failed)?;
    let mut to = std::fs::File::create(to).map_err(failed)?;
    std::io::copy(&mut from, &mut to).map_err(failed)
}

impl Copy {
    /// The whole database in memory, for the formats that are parsed here.
    pub fn bytes(&self, path: &str) -> Result<Vec<u8>, RpmDbError> {
        let failed = |source| RpmDbError::Read { path: path.to_owned(), source };
        let mut bytes = Vec::new();
        std::fs::File::open(&self.file).map_err(failed)?.take(MAX_SIZE).read_to_end(&mut bytes).map_err(failed)?;
        Ok(bytes)
    }
}
