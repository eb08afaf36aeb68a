//! Uppers as overlayfs leaves them, packed, read by others, unpacked again.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::Command;

use super::*;
use crate::UnpackLimits;
use crate::media_types::{OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD};
use crate::store::UnpackedLayer;
use crate::tar_format::{TarKind, TarReader};
use crate::testing::{is_root, listing, merged_listing, set_xattr, shell, store, tar_of, unpack_plain};

const PLAIN: PackOptions =
    PackOptions { compression: Compression::None, clamp_mtime: Some(2000), threads: 1, file_digests: Vec::new() };

/// The entries of a packed layer: path, and the target of links.
fn entries(store: &Store, layer: &PackedLayer) -> Vec<String> {
    let bytes = store.read_blob(&layer.descriptor.digest, 1 << 30).expect("a blob");
    let mut reader = TarReader::new(&bytes[..], 1 << 20);
    let mut lines = Vec::new();
    while let Some(entry) = reader.next_entry().expect("readable") {
        let link = if entry.link.is_empty() { String::new() } else { format!(" -> {}", String::from_utf8_lossy(&entry.link)) };
        lines.push(format!("{}{link}", entry.shown_path()));
    }
    assert_eq!(lines.len() as u64, layer.entries);
    lines
}

fn upper(store: &Store) -> (tempfile::TempDir, PathBuf) {
    let work = store.temp_dir().expect("a directory");
    let upper = work.path().join("upper");
    fs::create_dir(&upper).expect("made");
    fs::set_permissions(&upper, fs::Permissions::from_mode(0o755)).expect("mode");
    (work, upper)
}

/// Runs a script in an overlay mount over `lowers` (top first) and gives its upper directory.
fn overlaid(store: &Store, lowers: &[PathBuf], script: &str) -> (tempfile::TempDir, PathBuf) {
    let (work, upper) = upper(store);
    if let Some(top) = lowers.first() {
        let meta = fs::metadata(top).expect("a root");
        fs::set_permissions(&upper, meta.permissions()).expect("mode");
    }
    let dirs: Vec<String> = lowers.iter().map(|l| l.display().to_string()).collect();
    let mount = format!(
        "mkdir work merged; mount -t overlay overlay -o lowerdir={},upperdir=upper,workdir=work,\
         redirect_dir=off,metacopy=off,index=off,xino=off merged; cd merged; {script}",
        dirs.join(":")
    );
    shell(work.path(), &mount);
    (work, upper)
}

fn unpacked(store: &Store, lines: &[&str], parent: Option<&UnpackedLayer>) -> UnpackedLayer {
    unpack_plain(store, &tar_of(lines), parent).expect("unpacked")
}

#[test]
fn entries_are_sorted_and_parents_come_first() {
    let (_dir, store) = store();
    let (_work, upper) = upper(&store);
    for path in ["b/c", "b/a", "a-b", "a/z", "a.b"] {
        fs::create_dir_all(upper.join(path).parent().expect("a parent")).expect("made");
        fs::write(upper.join(path), path).expect("written");
    }
    fs::hard_link(upper.join("b/c"), upper.join("b/0")).expect("linked");
    symlink("../a", upper.join("b/link")).expect("linked");
    let layer = pack_layer(&store, &upper, &[], &PLAIN).expect("packed");
    let expected = ["a/", "a/z", "a-b", "a.b", "b/", "b/0", "b/a", "b/c -> b/0", "b/link -> ../a"];
    let mut sorted = entries(&store, &layer);
    assert_eq!(sorted[..], ["a/", "a/z", "a-b", "a.b", "b/", "b/0", "b/a", "b/c -> b/0", "b/link -> ../a"]);
    sorted.sort();
    assert_eq!(sorted.len(), expected.len());
    assert_eq!((layer.diff_id, layer.descriptor.media_type.as_str()), (layer.descriptor.digest, OCI_LAYER));
}

