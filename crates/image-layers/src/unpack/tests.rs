//! Layers as strangers might make them.

use std::fs;
use std::os::unix::fs::MetadataExt;

use build_model::{Blame, Diagnose};
use sha2::{Digest as _, Sha256};

use super::*;
use crate::tar_format::{TarEntry, TarKind};
use crate::testing::{is_root, listing, store, tar, tar_of, unpack_plain};

/// The paths and kinds of a listing, without modes and times.
pub(super) fn shape(dir: &Path) -> Vec<String> {
    listing(dir)
        .iter()
        .map(|line| {
            let words: Vec<&str> = line.splitn(5, ' ').collect();
            format!("{} {}", words[0], words[4])
        })
        .collect()
}

pub(super) fn message(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {}", message(cause)))
}

#[test]
fn hostile_layers_are_refused_and_the_entry_is_named() {
    let long = "x".repeat(256);
    let deep = "a/".repeat(300);
    let long_file = format!("f {long}");
    let deep_dir = format!("d {deep}");
    let table: &[(&[&str], &str, &str)] = &[
        (&["f /etc/passwd x"], "`/etc/passwd`", "name begins with a slash"),
        (&["f ../escape x"], "`../escape`", "name has a `..` part"),
        (&["f a/../../escape x"], "`a/../../escape`", "name has a `..` part"),
        (&["d .."], "`..`", "name has a `..` part"),
        (&["l out ../../..", "f out/escape x"], "`out/escape`", "`out`, which leads out of the layer"),
        (&["d d", "l d/out ../..", "f d/out/escape x"], "`d/out/escape`", "`d/out`, which leads out of the layer"),
        (&["l a b", "l b a", "f a/x x"], "`a/x`", "leads nowhere"),
        (&["l gone /no/such/place", "f gone/x x"], "`gone/x`", "`gone`, which leads nowhere in this layer"),
        (&["f file x", "f file/x x"], "`file/x`", "below `file`, which is no directory"),
        (&["l link file", "f file x", "f link/x x"], "`link/x`", "below `link`, which is no directory"),
        (&["h link ../../../etc/passwd"], "`link`", "link target has a `..` part"),
        (&["h link /etc/passwd"], "`link`", "link target begins with a slash"),
        (&["h link etc/passwd"], "`link`", "hard link to `etc/passwd`, which is no file of this layer"),
        (&["l etc /etc", "h link etc/passwd"], "`link`", "`etc`, which leads nowhere"),
        (&["l up ../..", "h link up/etc/passwd"], "`link`", "leads out of the layer"),
        (&["d d", "h link d"], "`link`", "hard link to `d`, which is no file"),
        (&["f .wh.gone x", "h link gone"], "`link`", "hard link to `gone`, which is no file"),
        (&["d d", "f d/f x", "h d d/f"], "`d`", "hard link to `d/f`, which is no file"),
        (&["h link"], "`link`", "no name"),
        (&["l link"], "`link`", "make the symbolic link"),
        (&["c null 0:0"], "`null`", "no device 0:0"),
        (&["c null 4096:0"], "`null`", "no device 4096:0"),
        (&["b sda 8:1048576"], "`sda`", "no device 8:1048576"),
        (&["f .wh. x"], "`.wh.`", "no valid whiteout"),
        (&["f d/.wh... x"], "`d/.wh...`", "no valid whiteout"),
        (&["f .wh.d/x x"], "`.wh.d/x`", "no valid whiteout"),
        (&["f ./ x"], "`./`", "root of a layer must be a directory"),
        (&[&long_file], "`xxx", "too long or too deep"),
        (&[&deep_dir], "`a/a/", "too long or too deep"),
    ];
    for (lines, entry, problem) in table {
        let (dir, store) = store();
        // One level above the layer, where `..` would lead.
        fs::write(dir.path().join("canary"), "alive").expect("a canary");
        let before = listing(dir.path()).len();
        let plain = tar_of(lines);
        let error = unpack_plain(&store, &plain, None).expect_err(&format!("{lines:?}"));
        let text = message(&error);
        assert!(text.contains(entry) && text.contains(problem), "{lines:?}: {text}");
        assert_eq!(error.blame(), Blame::Packager, "{lines:?}");
        // The blob and nothing else is new.
        assert_eq!(listing(dir.path()).len(), before + 1, "{lines:?}: {:?}", listing(dir.path()));
    }
}

