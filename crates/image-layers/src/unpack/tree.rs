//! The directory a layer is unpacked into. Every step goes through directory handles; no path of a stranger is ever
//! given to the kernel without `RESOLVE_BENEATH`, `RESOLVE_IN_ROOT` or `O_NOFOLLOW`.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::error::EntryProblem;
use super::name::DEPTH_MAX;
use crate::merged_view::{Found, MergedDir, MergedView};
use crate::overlay;
use crate::tar_format::shown;

/// A handle that serves only as a place, and follows nothing on its last part.
const PLACE: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Owner, mode and attributes of a file or directory.
pub(super) struct Attributes {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mode: u32,
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Time of modification: seconds and nanoseconds.
pub(super) type Time = (i64, u32);

/// The layer being unpacked.
pub(super) struct LayerTree {
    root: Rc<OwnedFd>,
    root_path: PathBuf,
    lowers: MergedView,
    /// The directory of the entry before; neighbours in an archive are neighbours in the tree.
    last_parent: Option<(Vec<u8>, Rc<OwnedFd>)>,
    /// Times of directories, set when nothing changes in them any more.
    times: HashMap<Vec<u8>, Time>,
    root_is_opaque: bool,
}

impl LayerTree {
    /// Begins in the empty directory `dir`; `lowers` are the layers below, top first.
    pub(super) fn new(dir: &Path, lowers: &[PathBuf]) -> io::Result<Self> {
        let root = rustix::fs::open(dir, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let root_path = fs::read_link(proc_path(&root))?;
        let lowers = MergedView::new(lowers.to_vec());
        let mut tree =
            Self { root: Rc::new(root), root_path, lowers, last_parent: None, times: HashMap::new(), root_is_opaque: false };
        // Until an entry says otherwise, `/` is what it was below.
        let below = tree.lowers.root().clone();
        let root = Rc::clone(&tree.root);
        tree.inherit(&root, b"", &below)?;
        Ok(tree)
    }

    /// The root directory.
    pub(super) fn root(&self) -> Rc<OwnedFd> {
        Rc::clone(&self.root)
    }

    /// The directory `parts`, made where it is missing.
    pub(super) fn directory(&mut self, parts: &[&[u8]]) -> Result<Rc<OwnedFd>, EntryProblem> {
        let path = parts.join(&b'/');
        if path.is_empty() {
            return Ok(self.root());
        }
        if let Some((known, fd)) = &self.last_parent
            && *known == path
        {
            return Ok(Rc::clone(fd));
        }
        let flags = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let fd = match rustix::fs::openat2(&self.root, OsStr::from_bytes(&path), PLACE, Mode::empty(), flags) {
            Ok(fd) => Rc::new(fd),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => self.walk(parts, true)?,
            Err(error) => return Err(EntryProblem::system("open its directory")(error)),
        };
        self.last_parent = Some((path, Rc::clone(&fd)));
        Ok(fd)
    }

    /// The directory `parts`, which must be there.
    pub(super) fn existing_directory(&mut self, parts: &[&[u8]]) -> Result<Rc<OwnedFd>, EntryProblem> {
        self.walk(parts, false)
    }

    /// Goes down part by part; with `make`, missing directories are made.
    fn walk(&mut self, parts: &[&[u8]], make: bool) -> Result<Rc<OwnedFd>, EntryProblem> {
        let mut current = self.root();
        let mut through_absolute_link = false;
        for (depth, part) in parts.iter().enumerate() {
            let so_far = parts.get(..=depth).unwrap_or(parts);
            let name = OsStr::from_bytes(part);
            current = match rustix::fs::openat(&current, name, PLACE, Mode::empty()) {
                Ok(fd) => Rc::new(fd),
                Err(Errno::NOENT) if make => self.make_implicit(&current, so_far, name, false)?,
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    let stat = stat(&current, name)?.ok_or_else(|| EntryProblem::system("open its directory")(Errno::NOENT))?;
                    if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
                        Rc::new(self.follow(&current, so_far, name, &mut through_absolute_link)?)
                    } else if make && overlay::is_whiteout(&stat) {
                        rustix::fs::unlinkat(&current, name, AtFlags::empty())
                            .map_err(EntryProblem::system("replace a whiteout"))?;
                        self.make_implicit(&current, so_far, name, true)?
                    } else {
                        return Err(EntryProblem::ParentIsFile { parent: shown(&so_far.join(&b'/')) });
                    }
                }
                Err(error) => return Err(EntryProblem::system("open its directory")(error)),
            };
        }
        Ok(current)
    }

