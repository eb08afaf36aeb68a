//! Our writer read by our reader and by the `tar` crate; archives as other programs write them.

use std::io::Read;
use std::process::{Command, Stdio};

use super::*;
use crate::testing::{scratch, tar};

fn entries() -> Vec<(TarEntry, &'static [u8])> {
    let long = "directory/".repeat(12) + &"n".repeat(80);
    let unsplittable = "x".repeat(101) + "/y";
    // No line feed in it: the `tar` crate takes records for lines.
    let note = (b"user.note".to_vec(), vec![0, 255, b'=']);
    let capability = (b"security.capability".to_vec(), vec![1, 0, 0, 2]);
    vec![
        (TarEntry { mode: 0o755, mtime: 5, ..TarEntry::new("dir/", TarKind::Directory) }, b""),
        (TarEntry { uid: 7, gid: 8, mtime: 1_700_000_000, ..TarEntry::file("dir/file", 5) }, b"hello"),
        (TarEntry::file(long.as_str(), 0), b""),
        (TarEntry { mode: 0o700, ..TarEntry::new("d/".repeat(60), TarKind::Directory) }, b""),
        (TarEntry::file(unsplittable.as_str(), 3), b"abc"),
        (TarEntry::file("schön/ü", 0), b""),
        (TarEntry::file(&b"not-utf8-\xff"[..], 0), b""),
        (TarEntry { uid: 3_000_000, gid: 4_000_000_000, ..TarEntry::file("big-ids", 0) }, b""),
        (TarEntry { mtime: -7, ..TarEntry::file("before-1970", 0) }, b""),
        (TarEntry { mtime: 1 << 40, ..TarEntry::file("far-future", 0) }, b""),
        (TarEntry { xattrs: vec![capability, note], ..TarEntry::file("attributes", 1) }, b"1"),
        (TarEntry { link: b"file".to_vec(), mode: 0o777, ..TarEntry::new("dir/link", TarKind::Symlink) }, b""),
        (TarEntry { link: vec![b'l'; 150], ..TarEntry::new("long-link", TarKind::Symlink) }, b""),
        (TarEntry { link: b"dir/file".to_vec(), ..TarEntry::new("hard", TarKind::HardLink) }, b""),
        (TarEntry { device: (259, 70_000), ..TarEntry::new("disk", TarKind::BlockDevice) }, b""),
        (TarEntry { device: (1, 3), ..TarEntry::new("null", TarKind::CharDevice) }, b""),
        (TarEntry::new("fifo", TarKind::Fifo), b""),
    ]
}

#[test]
fn what_is_written_is_read_again() {
    let bytes = tar(&entries());
    let mut reader = TarReader::new(&bytes[..], 1 << 20);
    for (entry, content) in entries() {
        let found = reader.next_entry().expect("readable").expect("an entry");
        assert_eq!(found, entry);
        let mut read = Vec::new();
        reader.read_to_end(&mut read).expect("content");
        assert_eq!(read, content);
    }
    assert!(reader.next_entry().expect("readable").is_none());
    assert_eq!(reader.offset(), bytes.len() as u64);
}

#[test]
fn the_tar_crate_reads_the_same() {
    let bytes = tar(&entries());
    let mut archive = ::tar::Archive::new(&bytes[..]);
    let mut read = archive.entries().expect("entries");
    for (entry, content) in entries() {
        let mut found = read.next().expect("an entry").expect("readable");
        assert_eq!(&*found.path_bytes(), &entry.path[..]);
        assert_eq!(found.link_name_bytes().map(|l| l.into_owned()).unwrap_or_default(), entry.link);
        let header = found.header();
        assert_eq!((header.mode().expect("mode"), header.size().expect("size")), (entry.mode, entry.size));
        if matches!(entry.kind, TarKind::BlockDevice | TarKind::CharDevice) {
            let device = (header.device_major().expect("major"), header.device_minor().expect("minor"));
            assert_eq!(device, (Some(entry.device.0), Some(entry.device.1)));
        }
        let mut text = Vec::new();
        found.read_to_end(&mut text).expect("content");
        assert_eq!(text, content);
        for (name, value) in &entry.xattrs {
            let key = format!("SCHILY.xattr.{}", String::from_utf8_lossy(name));
            let mut extensions = found.pax_extensions().expect("records").expect("records").map(|e| e.expect("a record"));
            assert!(extensions.any(|e| e.key() == Ok(&key) && e.value_bytes() == &value[..]), "{key}");
        }
    }
    assert!(read.next().is_none());
}

