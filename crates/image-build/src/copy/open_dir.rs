//! A directory while it is copied: both sides open for the threads that make its files, and what it gets when the last of
//! them is there. Made by [`super::tree`], released by it and by the threads of [`super::filling`].

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::Mode;

use super::CopyError;
use super::tree::{Rewrite, set_attributes};

/// What a directory gets when everything in it was made: to make something in it changes its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finish {
    /// Nothing: the destination of the COPY, which is as it was.
    Nothing,
    /// The mode: it was there, and is only on the way to something that is copied (as in BuildKit).
    Mode,
    /// Owner, mode, attributes and time.
    Attributes,
}

/// The source and its copy.
#[derive(Debug)]
pub(super) struct OpenDir {
    pub(super) source: OwnedFd,
    pub(super) dest: OwnedFd,
    /// Below the source root, for filters and messages.
    pub(super) from: PathBuf,
    /// In the image, without symlinks.
    pub(super) to: PathBuf,
    pub(super) finish: Finish,
}

impl OpenDir {
    /// Gives up one hold of the directory; whoever has the last one finishes it.
    pub(super) fn release(self: Arc<Self>, rewrite: &Rewrite) -> Result<(), CopyError> {
        let Some(dir) = Arc::into_inner(self) else { return Ok(()) };
        let stat = || rustix::fs::fstat(&dir.source).map_err(|e| CopyError::read(&dir.from)(e.into()));
        match dir.finish {
            Finish::Nothing => Ok(()),
            Finish::Mode => {
                let mode = Mode::from_raw_mode(stat()?.st_mode & 0o7777);
                rustix::fs::fchmod(&dir.dest, mode).map_err(|e| CopyError::write(&dir.to)(e.into()))
            }
            Finish::Attributes => set_attributes(rewrite, (dir.source.as_fd(), &stat()?), (dir.dest.as_fd(), &dir.to)),
        }
    }
}
