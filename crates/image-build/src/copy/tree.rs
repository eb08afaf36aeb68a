//! Copying files and trees into the image by descriptors (engine: C3–C5, C7, C10). Owners and modes are rewritten on the way.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dockerfile::ModeChange;
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Stat, Uid};
use rustix::io::Errno;

use super::file::is_portable_xattr;
use super::filling::{Filler, Filling};
use super::open_dir::{Finish, OpenDir};
use super::source::list_open;
use super::{CopyError, Selection};
use crate::cancel::CancelFlag;
use crate::rootfs::{RootDir, file_type, lstat_in, modification_time, open_dir_in};
use crate::snapshot::copy_xattrs;

/// What happens to owner and mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rewrite {
    /// `None` keeps the source's owner (`--from` without `--chown`).
    pub(crate) owner: Option<(u32, u32)>,
    /// `--chmod`.
    pub(crate) mode: Option<ModeChange>,
    /// Whether device nodes are copied: from images and stages, not from the build context.
    pub(crate) devices: bool,
}

impl Rewrite {
    fn owner(&self, stat: &Stat) -> (Option<Uid>, Option<Gid>) {
        let (uid, gid) = self.owner.unwrap_or((stat.st_uid, stat.st_gid));
        (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
    }

    fn mode(&self, stat: &Stat) -> Mode {
        let is_dir = file_type(stat) == FileType::Directory;
        let old = stat.st_mode & 0o7777;
        Mode::from_raw_mode(self.mode.as_ref().map_or(old, |change| change.apply(old, is_dir)))
    }
}

/// Where an entry comes from.
pub(super) struct From<'a> {
    pub(super) dir: BorrowedFd<'a>,
    pub(super) name: &'a OsStr,
    /// Below the source root, for filters and messages.
    pub(super) path: &'a Path,
}

/// Where it goes.
pub(super) struct To<'a> {
    pub(super) dir: BorrowedFd<'a>,
    pub(super) name: &'a OsStr,
    /// In the image, without symlinks.
    pub(super) path: &'a Path,
}

/// Copies entries of one COPY.
pub(super) struct TreeCopier<'a> {
    pub(super) rewrite: &'a Rewrite,
    pub(super) selection: Selection,
    pub(super) cancel: &'a CancelFlag,
    pub(super) note: &'a dyn Fn(String),
    /// The image's root on the builder.
    pub(super) image: &'a Path,
    /// See [`super::CopyJob::behind`].
    pub(super) behind: Option<&'a RootDir>,
    /// First copies of files with several names, in the image, by device and inode of the source.
    pub(super) links: HashMap<(u64, u64), PathBuf>,
    /// Gives the files their contents.
    pub(super) filler: &'a Filler,
}