#[test]
fn gnu_tar_lists_what_was_written() {
    let dir = scratch();
    std::fs::write(dir.path().join("a.tar"), tar(&entries())).expect("written");
    let command = |args: &[&str]| {
        let output = Command::new("tar").args(args).current_dir(dir.path()).env("LC_ALL", "C").output().expect("tar runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let listed = command(&["--numeric-owner", "--xattrs-include=*", "--utc", "-tvvf", "a.tar"]);
    assert_eq!(listed.lines().filter(|line| !line.starts_with(' ')).count(), entries().len(), "{listed}");
    for expected in [
        "-rw-r--r-- 7/8 5 2023-11-14 22:13 dir/file",
        "3000000/4000000000",
        "1969-12-31 23:59 before-1970",
        "b---------",
        "259,70000",
        "hard link to dir/file",
        // The star says that it has attributes.
        "-rw-r--r--* 0/0 1 1970-01-01 00:00 attributes",
    ] {
        let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(plain(&listed).contains(&plain(expected)), "{expected}: {listed}");
    }
}

#[test]
fn archives_of_gnu_tar_are_read_in_all_its_formats() {
    let dir = scratch();
    let long = format!("{}/{}", "directory".repeat(12), "n".repeat(120));
    let tree = dir.path().join("tree");
    std::fs::create_dir_all(tree.join(&long).parent().expect("a parent")).expect("made");
    std::fs::write(tree.join(&long), "long").expect("written");
    std::fs::write(tree.join("short"), "short").expect("written");
    std::os::unix::fs::symlink("t".repeat(130), tree.join("link")).expect("linked");
    std::fs::hard_link(tree.join("short"), tree.join("zhard")).expect("linked");
    for format in ["gnu", "oldgnu", "pax", "ustar", "v7"] {
        let mut command = Command::new("tar");
        command.args(["--sort=name", &format!("--format={format}"), "-cf", "-", "."]).current_dir(&tree).stderr(Stdio::null());
        let bytes = command.output().expect("tar runs").stdout;
        let mut reader = TarReader::new(&bytes[..], 1 << 20);
        let mut seen = Vec::new();
        while let Some(entry) = reader.next_entry().expect(format) {
            let mut content = Vec::new();
            reader.read_to_end(&mut content).expect("content");
            seen.push((entry.shown_path(), entry.kind, String::from_utf8_lossy(&content).into_owned(), entry.link.len()));
        }
        let has = |path: &str, kind, content: &str, link| seen.contains(&(path.to_owned(), kind, content.to_owned(), link));
        assert!(has("./", TarKind::Directory, "", 0), "{format}: {seen:?}");
        assert!(has("./short", TarKind::File, "short", 0), "{format}: {seen:?}");
        assert!(has("./zhard", TarKind::HardLink, "", "./short".len()), "{format}: {seen:?}");
        if !matches!(format, "ustar" | "v7") {
            let shown = shown(format!("./{long}").as_bytes());
            assert!(has(&shown, TarKind::File, "long", 0), "{format}: {seen:?}");
            assert!(has("./link", TarKind::Symlink, "", 130), "{format}: {seen:?}");
        }
    }
}

#[test]
fn a_sparse_file_is_refused_by_name() {
    let dir = scratch();
    let file = std::fs::File::create(dir.path().join("holes")).expect("created");
    file.set_len(1 << 20).expect("a hole");
    for format in ["gnu", "pax"] {
        let mut command = Command::new("tar");
        let output = command.args(["-S", &format!("--format={format}"), "-cf", "-", "holes"]).current_dir(dir.path()).output();
        let bytes = output.expect("tar runs").stdout;
        let error = TarReader::new(&bytes[..], 1 << 20).next_entry().expect_err("sparse");
        assert!(matches!(&error, TarError::Sparse { path } if path.contains("holes")), "{format}: {error}");
    }
}

#[test]
fn a_file_that_changes_while_it_is_read_is_an_error() {
    let mut writer = TarWriter::new(Vec::new());
    for content in [&b"toolong"[..], b"x"] {
        let error = writer.append_file(&TarEntry::file("f", 3), content).expect_err("another size");
        assert!(error.to_string().contains("`f` changed its size"), "{error}");
    }
}

#[test]
fn an_entry_hidden_behind_an_empty_block_is_an_error() {
    let inner = tar(&[(TarEntry::file("hidden", 0), b"")]);
    let mut bytes = vec![0; 512];
    bytes.extend(inner);
    let error = TarReader::new(&bytes[..], 1 << 20).next_entry().expect_err("hidden entry");
    assert!(matches!(error, TarError::Checksum { offset: 0 }), "{error}");
}

#[test]
fn extended_headers_cannot_fill_the_memory() {
    let mut bytes = Vec::new();
    for _ in 0..100 {
        // Extended headers one after the other, never an entry.
        let note = (b"user.a".to_vec(), vec![b'v'; 600]);
        let one = tar(&[(TarEntry { xattrs: vec![note], ..TarEntry::file("f", 0) }, b"")]);
        bytes.extend_from_slice(&one[..1536]);
    }
    let error = TarReader::new(&bytes[..], 8192).next_entry().expect_err("too many");
    assert!(matches!(error, TarError::ExtensionTooLarge { limit: 8192, .. }), "{error}");
}