#[test]
fn the_same_directory_gives_the_same_digests_whatever_the_threads_and_the_times() {
    let (_dir, store) = store();
    let mut seen = Vec::new();
    for round in 0..3_u64 {
        let (_work, upper) = upper(&store);
        // In another order and at another time each round.
        let mut names: Vec<u64> = (0..300).collect();
        names.rotate_left(97 * round as usize);
        for name in names {
            let text: Vec<u8> = (0..20_000_u64).map(|n| (n.wrapping_mul(name + 3) >> 5) as u8).collect();
            let path = upper.join(format!("f{name}"));
            fs::write(&path, text).expect("written");
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(5000 + round);
            fs::File::open(&path).expect("opened").set_modified(time).expect("a time");
        }
        let threads = 1 + round as usize * 3;
        for compression in [Compression::Gzip { level: 6 }, Compression::Zstd { level: 3 }] {
            let options = PackOptions { compression, threads, ..PLAIN };
            seen.push(pack_layer(&store, &upper, &[], &options).expect("packed"));
        }
    }
    assert!(seen.chunks(2).all(|pair| pair == &seen[..2]));
    assert_eq!(seen[0].diff_id, seen[1].diff_id);
    assert_eq!(seen[0].descriptor.media_type, OCI_LAYER_GZIP);
    assert_eq!(seen[1].descriptor.media_type, OCI_LAYER_ZSTD);
}

#[test]
fn what_overlayfs_copied_up_without_a_change_is_left_out() {
    if !is_root() {
        return;
    }
    let (_dir, store) = store();
    let lower = unpacked(
        &store,
        &["d d", "f d/touched 1", "f d/opened 1", "f d/chmod 1", "f d/changed 1", "l d/link x", "d e", "f e/x 1"],
        None,
    );
    let script = "touch -r d/touched d/touched; : >> d/opened; chmod 644 d/chmod; chown -h 0:0 d/link; \
                  touch e/temporary; rm e/temporary; \
                  chmod 755 e";
    let (_work, upper) = overlaid(&store, std::slice::from_ref(&lower.dir), script);
    assert!(upper.join("d/touched").exists() && upper.join("d/opened").exists() && upper.join("e").exists(), "copied up");
    let layer = pack_layer(&store, &upper, std::slice::from_ref(&lower.dir), &PLAIN).expect("packed");
    assert_eq!(entries(&store, &layer), Vec::<String>::new());

    // The same size and time, but another content: only reading tells.
    let script =
        "cp -p d/changed /dev/shm/.keep-$$; printf 2 > d/changed; touch -r /dev/shm/.keep-$$ d/changed; rm /dev/shm/.keep-$$";
    let (_work, upper) = overlaid(&store, std::slice::from_ref(&lower.dir), script);
    let meta = |path: PathBuf| fs::metadata(path).map(|m| (m.len(), m.mtime(), m.mtime_nsec())).expect("metadata");
    assert_eq!(meta(upper.join("d/changed")), meta(lower.dir.join("d/changed")));
    let layer = pack_layer(&store, &upper, &[lower.dir], &PLAIN).expect("packed");
    assert_eq!(entries(&store, &layer), ["d/", "d/changed"]);
}

#[test]
fn every_kind_of_change_is_packed() {
    if !is_root() {
        return;
    }
    let (_dir, store) = store();
    let lower = unpacked(
        &store,
        &[
            "d d",
            "f d/mode 1",
            "f d/owner 1",
            "f d/time 1",
            "f d/attribute 1",
            "f d/gone 1",
            "d replaced",
            "f replaced/old 1",
            "f d/linked 1",
            "d removed",
            "f removed/x 1",
            "f file 1",
            "d dir",
            "f dir/x 1",
            "d only-mode",
            "f only-mode/x 1",
        ],
        None,
    );
    let script = "chmod 600 d/mode; chown 5:6 d/owner; touch -d @1500 d/time; rm d/gone; rm -r removed; \
                  rm -r replaced; mkdir replaced; echo new > replaced/new; \
                  rm file; mkdir file; echo x > file/x; rm -r dir; echo y > dir; \
                  ln d/linked d/zzz; chmod 700 only-mode; mknod fifo p; mkdir -p new/sub; \
                  python3 -c 'import os; os.setxattr(\"d/attribute\", \"user.a\", b\"1\")'; \
                  python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"new/socket\")'";
    let (_work, upper) = overlaid(&store, std::slice::from_ref(&lower.dir), script);
    let layer = pack_layer(&store, &upper, std::slice::from_ref(&lower.dir), &PLAIN).expect("packed");
    assert_eq!(
        entries(&store, &layer),
        [
            ".wh.removed",
            "d/",
            "d/.wh.gone",
            "d/attribute",
            "d/linked",
            "d/mode",
            "d/owner",
            "d/time",
            "d/zzz -> d/linked",
            "dir",
            "fifo",
            "file/",
            "file/x",
            "new/",
            "new/sub/",
            "only-mode/",
            "replaced/",
            "replaced/.wh..wh..opq",
            "replaced/new",
        ]
    );
    assert_round_trip(&store, &upper, &[lower], &layer);
}

