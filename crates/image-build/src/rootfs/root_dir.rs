//! Access to files below a directory as if it were `/`. Every open goes through openat2(2) with RESOLVE_IN_ROOT, so that
//! neither an absolute symlink nor `..` in an image or a build context leads to the builder's own files.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, Uid};
use rustix::io::Errno;

/// As many symlinks as the kernel follows in one path.
const MAX_SYMLINKS: usize = 40;

/// An open root directory.
#[derive(Debug)]
pub(crate) struct RootDir {
    fd: OwnedFd,
    path: PathBuf,
}

/// Where a path leads once every symlink on the way is followed inside the root.
#[derive(Debug)]
pub(crate) struct Found {
    /// Relative to the root, without symlinks, `.` or `..`; empty for the root itself.
    pub(crate) path: PathBuf,
    /// What is there; `None` when the path or the end of it does not exist.
    pub(crate) stat: Option<Stat>,
}

impl Found {
    pub(crate) fn is_dir(&self) -> bool {
        self.stat.as_ref().is_some_and(|s| file_type(s) == FileType::Directory)
    }

    pub(crate) fn is_file(&self) -> bool {
        self.stat.as_ref().is_some_and(|s| file_type(s) == FileType::RegularFile)
    }
}

pub(crate) fn file_type(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// The parts of a path, `.` dropped and `..` resolved against what precedes it, never above the root.
pub(crate) fn components(path: &Path) -> Vec<OsString> {
    let mut parts: Vec<OsString> = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => parts.push(part.to_owned()),
            Component::ParentDir => {
                parts.pop();
            }
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    parts
}

impl RootDir {
    /// Opens the directory `path` of the builder.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let fd = rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { fd, path: path.to_owned() })
    }

    /// The directory `path` inside the root as a root of its own; symlinks on the way are followed inside this one.
    pub(crate) fn below(&self, path: &Path) -> io::Result<Self> {
        let found = self.resolve(path)?;
        let fd = self.open_at(&found.path, OFlags::PATH | OFlags::DIRECTORY)?;
        Ok(Self { fd, path: self.path.join(found.path) })
    }

    /// Where the root is on the builder.
    pub(crate) fn host_path(&self) -> &Path {
        &self.path
    }

    /// Opens `path` below the root, following symlinks inside it unless `flags` has NOFOLLOW.
    pub(crate) fn open_at(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let path = match path.strip_prefix("/").unwrap_or(path) {
            p if p.as_os_str().is_empty() => Path::new("."),
            p => p,
        };
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        // EAGAIN: something was renamed meanwhile and the kernel could not be sure the path stayed inside.
        for _ in 0..16 {
            match rustix::fs::openat2(&self.fd, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => return other.map_err(Into::into),
            }
        }
        Err(Errno::AGAIN.into())
    }

    /// The status of `path` itself, which may be a symlink; `None` when there is nothing.
    pub(crate) fn lstat(&self, path: &Path) -> io::Result<Option<Stat>> {
        match self.open_at(path, OFlags::PATH | OFlags::NOFOLLOW) {
            Ok(fd) => Ok(Some(rustix::fs::fstat(fd)?)),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        let fd = self.open_at(path, OFlags::PATH | OFlags::NOFOLLOW)?;
        let target = rustix::fs::readlinkat(fd, "", Vec::new())?;
        Ok(OsString::from_vec(target.into_bytes()).into())
    }

    /// Follows every symlink of `path`. What does not exist is taken literally, so that the result can be created.
    ///
    /// # Errors
    /// Too many symlinks, or a file where a directory should be.
    pub(crate) fn resolve(&self, path: &Path) -> io::Result<Found> {
        self.walk(path, true)
    }

    /// As [`RootDir::resolve`], but a symlink at the very end is not followed.
    pub(crate) fn resolve_parent(&self, path: &Path) -> io::Result<Found> {
        self.walk(path, false)
    }

    fn walk(&self, path: &Path, follow_last: bool) -> io::Result<Found> {
        // `..` is resolved here and not by components(): after a symlink it means the parent of the target.
        let mut ahead: Vec<OsString> = pieces(path).collect();
        ahead.reverse();
        let mut at = PathBuf::new();
        let mut stat = self.lstat(&at)?;
        let mut symlinks = 0;
        while let Some(part) = ahead.pop() {
            if part == ".." {
                at.pop();
                stat = self.lstat(&at)?;
                continue;
            }
            if stat.as_ref().is_some_and(|s| file_type(s) != FileType::Directory) {
                return Err(Errno::NOTDIR.into());
            }
            let next = at.join(&part);
            // Below something that does not exist there is nothing.
            stat = if stat.is_some() { self.lstat(&next)? } else { None };
            let is_link = stat.as_ref().is_some_and(|s| file_type(s) == FileType::Symlink);
            if !is_link || (ahead.is_empty() && !follow_last) {
                at = next;
                continue;
            }
            symlinks += 1;
            if symlinks > MAX_SYMLINKS {
                return Err(Errno::LOOP.into());
            }
            let target = self.read_link(&next)?;
            if target.is_absolute() {
                at = PathBuf::new();
            }
            stat = self.lstat(&at)?;
            let mut more: Vec<OsString> = pieces(&target).collect();
            more.reverse();
            ahead.extend(more);
        }
        Ok(Found { path: at, stat })
    }

    /// The content of a file, `None` when it is not there.
    ///
    /// # Errors
    /// When it is longer than `limit` bytes or cannot be read.
    pub(crate) fn read(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
        // NONBLOCK: a FIFO in an image must not stop the build.
        let file = match self.open_at(path, OFlags::RDONLY | OFlags::NONBLOCK) {
            Ok(fd) => File::from(fd),
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
        }
        let mut content = Vec::new();
        (&file).take(limit + 1).read_to_end(&mut content)?;
        if content.len() as u64 > limit {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is too long"));
        }
        Ok(Some(content))
    }

    /// Opens the directory `path`, symlinks followed; it must exist.
    pub(crate) fn open_dir(&self, path: &Path) -> io::Result<OwnedFd> {
        self.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    /// Makes the directory `path` and its missing parents, mode 0755, owned by `owner`; opens it. Symlinks on the way are
    /// followed inside the root, dangling ones included.
    ///
    /// # Errors
    /// When a file is in the way.
    pub(crate) fn make_dirs(&self, path: &Path, owner: (u32, u32)) -> io::Result<OwnedFd> {
        self.make_dirs_with(path, owner, 0o755)
    }

    /// As [`RootDir::make_dirs`], with another mode.
    pub(crate) fn make_dirs_with(&self, path: &Path, owner: (u32, u32), mode: u32) -> io::Result<OwnedFd> {
        let found = self.resolve(path)?;
        let mut dir = self.open_dir(Path::new(""))?;
        for part in found.path.iter() {
            dir = make_dir(dir.as_fd(), part, owner, mode)?;
        }
        Ok(dir)
    }
}

impl AsFd for RootDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Whether an error means that there is no such file.
pub(crate) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Opens the directory `name` in `parent`, made when missing.
pub(crate) fn make_dir(parent: BorrowedFd<'_>, name: &OsStr, owner: (u32, u32), mode: u32) -> io::Result<OwnedFd> {
    let made = match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o700)) {
        Ok(()) => true,
        Err(Errno::EXIST) => false,
        Err(error) => return Err(error.into()),
    };
    let dir = open_dir_in(parent, name)?;
    if made {
        rustix::fs::fchown(&dir, Some(Uid::from_raw(owner.0)), Some(Gid::from_raw(owner.1)))?;
        // Not left to the umask.
        rustix::fs::fchmod(&dir, Mode::from_raw_mode(mode))?;
    }
    Ok(dir)
}