    /// Follows the symbolic link `name` in `current`, whose path in the layer is `parts`. Links within the layer are
    /// honoured as a container would; one that climbs out is refused, though the kernel would keep it inside anyway.
    fn follow(
        &self,
        current: &OwnedFd,
        parts: &[&[u8]],
        name: &OsStr,
        through_absolute_link: &mut bool,
    ) -> Result<OwnedFd, EntryProblem> {
        let path = parts.join(&b'/');
        let target = rustix::fs::readlinkat(current, name, Vec::new()).map_err(EntryProblem::system("read a symbolic link"))?;
        *through_absolute_link |= target.as_bytes().starts_with(b"/");
        let bound = if *through_absolute_link { ResolveFlags::IN_ROOT } else { ResolveFlags::BENEATH };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened =
            rustix::fs::openat2(&self.root, OsStr::from_bytes(&path), flags, Mode::empty(), bound | ResolveFlags::NO_MAGICLINKS);
        let link = || shown(&path);
        let fd = opened.map_err(|error| match error {
            Errno::XDEV => EntryProblem::LinkLeaves { link: link() },
            Errno::NOENT | Errno::LOOP => EntryProblem::LinkDangles { link: link() },
            Errno::NOTDIR => EntryProblem::ParentIsFile { parent: link() },
            error => EntryProblem::system("open its directory")(error),
        })?;
        // A chain of links could lead deeper than any name may be.
        let real = fs::read_link(proc_path(&fd)).map_err(EntryProblem::system("find its directory"))?;
        match real.strip_prefix(&self.root_path) {
            Ok(inside) if inside.components().count() + 1 < DEPTH_MAX => Ok(fd),
            Ok(_) => Err(EntryProblem::TooLong { what: "name", bytes: usize::from(u16::MAX), depth: DEPTH_MAX }),
            Err(_) => Err(EntryProblem::LinkLeaves { link: link() }),
        }
    }

    /// Makes a directory that has no entry of its own: it looks as it did in the layers below.
    fn make_implicit(
        &mut self,
        current: &OwnedFd,
        parts: &[&[u8]],
        name: &OsStr,
        opaque: bool,
    ) -> Result<Rc<OwnedFd>, EntryProblem> {
        rustix::fs::mkdirat(current, name, Mode::from_raw_mode(0o755)).map_err(EntryProblem::system("make its directory"))?;
        let fd = self.open_made(current, name)?;
        let path = parts.join(&b'/');
        let below = if opaque {
            MergedDir::empty()
        } else {
            self.below(parts).map_err(EntryProblem::system("look into the layers below"))?
        };
        self.inherit(&fd, &path, &below).map_err(EntryProblem::system("make its directory"))?;
        if opaque {
            set_opaque(&fd).map_err(EntryProblem::system("make its directory opaque"))?;
        }
        Ok(Rc::new(fd))
    }