/// Unpacks the packed layer and compares the merged tree with that of the upper.
fn assert_round_trip(store: &Store, upper: &Path, lowers: &[UnpackedLayer], layer: &PackedLayer) {
    let parent = lowers.first().map(|l| &l.chain_id);
    let again = store.unpack_layer(&layer.descriptor, &layer.diff_id, parent, &UnpackLimits::default()).expect("unpacked");
    let view = |top: &Path| {
        let dirs = std::iter::once(top.to_owned()).chain(lowers.iter().map(|l| l.dir.clone()));
        merged_listing(&MergedView::new(dirs.collect()))
    };
    let without_sockets = |lines: Vec<String>| lines.into_iter().filter(|l| !l.contains("/socket")).collect::<Vec<_>>();
    // Times of files are clamped to 2000 in the layer.
    let clamped = |lines: Vec<String>| {
        let clamp = |line: &String| {
            let (before, rest) = line.split_once(" @").expect("a time");
            let (time, rest) = rest.split_once(' ').expect("a time");
            format!("{before} @{} {rest}", time.parse::<i64>().expect("a number").min(2000))
        };
        lines.iter().map(clamp).collect::<Vec<_>>()
    };
    assert_eq!(clamped(without_sockets(view(upper))), clamped(view(&again.dir)));
}

#[test]
fn whiteouts_that_hide_nothing_are_left_out_only_over_known_layers() {
    if !is_root() {
        return;
    }
    let (_dir, store) = store();
    let bottom = unpacked(&store, &["f a 1", "d d", "f d/x 1"], None);
    let top = unpacked(&store, &["f .wh.a ", "f .wh.d "], Some(&bottom));
    let (_work, upper) = upper(&store);
    for name in ["a", "never"] {
        rustix::fs::mknodat(
            rustix::fs::CWD,
            upper.join(name),
            rustix::fs::FileType::CharacterDevice,
            rustix::fs::Mode::empty(),
            0,
        )
        .expect("a whiteout");
    }
    let layer = pack_layer(&store, &upper, &[top.dir.clone(), bottom.dir.clone()], &PLAIN).expect("packed");
    assert_eq!(layer.entries, 0, "`a` is gone already: {:?}", entries(&store, &layer));
    let layer = pack_layer(&store, &upper, &[bottom.dir], &PLAIN).expect("packed");
    assert_eq!(entries(&store, &layer), [".wh.a"]);
    let layer = pack_layer(&store, &upper, &[], &PLAIN).expect("packed");
    assert_eq!(entries(&store, &layer), [".wh.a", ".wh.never"]);
    // A directory made anew where the layers below deleted one needs no marker.
    let (_work, upper) =
        overlaid(&store, &[top.dir.clone(), unpacked(&store, &["f a 1", "d d", "f d/x 1"], None).dir], "mkdir d; echo > d/y");
    let layer = pack_layer(&store, &upper, &[top.dir], &PLAIN).expect("packed");
    assert_eq!(entries(&store, &layer), ["d/", "d/y"]);
}

#[test]
fn times_owners_and_attributes_are_written_as_rules_say() {
    if !is_root() {
        return;
    }
    let (_dir, store) = store();
    let (_work, upper) = upper(&store);
    fs::write(upper.join("new"), "x").expect("written");
    fs::write(upper.join("old"), "x").expect("written");
    let old = std::time::UNIX_EPOCH + std::time::Duration::new(1500, 999_999_999);
    fs::File::open(upper.join("old")).expect("opened").set_modified(old).expect("a time");
    let mut v3 = vec![1, 0, 0, 3];
    v3.extend([0; 20]);
    set_xattr(&upper.join("new"), "security.capability", &v3);
    set_xattr(&upper.join("new"), "user.kept", b"1");
    set_xattr(&upper.join("new"), "trusted.dropped", b"1");
    let layer = pack_layer(&store, &upper, &[], &PLAIN).expect("packed");
    let bytes = store.read_blob(&layer.descriptor.digest, 1 << 30).expect("a blob");
    let mut reader = TarReader::new(&bytes[..], 1 << 20);
    let new = reader.next_entry().expect("readable").expect("new");
    assert_eq!((new.mtime, new.mtime_nanos), (2000, 0));
    let names: Vec<&[u8]> = new.xattrs.iter().map(|(n, _)| n.as_slice()).collect();
    assert_eq!(names, [&b"security.capability"[..], b"user.kept"]);
    assert_eq!(new.xattrs[0].1.len(), 20);
    let old = reader.next_entry().expect("readable").expect("old");
    assert_eq!((old.mtime, old.mtime_nanos, old.kind), (1500, 0, TarKind::File));
}