impl TreeCopier<'_> {
    /// Copies one entry, a directory with everything in it. What is in it may be there only when the filler is done.
    pub(super) fn entry(&mut self, from: &From<'_>, to: &To<'_>) -> Result<(), CopyError> {
        let stat = self.look_at(from.dir, from.name, from.path)?;
        self.found(from, to, &stat)
    }

    fn look_at(&self, dir: BorrowedFd<'_>, name: &OsStr, path: &Path) -> Result<Stat, CopyError> {
        if self.cancel.is_cancelled() {
            return Err(CopyError::Cancelled);
        }
        rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|e| CopyError::read(path)(e.into()))
    }

    fn found(&mut self, from: &From<'_>, to: &To<'_>, stat: &Stat) -> Result<(), CopyError> {
        match file_type(stat) {
            FileType::Directory => return self.directory(from, to),
            FileType::RegularFile => self.file(from, to, stat)?,
            FileType::Symlink => self.symlink(from, to, stat)?,
            FileType::Socket => (self.note)(format!("{} is a socket and is not copied", from.path.display())),
            FileType::Fifo => self.node(from, to, stat)?,
            FileType::CharacterDevice | FileType::BlockDevice if self.rewrite.devices => self.node(from, to, stat)?,
            _ => return Err(CopyError::Device { path: from.path.to_owned() }),
        }
        Ok(())
    }

    fn directory(&mut self, from: &From<'_>, to: &To<'_>) -> Result<(), CopyError> {
        let source = open_dir_in(from.dir, from.name).map_err(CopyError::read(from.path))?;
        let existed = match lstat_in(to.dir, to.name).map_err(CopyError::write(to.path))? {
            None => {
                rustix::fs::mkdirat(to.dir, to.name, Mode::from_raw_mode(0o700))
                    .map_err(|e| CopyError::write(to.path)(e.into()))?;
                false
            }
            Some(stat) if file_type(&stat) == FileType::Directory => true,
            Some(stat) => {
                let symlink = file_type(&stat) == FileType::Symlink;
                return Err(CopyError::DirectoryOverFile { from: from.path.to_owned(), to: to.path.to_owned(), symlink });
            }
        };
        let dest = match self.behind.filter(|_| !existed) {
            Some(behind) => behind.open_dir(to.path),
            None => open_dir_in(to.dir, to.name),
        };
        let dest = dest.map_err(CopyError::write(to.path))?;
        let finish = if existed && self.selection.excludes(from.path) { Finish::Mode } else { Finish::Attributes };
        self.contents(OpenDir { source, dest, from: from.path.to_owned(), to: to.path.to_owned(), finish })
    }

    /// Copies what is in a directory. Files of one name are made by the threads that fill them: names in a directory are
    /// different, so their order means nothing. It does between the sources of one COPY, so wait for the filler after each.
    pub(super) fn contents(&mut self, dir: OpenDir) -> Result<(), CopyError> {
        let dir = Arc::new(dir);
        // Listing moves the descriptor's position, and the caller's must stay usable.
        let listing = open_dir_in(dir.source.as_fd(), OsStr::new(".")).map_err(CopyError::read(&dir.from))?;
        for name in list_open(listing).map_err(CopyError::read(&dir.from))? {
            let path = dir.from.join(&name);
            if !self.takes_part(dir.source.as_fd(), &name, &path)? {
                continue;
            }
            let stat = self.look_at(dir.source.as_fd(), &name, &path)?;
            if file_type(&stat) == FileType::RegularFile && stat.st_nlink == 1 {
                let mode = self.rewrite.mode(&stat);
                self.filler.fill(Filling::Named { dir: Arc::clone(&dir), name, mode })?;
                continue;
            }
            let (from_dir, to_path) = (dir.source.as_fd(), dir.to.join(&name));
            let to = To { dir: dir.dest.as_fd(), name: &name, path: &to_path };
            self.found(&From { dir: from_dir, name: &name, path: &path }, &to, &stat)?;
        }
        dir.release(self.rewrite)
    }

    /// Whether an entry is copied: it is not left out, or it is a directory with something below it that is brought back.
    fn takes_part(&self, dir: BorrowedFd<'_>, name: &OsStr, path: &Path) -> Result<bool, CopyError> {
        takes_part(&self.selection, dir, name, path)
    }

    fn file(&mut self, from: &From<'_>, to: &To<'_>, stat: &Stat) -> Result<(), CopyError> {
        let write = || CopyError::write(to.path);
        let key = (stat.st_dev, stat.st_ino);
        if stat.st_nlink > 1 {
            if let Some(first) = self.links.get(&key) {
                make_room(from, to)?;
                let link = |root: &Path| rustix::fs::linkat(CWD, root.join(first), to.dir, to.name, AtFlags::empty());
                let linked = match (link(self.image), self.behind) {
                    (Err(Errno::XDEV), Some(behind)) => link(behind.host_path()),
                    (linked, _) => linked,
                };
                return linked.map_err(|e| write()(e.into()));
            }
            self.links.insert(key, to.path.to_owned());
        }
        let (source, dest) = open_both(from, to, self.rewrite.mode(stat))?;
        self.filler.fill(Filling::Open { source, dest, paths: (from.path.to_owned(), to.path.to_owned()) })
    }

    fn symlink(&self, from: &From<'_>, to: &To<'_>, stat: &Stat) -> Result<(), CopyError> {
        let write = || CopyError::write(to.path);
        make_room(from, to)?;
        let target = rustix::fs::readlinkat(from.dir, from.name, Vec::new()).map_err(|e| CopyError::read(from.path)(e.into()))?;
        rustix::fs::symlinkat(target.as_c_str(), to.dir, to.name).map_err(|e| write()(e.into()))?;
        self.unopened(to, stat)
    }

    /// A FIFO or device.
    fn node(&self, from: &From<'_>, to: &To<'_>, stat: &Stat) -> Result<(), CopyError> {
        let write = || CopyError::write(to.path);
        make_room(from, to)?;
        let mode = self.rewrite.mode(stat);
        rustix::fs::mknodat(to.dir, to.name, file_type(stat), mode, stat.st_rdev).map_err(|e| write()(e.into()))?;
        rustix::fs::chmodat(to.dir, to.name, mode, AtFlags::empty()).map_err(|e| write()(e.into()))?;
        self.unopened(to, stat)
    }

    /// Owner and time of something that is not opened.
    fn unopened(&self, to: &To<'_>, stat: &Stat) -> Result<(), CopyError> {
        let (uid, gid) = self.rewrite.owner(stat);
        let set = rustix::fs::chownat(to.dir, to.name, uid, gid, AtFlags::SYMLINK_NOFOLLOW);
        let times = modification_time(stat.st_mtime, stat.st_mtime_nsec as i64);
        set.and_then(|()| rustix::fs::utimensat(to.dir, to.name, &times, AtFlags::SYMLINK_NOFOLLOW))
            .map_err(|e| CopyError::write(to.path)(e.into()))
    }
}

