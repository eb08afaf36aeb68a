//! A mount that is taken down when its owner goes away.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};

/// A mount with an owner.
#[derive(Debug)]
pub(crate) struct Mounted {
    target: PathBuf,
    live: bool,
}

impl Mounted {
    /// Takes ownership of what is mounted at `target`.
    pub(crate) fn at(target: &Path) -> Self {
        Self { target: target.to_owned(), live: true }
    }

    /// Leaves it where it is, until the mount namespace goes.
    pub(crate) fn keep(mut self) {
        self.live = false;
    }

    /// Where it is.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// Takes it down. The kernel may keep it alive for processes that still look at it; their view no longer matters.
    pub(crate) fn unmount(mut self) -> io::Result<()> {
        self.live = false;
        detach(&self.target)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if self.live
            && let Err(error) = detach(&self.target)
        {
            tracing::warn!(target = %self.target.display(), %error, "cannot unmount");
        }
    }
}

/// A plain unmount first: it waits for nothing and proves that an upper directory is complete.
fn detach(target: &Path) -> io::Result<()> {
    match unmount(target, UnmountFlags::NOFOLLOW) {
        Err(Errno::BUSY) => unmount(target, UnmountFlags::NOFOLLOW | UnmountFlags::DETACH).map_err(Into::into),
        other => other.map_err(Into::into),
    }
}
