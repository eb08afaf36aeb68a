//! A layer blob (tar, gzip or zstd) from a stranger, unpacked into a store. Whatever the bytes: nothing outside the
//! layer's own directory changes, nothing is left of a refused layer, messages hold no control characters, and a layer
//! that was taken unpacks to the same tree again and packs to one that unpacks to the same.
//!
//! The first byte chooses the compression; the rest is the tar, or with the top bit set the compressed bytes themselves.

#![no_main]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::OnceLock;

use build_model::Digest;
use image_layers::{Compression, Descriptor, PackOptions, Store, UnpackLimits, UnpackedLayer, decoder, media_types, pack_layer};
use libfuzzer_sys::fuzz_target;
use sha2::{Digest as _, Sha256};

const LIMITS: UnpackLimits =
    UnpackLimits { uncompressed_bytes: 4 << 20, file_bytes: 1 << 20, entries: 2000, path_bytes: 4095, extension_bytes: 64 << 10 };

/// Our own layers have the holes of sparse files as bytes.
const LIMITS_OF_OURS: UnpackLimits = UnpackLimits {
    uncompressed_bytes: 16 << 20,
    file_bytes: 1 << 20,
    entries: 2000,
    path_bytes: 4095,
    extension_bytes: 64 << 10,
};

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else { return };
    let blob = match first {
        0 => rest.to_vec(),
        1..=63 => gzip(rest),
        64..=127 => zstd::encode_all(rest, 1).expect("compressed"),
        _ => rest.to_vec(),
    };
    let world = World::get();
    // The right diff id, so that what is readable is taken.
    let diff_id = inflated(&blob).unwrap_or_else(|| sha256(b"nothing"));
    let first = world.unpack(&blob, &diff_id, &LIMITS);
    assert_eq!(fs::read(world.canary()).expect("the canary"), b"alive");
    assert_eq!(fs::read_dir(world.dir.path()).expect("listed").count(), 2, "something appeared outside");
    let left = |sub: &str| fs::read_dir(world.store.root().join(sub)).expect("listed").count();
    let Some(layer) = first else {
        assert_eq!(left("layers"), 0, "something is left of a refused layer");
        return;
    };
    let tree = listing(&layer.dir);
    world.forget();
    let again = world.unpack(&blob, &diff_id, &LIMITS).expect("taken before");
    assert_eq!(tree, listing(&again.dir), "not the same tree twice");
    // What packs (a tree of a layer always does, but for names that mean deletions) has the same effect.
    let options = PackOptions { compression: Compression::None, threads: 1, ..PackOptions::default() };
    if let Ok(packed) = pack_layer(&world.store, &again.dir, &[], &options) {
        let blob = world.store.read_blob(&packed.descriptor.digest, 64 << 20).expect("a blob");
        world.forget();
        let third = world.unpack(&blob, &packed.diff_id, &LIMITS_OF_OURS).expect("our own layers are taken");
        assert_eq!(without_times(tree), without_times(listing(&third.dir)), "not the same tree from our own layer");
    }
    world.forget();
});

/// One store for all runs, on tmpfs where there is one.
struct World {
    dir: tempfile::TempDir,
    store: Store,
}

impl World {
    fn get() -> &'static Self {
        static WORLD: OnceLock<World> = OnceLock::new();
        WORLD.get_or_init(|| {
            let named = || tempfile::Builder::new();
            let dir = named().prefix("fuzz-layer-").tempdir_in("/dev/shm").or_else(|_| named().tempdir()).expect("a directory");
            fs::write(dir.path().join("canary"), "alive").expect("written");
            let store = Store::open(&dir.path().join("store")).expect("a store");
            Self { dir, store }
        })
    }

    fn canary(&self) -> std::path::PathBuf {
        self.dir.path().join("canary")
    }

    fn unpack(&self, blob: &[u8], diff_id: &Digest, limits: &UnpackLimits) -> Option<UnpackedLayer> {
        let digest = self.store.put_blob(blob).expect("stored");
        let descriptor = Descriptor::new(media_types::OCI_LAYER, digest.clone(), blob.len() as u64);
        let unpacked = self.store.unpack_layer(&descriptor, diff_id, None, limits);
        let _ = fs::remove_file(self.store.blob_path(&digest));
        match unpacked {
            Ok(layer) => Some(layer),
            Err(error) => {
                let mut next: Option<&dyn std::error::Error> = Some(&error);
                while let Some(error) = next {
                    let text = error.to_string();
                    assert!(!text.contains(|c: char| c.is_control()), "{text:?}");
                    next = error.source();
                }
                None
            }
        }
    }

    /// Removes what was unpacked and what was thrown away.
    fn forget(&self) {
        for sub in ["layers", "blobs/sha256", "sizes"] {
            for entry in fs::read_dir(self.store.root().join(sub)).expect("listed").flatten() {
                let path = entry.path();
                let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
            }
        }
        self.store.sweep();
    }
}

fn inflated(blob: &[u8]) -> Option<Digest> {
    let mut plain = std::io::Read::take(decoder(blob).ok()?, LIMITS.uncompressed_bytes + 1);
    let mut sum = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match std::io::Read::read(&mut plain, &mut buffer).ok()? {
            0 => return Some(Digest::from_sha256(&sum.finalize().into())),
            read => sum.update(&buffer[..read]),
        }
    }
}

fn sha256(bytes: &[u8]) -> Digest {
    Digest::from_sha256(&Sha256::digest(bytes).into())
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(plain).expect("compressed");
    encoder.finish().expect("compressed")
}

/// Path to what there is: type and mode, owner, size or device, time, links; and content or target.
type Listing = BTreeMap<Vec<u8>, (u32, u32, u32, u64, i64, u64, Vec<u8>)>;

fn listing(root: &Path) -> Listing {
    let mut found = Listing::new();
    let mut pending = vec![root.to_owned()];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(&dir).expect("a directory").flatten() {
            let path = entry.path();
            let meta = fs::symlink_metadata(&path).expect("there");
            let content = if meta.is_file() {
                fs::read(&path).expect("readable")
            } else if meta.is_symlink() {
                fs::read_link(&path).expect("a link").into_os_string().into_encoded_bytes()
            } else {
                Vec::new()
            };
            if meta.is_dir() {
                pending.push(path.clone());
            }
            let what = if meta.is_file() { meta.size() } else { meta.rdev() };
            let name = path.strip_prefix(root).expect("below").as_os_str().as_encoded_bytes().to_vec();
            found.insert(name, (meta.mode(), meta.uid(), meta.gid(), what, meta.mtime(), meta.nlink(), content));
        }
    }
    found
}

/// Packing leaves out fractions of seconds, and directories' link counts differ between file systems.
fn without_times(listing: Listing) -> Listing {
    listing
        .into_iter()
        .map(|(path, (mode, uid, gid, what, _, _, content))| (path, (mode, uid, gid, what, 0, 0, content)))
        .collect()
}
