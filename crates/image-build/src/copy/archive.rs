//! ADD of a local archive (engine: C8): recognised by content, unpacked entry by entry inside the image's root. Names are
//! strangers' input: `..` and absolute names are clamped, symlinks already in the image are followed inside it only.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use image_layers::decoder;
use image_layers::tar_format::{SparseFileError, TarEntry, TarKind, TarReader};
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid, XattrFlags};

use super::CopyError;
use super::file::is_portable_xattr;
use super::tree::Rewrite;
use crate::cancel::CancelFlag;
use crate::rootfs::{RootDir, components, file_type, lstat_in, modification_time, open_dir_in};

/// Bytes of the extended headers of one entry; far more than names and attributes that Linux takes.
const EXTENSION_LIMIT: u64 = 16 << 20;

type Plain = Box<dyn Read>;
/// An archive that is being read.
pub(super) type Archive = TarReader<Plain>;

/// Opens `file` as an archive: plain tar, or tar in gzip, bzip2, xz or zstd. `None` when it is something else, which
/// includes compressed files that hold no tar.
pub(super) fn open(mut file: File) -> io::Result<Option<Archive>> {
    let mut header = [0; 512];
    let recognised = match plain(&file)?.and_then(|mut p| p.read_exact(&mut header)) {
        Ok(()) => is_tar_header(&header),
        Err(_) => false,
    };
    if !recognised {
        return Ok(None);
    }
    file.rewind()?;
    Ok(Some(TarReader::new(plain(&file)??, EXTENSION_LIMIT).with_sparse_files()))
}

/// The content without compression; the inner error is "not in the format it seems to be in".
fn plain(file: &File) -> io::Result<io::Result<Plain>> {
    let mut start = [0; 6];
    let n = read_start(file, &mut start)?;
    let file = BufReader::with_capacity(256 * 1024, file.try_clone()?);
    Ok(match start.get(..n).unwrap_or_default() {
        [b'B', b'Z', b'h', ..] => Ok(Box::new(bzip2::bufread::MultiBzDecoder::new(file))),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Ok(Box::new(liblzma::bufread::XzDecoder::new_multi_decoder(file))),
        _ => decoder(file),
    })
}

fn read_start(file: &File, buffer: &mut [u8]) -> io::Result<usize> {
    use std::os::unix::fs::FileExt;
    let mut n = 0;
    while let Some(rest) = buffer.get_mut(n..).filter(|r| !r.is_empty()) {
        match file.read_at(rest, n as u64)? {
            0 => break,
            more => n += more,
        }
    }
    Ok(n)
}

/// The checksum of a ustar header (POSIX pax, "ustar Interchange Format"), which old tars have too. The name may be empty:
/// so some archivers write the directory they were called in. A block of zeros has no checksum.
fn is_tar_header(block: &[u8; 512]) -> bool {
    let (unsigned, signed) = block.iter().enumerate().fold((0u32, 0i32), |(unsigned, signed), (i, byte)| {
        let byte = if (148..156).contains(&i) { b' ' } else { *byte };
        (unsigned + u32::from(byte), signed + i32::from(byte as i8))
    });
    let text: String = block[148..156].iter().map(|b| char::from(*b)).collect();
    let stored = u32::from_str_radix(text.trim_matches([' ', '\0']), 8).ok();
    stored == Some(unsigned) || stored.is_some_and(|s| i64::from(s) == i64::from(signed))
}

/// Unpacks `archive` (called `name` in messages) into the directory `dest` of the image. As in Docker, that directory is the
/// root of every path and symlink on the way: neither a symlink of the archive nor one of the image leads out of it.
pub(super) fn unpack(
    archive: &mut Archive,
    name: &Path,
    dest: &RootDir,
    rewrite: &Rewrite,
    cancel: &CancelFlag,
) -> Result<(), CopyError> {
    let broken = |source| CopyError::Archive { archive: name.to_owned(), source };
    let mut unpacker = Unpacker { dest, rewrite, directories: Vec::new() };
    while let Some(entry) = archive.next_entry().map_err(|error| broken(invalid(error)))? {
        if cancel.is_cancelled() {
            return Err(CopyError::Cancelled);
        }
        let path: PathBuf = components(Path::new(OsStr::from_bytes(&entry.path))).iter().collect();
        let named = |source: io::Error| broken(io::Error::new(source.kind(), format!("{}: {source}", path.display())));
        unpacker.entry(archive, &entry, &path).map_err(named)?;
    }
    unpacker.set_directory_times().map_err(broken)
}

struct Unpacker<'a> {
    dest: &'a RootDir,
    rewrite: &'a Rewrite,
    /// Directories with their times, set at the end: entries written into them change it.
    directories: Vec<(PathBuf, i64)>,
}

/// Owner, mode, time and attributes of an entry.
struct Attributes {
    uid: u32,
    gid: u32,
    mode: u32,
    mtime: i64,
    xattrs: Vec<(OsString, Vec<u8>)>,
}

