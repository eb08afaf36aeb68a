//! A digest of everything one COPY, ADD or bind mount reads, for the instruction cache: names, modes and content, not
//! times, because every checkout has new ones (and size with time is no key at all: engine T10).

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use sha2::{Digest as _, Sha256};

use super::source::{FoundSource, list_open};
use super::tree::takes_part;
use super::{CopyError, Selection};
use crate::cancel::CancelFlag;
use crate::rootfs::{RootDir, file_type, open_dir_in};

/// Hashes `sources` as the copy would see them.
pub(crate) fn digest_sources(
    root: &RootDir,
    sources: &[&FoundSource],
    selection: &Selection,
    cancel: &CancelFlag,
) -> Result<[u8; 32], CopyError> {
    let mut digest = Digester { hash: Sha256::new(), selection: selection.clone(), cancel };
    for source in sources {
        digest.selection = selection.of(source);
        digest.field(source.named.as_os_str());
        if source.is_dir() {
            let dir = root.open_dir(&source.path).map_err(CopyError::read(&source.path))?;
            digest.contents(dir.as_fd(), &source.path)?;
        } else {
            let parent = root.open_dir(source.path.parent().unwrap_or(Path::new(""))).map_err(CopyError::read(&source.path))?;
            digest.entry(parent.as_fd(), source.path.file_name().unwrap_or(OsStr::new("")), &source.path)?;
        }
    }
    Ok(digest.hash.finalize().into())
}

struct Digester<'a> {
    hash: Sha256,
    selection: Selection,
    cancel: &'a CancelFlag,
}

impl Digester<'_> {
    /// Length first, so that neighbouring fields cannot be confused.
    fn field(&mut self, text: &OsStr) {
        let bytes = text.as_encoded_bytes();
        self.hash.update((bytes.len() as u64).to_le_bytes());
        self.hash.update(bytes);
    }

    fn contents(&mut self, dir: BorrowedFd<'_>, path: &Path) -> Result<(), CopyError> {
        let listing = open_dir_in(dir, OsStr::new(".")).map_err(CopyError::read(path))?;
        for name in list_open(listing).map_err(CopyError::read(path))? {
            let below = path.join(&name);
            if takes_part(&self.selection, dir, &name, &below)? {
                self.field(&name);
                self.entry(dir, &name, &below)?;
            }
        }
        self.hash.update(b"end");
        Ok(())
    }

    fn entry(&mut self, dir: BorrowedFd<'_>, name: &OsStr, path: &Path) -> Result<(), CopyError> {
        if self.cancel.is_cancelled() {
            return Err(CopyError::Cancelled);
        }
        let read = |e: rustix::io::Errno| CopyError::read(path)(e.into());
        let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map_err(read)?;
        self.hash.update(stat.st_mode.to_le_bytes());
        match file_type(&stat) {
            FileType::Directory => {
                let below = open_dir_in(dir, name).map_err(CopyError::read(path))?;
                self.contents(below.as_fd(), path)
            }
            FileType::RegularFile => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let file = rustix::fs::openat(dir, name, flags, Mode::empty()).map_err(read)?;
                self.hash.update(stat.st_size.to_le_bytes());
                self.content(File::from(file)).map_err(CopyError::read(path))
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(dir, name, Vec::new()).map_err(read)?;
                self.field(OsStr::from_bytes(target.to_bytes()));
                Ok(())
            }
            _ => {
                self.hash.update(stat.st_rdev.to_le_bytes());
                Ok(())
            }
        }
    }

    fn content(&mut self, mut file: File) -> io::Result<()> {
        let mut buffer = vec![0; 256 * 1024];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(()),
                n => self.hash.update(buffer.get(..n).unwrap_or_default()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::find;
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn digest(dir: &Path, pattern: &str) -> [u8; 32] {
        let root = RootDir::open(dir).expect("open");
        let selection =
            Selection::new(Some(&dockerfile::IgnoreRules::parse("**/*.tmp").expect("rules")), &[]).expect("selection");
        let found = find(&root, pattern, &selection, "here").expect("found");
        digest_sources(&root, &found.iter().collect::<Vec<_>>(), &selection, &CancelFlag::new()).expect("digest")
    }

    #[test]
    fn content_mode_and_names_count_and_times_do_not() {
        let dir = tempfile::tempdir().expect("tempdir");
        let file = dir.path().join("src/a");
        fs::create_dir(dir.path().join("src")).expect("mkdir");
        fs::write(&file, "1").expect("write");
        let first = digest(dir.path(), "src");
        fs::File::open(&file).expect("open").set_modified(std::time::SystemTime::UNIX_EPOCH).expect("time");
        fs::write(dir.path().join("src/left-out.tmp"), "x").expect("write");
        assert_eq!(digest(dir.path(), "src"), first);
        fs::write(&file, "2").expect("write");
        let second = digest(dir.path(), "src");
        assert_ne!(second, first);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("chmod");
        let third = digest(dir.path(), "src");
        assert_ne!(third, second);
        fs::rename(&file, dir.path().join("src/b")).expect("rename");
        assert_ne!(digest(dir.path(), "src"), third);
    }
}
