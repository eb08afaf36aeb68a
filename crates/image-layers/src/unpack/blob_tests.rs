//! Blobs as a whole: bombs, damaged and cut off ones, all usual compressions.

use std::error::Error as _;
use std::fs;

use build_model::Diagnose;

use super::tests::{message, shape};
use super::*;
use crate::tar_format::TarEntry;
use crate::testing::{gzip, listing, sha256, store, tar, tar_of, unpack, unpack_plain};

#[test]
fn limits_stop_bombs() {
    let usual = UnpackLimits::default();
    let zeros = tar(&[(TarEntry::file("zeros", 0), &vec![0; 64 << 20])]);
    let bomb = gzip(&zeros);
    assert!(bomb.len() < 1 << 20);
    let many: Vec<String> = (0..50).map(|n| format!("f {n} x")).collect();
    let many = tar_of(&many.iter().map(String::as_str).collect::<Vec<_>>());
    let attributes = TarEntry { xattrs: vec![(b"user.a".to_vec(), vec![b'x'; 5000])], ..TarEntry::file("a", 0) };
    let attributes = tar(&[(attributes, b"")]);
    for (blob, plain, limits, problem) in [
        (&bomb, &zeros, UnpackLimits { uncompressed_bytes: 1 << 20, ..usual.clone() }, "too many bytes: more than the 1048576"),
        (&bomb, &zeros, UnpackLimits { file_bytes: 1 << 20, ..usual.clone() }, "a file of too many bytes"),
        (
            &many,
            &many,
            UnpackLimits { entries: 10, ..usual.clone() },
            "too many entries: more than the 10 allowed, at the entry `10`",
        ),
        (&attributes, &attributes, UnpackLimits { extension_bytes: 4096, ..usual.clone() }, "more than the 4096 allowed"),
    ] {
        let (dir, store) = store();
        let error = unpack(&store, blob, plain, None, &limits).expect_err(problem);
        assert!(message(&error).contains(problem), "{}", message(&error));
        drop(store);
        assert!(!listing(dir.path()).iter().any(|l| l.contains("zeros")), "nothing is left");
    }
}

#[test]
fn trailing_bytes_count_against_the_limit_and_for_the_digest() {
    let (_dir, store) = store();
    let mut plain = tar_of(&["f a 1"]);
    plain.extend(vec![7; 3 << 20]);
    let limits = UnpackLimits { uncompressed_bytes: 1 << 20, ..UnpackLimits::default() };
    let error = unpack(&store, &gzip(&plain), &plain, None, &limits).expect_err("too large");
    assert!(message(&error).contains("too many bytes"), "{}", message(&error));
    unpack_plain(&store, &plain, None).expect("the digest covers what follows the archive");
}

#[test]
fn a_size_that_a_header_merely_claims_costs_nothing() {
    let (_dir, store) = store();
    let mut writer = crate::tar_format::TarWriter::new(Vec::new());
    let claimed = TarEntry::file("huge", 16 << 30);
    let _ = writer.append_file(&claimed, &b"short"[..]).expect_err("the writer refuses as well");
    let (plain, _) = writer.finish().expect("finished");
    let error = unpack_plain(&store, &plain, None).expect_err("cut off");
    assert!(matches!(&error, UnpackError::Archive { source: TarError::Truncated { .. }, .. }), "{error:?}");
}

#[test]
fn a_damaged_blob_is_told_from_a_wrong_diff_id_and_set_aside() {
    let (_dir, store) = store();
    let plain = tar_of(&["f a 1"]);
    let digest = store.put_blob(&plain).expect("a blob");
    let descriptor = crate::Descriptor::new("x", digest.clone(), plain.len() as u64);
    let wrong = sha256(b"something else");
    let error = store.unpack_layer(&descriptor, &wrong, None, &UnpackLimits::default()).expect_err("wrong diff id");
    assert!(matches!(&error, UnpackError::DiffId { expected, found, .. } if *expected == wrong && *found == digest), "{error:?}");
    assert!(store.has_blob(&digest) && !error.is_transient());

    let mut damaged = plain.clone();
    damaged[0] ^= 1;
    fs::write(store.blob_path(&digest), &damaged).expect("damaged");
    let error = store.unpack_layer(&descriptor, &digest, None, &UnpackLimits::default()).expect_err("damaged");
    assert!(matches!(error, UnpackError::BlobDigest { .. }), "{error:?}");
    assert!(!store.has_blob(&digest) && error.is_transient());
    assert!(store.unpacked_layer(&digest).is_none());
}