#[test]
fn the_root_is_an_entry_only_when_it_is_another() {
    let (_dir, store) = store();
    let (_work, upper) = upper(&store);
    let options = PLAIN;
    assert_eq!(pack_layer(&store, &upper, &[], &options).expect("packed").entries, 0);
    fs::set_permissions(&upper, fs::Permissions::from_mode(0o711)).expect("mode");
    let layer = pack_layer(&store, &upper, &[], &options).expect("packed");
    assert_eq!(entries(&store, &layer), ["./"]);
    let again = store.unpack_layer(&layer.descriptor, &layer.diff_id, None, &UnpackLimits::default()).expect("unpacked");
    assert_eq!(fs::metadata(&again.dir).expect("the root").mode() & 0o7777, 0o711);
    assert_eq!(pack_layer(&store, &upper, &[again.dir], &options).expect("packed").entries, 0);
}

#[test]
fn what_a_layer_cannot_say_is_refused_by_name() {
    let (_dir, store) = store();
    let (_work, reserved) = upper(&store);
    fs::create_dir(reserved.join("d")).expect("made");
    fs::write(reserved.join("d/.wh.x"), "").expect("written");
    let error = pack_layer(&store, &reserved, &[], &PLAIN).expect_err("reserved");
    assert!(matches!(&error, PackError::ReservedName { path } if path == "d/.wh.x"), "{error}");

    let (_work, deep) = upper(&store);
    let mut path = deep.clone();
    for _ in 0..300 {
        path.push("d");
        fs::create_dir(&path).expect("made");
    }
    assert!(matches!(pack_layer(&store, &deep, &[], &PLAIN), Err(PackError::TooDeep { .. })));

    let (_work, sparse) = upper(&store);
    fs::File::create(sparse.join("zeros")).and_then(|file| file.set_len(1 << 40)).expect("sparse");
    let error = pack_layer(&store, &sparse, &[], &PLAIN).expect_err("a terabyte");
    assert!(matches!(&error, PackError::TooLarge { path, what: "the file", .. } if path == "zeros"), "{error}");

    if is_root() {
        let (_work, redirected) = upper(&store);
        fs::create_dir(redirected.join("d")).expect("made");
        set_xattr(&redirected.join("d"), "trusted.overlay.redirect", b"/other");
        let error = pack_layer(&store, &redirected, &[], &PLAIN).expect_err("redirected");
        assert!(matches!(&error, PackError::Incomplete { path, option: "redirect_dir" } if path == "d"), "{error}");
    }
    let options = PackOptions { compression: Compression::Gzip { level: 99 }, ..PLAIN };
    assert!(matches!(pack_layer(&store, &reserved, &[], &options), Err(PackError::Compression { .. })));
}