#[test]
fn names_and_owners_that_only_headers_can_hold_are_refused() {
    let nul = TarEntry::file(&b"a\0b\xff"[..], 0);
    let nul_link = TarEntry { link: b"x\0y\xff".to_vec(), ..TarEntry::new("l", TarKind::Symlink) };
    let minus_one = TarEntry { uid: u64::from(u32::MAX), ..TarEntry::file("f", 0) };
    let huge_id = TarEntry { gid: 1 << 40, ..TarEntry::file("f", 0) };
    let unknown = TarEntry::new("f", TarKind::Other(b'Z'));
    for (entry, problem) in [
        (nul, "NUL byte"),
        (nul_link, "symbolic link"),
        (minus_one, "4294967295:0"),
        (huge_id, "0:1099511627776"),
        (unknown, "type `Z`"),
    ] {
        let (_dir, store) = store();
        let error = unpack_plain(&store, &tar(&[(entry.clone(), b"")]), None).expect_err(problem);
        assert!(message(&error).contains(problem), "{entry:?}: {}", message(&error));
    }
}

#[test]
fn files_are_hashed_while_they_are_written_whatever_the_layer_does_to_them() {
    let (_dir, store) = store();
    let large = "x".repeat(700 << 10);
    let large = format!("f large {large}");
    let plain = tar_of(&[
        "f once a",
        "f twice first",
        "f twice second",
        "f gone/x old",
        "f gone new",
        "d usr/lib",
        "l lib usr/lib",
        "f lib/through y",
        "h linked once",
        "h again linked",
        "f over z",
        "h over once",
        "f empty ",
        &large,
    ]);
    let layer = unpack_plain(&store.clone().hashing_files(), &plain, None).expect("unpacked");
    let digests = store.unpacked_digests(&layer).expect("digests");
    let of = |path: &str| digests.get(&fs::symlink_metadata(layer.dir.join(path)).expect("metadata"));
    for path in ["once", "twice", "gone", "usr/lib/through", "linked", "again", "over", "empty", "large"] {
        let content = fs::read(layer.dir.join(path)).expect("readable");
        assert_eq!(of(path), Some(Sha256::digest(&content).into()), "{path}");
    }
    assert_eq!(of("lib"), None, "no file");

    // What is touched afterwards is another file, even with its old size and time.
    let touched = layer.dir.join("once");
    let time = fs::metadata(&touched).and_then(|meta| meta.modified()).expect("a time");
    fs::write(&touched, "b").expect("written");
    fs::File::options().write(true).open(&touched).and_then(|file| file.set_modified(time)).expect("set");
    assert_eq!((of("once"), of("over")), (None, None));
}

#[test]
fn nobody_who_does_not_ask_pays_for_digests_and_damaged_ones_are_none() {
    let (_dir, store) = store();
    let plain = tar_of(&["f a x"]);
    let layer = unpack_plain(&store, &plain, None).expect("unpacked");
    assert!(store.unpacked_digests(&layer).is_none());
    let plain = tar_of(&["f a y"]);
    let layer = unpack_plain(&store.clone().hashing_files(), &plain, None).expect("unpacked");
    assert!(store.unpacked_digests(&layer).is_some());
    fs::write(layer.dir.with_file_name("digests"), "7 1 2 3 zz\n").expect("damaged");
    assert!(store.unpacked_digests(&layer).is_none());
}

#[test]
fn a_link_inside_the_layer_is_followed_as_in_a_container() {
    let (_dir, store) = store();
    let plain = tar_of(&[
        "d usr/lib",
        "l lib usr/lib",
        "f lib/a x",
        "l abs /usr",
        "f abs/lib/b y",
        "l clamped /../../usr",
        "f clamped/c z",
        "h abs/d lib/a",
    ]);
    let layer = unpack_plain(&store, &plain, None).expect("unpacked");
    assert_eq!(
        shape(&layer.dir),
        [
            "abs l -> /usr",
            "clamped l -> /../../usr",
            "lib l -> usr/lib",
            "usr d",
            "usr/c f \"z\"",
            "usr/d f \"x\"",
            "usr/lib d",
            "usr/lib/a f \"x\"",
            "usr/lib/b f \"y\"",
        ]
    );
}

