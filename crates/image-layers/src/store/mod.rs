//! The content store of a worker: blobs by digest and layers unpacked by chain id (engine: image base layers are
//! unpacked once and shared by all builds).
//!
//! ```text
//! <root>/blobs/sha256/HEX      a blob; there only when complete
//!        layers/HEX/fs         an unpacked layer in overlay form; HEX is its chain id
//!        layers/HEX/meta.json  what it was made from; there only when complete
//!        layers/HEX/digests    of its files, where they were taken while it was unpacked
//!        sizes/HEX             size of a layer blob's tar, for archives
//!        files/HEX             digests of the files of a layer; HEX is its diff id
//!        locks/HEX             flock while a layer is being unpacked
//!        tmp/p-RANDOM/         temporary files of one living process
//!        trash/                to be deleted
//! ```
//!
//! Any number of processes may use one store at once. Everything is published by rename inside the store, so a killed
//! process leaves only files in `tmp`, which [`Store::sweep`] removes. The root is readable by its owner alone: unpacked
//! layers hold setuid programs and devices.

mod blob;
mod error;
mod file_digests;
mod growing;
mod layer;
mod session;
mod sizes;

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use build_model::chain;
use session::{Session, remove_any, remove_dead};

pub use blob::BlobWriter;
pub use error::StoreError;
pub(crate) use file_digests::FileDigestList;
pub use file_digests::FileDigests;
pub(crate) use growing::BlobSource;
pub use growing::{ExpectedBlob, FollowedBlob};
pub use layer::UnpackedLayer;

/// A content store. Clones share their temporary directory; it is removed with the last of them.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
    session: Arc<Session>,
    expected: Arc<growing::Expected>,
    hashes_files: bool,
}

/// What [`Store::sweep`] removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Temporary directories of processes that are gone.
    pub temporary: usize,
    /// Things that were waiting to be deleted.
    pub trashed: usize,
    /// Things that could not be removed; the log says which.
    pub failed: usize,
}

impl Store {
    /// Opens the store at `root`, making what is missing.
    ///
    /// # Errors
    /// A directory cannot be made or locked.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let root = std::path::absolute(root).map_err(StoreError::io("find", root))?;
        for sub in ["", "blobs", "blobs/sha256", "layers", "sizes", "files", "locks", "tmp", "trash"] {
            let dir = root.join(sub);
            DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(StoreError::io("make the directory", &dir))?;
        }
        fs::set_permissions(&root, fs::Permissions::from_mode(0o700)).map_err(StoreError::io("close to others", &root))?;
        let session = Arc::new(Session::create(&root.join("tmp"), &root.join("locks/sessions"))?);
        Ok(Self { root, session, expected: Arc::default(), hashes_files: false })
    }

    /// The same store for someone who will account for the files of layers: they are hashed while they are unpacked, see
    /// [`Store::unpacked_digests`].
    #[must_use]
    pub fn hashing_files(self) -> Self {
        Self { hashes_files: true, ..self }
    }

    /// The directory the store is in, as an absolute path.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A directory on the store's file system, removed on drop; by [`Store::sweep`] when the process is killed.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn temp_dir(&self) -> Result<tempfile::TempDir, StoreError> {
        let dir = self.session_dir();
        tempfile::Builder::new().prefix("d-").tempdir_in(dir).map_err(StoreError::io("make a directory in", dir))
    }

    /// Removes what killed processes left in `tmp` and what waits in `trash`. Safe while others use the store.
    pub fn sweep(&self) -> SweepReport {
        let mut report = SweepReport::default();
        match remove_dead(&self.root.join("tmp"), &self.root.join("locks/sessions")) {
            Ok(removed) => report.temporary = removed,
            Err(error) => {
                tracing::warn!(error = %chain(&error), "cannot sweep temporary files of the store");
                report.failed += 1;
            }
        }
        for entry in fs::read_dir(self.root.join("trash")).into_iter().flatten().flatten() {
            match remove_any(&entry.path()) {
                Ok(()) => report.trashed += 1,
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "cannot empty the trash of the store");
                    report.failed += 1;
                }
            }
        }
        report
    }

    fn expected(&self) -> &growing::Expected {
        &self.expected
    }

    fn session_dir(&self) -> &Path {
        self.session.dir()
    }

    fn blobs_dir(&self) -> PathBuf {
        self.root.join("blobs/sha256")
    }

    /// Renames `path` into the trash: quick, and whoever still reads it can go on. [`Store::sweep`] deletes it.
    fn throw_away(&self, path: &Path) -> Result<(), StoreError> {
        let trash = self.root.join("trash");
        // An empty directory of our own makes the name unique; the thing goes below it.
        let slot =
            tempfile::Builder::new().prefix("t-").tempdir_in(&trash).map_err(StoreError::io("make a directory in", &trash))?;
        let slot = slot.keep();
        match fs::rename(path, slot.join("x")) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                fs::remove_dir(&slot).map_err(StoreError::io("remove", &slot))
            }
            other => other.map_err(StoreError::io("throw away", path)),
        }
    }
}

#[cfg(test)]
mod tests;