#[test]
fn all_usual_compressions_are_read() {
    let plain = tar_of(&["f a 1", "d b"]);
    let mut two_members = gzip(&plain[..700]);
    two_members.extend(gzip(&plain[700..]));
    let zstd = zstd::encode_all(&plain[..], 3).expect("compressed");
    for blob in [&plain, &gzip(&plain), &two_members, &zstd] {
        let (_dir, store) = store();
        let layer = unpack(&store, blob, &plain, None, &UnpackLimits::default()).expect("unpacked");
        assert_eq!(shape(&layer.dir), ["a f \"1\"", "b d"]);
    }
    let (_dir, store) = store();
    let xz = b"\xfd7zXZ\0rest of it";
    let error = unpack(&store, xz, &plain, None, &UnpackLimits::default()).expect_err("no xz");
    assert!(message(&error).contains("xz is no compression of layers"), "{}", message(&error));
}

#[test]
fn a_cut_off_blob_is_an_error_at_every_length() {
    let (_dir, store) = store();
    let plain = tar_of(&["f a 1", "f b 2"]);
    let blob = gzip(&plain);
    for length in 0..blob.len() {
        let error = unpack(&store, &blob[..length], &plain, None, &UnpackLimits::default()).expect_err("cut off");
        assert!(error.source().is_some() || matches!(error, UnpackError::DiffId { .. }), "{length}: {error:?}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(96))]

    #[test]
    fn damaged_layers_never_panic_and_never_reach_outside(
        at in proptest::collection::vec((0_usize..8000, proptest::prelude::any::<u8>()), 0..6),
        cut in 0_usize..9000,
        fix_sums: bool,
    ) {
        let (dir, store) = store();
        fs::write(dir.path().join("canary"), "alive").expect("a canary");
        let entry = TarEntry { xattrs: vec![(b"user.a".to_vec(), vec![b'v'; 60])], ..TarEntry::file("with/attributes", 0) };
        let mut plain = tar(&[(entry, b"content")]);
        plain.truncate(plain.len() - 1024);
        plain.extend(tar_of(&["d d", "f d/a 1", "l l d", "h d/h d/a", "f .wh.gone ", "f d/.wh..wh..opq ", "p p", "f l/x 2"]));
        for (at, byte) in at {
            if let Some(place) = plain.get_mut(at) {
                *place = byte;
            }
        }
        plain.truncate(cut);
        if fix_sums {
            // Otherwise nearly every change is caught by the header's sum.
            for block in plain.chunks_exact_mut(512).filter(|b| &b[257..262] == b"ustar") {
                block[148..156].fill(b' ');
                let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
                block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            }
        }
        let limits = UnpackLimits { uncompressed_bytes: 1 << 20, ..UnpackLimits::default() };
        let _ = unpack(&store, &plain, &plain, None, &limits);
        let outside: Vec<String> = fs::read_dir(dir.path()).expect("listed").map(|e| e.expect("entry").file_name().to_string_lossy().into_owned()).collect();
        proptest::prop_assert_eq!(outside.len(), 2);
        proptest::prop_assert_eq!(fs::read_to_string(dir.path().join("canary")).expect("the canary"), "alive");
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
        let mut tar = crate::tar_format::TarReader::new(&bytes[..], 4096);
        while let Ok(Some(_)) = tar.next_entry() {}
    }
}
