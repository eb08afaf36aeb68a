//! Walks an overlay upper directory and writes the layer that has the same effect (image-spec layer.md, "Representing
//! Changes"; overlayfs.rst for the upper's side).
//!
//! Order: within a directory first the opaque marker, then deletions, then entries, each sorted by bytes; a directory
//! comes before what is in it. The upper directory must be at rest: no process of the build may be left.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use rustix::fs::{CWD, FileType};

use super::compare::{self, Side};
use super::error::PackError;
use super::file_hashes::{FileDigest, FileDigestAlgorithm, HashedFile};
use super::listing::{Listed, Listing, open_at};
use crate::UnpackLimits;
use crate::merged_view::{Found, MergedDir};
use crate::overlay::{self, Place, XattrNames};
use crate::store::FileDigestList;
use crate::tar_format::{TarEntry, TarKind, TarWriter, shown};

/// Deepest nesting and longest path; the same as for unpacking.
const DEPTH_MAX: usize = 256;
const PATH_MAX: usize = 4095;

/// Writes entries to a layer.
pub(super) struct Walk<W> {
    pub(super) tar: TarWriter<W>,
    pub(super) entries: u64,
    /// Bytes of the files so far.
    bytes: u64,
    limits: UnpackLimits,
    clamp: Option<i64>,
    /// Without lower layers nobody can say whether a whiteout hides something.
    has_lowers: bool,
    /// Unchanged directories on the way to the current place, written when something below them is.
    pending: Vec<TarEntry>,
    /// Files with several names that were written, by device and inode.
    written: HashMap<(u64, u64), Linked>,
    algorithms: Vec<FileDigestAlgorithm>,
    /// Where the digests of files go, when they are wanted.
    pub(super) list: Option<FileDigestList>,
}

/// A file with several names: the first of them, and its digests for the others.
struct Linked {
    path: Vec<u8>,
    file: Option<FileDigest>,
}

impl<W: Write> Walk<W> {
    pub(super) fn new(tar: TarWriter<W>, clamp: Option<i64>, has_lowers: bool) -> Self {
        Self {
            tar,
            entries: 0,
            bytes: 0,
            limits: UnpackLimits::default(),
            clamp,
            has_lowers,
            pending: Vec::new(),
            written: HashMap::new(),
            algorithms: Vec::new(),
            list: None,
        }
    }

    /// Takes digests of every regular file on the way and puts them into `list`.
    pub(super) fn take_digests(&mut self, algorithms: Vec<FileDigestAlgorithm>, list: FileDigestList) {
        (self.algorithms, self.list) = (algorithms, Some(list));
    }

    /// Packs the upper directory `host` over the merged root `below`.
    pub(super) fn root(&mut self, host: &Path, below: &MergedDir) -> Result<(), PackError> {
        let meta = fs::symlink_metadata(host).map_err(reading(b"./"))?;
        // A root is packed only for its owner and mode: its time changes with every layer.
        let changed = match below.top() {
            Some(top) => self.attributes_differ(host, &meta, top, b"./")?,
            None => {
                let xattrs = overlay::image_xattrs(host).map_err(reading(b"./"))?;
                (meta.mode() & 0o7777, meta.uid(), meta.gid()) != (0o755, 0, 0) || !xattrs.is_empty()
            }
        };
        if changed {
            let names = XattrNames::of(Place::Path(host)).map_err(reading(b"./"))?;
            let entry = self.entry(b"./", TarKind::Directory, &names, &meta)?;
            self.write(&entry)?;
        }
        self.directory(host, b"", below, 0)
    }

    /// Packs what is in the directory `host`, which is `path` in the image.
    fn directory(&mut self, host: &Path, path: &[u8], below: &MergedDir, depth: usize) -> Result<(), PackError> {
        if depth > DEPTH_MAX {
            return Err(PackError::TooDeep { path: shown(path) });
        }
        let listing = Listing::of(host).map_err(reading(path))?;
        let mut entries = Vec::new();
        for Listed { name, kind } in &listing.names {
            let child = join(path, name.as_bytes());
            if child.len() > PATH_MAX {
                return Err(PackError::TooDeep { path: shown(&child) });
            }
            let may_be_whiteout = matches!(kind, FileType::CharacterDevice | FileType::Unknown);
            if may_be_whiteout && listing.is_whiteout(name).map_err(reading(&child))? {
                self.whiteout(path, name, below)?;
            } else if name.as_bytes().starts_with(overlay::WHITEOUT_PREFIX) {
                return Err(PackError::ReservedName { path: shown(&child) });
            } else {
                entries.push((name, *kind, child));
            }
        }
        for (name, kind, child) in entries {
            let found = below.child(name).map_err(|source| PackError::Below { path: shown(&child), source })?;
            let child_host = host.join(name);
            if kind == FileType::RegularFile {
                let opened = listing.open(name).map_err(reading(&child))?;
                let meta = opened.metadata().map_err(reading(&child))?;
                self.file(&child_host, &child, &meta, found.as_ref(), Some(&opened))?;
                continue;
            }
            let meta = fs::symlink_metadata(&child_host).map_err(reading(&child))?;
            if meta.is_dir() {
                self.subdirectory(&child_host, &child, &meta, found, depth)?;
            } else {
                self.file(&child_host, &child, &meta, found.as_ref(), None)?;
            }
        }
        Ok(())
    }

