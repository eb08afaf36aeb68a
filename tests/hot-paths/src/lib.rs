//! Inputs of the benchmarks: the same on every machine, made in memory or on tmpfs, so that the code is measured and not
//! the disk. `make bench` measures whole builds; these tell which part of one got slower.

use std::fs;
use std::path::{Path, PathBuf};

use build_model::Digest;
use image_layers::tar_format::{TarEntry, TarKind, TarWriter};
use image_layers::{Descriptor, Store, media_types};
use sha2::{Digest as _, Sha256};

/// A store on tmpfs where there is one.
pub struct Scratch {
    dir: tempfile::TempDir,
    /// The store.
    pub store: Store,
}

impl Scratch {
    /// Makes one.
    ///
    /// # Panics
    /// When no directory can be made.
    #[must_use]
    pub fn new() -> Self {
        let named = || tempfile::Builder::new();
        let dir = named().prefix("hot-paths-").tempdir_in("/dev/shm").or_else(|_| named().tempdir()).expect("a directory");
        let store = Store::open(&dir.path().join("store")).expect("a store");
        Self { dir, store }
    }

    /// A tree of `count` files of `size` bytes each, 16 to a directory.
    ///
    /// # Panics
    /// When it cannot be written.
    #[must_use]
    pub fn tree(&self, count: usize, size: usize) -> PathBuf {
        let root = self.dir.path().join(format!("tree-{count}-{size}"));
        for number in 0..count {
            let path = root.join(format!("d{:04}/f{number:06}", number / 16));
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, content(size, number as u64)).expect("written");
        }
        root
    }

    /// Forgets what was unpacked, so that it is unpacked again.
    ///
    /// # Panics
    /// When it cannot be removed.
    pub fn forget_layers(&self) {
        let layers = self.store.root().join("layers");
        fs::remove_dir_all(&layers).expect("removed");
        fs::create_dir(layers).expect("made");
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

/// Bytes that compress like the files of a distribution, about 2.5 times.
#[must_use]
pub fn content(size: usize, seed: u64) -> Vec<u8> {
    const WORDS: [&[u8]; 8] = [b"error ", b"return ", b"0x", b"\0\0\0\0", b"const ", b"/usr/lib64/", b"value", b"\n\t"];
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(size + 16);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        match WORDS.get((state >> 60) as usize) {
            Some(word) => bytes.extend_from_slice(word),
            None => bytes.extend_from_slice(&state.to_le_bytes()[..3]),
        }
    }
    bytes.truncate(size);
    bytes
}

/// A tar of `count` files of `size` bytes each.
///
/// # Panics
/// Never: nothing is written but memory.
#[must_use]
pub fn tar(count: usize, size: usize) -> Vec<u8> {
    let mut writer = TarWriter::new(Vec::new());
    for number in 0..count {
        if number % 16 == 0 {
            let entry = TarEntry { mode: 0o755, ..TarEntry::new(format!("d{:04}/", number / 16), TarKind::Directory) };
            writer.append(&entry).expect("appended");
        }
        let entry = TarEntry::file(format!("d{:04}/f{number:06}", number / 16), size as u64);
        writer.append_file(&entry, content(size, number as u64).as_slice()).expect("appended");
    }
    writer.finish().expect("finished").0
}

/// Puts a plain tar into the store as a layer.
///
/// # Panics
/// When it cannot be written.
#[must_use]
pub fn layer(store: &Store, plain: &[u8]) -> (Descriptor, Digest) {
    let digest = store.put_blob(plain).expect("stored");
    let diff_id = Digest::from_sha256(&Sha256::digest(plain).into());
    (Descriptor::new(media_types::OCI_LAYER, digest, plain.len() as u64), diff_id)
}

/// A directory of a tree as [`image_layers::pack_layer`] wants it.
#[must_use]
pub fn lowers() -> Vec<PathBuf> {
    Vec::new()
}

/// Bytes of all files below `root`.
///
/// # Panics
/// When it cannot be read.
#[must_use]
pub fn bytes_below(root: &Path) -> u64 {
    let size = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.expect("an entry").path();
        if path.is_dir() { bytes_below(&path) } else { path.metadata().expect("metadata").len() }
    };
    fs::read_dir(root).expect("a directory").map(size).sum()
}
