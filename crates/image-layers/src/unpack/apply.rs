//! Applies the entries of a layer's tar, one after the other, to a [`LayerTree`] (image-spec layer.md, "Applying Changesets").

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, makedev};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::UnpackLimits;
use super::contents::{self, Contents, Filling, QUEUED_BYTES};
use super::digests::DigestSink;
use super::error::EntryProblem;
use super::name::components;
use super::tree::{self, Attributes, LayerTree};
use crate::overlay::{AUFS_PREFIX, OPAQUE_NAME, WHITEOUT_PREFIX, is_whiteout};
use crate::tar_format::{SparseFileError, TarEntry, TarKind, shown};

/// Linux has 12 bits for major numbers and 20 for minor ones.
const MAJOR_MAX: u32 = 0xfff;
const MINOR_MAX: u32 = 0xf_ffff;

/// Applies entries to a tree.
pub(super) struct Applier<'a> {
    tree: LayerTree,
    contents: Contents,
    limits: &'a UnpackLimits,
    digests: Option<Arc<DigestSink>>,
    buffer: Vec<u8>,
}

impl<'a> Applier<'a> {
    pub(super) fn new(tree: LayerTree, contents: Contents, limits: &'a UnpackLimits, digests: Option<Arc<DigestSink>>) -> Self {
        Self { tree, contents, limits, digests, buffer: Vec::new() }
    }

    /// Waits until every file has its content; gives the tree, or an entry and what is wrong with it.
    pub(super) fn finish(self) -> Result<LayerTree, (Vec<u8>, EntryProblem)> {
        self.contents.finish()?;
        Ok(self.tree)
    }

    /// Applies one entry; `content` gives its content.
    pub(super) fn apply(&mut self, entry: &TarEntry, content: &mut impl Read) -> Result<(), EntryProblem> {
        let parts = components(&entry.path, "name", self.limits)?;
        let attributes = attributes(entry)?;
        let Some((name, parents)) = parts.split_last() else {
            return self.apply_root(entry, &attributes);
        };
        // A reserved name as a directory: other tools would disagree about what that means.
        if parents.iter().any(|part| part.starts_with(WHITEOUT_PREFIX)) {
            return Err(EntryProblem::Whiteout);
        }
        if let Some(hidden) = name.strip_prefix(WHITEOUT_PREFIX) {
            return self.apply_whiteout(parents, name, hidden);
        }
        let parent = self.tree.directory(parents)?;
        let name = OsStr::from_bytes(name);
        match entry.kind {
            TarKind::Directory => self.make_directory(&parent, &parts, name, entry, &attributes),
            TarKind::File => self.make_file(&parent, name, entry, attributes, content),
            TarKind::HardLink => self.make_hard_link(&parent, name, entry),
            TarKind::Symlink => {
                let target = OsStr::from_bytes(&entry.link);
                let make = || rustix::fs::symlinkat(target, &parent, name);
                self.replacing(&parent, name, "make the symbolic link", make)?;
                tree::set_attributes_at(&parent, name, &attributes, true, time(entry))
                    .map_err(EntryProblem::system("set its owner and time"))
            }
            TarKind::CharDevice | TarKind::BlockDevice | TarKind::Fifo => self.make_special(&parent, name, entry, &attributes),
            TarKind::Other(byte) => Err(EntryProblem::UnknownType(shown(&[byte]))),
        }
    }

    fn apply_root(&mut self, entry: &TarEntry, attributes: &Attributes) -> Result<(), EntryProblem> {
        if entry.kind != TarKind::Directory {
            return Err(EntryProblem::RootIsNoDirectory);
        }
        tree::set_attributes(&self.tree.root(), attributes).map_err(EntryProblem::system("set its owner and mode"))?;
        self.tree.set_directory_time(&[], time(entry));
        Ok(())
    }