#[test]
fn a_chain_of_links_cannot_lead_deeper_than_names_may() {
    let (_dir, store) = store();
    let run = "a/".repeat(200);
    let (run, below) = (run.trim_end_matches('/'), format!("l/{}", "b/".repeat(200)));
    let plain = tar_of(&[&format!("d {run}"), &format!("l l {run}"), &format!("d {below}"), &format!("l m {below}"), "d m/c"]);
    let error = unpack_plain(&store, &plain, None).expect_err("too deep");
    assert!(message(&error).contains("`m/c`"), "{}", message(&error));
}

#[test]
fn of_two_entries_with_one_name_the_later_wins() {
    for (lines, expected) in [
        (&["f x 1", "f x 2"][..], &["x f \"2\""][..]),
        (&["f x 1", "l x y"], &["x l -> y"]),
        (&["l x y", "f y 1", "f x 2"], &["x f \"2\"", "y f \"1\""]),
        (&["d x", "f x/y 1", "f x 2"], &["x f \"2\""]),
        (&["f x 1", "d x", "f x/y 2"], &["x d", "x/y f \"2\""]),
        (&["d x", "f x/y 1", "d x"], &["x d", "x/y f \"1\""]),
        (&["f x 1", "h y x", "f x 2"], &["x f \"2\"", "y f \"1\""]),
        (&["f x 1", "h y x", "h y x"], &["x f \"1\"", "y f \"1\""]),
        (&["f x 1", "p x"], &["x p"]),
        (&["d a/b", "f a/b/c 1", "f a 2", "d a/b/c"], &[]),
    ] {
        let (_dir, store) = store();
        match unpack_plain(&store, &tar_of(lines), None) {
            Ok(layer) => assert_eq!(shape(&layer.dir), expected, "{lines:?}"),
            Err(error) => assert!(expected.is_empty() && message(&error).contains("below `a`, which is no directory"), "{error}"),
        }
    }
}

#[test]
fn deletions_become_overlay_whiteouts_and_opaque_directories() {
    if !is_root() {
        return;
    }
    for (lines, expected) in [
        (&["f .wh.x "][..], &["x c 0:0"][..]),
        (&["d d", "f d/.wh..wh..opq ", "f d/a 1"], &["d d opaque", "d/a f \"1\""]),
        (&["f d/.wh..wh..opq "], &["d d opaque"]),
        // A whiteout beside an entry of the same name speaks of the layers below.
        (&["f .wh.x ", "f x 1"], &["x f \"1\""]),
        (&["f x 1", "f .wh.x "], &["x f \"1\""]),
        (&["f .wh.x ", "d x", "f x/y 1"], &["x d opaque", "x/y f \"1\""]),
        (&["f .wh.x ", "f x/y 1"], &["x d opaque", "x/y f \"1\""]),
        (&["d x", "f .wh.x "], &["x d opaque"]),
        (&["f .wh.x ", "f .wh.x "], &["x c 0:0"]),
        (&["f .wh..wh.plnk/1 ", "f .wh..wh.aufs "], &[]),
    ] {
        let (_dir, store) = store();
        match unpack_plain(&store, &tar_of(lines), None) {
            Ok(layer) => assert_eq!(shape(&layer.dir), expected, "{lines:?}"),
            Err(error) => assert!(lines[0].contains("plnk/1") && message(&error).contains("whiteout"), "{lines:?}: {error}"),
        }
    }
}

#[test]
fn an_opaque_root_hides_every_name_below() {
    if !is_root() {
        return;
    }
    let (_dir, store) = store();
    let below = unpack_plain(&store, &tar_of(&["f a 1", "d d", "f d/old 1", "f b 1"]), None).expect("unpacked");
    let above = unpack_plain(&store, &tar_of(&["f .wh..wh..opq ", "f b 2", "d d"]), Some(&below)).expect("unpacked");
    assert_eq!(shape(&above.dir), ["a c 0:0", "b f \"2\"", "d d opaque"]);
}

