//! What a RUN leaves behind that is never the same twice, settled before it becomes a layer: package databases with
//! times in them, logs, random seeds, the machine's id. The Dockerfile is not touched, later steps of the build see
//! nothing they could miss, and the same build gives the same digest on any builder. Called through
//! [`image_build::RunHooks::settle`] after every RUN, on the frozen upper directory.
//!
//! The directory is a stranger's: nothing in it is followed, only regular files of one name are touched.

mod database;
mod package_times;
mod places;

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use build_model::{Blame, Diagnose};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use places::{DATABASES, EMPTIED, REMOVED};

/// A file of a RUN could not be settled.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{path}` of the new layer")]
pub struct SettleError {
    action: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl Diagnose for SettleError {
    fn blame(&self) -> Blame {
        Blame::Site
    }
    fn kind(&self) -> &'static str {
        "settle-layer"
    }
}

/// Settles what a RUN left in `upper`; no time in it stays later than `epoch`. `scratch` is a private directory for copies.
///
/// # Errors
/// A file cannot be read, written or removed. What cannot be understood is left as it is.
pub fn settle(upper: &Path, epoch: i64, scratch: &Path) -> Result<(), SettleError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let failed = |action, path: &Path| {
        let path = path.to_owned();
        move |source: io::Error| SettleError { action, path, source }
    };
    let root = rustix::fs::openat(CWD, upper, flags, Mode::empty()).map_err(|e| failed("open", upper)(e.into()))?;
    for (dir, name) in REMOVED {
        let Some(fd) = directory(&root, dir).map_err(failed("look into", Path::new(dir)))? else { continue };
        remove(&fd, name).map_err(failed("remove", &Path::new(dir).join(name)))?;
    }
    for (dir, name) in EMPTIED {
        let Some(fd) = directory(&root, dir).map_err(failed("look into", Path::new(dir)))? else { continue };
        empty_id(&fd, name).map_err(failed("empty", &Path::new(dir).join(name)))?;
    }
    for place in &DATABASES {
        let Some(fd) = directory(&root, place.dir).map_err(failed("look into", Path::new(place.dir)))? else { continue };
        database::settle(&fd, place, epoch, scratch).map_err(failed("settle", &Path::new(place.dir).join(place.name)))?;
    }
    Ok(())
}

/// The directory `path` of the layer, when it has one and no link is on the way.
fn directory(root: &OwnedFd, path: &str) -> io::Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let bound = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match rustix::fs::openat2(root, path, flags, Mode::empty(), bound) {
        Ok(fd) => Ok(Some(fd)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What is at `name`, if it is a regular file with no other name.
fn plain_file(dir: impl AsFd, name: impl AsRef<OsStr>) -> io::Result<Option<Stat>> {
    match rustix::fs::statat(dir, name.as_ref(), AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_nlink == 1 => Ok(Some(stat)),
        Ok(_) | Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Removes the plain files `name` stands for: itself, or with `*` at its end everything that begins like it.
fn remove(dir: &OwnedFd, name: &str) -> io::Result<()> {
    let Some(start) = name.strip_suffix('*') else {
        return match plain_file(dir, name)? {
            Some(_) => Ok(rustix::fs::unlinkat(dir, name, AtFlags::empty())?),
            None => Ok(()),
        };
    };
    for entry in Dir::read_from(dir)? {
        let found = entry?.file_name().to_owned();
        if found.to_bytes().starts_with(start.as_bytes()) && plain_file(dir, OsStr::new(&*found.to_string_lossy()))?.is_some() {
            rustix::fs::unlinkat(dir, &found, AtFlags::empty())?;
        }
    }
    Ok(())
}

/// Empties a file that holds a machine id: an image is no machine, and systemd takes an empty one for "not yet".
fn empty_id(dir: &OwnedFd, name: &str) -> io::Result<()> {
    const ID: i64 = 32;
    let Some(stat) = plain_file(dir, name)? else { return Ok(()) };
    if stat.st_size != ID && stat.st_size != ID + 1 {
        return Ok(());
    }
    let flags = OFlags::WRONLY | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(dir, name, flags, Mode::empty())?;
    Ok(())
}

#[cfg(test)]
mod tests;