    fn apply_whiteout(&mut self, parents: &[&[u8]], name: &[u8], hidden: &[u8]) -> Result<(), EntryProblem> {
        if name == OPAQUE_NAME {
            let dir = self.tree.directory(parents)?;
            if parents.is_empty() {
                self.tree.set_root_opaque();
                return Ok(());
            }
            return tree::set_opaque(&dir).map_err(EntryProblem::system("make its directory opaque"));
        }
        if name.starts_with(AUFS_PREFIX) {
            return Ok(());
        }
        if matches!(hidden, b"" | b"." | b"..") {
            return Err(EntryProblem::Whiteout);
        }
        let parent = self.tree.directory(parents)?;
        let hidden = OsStr::from_bytes(hidden);
        match tree::stat(&parent, hidden)? {
            None => tree::make_whiteout(&parent, hidden).map_err(EntryProblem::system("make the whiteout")),
            // Whiteouts speak of the layers below only, wherever they stand: the entry of this layer stays.
            Some(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                let dir = self.tree.open_made(&parent, hidden)?;
                tree::set_opaque(&dir).map_err(EntryProblem::system("make the directory opaque"))
            }
            Some(_) => Ok(()),
        }
    }

    fn make_directory(
        &mut self,
        parent: &OwnedFd,
        parts: &[&[u8]],
        name: &OsStr,
        entry: &TarEntry,
        attributes: &Attributes,
    ) -> Result<(), EntryProblem> {
        let mode = Mode::from_raw_mode(attributes.mode & 0o777);
        let make = || rustix::fs::mkdirat(parent, name, mode);
        let mut opaque = false;
        match make() {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                let there = tree::stat(parent, name)?;
                opaque = there.as_ref().is_some_and(is_whiteout);
                if !there.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory) {
                    self.tree.remove(parent, name, false)?;
                    make().map_err(EntryProblem::system("make the directory"))?;
                }
            }
            Err(error) => return Err(EntryProblem::system("make the directory")(error)),
        }
        let dir = self.tree.open_made(parent, name)?;
        tree::set_attributes(&dir, attributes).map_err(EntryProblem::system("set its owner, mode and attributes"))?;
        if opaque {
            tree::set_opaque(&dir).map_err(EntryProblem::system("make it opaque"))?;
        }
        self.tree.set_directory_time(parts, time(entry));
        self.tree.expect_below(parts, dir);
        Ok(())
    }

    fn make_file(
        &mut self,
        parent: &OwnedFd,
        name: &OsStr,
        entry: &TarEntry,
        attributes: Attributes,
        content: &mut impl Read,
    ) -> Result<(), EntryProblem> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // Nobody else can reach it before the layer is published; what the mask takes away is set again.
        let mode = Mode::from_raw_mode(attributes.mode & 0o777);
        let make = || rustix::fs::openat(parent, name, flags, mode);
        let mut file = File::from(self.replacing(parent, name, "create the file", make)?);
        if let Some(map) = &entry.sparse {
            if let Some(digests) = &self.digests {
                digests.forget(&file).map_err(EntryProblem::system("look at the file"))?;
            }
            map.write(&file, entry.size, content).map_err(|error| match error {
                SparseFileError::Read(source) => EntryProblem::system(READING)(source),
                SparseFileError::Write(source) => EntryProblem::system("write the file")(source),
            })?;
            return contents::complete(&file, &attributes, time(entry));
        }
        if entry.size <= QUEUED_BYTES as u64 {
            let mut bytes = self.contents.buffer();
            content.read_to_end(&mut bytes).map_err(EntryProblem::system(READING))?;
            let path = entry.path.clone();
            return self.contents.fill(Filling { path, file, content: bytes, attributes, time: time(entry) });
        }
        self.buffer.resize(QUEUED_BYTES, 0);
        let mut sum = self.digests.is_some().then(Sha256::new);
        loop {
            let read = content.read(&mut self.buffer).map_err(EntryProblem::system(READING))?;
            if read == 0 {
                break;
            }
            file.write_all(&self.buffer[..read]).map_err(EntryProblem::system("write the file"))?;
            if let Some(sum) = &mut sum {
                sum.update(&self.buffer[..read]);
            }
        }
        contents::complete(&file, &attributes, time(entry))?;
        match (&self.digests, sum) {
            (Some(digests), Some(sum)) => contents::note(digests, &file, sum.finalize().into()),
            _ => Ok(()),
        }
    }

    fn make_hard_link(&mut self, parent: &OwnedFd, name: &OsStr, entry: &TarEntry) -> Result<(), EntryProblem> {
        let parts = components(&entry.link, "link target", self.limits)?;
        let no_target = || EntryProblem::HardLinkTarget { target: shown(&entry.link) };
        let (target_name, parents) = parts.split_last().ok_or_else(no_target)?;
        let target_dir = match self.tree.existing_directory(parents) {
            Err(EntryProblem::System { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => return Err(no_target()),
            other => other?,
        };
        let target_name = OsStr::from_bytes(target_name);
        let target = tree::stat(&target_dir, target_name)?.ok_or_else(no_target)?;
        if is_whiteout(&target) || FileType::from_raw_mode(target.st_mode) == FileType::Directory {
            return Err(no_target());
        }
        if tree::stat(parent, name)?.is_some_and(|there| (there.st_dev, there.st_ino) == (target.st_dev, target.st_ino)) {
            return Ok(());
        }
        let link = || rustix::fs::linkat(&target_dir, target_name, parent, name, AtFlags::empty());
        match self.replacing(parent, name, "make the hard link", link) {
            Ok(()) => self.note_link(parent, name),
            // The target was inside the directory this link replaced.
            Err(EntryProblem::System { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Err(no_target()),
            other => other,
        }
    }

    /// A further name changes the file it is of.
    fn note_link(&self, parent: &OwnedFd, name: &OsStr) -> Result<(), EntryProblem> {
        let Some(digests) = &self.digests else { return Ok(()) };
        if let Some(stat) = tree::stat(parent, name)? {
            digests.note_link(stat.st_ino, (stat.st_ctime, stat.st_ctime_nsec.try_into().unwrap_or_default()));
        }
        Ok(())
    }

    fn make_special(
        &mut self,
        parent: &OwnedFd,
        name: &OsStr,
        entry: &TarEntry,
        attributes: &Attributes,
    ) -> Result<(), EntryProblem> {
        let (major, minor) = entry.device;
        let kind = match entry.kind {
            TarKind::CharDevice => FileType::CharacterDevice,
            TarKind::BlockDevice => FileType::BlockDevice,
            _ => FileType::Fifo,
        };
        // A character device 0:0 would be taken for a whiteout.
        if kind != FileType::Fifo && (major > MAJOR_MAX || minor > MINOR_MAX || (major, minor) == (0, 0)) {
            return Err(EntryProblem::Device { major, minor });
        }
        let device = if kind == FileType::Fifo { 0 } else { makedev(major, minor) };
        let make = || rustix::fs::mknodat(parent, name, kind, Mode::RUSR | Mode::WUSR, device);
        self.replacing(parent, name, "make the device or pipe", make)?;
        tree::set_attributes_at(parent, name, attributes, false, time(entry))
            .map_err(EntryProblem::system("set its owner, mode and time"))
    }

    /// Makes something new at `name`; what an earlier entry put there goes away: the later one wins.
    fn replacing<T>(
        &mut self,
        parent: &OwnedFd,
        name: &OsStr,
        action: &'static str,
        make: impl Fn() -> rustix::io::Result<T>,
    ) -> Result<T, EntryProblem> {
        match make() {
            Err(Errno::EXIST) => {}
            other => return other.map_err(EntryProblem::system(action)),
        }
        if let Some(stat) = tree::stat(parent, name)? {
            self.tree.remove(parent, name, FileType::from_raw_mode(stat.st_mode) == FileType::Directory)?;
        }
        make().map_err(EntryProblem::system(action))
    }
}

/// The action in an [`EntryProblem::System`] that blames the archive, not the file system.
pub(super) const READING: &str = "read its content";

fn attributes(entry: &TarEntry) -> Result<Attributes, EntryProblem> {
    // The highest number means "unchanged" to chown.
    let id = |id: u64| u32::try_from(id).ok().filter(|id| *id != u32::MAX);
    let (Some(uid), Some(gid)) = (id(entry.uid), id(entry.gid)) else {
        return Err(EntryProblem::Owner { uid: entry.uid, gid: entry.gid });
    };
    Ok(Attributes { uid, gid, mode: entry.mode & 0o7777, xattrs: entry.xattrs.clone() })
}

fn time(entry: &TarEntry) -> tree::Time {
    (entry.mtime, entry.mtime_nanos)
}