/// Opens a regular file and makes its copy, with its mode, for writing.
pub(super) fn open_both(from: &From<'_>, to: &To<'_>, mode: Mode) -> Result<(File, File), CopyError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let source =
        rustix::fs::openat(from.dir, from.name, flags, Mode::empty()).map_err(|e| CopyError::read(from.path)(e.into()))?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // Nobody else reaches the image's tree, so it may have its mode from the beginning.
    let create = || rustix::fs::openat(to.dir, to.name, flags, mode & Mode::from_raw_mode(0o777));
    let dest = match create() {
        Err(Errno::EXIST) => {
            make_room(from, to)?;
            create()
        }
        created => created,
    };
    Ok((File::from(source), File::from(dest.map_err(|e| CopyError::write(to.path)(e.into()))?)))
}

/// Removes the file or symlink an entry takes the place of.
fn make_room(from: &From<'_>, to: &To<'_>) -> Result<(), CopyError> {
    match lstat_in(to.dir, to.name).map_err(CopyError::write(to.path))? {
        None => Ok(()),
        Some(stat) if file_type(&stat) == FileType::Directory => {
            Err(CopyError::FileOverDirectory { from: from.path.to_owned(), to: to.path.to_owned() })
        }
        Some(_) => rustix::fs::unlinkat(to.dir, to.name, AtFlags::empty()).map_err(|e| CopyError::write(to.path)(e.into())),
    }
}

/// Gives a copy owner, mode, attributes and time, those of `from`, which `stat` is of, where they are not rewritten. Owner first, because that clears capabilities and setuid bits; time last.
pub(super) fn set_attributes(
    rewrite: &Rewrite,
    (from, stat): (BorrowedFd<'_>, &Stat),
    (to, to_path): (BorrowedFd<'_>, &Path),
) -> Result<(), CopyError> {
    let set = || -> std::io::Result<()> {
        let (uid, gid) = rewrite.owner(stat);
        // Most are made as they should be, and to ask is a tenth of the price of setting.
        let made = rustix::fs::fstat(to)?;
        let owner_differs = (Some(made.st_uid), Some(made.st_gid)) != (uid.map(Uid::as_raw), gid.map(Gid::as_raw));
        if owner_differs {
            rustix::fs::fchown(to, uid, gid)?;
        }
        // Before the mode: setting an access list changes it.
        let has_attributes = copy_xattrs(from, to, is_portable_xattr)?;
        let mode = rewrite.mode(stat);
        if owner_differs || has_attributes || made.st_mode & 0o7777 != mode.as_raw_mode() {
            rustix::fs::fchmod(to, mode)?;
        }
        rustix::fs::futimens(to, &modification_time(stat.st_mtime, stat.st_mtime_nsec as i64))?;
        Ok(())
    };
    set().map_err(CopyError::write(to_path))
}

/// See [`TreeCopier::takes_part`]; also used for digests, which must see the same files.
pub(super) fn takes_part(selection: &Selection, dir: BorrowedFd<'_>, name: &OsStr, path: &Path) -> Result<bool, CopyError> {
    if selection.is_everything() || !selection.excludes(path) {
        return Ok(true);
    }
    let stat = lstat_in(dir, name).map_err(CopyError::read(path))?;
    if !stat.is_some_and(|s| file_type(&s) == FileType::Directory) || !selection.may_bring_back(path) {
        return Ok(false);
    }
    let below = open_dir_in(dir, name).map_err(CopyError::read(path))?;
    let listing = open_dir_in(below.as_fd(), OsStr::new(".")).map_err(CopyError::read(path))?;
    for name in list_open(listing).map_err(CopyError::read(path))? {
        if takes_part(selection, below.as_fd(), &name, &path.join(&name))? {
            return Ok(true);
        }
    }
    Ok(false)
}
