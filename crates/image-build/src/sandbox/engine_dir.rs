//! The directories of one build: `engine` in its work directory, on the caller's disk and closed to everybody, and
//! [`RunDir`], which containers may reach. Both have a lock by which [`super::sweep`] tells dead builds from living ones.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

use super::SandboxError;
use super::run_dir::{self, RunDir};

/// Everything the engine makes in a work directory is below this name.
pub(super) const ENGINE_DIR: &str = "engine";
/// Locked while the build lives.
pub(super) const LOCK_FILE: &str = "lock";

/// The engine's directory in a work directory, owned by one build and removed on drop.
#[derive(Debug)]
pub(crate) struct EngineDir {
    path: PathBuf,
    reachable: RunDir,
    _lock: File,
}

impl EngineDir {
    /// Makes it in `work_dir`, which must exist.
    pub(crate) fn create(work_dir: &Path, runtime: &Path) -> Result<Self, SandboxError> {
        let work_dir = std::path::absolute(work_dir).map_err(SandboxError::path("find", work_dir))?;
        let path = work_dir.join(ENGINE_DIR);
        fs::create_dir_all(&path).map_err(SandboxError::path("make the directory", &path))?;
        let lock_path = path.join(LOCK_FILE);
        let lock = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&lock_path);
        let lock = lock.map_err(SandboxError::path("open", &lock_path))?;
        let taken =
            |e: rustix::io::Errno| SandboxError::path("lock (is another build using this directory?)", &lock_path)(e.into());
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(taken)?;
        let reachable = RunDir::create(&run_dir::root(), runtime)?;
        Ok(Self { path, reachable, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What the build is called among those of this machine; part of the name of its cgroups.
    pub(crate) fn build_id(&self) -> String {
        self.reachable.id()
    }

    /// Where the runtime keeps the state of containers.
    pub(crate) fn containers(&self) -> PathBuf {
        self.reachable.containers()
    }

    /// A new directory beside it for a container's bundle, closed to others, removed on drop.
    pub(crate) fn bundle_dir(&self) -> Result<TempDir, SandboxError> {
        let made = tempfile::Builder::new().prefix("run-").tempdir_in(self.reachable());
        made.map_err(SandboxError::path("make a directory in", self.reachable()))
    }

    /// A directory that everybody may pass through, for what containers in a user namespace mount: the runtime looks
    /// names up as the container's root, who may not enter the work directory. What is in it is in this process's
    /// mount namespace alone, or empty.
    pub(crate) fn reachable(&self) -> &Path {
        self.reachable.path()
    }

    /// A new directory in [`EngineDir::reachable`], removed on drop.
    pub(crate) fn reachable_temp_dir(&self, prefix: &str) -> Result<TempDir, SandboxError> {
        run_dir::passable_dir(self.reachable(), prefix)
    }

    /// A new directory below it, removed on drop.
    pub(crate) fn temp_dir(&self, prefix: &str) -> Result<TempDir, SandboxError> {
        let made = tempfile::Builder::new().prefix(prefix).tempdir_in(&self.path);
        made.map_err(SandboxError::path("make a directory in", &self.path))
    }
}

impl Drop for EngineDir {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the engine's directory");
        }
    }
}
