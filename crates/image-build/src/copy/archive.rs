//! ADD of a local archive (engine: C8): recognised by content, unpacked entry by entry inside the image's root. Names are
//! strangers' input: `..` and absolute names are clamped, symlinks already in the image are followed inside it only.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use image_layers::decoder;
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid, XattrFlags};
use tar::{Archive, Entry, EntryType};

use super::CopyError;
use super::file::is_portable_xattr;
use super::tree::Rewrite;
use crate::cancel::CancelFlag;
use crate::rootfs::{RootDir, components, file_type, lstat_in, modification_time, open_dir_in};

type Plain = Box<dyn Read>;

/// Opens `file` as an archive: plain tar, or tar in gzip, bzip2, xz or zstd. `None` when it is something else, which
/// includes compressed files that hold no tar.
pub(super) fn open(mut file: File) -> io::Result<Option<Archive<Plain>>> {
    let mut header = [0; 512];
    let recognised = match plain(&file)?.and_then(|mut p| p.read_exact(&mut header)) {
        Ok(()) => is_tar_header(&header),
        Err(_) => false,
    };
    if !recognised {
        return Ok(None);
    }
    file.rewind()?;
    Ok(Some(Archive::new(plain(&file)??)))
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
    archive: &mut Archive<Plain>,
    name: &Path,
    dest: &RootDir,
    rewrite: &Rewrite,
    cancel: &CancelFlag,
) -> Result<(), CopyError> {
    let broken = |source| CopyError::Archive { archive: name.to_owned(), source };
    let mut unpacker = Unpacker { dest, rewrite, directories: Vec::new() };
    for entry in archive.entries().map_err(broken)? {
        if cancel.is_cancelled() {
            return Err(CopyError::Cancelled);
        }
        let mut entry = entry.map_err(broken)?;
        let path: PathBuf = components(Path::new(OsStr::from_bytes(&entry.path_bytes()))).iter().collect();
        let named = |source: io::Error| broken(io::Error::new(source.kind(), format!("{}: {source}", path.display())));
        unpacker.entry(&mut entry, &path).map_err(named)?;
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
    fn entry(&mut self, entry: &mut Entry<'_, Plain>, path: &Path) -> io::Result<()> {
        let kind = entry.header().entry_type();
        let attributes = self.attributes(entry)?;
        let Some(name) = path.file_name() else {
            // The archive's own root directory says how the destination looks.
            return if kind.is_dir() { self.finish_directory(Path::new(""), &attributes) } else { Ok(()) };
        };
        let owner = self.rewrite.owner.unwrap_or((0, 0));
        let parent = self.dest.make_dirs(path.parent().unwrap_or(Path::new("")), owner)?;
        let existing = lstat_in(parent.as_fd(), name)?;
        let both_directories = kind.is_dir() && existing.as_ref().is_some_and(|s| file_type(s) == FileType::Directory);
        if !both_directories && existing.is_some() {
            self.remove(&parent, name)?;
        }
        match kind {
            EntryType::Directory => {
                if !both_directories {
                    rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o700))?;
                }
                return self.finish_directory(path, &attributes);
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                return write_file(entry, &parent, name, &attributes);
            }
            EntryType::Link => return self.hard_link(entry, &parent, name),
            EntryType::Symlink => {
                let target = entry.link_name_bytes().ok_or_else(|| invalid("a symlink without target"))?;
                rustix::fs::symlinkat(&*target, &parent, name)?;
            }
            EntryType::Fifo => rustix::fs::mknodat(&parent, name, FileType::Fifo, Mode::from_raw_mode(attributes.mode), 0)?,
            EntryType::Char | EntryType::Block => {
                let number = |n: io::Result<Option<u32>>| n.and_then(|n| n.ok_or_else(|| invalid("a device without number")));
                let (major, minor) = (number(entry.header().device_major())?, number(entry.header().device_minor())?);
                let kind = if kind == EntryType::Char { FileType::CharacterDevice } else { FileType::BlockDevice };
                let device = rustix::fs::makedev(major, minor);
                rustix::fs::mknodat(&parent, name, kind, Mode::from_raw_mode(attributes.mode), device)?;
            }
            // Volume labels and other remarks.
            _ => return Ok(()),
        }
        if kind != EntryType::Symlink {
            rustix::fs::chmodat(&parent, name, Mode::from_raw_mode(attributes.mode), AtFlags::empty())?;
        }
        let (uid, gid) = (Uid::from_raw(attributes.uid), Gid::from_raw(attributes.gid));
        rustix::fs::chownat(&parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        let times = modification_time(attributes.mtime, 0);
        rustix::fs::utimensat(&parent, name, &times, AtFlags::SYMLINK_NOFOLLOW).map_err(Into::into)
    }

    fn attributes(&self, entry: &mut Entry<'_, Plain>) -> io::Result<Attributes> {
        let header = entry.header();
        let fields = header.as_old();
        let id =
            |field: &[u8], value| u32::try_from(blank_is_zero(field, value)?).map_err(|_| invalid("an owner beyond 32 bits"));
        let own = (id(&fields.uid, header.uid())?, id(&fields.gid, header.gid())?);
        let (uid, gid) = self.rewrite.owner.unwrap_or(own);
        let old = blank_is_zero(&fields.mode, header.mode().map(u64::from))? as u32 & 0o7777;
        let mode = self.rewrite.mode.as_ref().map_or(old, |change| change.apply(old, header.entry_type().is_dir()));
        let mtime = i64::try_from(blank_is_zero(&fields.mtime, header.mtime())?).unwrap_or(0);
        let mut xattrs = Vec::new();
        if let Some(extensions) = entry.pax_extensions()? {
            for extension in extensions {
                let extension = extension?;
                // The reader would take the map for content.
                if extension.key_bytes().starts_with(b"GNU.sparse.") {
                    return Err(invalid("a sparse file in GNU's pax form, which ADD does not read; pack it without --sparse"));
                }
                let Some(name) = extension.key_bytes().strip_prefix(b"SCHILY.xattr.") else { continue };
                let name = OsStr::from_bytes(name);
                if is_portable_xattr(name) {
                    xattrs.push((name.to_owned(), extension.value_bytes().to_owned()));
                }
            }
        }
        Ok(Attributes { uid, gid, mode, mtime, xattrs })
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

    fn hard_link(&self, entry: &Entry<'_, Plain>, parent: &impl AsFd, name: &OsStr) -> io::Result<()> {
        let target = entry.link_name_bytes().ok_or_else(|| invalid("a hard link without target"))?;
        let target: PathBuf = components(Path::new(OsStr::from_bytes(&target))).iter().collect();
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

fn write_file(entry: &mut Entry<'_, Plain>, parent: &impl AsFd, name: &OsStr, attributes: &Attributes) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o600))?);
    io::copy(entry, &mut file)?;
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

/// Old archivers leave numbers blank that they have no use for.
fn blank_is_zero(field: &[u8], value: io::Result<u64>) -> io::Result<u64> {
    if field.iter().all(|b| matches!(b, 0 | b' ')) { Ok(0) } else { value }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;
    use std::os::unix::fs::{MetadataExt, symlink};
    use tar::{Builder, Header};

    fn header(kind: EntryType, size: u64) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(0o640);
        header.set_mtime(1_000_000);
        header
    }

    /// An entry whose name the tar crate would refuse to write.
    fn raw(builder: &mut Builder<Vec<u8>>, name: &str, kind: EntryType, link: &str, content: &[u8]) {
        let mut header = header(kind, content.len() as u64);
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        builder.append(&header, content).expect("append");
    }

    fn file_of(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().expect("tempfile");
        file.write_all(bytes).expect("write");
        file.rewind().expect("rewind");
        file
    }

    fn unpack_into(image: &Path, bytes: &[u8]) -> Result<(), CopyError> {
        let root = RootDir::open(image).expect("open");
        root.make_dirs(Path::new("/dest"), (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw()))
            .expect("dest");
        let dest = root.below(Path::new("/dest")).expect("open");
        let owner = Some((rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw()));
        let rewrite = Rewrite { owner, mode: None, devices: false };
        let mut archive = open(file_of(bytes)).expect("open").expect("an archive");
        unpack(&mut archive, Path::new("a.tar"), &dest, &rewrite, &CancelFlag::new())
    }

    fn sample() -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        raw(&mut builder, "./dir/", EntryType::Directory, "", b"");
        raw(&mut builder, "./dir/file", EntryType::Regular, "", b"content");
        raw(&mut builder, "dir/hard", EntryType::Link, "./dir/file", b"");
        raw(&mut builder, "../../up", EntryType::Regular, "", b"up");
        raw(&mut builder, "/abs", EntryType::Symlink, "/dest/dir", b"");
        builder.into_inner().expect("tar")
    }

    #[test]
    fn every_compression_is_recognised_by_content() {
        let tar = sample();
        let gzip = |bytes: &[u8]| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).expect("gzip");
            encoder.finish().expect("gzip")
        };
        let mut bz = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        bz.write_all(&tar).expect("bzip2");
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 0);
        xz.write_all(&tar).expect("xz");
        for bytes in [tar.clone(), gzip(&tar), bz.finish().expect("bzip2"), xz.finish().expect("xz")] {
            assert!(open(file_of(&bytes)).expect("open").is_some());
        }
        for other in
            [b"plain text".to_vec(), gzip(b"not a tar"), vec![0; 2048], Vec::new(), b"BZhnot really".to_vec(), vec![0x1f, 0x8b]]
        {
            assert!(open(file_of(&other)).expect("open").is_none());
        }
    }

    #[test]
    fn names_are_clamped_and_metadata_is_the_archives() {
        let image = tempfile::tempdir().expect("tempdir");
        unpack_into(image.path(), &sample()).expect("unpack");
        let file = fs::metadata(image.path().join("dest/dir/file")).expect("file");
        assert_eq!((file.mode() & 0o7777, file.mtime(), file.nlink()), (0o640, 1_000_000, 2));
        assert_eq!(fs::metadata(image.path().join("dest/dir")).expect("dir").mtime(), 1_000_000);
        assert_eq!(fs::read(image.path().join("dest/up")).expect("up"), b"up");
        assert_eq!(fs::read_link(image.path().join("dest/abs")).expect("abs"), Path::new("/dest/dir"));
    }

    #[test]
    fn symlinks_in_the_image_or_the_archive_lead_nowhere_outside() {
        let outside = tempfile::tempdir().expect("tempdir");
        let image = tempfile::tempdir().expect("tempdir");
        fs::create_dir(image.path().join("dest")).expect("mkdir");
        symlink(outside.path(), image.path().join("dest/out")).expect("symlink");
        let mut builder = Builder::new(Vec::new());
        raw(&mut builder, "out/evil", EntryType::Regular, "", b"1");
        raw(&mut builder, "own", EntryType::Symlink, outside.path().to_str().expect("utf-8"), b"");
        raw(&mut builder, "own/evil", EntryType::Regular, "", b"2");
        unpack_into(image.path(), &builder.into_inner().expect("tar")).expect("unpack");
        assert_eq!(fs::read_dir(outside.path()).expect("list").count(), 0);
    }

    #[test]
    fn the_destination_is_the_root_of_symlinks_on_the_way() {
        let image = tempfile::tempdir().expect("tempdir");
        let mut builder = Builder::new(Vec::new());
        raw(&mut builder, "", EntryType::Regular, "", b"");
        raw(&mut builder, "up", EntryType::Symlink, "..", b"");
        raw(&mut builder, "up/etc/file", EntryType::Regular, "", b"1");
        raw(&mut builder, "abs", EntryType::Symlink, "/etc", b"");
        raw(&mut builder, "abs/other", EntryType::Regular, "", b"2");
        unpack_into(image.path(), &builder.into_inner().expect("tar")).expect("unpack");
        assert!(image.path().join("dest/etc/file").is_file() && image.path().join("dest/etc/other").is_file());
        assert!(!image.path().join("etc").exists());
    }

    #[test]
    fn sparse_files_are_unpacked_or_refused_never_garbled() {
        let dir = tempfile::tempdir().expect("tempdir");
        let file = File::create(dir.path().join("holes")).expect("created");
        file.set_len(1 << 20).expect("a hole");
        std::os::unix::fs::FileExt::write_all_at(&file, b"end", 600_000).expect("written");
        let tar = |format: &str| {
            let mut command = std::process::Command::new("tar");
            command.args(["--sparse", format, "-cf", "-", "holes"]).current_dir(dir.path());
            command.output().expect("tar runs").stdout
        };
        let image = tempfile::tempdir().expect("tempdir");
        unpack_into(image.path(), &tar("--format=gnu")).expect("the old form");
        assert_eq!(fs::read(image.path().join("dest/holes")).expect("read"), fs::read(dir.path().join("holes")).expect("read"));
        let err = unpack_into(image.path(), &tar("--format=pax")).expect_err("the new form");
        assert!(
            std::error::Error::source(&err).is_some_and(|e| e.to_string().contains("sparse file in GNU's pax form")),
            "{err}"
        );
    }

    #[test]
    fn a_cut_archive_is_an_error() {
        let mut tar = sample();
        tar.truncate(512 * 2 + 3);
        let image = tempfile::tempdir().expect("tempdir");
        let err = unpack_into(image.path(), &tar).expect_err("cut");
        assert!(matches!(err, CopyError::Archive { .. }), "{err}");
    }
}
