//! A directory of the upper, held open: what is in it is reached by its name alone. A path of a dozen parts for every
//! question about every file was a third of the time a layer of small files took. Used by [`super::walk`].

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::overlay;

/// A directory and what is in it.
pub(super) struct Listing {
    dir: OwnedFd,
    /// Sorted by their bytes.
    pub(super) names: Vec<Listed>,
}

/// An entry of a directory.
pub(super) struct Listed {
    pub(super) name: OsString,
    /// As the file system lists it: `Unknown` where it does not say.
    pub(super) kind: FileType,
}

impl Listing {
    /// Opens and lists `dir`.
    pub(super) fn of(dir: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = rustix::fs::open(dir, flags, Mode::empty())?;
        let mut names = Vec::new();
        for entry in Dir::read_from(&dir)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(Listed { name: OsString::from_vec(name.to_vec()), kind: entry.file_type() });
            }
        }
        names.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(Self { dir, names })
    }

    pub(super) fn is_whiteout(&self, name: &OsStr) -> io::Result<bool> {
        Ok(overlay::is_whiteout(&rustix::fs::statat(&self.dir, name, AtFlags::SYMLINK_NOFOLLOW)?))
    }

    /// Opens the regular file `name` for reading.
    pub(super) fn open(&self, name: &OsStr) -> io::Result<File> {
        open_at(self.dir.as_fd(), Path::new(name))
    }
}

/// Opens the regular file `path`, from `dir` on, for reading; its time of access stays as it is where that is allowed.
pub(super) fn open_at(dir: BorrowedFd<'_>, path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match rustix::fs::openat(dir, path, flags | OFlags::NOATIME, Mode::empty()) {
        // Only owners may read without a trace.
        Err(Errno::PERM) => Ok(rustix::fs::openat(dir, path, flags, Mode::empty())?.into()),
        other => Ok(other?.into()),
    }
}
