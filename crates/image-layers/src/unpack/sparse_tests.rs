//! Layers with sparse files, made by GNU tar in each of its four forms, and by people who mean no good.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::process::Command;

use super::*;
use crate::testing::{scratch, store, unpack, unpack_plain};

const FORMS: [&[&str]; 4] = [
    &["--format=gnu"],
    &["--format=pax", "--sparse-version=0.0"],
    &["--format=pax", "--sparse-version=0.1"],
    &["--format=pax", "--sparse-version=1.0"],
];

/// A layer of `files`, each with pieces of 4 kB at these offsets and holes up to its size.
fn layer(form: &[&str], files: &[(&str, u64, &[u64])]) -> Vec<u8> {
    let dir = scratch();
    for (name, size, pieces) in files {
        let file = File::create(dir.path().join(name)).expect("created");
        file.set_len(*size).expect("a hole");
        for (number, offset) in pieces.iter().enumerate() {
            let bytes: Vec<u8> = (0..4096_usize).map(|n| (n * 31 + number * 7 + 1) as u8).collect();
            file.write_all_at(&bytes, *offset).expect("written");
        }
    }
    let names = files.iter().map(|(name, ..)| name);
    let mut command = Command::new("tar");
    command.args(["--sparse", "--mtime=@1000", "-cf", "-"]).args(form).args(names).current_dir(dir.path());
    let output = command.output().expect("tar runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// An old GNU header with the given map and real size, and `stored` bytes after it.
fn old_entry(name: &str, map: &[(u64, u64)], real_size: u64, stored: usize) -> Vec<u8> {
    let mut block = [0_u8; 512];
    let mut put = |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{stored:011o}\0"));
    put(136, "00000001750\0");
    put(156, "S");
    put(257, "ustar  \0");
    for (number, (offset, length)) in map.iter().enumerate() {
        put(386 + number * 24, &format!("{offset:011o}\0{length:011o}\0"));
    }
    put(148, "        ");
    // As GNU tar writes what is beyond 33 bits.
    block[483..495].copy_from_slice(&[&[0x80, 0, 0, 0][..], &real_size.to_be_bytes()].concat());
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut tar = block.to_vec();
    tar.extend(vec![b'x'; stored.next_multiple_of(512)]);
    tar
}

fn ended(mut tar: Vec<u8>) -> Vec<u8> {
    tar.extend([0; 1024]);
    tar
}

fn message(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {}", message(cause)))
}

#[test]
fn sparse_files_come_out_as_they_went_in_with_their_holes() {
    // More pieces than a header block holds, one at the very end, none at all, and a name too long for a header.
    let many: Vec<u64> = (0..40).map(|n| n * 65536).collect();
    let long = "n".repeat(120);
    let files: [(&str, u64, &[u64]); 4] =
        [("many", 40 * 65536, &many), ("end", (8 << 20) + 4096, &[8 << 20]), ("hole", 1 << 20, &[]), (&long, 1 << 20, &[65536])];
    for form in FORMS {
        let tar = layer(form, &files);
        assert!((tar.len() as u64) < 1 << 20, "{form:?}: tar took the holes for content");
        let (_dir, store) = store();
        let unpacked = unpack_plain(&store, &tar, None).unwrap_or_else(|e| panic!("{form:?}: {}", message(&e)));
        for (name, size, pieces) in &files {
            let path = unpacked.dir.join(name);
            let metadata = fs::metadata(&path).expect("metadata");
            assert_eq!((metadata.len(), metadata.mode() & 0o777, metadata.mtime()), (*size, 0o644, 1000), "{form:?} {name}");
            assert!(metadata.blocks() * 512 <= (pieces.len() as u64 + 4) * 4096, "{form:?} {name}: the holes are filled");
            let content = fs::read(&path).expect("read");
            for (number, offset) in pieces.iter().enumerate() {
                let at = *offset as usize;
                assert_eq!((content[at], content[at + 4095]), ((number * 7 + 1) as u8, (4095 * 31 + number * 7 + 1) as u8));
            }
            let written = content.iter().filter(|byte| **byte != 0).count();
            assert!(written <= pieces.len() * 4096, "{form:?} {name}: bytes where there were none");
        }
        assert_eq!(fs::read_dir(&unpacked.dir).expect("list").count(), files.len(), "{form:?}: other names");
    }
}

#[test]
fn a_plain_file_after_a_sparse_one_is_found() {
    let mut tar = old_entry("sparse", &[(1000, 600)], 100_000, 600);
    tar.extend(crate::testing::tar_of(&["f plain text"]));
    let (_dir, store) = store();
    let unpacked = unpack_plain(&store, &tar, None).unwrap_or_else(|e| panic!("{}", message(&e)));
    assert_eq!(fs::read_to_string(unpacked.dir.join("plain")).expect("plain"), "text");
    let sparse = fs::read(unpacked.dir.join("sparse")).expect("sparse");
    assert_eq!((sparse.len(), sparse[999], &sparse[1000..1600], sparse[1600]), (100_000, 0, &[b'x'; 600][..], 0));
}

#[test]
fn sparse_bombs_and_lies_are_refused_and_the_entry_is_named() {
    let bomb = |name: &str, size| ended(old_entry(name, &[(0, 512)], size, 512));
    let many: Vec<u8> = (0..3).flat_map(|n| old_entry(&format!("part-{n}"), &[(0, 512)], 30 << 30, 512)).collect();
    let table: [(Vec<u8>, &str, &str); 8] = [
        (
            bomb("huge", 1 << 60),
            "layer-limit",
            "a file of too many bytes: more than the 34359738368 allowed, at the entry `huge`",
        ),
        (ended(many), "layer-limit", "sparse files of too many bytes: more than the 68719476736 allowed, at the entry `part-2`"),
        (
            ended(old_entry("a", &[(0, 512), (100, 512)], 9999, 1024)),
            "layer-archive",
            "`a` is no proper sparse file: the pieces of its map overlap",
        ),
        (
            ended(old_entry("b", &[(9000, 1024)], 9999, 1024)),
            "layer-archive",
            "`b` is no proper sparse file: its map goes beyond its end",
        ),
        (
            ended(old_entry("c", &[(0, 512)], 9999, 1024)),
            "layer-archive",
            "`c` is no proper sparse file: its map is for another number of bytes",
        ),
        (
            ended(old_entry("d", &[], 9999, 1024)),
            "layer-archive",
            "`d` is no proper sparse file: its map is for another number of bytes",
        ),
        (old_entry("e", &[(0, 1024)], 9999, 1024)[..1000].to_vec(), "layer-archive", "cut off"),
        (bomb("f", u64::MAX), "layer-archive", "real size"),
    ];
    for (tar, kind, said) in table {
        let (_dir, store) = store();
        let error = unpack_plain(&store, &tar, None).expect_err(said);
        assert!(message(&error).contains(said), "{said}: {}", message(&error));
        assert_eq!(build_model::Diagnose::kind(&error), kind, "{said}");
    }
}

#[test]
fn a_map_without_end_reaches_the_limit() {
    let form = FORMS[3];
    let many: Vec<u64> = (0..400).map(|n| n * 8192).collect();
    for form in [FORMS[0], form] {
        let tar = layer(form, &[("many", 401 * 8192, &many)]);
        let (_dir, store) = store();
        let limits = UnpackLimits { extension_bytes: 4096, ..UnpackLimits::default() };
        let error = unpack(&store, &tar, &tar, None, &limits).expect_err("too long");
        assert!(message(&error).contains("more than the 4096 allowed"), "{form:?}: {}", message(&error));
        unpack_plain(&store, &tar, None).unwrap_or_else(|e| panic!("{form:?}: {}", message(&e)));
    }
    // One that is cut in the middle.
    let tar = layer(form, &[("many", 401 * 8192, &many)]);
    let (_dir, store) = store();
    assert!(unpack_plain(&store, &tar[..2048], None).is_err());
}

#[test]
fn a_sparse_file_has_no_digest_of_the_file_whose_place_and_inode_it_took() {
    let (_dir, store) = store();
    // The file system may give the same inode again, and the further name makes its time of change known.
    let mut plain = crate::testing::tar_of(&["f f xxxx"]);
    plain.truncate(1024);
    plain.extend(old_entry("f", &[(0, 4)], 4, 4));
    plain.extend(crate::testing::tar_of(&["h g f"]));
    let layer = unpack_plain(&store.clone().hashing_files(), &plain, None).expect("unpacked");
    let meta = fs::symlink_metadata(layer.dir.join("g")).expect("metadata");
    assert_eq!(meta.nlink(), 2);
    assert_eq!(store.unpacked_digests(&layer).expect("digests").get(&meta), None);
}
