//! A build's presence in the cache: a locked file whose date is the build's start. What was used since the oldest
//! running build began is not evicted. The kernel lets go of the lock however the build ends.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{FlockOperation, flock};

use crate::gate::FetchError;

/// Held from before a build's first request until nobody reads its files by name any more. See
/// [`crate::Gate::session`].
#[derive(Debug)]
pub struct Session {
    path: PathBuf,
    _locked: File,
}

impl Session {
    /// Begins one in the cache at `root`, whose directories exist.
    pub(in crate::gate) fn begin(root: &Path) -> Result<Self, FetchError> {
        let dir = root.join("tmp");
        let failed = |source| FetchError::Cache { path: dir.clone(), source };
        let made = tempfile::Builder::new().prefix("session-").tempfile_in(&dir).map_err(failed)?;
        // Locked before it has the name others look at.
        flock(made.as_file(), FlockOperation::NonBlockingLockExclusive).map_err(|e| failed(e.into()))?;
        let name = made.path().file_name().unwrap_or_default().to_owned();
        let path = root.join("sessions").join(name);
        let locked = made.persist(&path).map_err(|e| FetchError::Cache { path: path.clone(), source: e.error })?;
        Ok(Session { path, _locked: locked })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(path = %self.path.display(), %error, "cannot remove the mark of a build in the gate's cache");
        }
    }
}

/// When the oldest build that is still running began; marks of dead ones are removed.
pub(super) fn oldest(root: &Path) -> std::io::Result<Option<SystemTime>> {
    let mut oldest = None;
    for entry in std::fs::read_dir(root.join("sessions"))? {
        let path = entry?.path();
        // Gone meanwhile: its build has ended.
        let Ok(file) = File::open(&path) else { continue };
        if flock(&file, FlockOperation::NonBlockingLockShared).is_ok() {
            let _ = std::fs::remove_file(&path);
            continue;
        }
        let begun = file.metadata()?.modified()?;
        oldest = Some(oldest.map_or(begun, |o: SystemTime| o.min(begun)));
    }
    Ok(oldest)
}
