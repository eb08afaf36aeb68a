//! Mount points that an image does not have. They are put into a layer of their own between the image and the upper
//! directory, so that they exist for the runtime and yet are never part of what a RUN changed.
//!
//! The other road, making them in the upper directory and removing them afterwards, leaves traces: copied-up parents
//! with new times, and stubs that a crash or a clever script keeps alive.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use image_layers::Store;
use rustix::fs::{FileType, Mode, OFlags};
use tempfile::TempDir;

use super::{SnapshotError, copy_metadata};
use crate::rootfs::{RootDir, file_type, make_dir};

/// A directory with the missing mount points of one RUN.
#[derive(Debug)]
pub(crate) struct Stubs {
    dir: Option<TempDir>,
}

impl Stubs {
    pub(crate) fn new() -> Self {
        Self { dir: None }
    }

    /// The layer, if any stub was needed.
    pub(crate) fn layer(&self) -> Option<PathBuf> {
        self.dir.as_ref().map(|d| d.path().join("fs"))
    }

    /// Finds where a mount on `target` ends up in the image and makes a stub for it when nothing is there.
    ///
    /// Returns the path for the runtime: absolute, symlinks followed.
    pub(crate) fn mount_point(
        &mut self,
        image: &RootDir,
        target: &str,
        is_dir: bool,
        store: &Store,
    ) -> Result<String, SnapshotError> {
        let failed = |action| SnapshotError::path(action, target);
        let wrong = |problem| SnapshotError::MountPoint { target: target.to_owned(), problem };
        let found = image.resolve(Path::new(target)).map_err(|error| match error.kind() {
            io::ErrorKind::NotADirectory => wrong("the image has a file on the way there"),
            _ => failed("find the mount point")(error),
        })?;
        if found.path.as_os_str().is_empty() {
            return Err(wrong("it is the root, and nothing of the image would be left to run"));
        }
        let path = found.path.to_str().map(|p| format!("/{p}"));
        let path =
            path.ok_or_else(|| failed("use a name that is not UTF-8 as mount point")(io::ErrorKind::InvalidInput.into()))?;
        if found.stat.is_none() {
            self.make(image, &found.path, is_dir, store).map_err(failed("make a stand-in for the mount point"))?;
        } else if found.is_dir() != is_dir {
            return Err(wrong(if is_dir {
                "the image has a file there, and this mount is a directory"
            } else {
                "the image has a directory there, and this mount is a file"
            }));
        }
        Ok(path)
    }

    /// Prepares an underlay at `path`: overlayfs takes a merged directory's owner, mode and times from the topmost layer
    /// that has it, so the directories on the way are made here as the image has them. `false` when there is nothing to
    /// lay it on: a part of the way is missing, or is no directory (any more).
    pub(crate) fn shadow(&mut self, image: &RootDir, path: &str, store: &Store) -> Result<bool, SnapshotError> {
        let failed = |action| SnapshotError::path(action, path);
        let path = Path::new(path.trim_start_matches('/'));
        let mut there = None;
        for ancestor in path.ancestors().filter(|a| !a.as_os_str().is_empty()) {
            let stat = image.lstat(ancestor).map_err(failed("look for the directory"))?;
            match stat.map(|s| file_type(&s)) {
                Some(FileType::Directory) => there = there.or(Some(ancestor)),
                None if ancestor == path => {}
                _ => return Ok(false),
            }
        }
        let Some(there) = there else { return Ok(false) };
        self.make(image, there, true, store).map_err(failed("make a stand-in for the directory"))?;
        Ok(true)
    }

    fn make(&mut self, image: &RootDir, path: &Path, is_dir: bool, store: &Store) -> io::Result<()> {
        let layer = match self.layer() {
            Some(layer) => layer,
            None => {
                let dir = store.temp_dir().map_err(io::Error::other)?;
                let layer = dir.path().join("fs");
                fs::create_dir(&layer)?;
                copy_metadata(image.open_dir(Path::new(""))?, fs::File::open(&layer)?)?;
                self.dir = Some(dir);
                layer
            }
        };
        let mut walked = vec![(fs::File::open(&layer)?.into(), PathBuf::new())];
        let (parent, name) = (path.parent().unwrap_or(Path::new("")), path.file_name().unwrap_or(OsStr::new("")));
        for part in parent {
            let Some((dir, at)) = walked.last() else { break };
            let below = make_dir(AsFd::as_fd(dir), part, (0, 0), 0o755)?;
            let at = at.join(part);
            walked.push((below, at));
        }
        let Some((dir, _)) = walked.last() else { return Ok(()) };
        if is_dir {
            let made = make_dir(dir.as_fd(), name, (0, 0), 0o755)?;
            if let Ok(original) = image.open_dir(path) {
                copy_metadata(original, made)?;
            }
        } else {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            rustix::fs::openat(dir, name, flags, Mode::from_raw_mode(0o644))?;
        }
        // Last, innermost first: making an entry changes the time of its parent.
        for (dir, at) in walked.iter().rev() {
            if let Ok(original) = image.open_dir(at) {
                copy_metadata(original, dir)?;
            }
        }
        Ok(())
    }
}
