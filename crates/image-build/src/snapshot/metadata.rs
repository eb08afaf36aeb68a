//! Owner, mode, times and extended attributes of one file taken over from another: stub directories, the root of a new
//! upper directory and merged directories must look exactly like what they stand for, or a layer would record a change.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{Gid, Mode, Uid, XattrFlags};

use crate::rootfs::modification_time;

/// Attributes that mean something to overlayfs on this builder and nothing in an image.
fn is_private(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.starts_with(b"trusted.overlay.")
        || name.starts_with(b"user.overlay.")
        || name == b"security.selinux"
        || name == b"security.ima"
}

/// Makes directory or file `to` look like `from`, contents aside. Overlay's own attributes are neither copied nor removed.
pub(crate) fn copy_metadata(from: impl AsFd, to: impl AsFd) -> io::Result<()> {
    let stat = rustix::fs::fstat(&from)?;
    rustix::fs::fchown(&to, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
    rustix::fs::fchmod(&to, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    copy_xattrs(&from, &to, |name| !is_private(name))?;
    rustix::fs::futimens(&to, &modification_time(stat.st_mtime, stat.st_mtime_nsec as i64))?;
    Ok(())
}

/// Copies the attributes `wanted` says yes to and removes others of `to` that it says yes to and `from` lacks; whether
/// anything had to change.
pub(crate) fn copy_xattrs(from: impl AsFd, to: impl AsFd, wanted: impl Fn(&OsStr) -> bool) -> io::Result<bool> {
    use xattr::FileExt;
    let (from, to) = (Open(from.as_fd()), Open(to.as_fd()));
    let Some(names) = supported(from.list_xattr())? else { return Ok(false) };
    let names: Vec<_> = names.filter(|n| wanted(n)).collect();
    let mut changed = !names.is_empty();
    for name in supported(to.list_xattr())?.into_iter().flatten().filter(|n| wanted(n) && !names.contains(n)) {
        to.remove_xattr(&name)?;
        changed = true;
    }
    for name in names {
        if let Some(value) = from.get_xattr(&name)? {
            rustix::fs::fsetxattr(to.0, &*name, &value, XattrFlags::empty())?;
        }
    }
    Ok(changed)
}

/// `None` on file systems without extended attributes.
fn supported<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(None),
        Err(error) => Err(error),
    }
}

struct Open<'a>(BorrowedFd<'a>);

impl std::os::fd::AsRawFd for Open<'_> {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.0.as_raw_fd()
    }
}

impl xattr::FileExt for Open<'_> {}