#[test]
fn gnu_tar_gzip_and_zstd_read_our_layers() {
    let (_dir, store) = store();
    let (work, upper) = upper(&store);
    let big: Vec<u8> = (0..3_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    fs::write(upper.join("big"), &big).expect("written");
    fs::create_dir(upper.join("d")).expect("made");
    fs::hard_link(upper.join("big"), upper.join("d/hard")).expect("linked");
    for (compression, test) in [
        (Compression::Gzip { level: 6 }, vec!["gzip", "-t", "<"]),
        (Compression::Zstd { level: 3 }, vec!["zstd", "-qt", "<"]),
        (Compression::None, vec!["cat", "<"]),
    ] {
        let layer = pack_layer(&store, &upper, &[], &PackOptions { compression, threads: 3, ..PLAIN }).expect("packed");
        let blob = store.blob_path(&layer.descriptor.digest).display().to_string();
        let out = work.path().join(test[0]);
        fs::create_dir(&out).expect("made");
        let unpack = match compression {
            Compression::Zstd { .. } => "zstd -qdc",
            Compression::Gzip { .. } => "gzip -dc",
            Compression::None => "cat",
        };
        if Command::new(test[0]).arg("--version").output().is_err() {
            eprintln!("skipped: no {}", test[0]);
            continue;
        }
        let script = format!("{} {blob} >/dev/null && {unpack} < {blob} | tar -xpf - -C {}", test.join(" "), out.display());
        let output = Command::new("sh").args(["-euc", &script]).output().expect("sh runs");
        assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        let names = |dir: &Path| -> Vec<String> {
            listing(dir).iter().map(|l| l.split(' ').filter(|w| !w.starts_with('@')).collect::<Vec<_>>().join(" ")).collect()
        };
        assert_eq!(names(&out), names(&upper));
        assert_eq!(fs::metadata(out.join("big")).expect("a file").nlink(), 2);
    }
}

#[test]
fn an_empty_layer_is_two_empty_blocks() {
    let (_dir, store) = store();
    let (_work, upper) = upper(&store);
    let layer = pack_layer(&store, &upper, &[], &PLAIN).expect("packed");
    assert_eq!((layer.entries, layer.uncompressed_size), (0, 1024));
    // The diff id every tool gives to an empty layer.
    assert_eq!(layer.diff_id.as_str(), "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef");
}

#[test]
fn digests_of_files_are_taken_on_the_way_and_change_nothing() {
    let (_dir, store) = store();
    let (_work, upper) = upper(&store);
    fs::create_dir(upper.join("d")).expect("made");
    let large: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    fs::write(upper.join("d/large"), &large).expect("written");
    fs::hard_link(upper.join("d/large"), upper.join("d/other")).expect("linked");
    fs::write(upper.join("empty"), b"").expect("written");
    symlink("d", upper.join("link")).expect("linked");
    let without = pack_layer(&store, &upper, &[], &PLAIN).expect("packed");
    assert!(store.file_digests(&without.diff_id).expect("no error").is_none());
    let algorithms = vec![FileDigestAlgorithm::Sha256, FileDigestAlgorithm::Md5];
    let with = pack_layer(&store, &upper, &[], &PackOptions { file_digests: algorithms, ..PLAIN }).expect("packed");
    assert_eq!(with, without);
    let list = store.file_digests(&with.diff_id).expect("no error").expect("a list");
    let files: Vec<FileDigest> = list.collect::<Result<_, _>>().expect("readable");
    let found: Vec<(&[u8], u64, String)> = files
        .iter()
        .map(|file| {
            let sum = file.get(FileDigestAlgorithm::Sha256).expect("sha256").try_into().expect("32 bytes");
            (file.path.as_slice(), file.size, Digest::from_sha256(sum).to_string())
        })
        .collect();
    let digest = |bytes: &[u8]| crate::testing::sha256(bytes).to_string();
    let (large_sum, size) = (digest(&large), large.len() as u64);
    let expected: [(&[u8], u64, String); 3] =
        [(b"d/large", size, large_sum.clone()), (b"d/other", size, large_sum), (b"empty", 0, digest(b""))];
    assert_eq!(found, expected);
    let md5_of_nothing = *b"\xd4\x1d\x8c\xd9\x8f\x00\xb2\x04\xe9\x80\x09\x98\xec\xf8\x42\x7e";
    assert_eq!(files[2].get(FileDigestAlgorithm::Md5), Some(&md5_of_nothing[..]));
}

#[test]
fn the_layer_writer_has_not_changed() {
    // Files, directories, links, odd names, attributes, an entry per tar feature: when one of these digests changes,
    // every image built later gets other digests. Then LAYER_WRITER must be raised, too.
    if !is_root() {
        return;
    }
    let (_dir, store) = store();
    let (_work, upper) = upper(&store);
    let long = format!("{}/{}", "directory".repeat(20), "n".repeat(200));
    for (path, size) in [("a/large", 3_000_000_usize), ("a/empty", 0), ("ä", 1), (long.as_str(), 600)] {
        let path = upper.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        let content: Vec<u8> = (0..size as u64).map(|n| (n.wrapping_mul(0x9e37_79b9) >> 13) as u8 & 0x3f).collect();
        fs::write(path, content).expect("written");
    }
    let mut noise = 1_u64;
    let mut random = || {
        noise = noise.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        (noise >> 56) as u8
    };
    fs::write(upper.join("noise"), (0..200_000).map(|_| random()).collect::<Vec<_>>()).expect("written");
    fs::hard_link(upper.join("a/empty"), upper.join("a/link")).expect("linked");
    symlink("../target", upper.join("a/symlink")).expect("linked");
    shell(
        &upper,
        "mkfifo fifo; mknod dev c 5 1; chmod 4755 a/large; chown 1000:70000 ä; mkdir deleted; mknod deleted/gone c 0 0; \
         find . -exec touch -h -d @3000 {} +; touch -h -d @1000 ä",
    );
    set_xattr(&upper.join("ä"), "user.note", b"\0value");
    let packed = |compression| {
        let layer = pack_layer(&store, &upper, &[], &PackOptions { compression, ..PLAIN }).expect("packed");
        layer.descriptor.digest.to_string()
    };
    let seen = [Compression::None, Compression::Gzip { level: 6 }, Compression::Zstd { level: 3 }].map(packed);
    insta::assert_debug_snapshot!((LAYER_WRITER, seen));
}