impl Unpacker<'_> {
    fn entry(&mut self, archive: &mut Archive, entry: &TarEntry, path: &Path) -> io::Result<()> {
        let kind = entry.kind;
        let attributes = self.attributes(entry)?;
        let Some(name) = path.file_name() else {
            // The archive's own root directory says how the destination looks.
            return if kind == TarKind::Directory { self.finish_directory(Path::new(""), &attributes) } else { Ok(()) };
        };
        let owner = self.rewrite.owner.unwrap_or((0, 0));
        let parent = self.dest.make_dirs(path.parent().unwrap_or(Path::new("")), owner)?;
        let existing = lstat_in(parent.as_fd(), name)?;
        let both_directories =
            kind == TarKind::Directory && existing.as_ref().is_some_and(|s| file_type(s) == FileType::Directory);
        if !both_directories && existing.is_some() {
            self.remove(&parent, name)?;
        }
        match kind {
            TarKind::Directory => {
                if !both_directories {
                    rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o700))?;
                }
                return self.finish_directory(path, &attributes);
            }
            TarKind::File => return write_file(archive, entry, &parent, name, &attributes),
            TarKind::HardLink => return self.hard_link(entry, &parent, name),
            TarKind::Symlink if entry.link.is_empty() => return Err(invalid("a symlink without target")),
            TarKind::Symlink => rustix::fs::symlinkat(&*entry.link, &parent, name)?,
            TarKind::Fifo => rustix::fs::mknodat(&parent, name, FileType::Fifo, Mode::from_raw_mode(attributes.mode), 0)?,
            TarKind::CharDevice | TarKind::BlockDevice => {
                let kind = if kind == TarKind::CharDevice { FileType::CharacterDevice } else { FileType::BlockDevice };
                let device = rustix::fs::makedev(entry.device.0, entry.device.1);
                rustix::fs::mknodat(&parent, name, kind, Mode::from_raw_mode(attributes.mode), device)?;
            }
            // Volume labels and other remarks.
            TarKind::Other(_) => return Ok(()),
        }
        if kind != TarKind::Symlink {
            rustix::fs::chmodat(&parent, name, Mode::from_raw_mode(attributes.mode), AtFlags::empty())?;
        }
        let (uid, gid) = (Uid::from_raw(attributes.uid), Gid::from_raw(attributes.gid));
        rustix::fs::chownat(&parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        let times = modification_time(attributes.mtime, 0);
        rustix::fs::utimensat(&parent, name, &times, AtFlags::SYMLINK_NOFOLLOW).map_err(Into::into)
    }

    fn attributes(&self, entry: &TarEntry) -> io::Result<Attributes> {
        // The last id means "no change" to the kernel.
        let id = |id: u64| u32::try_from(id).ok().filter(|id| *id != u32::MAX).ok_or_else(|| invalid("an owner beyond 32 bits"));
        let own = (id(entry.uid)?, id(entry.gid)?);
        let (uid, gid) = self.rewrite.owner.unwrap_or(own);
        let mode =
            self.rewrite.mode.as_ref().map_or(entry.mode, |change| change.apply(entry.mode, entry.kind == TarKind::Directory));
        let portable = entry.xattrs.iter().filter(|(name, _)| is_portable_xattr(OsStr::from_bytes(name)));
        let xattrs = portable.map(|(name, value)| (OsStr::from_bytes(name).to_owned(), value.clone())).collect();
        Ok(Attributes { uid, gid, mode, mtime: entry.mtime, xattrs })
    }

    fn remove(&self, parent: &impl AsFd, name: &OsStr) -> io::Result<()> {
        match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
            Err(rustix::io::Errno::ISDIR) => {}
            other => return other.map_err(Into::into),
        }
        // A directory gives way to a file, as Docker has it. The path has no symlinks: it was opened component by component.
        let dir = open_dir_in(parent.as_fd(), name)?;
        let path = std::fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&dir)))?;
        std::fs::remove_dir_all(path)
    }

    fn hard_link(&self, entry: &TarEntry, parent: &impl AsFd, name: &OsStr) -> io::Result<()> {
        let target: PathBuf = components(Path::new(OsStr::from_bytes(&entry.link))).iter().collect();
        let found = self.dest.resolve_parent(&target)?;
        if found.stat.is_none() || found.is_dir() {
            return Err(invalid("a hard link to something that is not in the archive"));
        }
        let host = self.dest.host_path().join(found.path);
        rustix::fs::linkat(CWD, &host, parent, name, AtFlags::empty()).map_err(Into::into)
    }

    fn finish_directory(&mut self, path: &Path, attributes: &Attributes) -> io::Result<()> {
        let dir = self.dest.open_dir(path)?;
        set_attributes(&dir, attributes)?;
        self.directories.push((path.to_owned(), attributes.mtime));
        Ok(())
    }

    fn set_directory_times(&self) -> io::Result<()> {
        for (path, mtime) in self.directories.iter().rev() {
            // A later entry may have replaced it.
            if let Ok(dir) = self.dest.open_dir(path) {
                rustix::fs::futimens(&dir, &modification_time(*mtime, 0))?;
            }
        }
        Ok(())
    }
}

fn write_file(
    content: &mut Archive,
    entry: &TarEntry,
    parent: &impl AsFd,
    name: &OsStr,
    attributes: &Attributes,
) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o600))?);
    match &entry.sparse {
        None => {
            io::copy(content, &mut file)?;
        }
        Some(map) => map.write(&file, entry.size, content).map_err(|error| match error {
            SparseFileError::Read(source) | SparseFileError::Write(source) => source,
        })?,
    }
    set_attributes(&file, attributes)
}

fn set_attributes(file: &impl AsFd, attributes: &Attributes) -> io::Result<()> {
    rustix::fs::fchown(file, Some(Uid::from_raw(attributes.uid)), Some(Gid::from_raw(attributes.gid)))?;
    for (name, value) in &attributes.xattrs {
        rustix::fs::fsetxattr(file, name.as_os_str(), value, XattrFlags::empty())?;
    }
    rustix::fs::fchmod(file, Mode::from_raw_mode(attributes.mode))?;
    rustix::fs::futimens(file, &modification_time(attributes.mtime, 0)).map_err(Into::into)
}

fn invalid(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
#[path = "archive_tests.rs"]
mod tests;