    /// A deletion, unless there is nothing below that it could hide.
    fn whiteout(&mut self, parent: &[u8], name: &OsStr, below: &MergedDir) -> Result<(), PackError> {
        let child = join(parent, name.as_bytes());
        let hides = || below.child(name).map_err(|source| PackError::Below { path: shown(&child), source });
        if self.has_lowers && hides()?.is_none() {
            return Ok(());
        }
        self.write_marker(join(parent, &[overlay::WHITEOUT_PREFIX, name.as_bytes()].concat()))
    }

    /// A marker file: owned by root, mode 0, and always of the same time.
    fn write_marker(&mut self, path: Vec<u8>) -> Result<(), PackError> {
        let mut entry = TarEntry::file(path, 0);
        (entry.mode, entry.mtime) = (0, self.clamp.unwrap_or(0));
        self.write(&entry)
    }

    fn subdirectory(
        &mut self,
        host: &Path,
        path: &[u8],
        meta: &Metadata,
        found: Option<Found>,
        depth: usize,
    ) -> Result<(), PackError> {
        let names = XattrNames::of(Place::Path(host)).map_err(reading(path))?;
        refuse_overlay_feature(&names, path, overlay::REDIRECT, "redirect_dir")?;
        let opaque = names.has(overlay::OPAQUE) && overlay::is_opaque(host).map_err(reading(path))?;
        let below = match found {
            Some(Found::Dir(dir)) => Some(dir),
            _ => None,
        };
        let entry = self.entry(&[path, b"/"].concat(), TarKind::Directory, &names, meta)?;
        let changed = match below.as_ref().and_then(MergedDir::top) {
            // A new time alone says that something came and went in it, mount points for example. Nothing is left of that.
            Some(top) if !opaque => self.attributes_differ(host, meta, top, path)?,
            _ => true,
        };
        let pending_before = self.pending.len();
        if changed {
            self.write(&entry)?;
        } else {
            self.pending.push(entry);
        }
        // overlayfs marks every new directory opaque; it matters only where a directory is hidden by it.
        if opaque && below.is_some() {
            self.write_marker(join(path, overlay::OPAQUE_NAME))?;
        }
        let below = below.filter(|_| !opaque).unwrap_or_else(MergedDir::empty);
        self.directory(host, path, &below, depth + 1)?;
        self.pending.truncate(pending_before);
        Ok(())
    }

    /// Packs what is no directory; a regular file may be `opened` already.
    fn file(
        &mut self,
        host: &Path,
        path: &[u8],
        meta: &Metadata,
        found: Option<&Found>,
        opened: Option<&File>,
    ) -> Result<(), PackError> {
        let names = XattrNames::of(opened.map_or(Place::Path(host), Place::File)).map_err(reading(path))?;
        let kind = meta.file_type();
        let tar_kind = if kind.is_file() {
            refuse_overlay_feature(&names, path, overlay::METACOPY, "metacopy")?;
            TarKind::File
        } else if kind.is_symlink() {
            TarKind::Symlink
        } else if kind.is_fifo() {
            TarKind::Fifo
        } else if kind.is_char_device() {
            TarKind::CharDevice
        } else if kind.is_block_device() {
            TarKind::BlockDevice
        } else {
            // A socket means nothing without the process that listens on it.
            tracing::debug!(path = %shown(path), "a socket is left out of the layer");
            return Ok(());
        };
        // Of a file with several names all are written, or the link between them would be lost.
        if meta.nlink() == 1
            && let Some(Found::Other(lower_path, lower_meta)) = found
        {
            let (upper, lower) = (Side { path: host, meta }, Side { path: lower_path, meta: lower_meta });
            if compare::same_entry(upper, lower, self.clamp).map_err(reading(path))? {
                return Ok(());
            }
        }
        let inode = (meta.dev(), meta.ino());
        if let Some(first) = self.written.get(&inode) {
            let mut link = TarEntry { link: first.path.clone(), ..self.entry(path, TarKind::HardLink, &names, meta)? };
            link.xattrs.clear();
            let file = first.file.clone().map(|file| FileDigest { path: path.to_vec(), ..file });
            self.write(&link)?;
            return self.list_file(file.as_ref());
        }
        let mut entry = self.entry(path, tar_kind, &names, meta)?;
        match tar_kind {
            TarKind::Symlink => entry.link = fs::read_link(host).map_err(reading(path))?.into_os_string().into_vec(),
            TarKind::CharDevice | TarKind::BlockDevice => {
                entry.device = (rustix::fs::major(meta.rdev()), rustix::fs::minor(meta.rdev()));
            }
            _ => {}
        }
        let file = match tar_kind {
            TarKind::File => match opened {
                Some(file) => self.write_file(file, entry, meta.len())?,
                None => self.write_file(&open_at(CWD, host).map_err(reading(path))?, entry, meta.len())?,
            },
            _ => self.write(&entry).map(|()| None)?,
        };
        self.list_file(file.as_ref())?;
        if meta.nlink() > 1 {
            self.written.insert(inode, Linked { path: path.to_vec(), file });
        }
        Ok(())
    }