    /// Opens the directory just made.
    pub(super) fn open_made(&self, parent: &OwnedFd, name: &OsStr) -> Result<OwnedFd, EntryProblem> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(parent, name, flags, Mode::empty()).map_err(EntryProblem::system("open the directory"))
    }

    /// The directory `parts` of the layers below; empty when they have none.
    fn below(&self, parts: &[&[u8]]) -> io::Result<MergedDir> {
        let mut current = self.lowers.root().clone();
        for part in parts {
            match current.child(OsStr::from_bytes(part))? {
                Some(Found::Dir(dir)) => current = dir,
                _ => return Ok(MergedDir::empty()),
            }
        }
        Ok(current)
    }

    /// Gives a directory owner, mode, attributes and time of the one below, or those of a plain directory.
    fn inherit(&mut self, dir: &OwnedFd, path: &[u8], below: &MergedDir) -> io::Result<()> {
        let (meta, xattrs) = match below.top() {
            Some(top) => (Some(fs::symlink_metadata(top)?), overlay::image_xattrs(top)?),
            None => (None, Vec::new()),
        };
        let (uid, gid, mode) = meta.as_ref().map_or((0, 0, 0o755), |m| (m.uid(), m.gid(), m.mode() & 0o7777));
        set_attributes(dir, &Attributes { uid, gid, mode, xattrs })?;
        // Not the present time: unpacking twice must give the same tree.
        let time = meta.map_or((0, 0), |m| (m.mtime(), u32::try_from(m.mtime_nsec()).unwrap_or(0)));
        self.times.insert(path.to_vec(), time);
        Ok(())
    }

    /// Notes the time a directory gets in the end.
    pub(super) fn set_directory_time(&mut self, parts: &[&[u8]], time: Time) {
        self.times.insert(parts.join(&b'/'), time);
    }

    /// Remembers `fd` as the likely parent of the next entry.
    pub(super) fn expect_below(&mut self, parts: &[&[u8]], fd: OwnedFd) {
        self.last_parent = Some((parts.join(&b'/'), Rc::new(fd)));
    }

    /// Hides everything the layers below have at the top. overlayfs does not look at the attribute on a root, so this
    /// becomes one whiteout per name, once it is known which names the layer has itself.
    pub(super) fn set_root_opaque(&mut self) {
        self.root_is_opaque = true;
    }

    /// Removes what is at `name`, whatever it is.
    pub(super) fn remove(&mut self, parent: &OwnedFd, name: &OsStr, is_dir: bool) -> Result<(), EntryProblem> {
        let result = if is_dir {
            // The known parent may be inside what goes away.
            self.last_parent = None;
            fs::remove_dir_all(proc_path(parent).join(name))
        } else {
            rustix::fs::unlinkat(parent, name, AtFlags::empty()).map_err(io::Error::from)
        };
        result.map_err(EntryProblem::system("replace an earlier entry of the same name"))
    }

    /// Sets the times of directories; after this nothing may change in the tree.
    pub(super) fn finish(mut self) -> io::Result<()> {
        if self.root_is_opaque {
            for name in self.lowers.root().names()? {
                match rustix::fs::statat(&self.root, &name, AtFlags::SYMLINK_NOFOLLOW) {
                    Err(Errno::NOENT) => make_whiteout(&self.root, &name)?,
                    Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                        set_opaque(&self.open_made(&self.root, &name).map_err(io::Error::other)?)?;
                    }
                    Ok(_) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        for (path, time) in self.times.drain() {
            let path = if path.is_empty() { b".".as_slice() } else { &path };
            let bound = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
            match rustix::fs::openat2(&self.root, OsStr::from_bytes(path), flags, Mode::empty(), bound) {
                Ok(fd) => rustix::fs::futimens(&fd, &timestamps(time))?,
                // Replaced by a later entry.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// What is at `name`, not following it; `None` when nothing is.
pub(super) fn stat(parent: &OwnedFd, name: &OsStr) -> Result<Option<Stat>, EntryProblem> {
    match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(EntryProblem::system("look at its place")(error)),
    }
}

/// Sets owner, then mode (a change of owner clears setuid), then attributes (it clears capabilities, too). Most files are
/// made as they should be; asking is a tenth of the price of setting.
pub(super) fn set_attributes(fd: &impl AsFd, attributes: &Attributes) -> io::Result<()> {
    let made = rustix::fs::fstat(fd)?;
    let owner_differs = (made.st_uid, made.st_gid) != (attributes.uid, attributes.gid);
    if owner_differs {
        rustix::fs::fchown(fd, Some(Uid::from_raw(attributes.uid)), Some(Gid::from_raw(attributes.gid)))?;
    }
    if owner_differs || made.st_mode & 0o7777 != attributes.mode {
        rustix::fs::fchmod(fd, Mode::from_raw_mode(attributes.mode))?;
    }
    for (name, value) in &attributes.xattrs {
        if !overlay::is_image_xattr(name) {
            continue;
        }
        match rustix::fs::fsetxattr(fd, OsStr::from_bytes(name), value, XattrFlags::empty()) {
            // tmpfs before Linux 6.6 has no user attributes; nothing in an image depends on them.
            Err(Errno::OPNOTSUPP) if name.starts_with(b"user.") => {}
            other => other?,
        }
    }
    Ok(())
}

/// As [`set_attributes`] for what cannot be opened: links, devices, pipes. They have no attributes of the image's.
pub(super) fn set_attributes_at(
    parent: &OwnedFd,
    name: &OsStr,
    attributes: &Attributes,
    is_link: bool,
    time: Time,
) -> io::Result<()> {
    let owner = (Some(Uid::from_raw(attributes.uid)), Some(Gid::from_raw(attributes.gid)));
    rustix::fs::chownat(parent, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)?;
    if !is_link {
        // There is no chmod that does not follow links; what we made ourselves a moment ago is none.
        rustix::fs::chmodat(parent, name, Mode::from_raw_mode(attributes.mode), AtFlags::empty())?;
    }
    rustix::fs::utimensat(parent, name, &timestamps(time), AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(())
}

/// Sets the time of an open file.
pub(super) fn set_time(file: &File, time: Time) -> io::Result<()> {
    Ok(rustix::fs::futimens(file, &timestamps(time))?)
}

/// Puts a whiteout at `name`.
pub(super) fn make_whiteout(parent: &OwnedFd, name: &OsStr) -> io::Result<()> {
    Ok(rustix::fs::mknodat(parent, name, FileType::CharacterDevice, Mode::empty(), 0)?)
}

/// Makes a directory hide what is below it. The handle may be a mere place.
pub(super) fn set_opaque(dir: &OwnedFd) -> io::Result<()> {
    Ok(rustix::fs::setxattr(proc_path(dir), overlay::OPAQUE, b"y", XattrFlags::empty())?)
}

fn timestamps((seconds, nanos): Time) -> Timestamps {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanos.into() };
    Timestamps { last_access: time, last_modification: time }
}

/// A path that leads to an open handle, for the calls that take no handle.
fn proc_path(fd: &impl AsRawFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}
