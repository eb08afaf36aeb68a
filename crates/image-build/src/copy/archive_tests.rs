//! Archives that are odd, hostile, or of some other archiver, unpacked as ADD does.

use super::*;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, symlink};
use tar::{Builder, EntryType, Header};

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
    root.make_dirs(Path::new("/dest"), (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw())).expect("dest");
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

/// GNU tar's own archives of one file with holes.
#[test]
fn sparse_files_of_every_form_come_out_whole() {
    let dir = tempfile::tempdir().expect("tempdir");
    let file = File::create(dir.path().join("holes")).expect("created");
    file.set_len(1 << 20).expect("a hole");
    std::os::unix::fs::FileExt::write_all_at(&file, b"first", 100_000).expect("written");
    std::os::unix::fs::FileExt::write_all_at(&file, b"second", 600_000).expect("written");
    let forms: [&[&str]; 4] = [
        &["--format=gnu"],
        &["--format=pax", "--sparse-version=0.0"],
        &["--format=pax", "--sparse-version=0.1"],
        &["--format=pax", "--sparse-version=1.0"],
    ];
    for form in forms {
        let mut command = std::process::Command::new("tar");
        command.arg("--sparse").args(form).args(["-cf", "-", "holes"]).current_dir(dir.path());
        let tar = command.output().expect("tar runs").stdout;
        assert!(tar.len() < 1 << 19, "{form:?}: tar packed the holes");
        let image = tempfile::tempdir().expect("tempdir");
        unpack_into(image.path(), &tar).unwrap_or_else(|e| panic!("{form:?}: {e}"));
        let unpacked = image.path().join("dest/holes");
        assert_eq!(fs::read(&unpacked).expect("read"), fs::read(dir.path().join("holes")).expect("read"), "{form:?}");
        assert!(fs::metadata(&unpacked).expect("stat").blocks() < 1024, "{form:?}: the holes take room");
        assert_eq!(fs::read_dir(image.path().join("dest")).expect("list").count(), 1, "{form:?}");
    }
}

#[test]
fn a_cut_archive_is_an_error() {
    let mut tar = sample();
    tar.truncate(512 * 2 + 3);
    let image = tempfile::tempdir().expect("tempdir");
    let err = unpack_into(image.path(), &tar).expect_err("cut");
    assert!(matches!(err, CopyError::Archive { .. }), "{err}");
}
