//! Blobs, locks and leftovers.

use std::fs;
use std::io::Write;

use build_model::Diagnose;

use super::*;
use crate::testing::{listing, scratch, sha256, store, tar_of, unpack_plain};

#[test]
fn a_blob_is_there_only_when_it_is_complete_and_right() {
    let (_dir, store) = store();
    let right = sha256(b"content");
    let mut writer = store.blob_writer().expect("a writer");
    writer.write_all(b"cont").expect("written");
    assert!(!store.has_blob(&right));
    drop(writer);

    let mut writer = store.blob_writer().expect("a writer");
    writer.write_all(b"other").expect("written");
    let error = writer.finish(Some(&right)).expect_err("another digest");
    assert!(matches!(&error, StoreError::DigestMismatch { found, .. } if *found == sha256(b"other")), "{error:?}");
    assert!(!store.has_blob(&right) && !store.has_blob(&sha256(b"other")));

    assert_eq!(store.put_blob(b"content").expect("stored"), right);
    assert_eq!(store.blob_size(&right), Some(7));
    assert_eq!(store.read_blob(&right, 7).expect("read"), b"content");
    assert!(matches!(store.read_blob(&right, 6), Err(StoreError::BlobTooLarge { size: 7, limit: 6, .. })));
    assert!(matches!(store.read_blob(&sha256(b"x"), 6), Err(StoreError::MissingBlob { .. })));
    assert_eq!(fs::read_dir(store.session_dir()).expect("listed").count(), 1, "only the lock is left");
}

#[test]
fn a_blob_damaged_at_rest_is_set_aside_when_it_is_read() {
    let (_dir, store) = store();
    let digest = store.put_blob(b"content").expect("stored");
    fs::write(store.blob_path(&digest), b"CONTENT").expect("damaged");
    let error = store.read_blob(&digest, 100).expect_err("damaged");
    assert!(error.is_transient() && !store.has_blob(&digest));
    assert_eq!(store.sweep().trashed, 1);
}

#[test]
fn sweeping_spares_the_living_and_removes_what_the_dead_left() {
    let (dir, store) = store();
    let other = Store::open(store.root()).expect("opened twice");
    let mine = store.temp_dir().expect("a directory");
    let theirs = other.temp_dir().expect("a directory");
    // What a killed process leaves: a directory with a lock that nobody holds, and one without any.
    for name in ["p-killed", "p-early"] {
        let left = store.root().join("tmp").join(name);
        fs::create_dir_all(left.join("d-x/fs/deep")).expect("made");
    }
    fs::write(store.root().join("tmp/p-killed/.lock"), "").expect("a lock");
    fs::write(store.root().join("tmp/stray"), "").expect("a stray file");
    let report = store.sweep();
    assert_eq!(report, SweepReport { temporary: 3, trashed: 0, failed: 0 });
    assert!(mine.path().exists() && theirs.path().exists());
    drop((mine, theirs, other));
    assert_eq!(fs::read_dir(store.root().join("tmp")).expect("listed").count(), 1);
    drop(store);
    assert!(listing(dir.path()).iter().all(|line| !line.contains("tmp/")), "{:?}", listing(dir.path()));
}

#[test]
fn clones_share_their_temporary_directory() {
    let (_dir, store) = store();
    let clone = store.clone();
    drop(store);
    assert!(clone.temp_dir().expect("a directory").path().exists());
}

#[test]
fn the_store_is_closed_to_others() {
    use std::os::unix::fs::PermissionsExt;
    let (_dir, store) = store();
    assert_eq!(fs::metadata(store.root()).expect("metadata").permissions().mode() & 0o777, 0o700);
}

#[test]
fn many_threads_unpack_one_layer_once() {
    let (_dir, store) = store();
    let plain = tar_of(&["d d", "f d/a 1"]);
    let layers: Vec<UnpackedLayer> = std::thread::scope(|scope| {
        let unpack = || unpack_plain(&Store::open(store.root()).expect("opened"), &plain, None).expect("unpacked");
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(unpack)).collect();
        threads.into_iter().map(|t| t.join().expect("no panic")).collect()
    });
    assert!(layers.iter().all(|l| *l == layers[0]));
    assert_eq!(store.sweep().trashed, 0, "nobody replaced what another had published");
    assert_eq!(fs::read_dir(store.root().join("locks")).expect("listed").count(), 1, "lock files go away");
}

#[test]
fn an_incomplete_layer_directory_is_replaced() {
    let (_dir, store) = store();
    let plain = tar_of(&["f a 1"]);
    let chain = sha256(&plain);
    let dir = store.root().join("layers").join(chain.hex());
    fs::create_dir_all(dir.join("fs/rubbish")).expect("made");
    assert!(store.unpacked_layer(&chain).is_none());
    let layer = unpack_plain(&store, &plain, None).expect("unpacked");
    assert!(layer.dir.join("a").exists() && !layer.dir.join("rubbish").exists());
    // A crash of the machine may lose what was not flushed: after its next start such a layer is not trusted.
    let meta = dir.join("meta.json");
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("a boot id");
    let earlier = |text: String| fs::write(&meta, text.replace(boot.trim(), "earlier")).expect("written");
    let text = fs::read_to_string(&meta).expect("meta");
    earlier(text.clone());
    assert!(store.unpacked_layer(&chain).is_none(), "not flushed, another boot");
    fs::write(&meta, &text).expect("written");
    assert_eq!(store.flush_layers().expect("flushed"), 1);
    assert_eq!(store.flush_layers().expect("nothing to do"), 0);
    earlier(fs::read_to_string(&meta).expect("meta"));
    assert!(store.unpacked_layer(&chain).is_some(), "flushed, another boot");
}

#[test]
fn an_upper_directory_is_adopted_by_renaming() {
    let (_dir, store) = store();
    let below = unpack_plain(&store, &tar_of(&["f a 1"]), None).expect("unpacked");
    let work = store.temp_dir().expect("a directory");
    let upper = work.path().join("upper");
    fs::create_dir(&upper).expect("made");
    fs::write(upper.join("new"), "2").expect("written");
    let diff_id = sha256(b"the tar of it");
    let layer = store.adopt_layer(&upper, &diff_id, Some(&below.chain_id)).expect("adopted");
    assert!(!upper.exists() && layer.dir.join("new").exists());
    assert_eq!(store.layer_stack(&layer.chain_id).expect("a stack"), [layer.dir.clone(), below.dir]);
    // The same again: the one that is there stays.
    fs::create_dir(&upper).expect("made");
    assert_eq!(store.adopt_layer(&upper, &diff_id, Some(&below.chain_id)).expect("adopted"), layer);
    assert!(!upper.exists() && layer.dir.join("new").exists());
}

#[test]
fn a_layer_over_one_that_is_not_unpacked_is_an_error() {
    let (_dir, store) = store();
    let missing = UnpackedLayer { chain_id: sha256(b"x"), dir: scratch().path().to_owned() };
    let error = unpack_plain(&store, &tar_of(&["f a 1"]), Some(&missing)).expect_err("no parent");
    assert_eq!(error.kind(), "layer-missing");
}