/// Opens the directory `name` in `parent`; a symlink there is refused.
pub(crate) fn open_dir_in(parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty()).map_err(Into::into)
}

/// The status of `name` in `parent`, not followed; `None` when there is nothing.
pub(crate) fn lstat_in(parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<Option<Stat>> {
    match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Sets the time of modification of an open file or directory, and leaves that of access.
pub(crate) fn modification_time(seconds: i64, nanoseconds: i64) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT },
        last_modification: Timespec { tv_sec: seconds, tv_nsec: nanoseconds },
    }
}

fn pieces(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    path.as_os_str()
        .as_bytes()
        .split(|b| *b == b'/')
        .filter(|p| !p.is_empty() && *p != b".")
        .map(|p| OsStr::from_bytes(p).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn tree() -> (tempfile::TempDir, RootDir) {
        let dir = tempfile::tempdir().expect("tempdir");
        fs::create_dir_all(dir.path().join("usr/lib")).expect("mkdir");
        fs::write(dir.path().join("usr/lib/os-release"), "ID=x").expect("write");
        symlink("/usr/lib", dir.path().join("lib")).expect("symlink");
        symlink("../../../../run/resolv.conf", dir.path().join("usr/dangling")).expect("symlink");
        symlink("loop", dir.path().join("loop")).expect("symlink");
        let root = RootDir::open(dir.path()).expect("open");
        (dir, root)
    }

    fn resolved(root: &RootDir, path: &str) -> (String, bool) {
        let found = root.resolve(Path::new(path)).expect("resolve");
        (found.path.display().to_string(), found.stat.is_some())
    }

    #[test]
    fn symlinks_are_followed_inside_the_root() {
        let (_dir, root) = tree();
        assert_eq!(resolved(&root, "/lib/os-release"), ("usr/lib/os-release".into(), true));
        assert_eq!(resolved(&root, "lib/../../.."), (String::new(), true));
        assert_eq!(resolved(&root, "/usr/dangling"), ("run/resolv.conf".into(), false));
        assert_eq!(resolved(&root, "/lib/new/dir"), ("usr/lib/new/dir".into(), false));
        assert_eq!(root.read(Path::new("/lib/os-release"), 10).expect("read").as_deref(), Some(&b"ID=x"[..]));
        assert!(root.read(Path::new("/lib/os-release"), 3).is_err());
    }

    #[test]
    fn the_last_symlink_can_be_left_alone() {
        let (_dir, root) = tree();
        let found = root.resolve_parent(Path::new("lib")).expect("resolve");
        assert_eq!((found.path, found.stat.map(|s| file_type(&s))), (PathBuf::from("lib"), Some(FileType::Symlink)));
    }

    #[test]
    fn loops_and_files_as_directories_are_errors() {
        let (_dir, root) = tree();
        assert_eq!(root.resolve(Path::new("loop")).expect_err("loop").raw_os_error(), Some(Errno::LOOP.raw_os_error()));
        assert!(root.resolve(Path::new("usr/lib/os-release/x")).is_err());
    }

    #[test]
    fn directories_are_made_behind_symlinks_and_never_outside() {
        let (dir, root) = tree();
        let owner = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        root.make_dirs(Path::new("/lib/a/b"), owner).expect("mkdir");
        assert!(dir.path().join("usr/lib/a/b").is_dir());
        root.make_dirs(Path::new("/../../x"), owner).expect("mkdir");
        assert!(dir.path().join("x").is_dir());
        assert!(root.make_dirs(Path::new("/usr/lib/os-release/x"), owner).is_err());
    }

    #[test]
    fn dots_are_resolved_lexically_for_sources() {
        assert_eq!(components(Path::new("/../a/./b/../c/")), ["a", "c"]);
    }
}