    /// Writes a regular file with its content; gives its digests when they are wanted.
    fn write_file(&mut self, file: &File, entry: TarEntry, size: u64) -> Result<Option<FileDigest>, PackError> {
        let entry = TarEntry { size, ..entry };
        self.check_size(&entry.path, size)?;
        self.flush_pending()?;
        self.entries += 1;
        let failed = |source| PackError::Io { action: "pack", path: entry.shown_path(), source };
        if self.list.is_none() {
            self.tar.append_file(&entry, file).map_err(failed)?;
            return Ok(None);
        }
        let mut hashed = HashedFile::new(file, &self.algorithms);
        self.tar.append_file(&entry, &mut hashed).map_err(failed)?;
        Ok(Some(FileDigest { path: entry.path, size, digests: hashed.finish() }))
    }

    fn list_file(&mut self, file: Option<&FileDigest>) -> Result<(), PackError> {
        let (Some(list), Some(file)) = (&mut self.list, file) else { return Ok(()) };
        list.push(file).map_err(|source| PackError::Io { action: "note the digests of", path: shown(&file.path), source })
    }

    /// A sparse file of a terabyte takes no disk here, but hours to pack.
    fn check_size(&mut self, path: &[u8], size: u64) -> Result<(), PackError> {
        self.bytes = self.bytes.saturating_add(size);
        let (file, layer) = (self.limits.file_bytes, self.limits.uncompressed_bytes);
        for (found, limit, what) in [(size, file, "the file"), (self.bytes, layer, "the layer with it")] {
            if found > limit {
                return Err(PackError::TooLarge { path: shown(path), what, limit });
            }
        }
        Ok(())
    }

    /// What is common to all entries.
    fn entry(&self, path: &[u8], kind: TarKind, names: &XattrNames<'_>, meta: &Metadata) -> Result<TarEntry, PackError> {
        Ok(TarEntry {
            mode: meta.mode() & 0o7777,
            uid: meta.uid().into(),
            gid: meta.gid().into(),
            mtime: self.clamp.map_or(meta.mtime(), |clamp| meta.mtime().min(clamp)),
            xattrs: names.of_image().map_err(reading(path))?,
            ..TarEntry::new(path, kind)
        })
    }

    fn write(&mut self, entry: &TarEntry) -> Result<(), PackError> {
        self.flush_pending()?;
        self.entries += 1;
        self.tar.append(entry).map_err(|source| PackError::Io { action: "write the entry", path: entry.shown_path(), source })
    }

    fn flush_pending(&mut self) -> Result<(), PackError> {
        for entry in std::mem::take(&mut self.pending) {
            self.entries += 1;
            let failed = |source| PackError::Io { action: "write the entry", path: entry.shown_path(), source };
            self.tar.append(&entry).map_err(failed)?;
        }
        Ok(())
    }

    fn attributes_differ(&self, host: &Path, meta: &Metadata, below: &Path, path: &[u8]) -> Result<bool, PackError> {
        let below_meta = fs::symlink_metadata(below).map_err(|source| PackError::Below { path: shown(path), source })?;
        let (upper, lower) = (Side { path: host, meta }, Side { path: below, meta: &below_meta });
        Ok(!compare::same_attributes(upper, lower).map_err(reading(path))?)
    }
}

fn reading(path: &[u8]) -> impl FnOnce(io::Error) -> PackError {
    let path = shown(path);
    move |source| PackError::Io { action: "read", path, source }
}

/// Fails when overlayfs left something of this entry in a lower layer.
fn refuse_overlay_feature(names: &XattrNames<'_>, path: &[u8], name: &str, option: &'static str) -> Result<(), PackError> {
    if names.has(name) { Err(PackError::Incomplete { path: shown(path), option }) } else { Ok(()) }
}

fn join(parent: &[u8], name: &[u8]) -> Vec<u8> {
    if parent.is_empty() { name.to_vec() } else { [parent, b"/", name].concat() }
}