#[test]
fn everything_an_entry_says_about_itself_is_kept() {
    if !is_root() {
        return;
    }
    let (_dir, store) = store();
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let setuid = TarEntry {
        mode: 0o4755,
        uid: 12,
        gid: 34,
        mtime: 1_600_000_000,
        xattrs: vec![
            (b"security.capability".to_vec(), capability.to_vec()),
            (b"user.note".to_vec(), b"a=b\nc".to_vec()),
            (b"security.selinux".to_vec(), b"dropped".to_vec()),
            (b"trusted.overlay.opaque".to_vec(), b"y".to_vec()),
        ],
        ..TarEntry::new("bin/su", TarKind::File)
    };
    let sticky = TarEntry { mode: 0o1777, mtime: 7, ..TarEntry::new("tmp", TarKind::Directory) };
    let negative = TarEntry { mtime: -5, ..TarEntry::file("old", 0) };
    let big_id = TarEntry { uid: 4_000_000_000, ..TarEntry::file("big", 0) };
    let link = TarEntry { uid: 5, gid: 6, mtime: 9, link: b"su".to_vec(), ..TarEntry::new("bin/link", TarKind::Symlink) };
    let mut entries = vec![(setuid, &b"#!"[..]), (sticky, b""), (negative, b""), (big_id, b""), (link, b"")];
    let hard = TarEntry { link: b"bin/su".to_vec(), ..TarEntry::new("bin/hard", TarKind::HardLink) };
    let null = TarEntry { mode: 0o666, device: (1, 3), ..TarEntry::new("dev/null", TarKind::CharDevice) };
    let disk = TarEntry { mode: 0o660, gid: 6, device: (259, 70_000), ..TarEntry::new("dev/disk", TarKind::BlockDevice) };
    let fifo = TarEntry { mode: 0o620, mtime: 3, ..TarEntry::new("fifo", TarKind::Fifo) };
    entries.extend([(hard, &b""[..]), (null, b""), (disk, b""), (fifo, b"")]);
    let layer = unpack_plain(&store, &tar(&entries), None).expect("unpacked");
    let capability = "\\x01\\x00\\x00\\x02\\x00\\x04\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00";
    let su = format!("4755 12:34 @1600000000 f \"#!\" security.capability={capability} user.note=a=b\\nc");
    assert_eq!(
        listing(&layer.dir),
        [
            "big 644 4000000000:0 @0 f \"\"",
            "bin 755 0:0 @0 d",
            &format!("bin/hard {su}"),
            "bin/link 777 5:6 @9 l -> su",
            &format!("bin/su {su}"),
            "dev 755 0:0 @0 d",
            "dev/disk 660 0:6 @0 b 259:70000",
            "dev/null 666 0:0 @0 c 1:3",
            "fifo 620 0:0 @3 p",
            "old 644 0:0 @-5 f \"\"",
            "tmp 1777 0:0 @7 d",
        ]
    );
    let inode = |name: &str| fs::metadata(layer.dir.join(name)).expect("metadata").ino();
    assert_eq!(inode("bin/su"), inode("bin/hard"));
    assert!(!overlay_opaque(&layer.dir.join("bin/su")));
}

fn overlay_opaque(path: &Path) -> bool {
    let names = crate::overlay::XattrNames::of(crate::overlay::Place::Path(path)).expect("attributes");
    names.iter().any(|n| n.starts_with(b"trusted.overlay"))
}

#[test]
fn a_directory_without_an_entry_looks_as_it_does_below() {
    if !is_root() {
        return;
    }
    let (_dir, store) = store();
    let var = TarEntry { mode: 0o2750, uid: 7, gid: 8, mtime: 55, ..TarEntry::new("var", TarKind::Directory) };
    let root = TarEntry { mode: 0o711, uid: 3, ..TarEntry::new("./", TarKind::Directory) };
    let below = unpack_plain(&store, &tar(&[(root, b""), (var, b"")]), None).expect("unpacked");
    let above = unpack_plain(&store, &tar_of(&["f var/lib/x 1"]), Some(&below)).expect("unpacked");
    let lines = listing(&above.dir);
    assert_eq!(lines[0], "var 2750 7:8 @55 d");
    assert_eq!(lines[1], "var/lib 755 0:0 @0 d");
    let root = fs::metadata(&above.dir).expect("the root");
    assert_eq!((root.mode() & 0o7777, root.uid()), (0o711, 3));
}
