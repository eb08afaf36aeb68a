//! Unpacked layers: one directory per chain id, in the form overlayfs wants its lower directories.
//!
//! A layer is unpacked into the session's directory and published by rename together with its `meta.json`, so what is
//! under `layers` is complete. A flock per chain id makes the second of two builds wait instead of unpacking as well.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use build_model::Digest;
use serde::{Deserialize, Serialize};

use super::Store;
use super::error::StoreError;
use super::session::lock_exclusive;
use crate::descriptor::Descriptor;
use crate::image::{LocalImage, chain_id};
use crate::unpack::{self, UnpackError, UnpackLimits, UnpackedDigests};

/// A layer that is unpacked in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnpackedLayer {
    /// Name of the layer together with everything below it.
    pub chain_id: Digest,
    /// The directory to use as an overlay lower. Must not be changed.
    pub dir: PathBuf,
}

/// Name of the file with the digests of a layer's files.
const DIGESTS: &str = "digests";

/// `meta.json` of an unpacked layer.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct LayerMeta {
    diff_id: Digest,
    parent: Option<Digest>,
    /// Whether the files were flushed before publishing. If not, they are trusted until the next boot only.
    flushed: bool,
    boot_id: String,
}

impl Store {
    fn layer_dir(&self, chain_id: &Digest) -> PathBuf {
        self.root().join("layers").join(chain_id.hex())
    }

    /// The layer `chain_id` if it is unpacked.
    pub fn unpacked_layer(&self, chain_id: &Digest) -> Option<UnpackedLayer> {
        self.layer_meta(chain_id)?;
        Some(UnpackedLayer { chain_id: chain_id.clone(), dir: self.layer_dir(chain_id).join("fs") })
    }

    fn layer_meta(&self, chain_id: &Digest) -> Option<LayerMeta> {
        let text = fs::read(self.layer_dir(chain_id).join("meta.json")).ok()?;
        let meta: LayerMeta = serde_json::from_slice(&text).ok()?;
        (meta.flushed || meta.boot_id == boot_id()).then_some(meta)
    }

    /// The directories of the layer `top` and of all below it, top first.
    ///
    /// # Errors
    /// One of them is not unpacked.
    pub fn layer_stack(&self, top: &Digest) -> Result<Vec<PathBuf>, StoreError> {
        let mut dirs = Vec::new();
        let mut next = Some(top.clone());
        while let Some(current) = next {
            let meta = self.layer_meta(&current).ok_or_else(|| StoreError::MissingLayer { chain_id: current.clone() })?;
            dirs.push(self.layer_dir(&current).join("fs"));
            next = meta.parent;
        }
        Ok(dirs)
    }

    /// Unpacks one layer on top of `parent` (a chain id), or finds it unpacked already.
    ///
    /// Blob digest and diff id are verified before the layer is published. A damaged blob is set aside. The parent
    /// must be unpacked: directories the layer uses without listing them get the parent's owner and mode.
    ///
    /// # Errors
    /// The blob is missing or damaged, the layer breaks a rule or a limit (the entry is named), the store cannot be written.
    pub fn unpack_layer(
        &self,
        blob: &Descriptor,
        diff_id: &Digest,
        parent: Option<&Digest>,
        limits: &UnpackLimits,
    ) -> Result<UnpackedLayer, UnpackError> {
        let chain = chain_id(parent, diff_id);
        if let Some(layer) = self.unpacked_layer(&chain) {
            return Ok(layer);
        }
        let _lock = self.lock_layer(&chain)?;
        if let Some(layer) = self.unpacked_layer(&chain) {
            return Ok(layer);
        }
        let lowers = parent.map(|p| self.layer_stack(p)).transpose()?.unwrap_or_default();
        let source = self.blob_source(&blob.digest)?;
        let scratch = self.temp_dir()?;
        let fs_dir = scratch.path().join("fs");
        fs::create_dir(&fs_dir).map_err(StoreError::io("make the directory", &fs_dir))?;
        let unpacked = unpack::unpack_tar(&fs_dir, source, &blob.digest, diff_id, &lowers, limits, self.hashes_files);
        if let Err(UnpackError::BlobDigest { .. }) = unpacked {
            self.discard_blob(&blob.digest);
        }
        let unpacked = unpacked?;
        if let Some(digests) = &unpacked.digests {
            let path = scratch.path().join(DIGESTS);
            digests.write(&path).map_err(StoreError::io("write", &path))?;
        }
        self.note_uncompressed_size(&blob.digest, unpacked.uncompressed_size);
        Ok(self.publish(scratch, diff_id, parent)?)
    }

    /// The digests of a layer's files; `None` when it was not unpacked by a store that is [`Store::hashing_files`], or when
    /// they cannot be read: then its files can.
    pub fn unpacked_digests(&self, layer: &UnpackedLayer) -> Option<UnpackedDigests> {
        let path = self.layer_dir(&layer.chain_id).join(DIGESTS);
        match UnpackedDigests::read(&path) {
            Ok(digests) => Some(digests),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "cannot read the digests of a layer's files");
                None
            }
        }
    }

    /// Unpacks every layer of `image`; bottom first.
    ///
    /// # Errors
    /// As [`Store::unpack_layer`].
    pub fn unpack_image(&self, image: &LocalImage, limits: &UnpackLimits) -> Result<Vec<UnpackedLayer>, UnpackError> {
        let mut unpacked: Vec<UnpackedLayer> = Vec::with_capacity(image.layers().len());
        for (blob, diff_id) in image.layers().iter().zip(&image.config.rootfs.diff_ids) {
            let layer = self.unpack_layer(blob, diff_id, unpacked.last().map(|l| &l.chain_id), limits)?;
            unpacked.push(layer);
        }
        Ok(unpacked)
    }

    /// Makes the finished overlay upper directory `upper` the unpacked form of the layer that was packed from it.
    ///
    /// `upper` is renamed into the store (it must be on the store's file system and not be mounted any more). When the
    /// layer is there already, `upper` is thrown away. What the packing left out (skipped paths) must be gone from `upper`.
    ///
    /// # Errors
    /// It cannot be renamed.
    pub fn adopt_layer(&self, upper: &Path, diff_id: &Digest, parent: Option<&Digest>) -> Result<UnpackedLayer, StoreError> {
        let chain = chain_id(parent, diff_id);
        let _lock = self.lock_layer(&chain)?;
        if let Some(layer) = self.unpacked_layer(&chain) {
            self.throw_away(upper)?;
            return Ok(layer);
        }
        let scratch = self.temp_dir()?;
        fs::rename(upper, scratch.path().join("fs")).map_err(StoreError::io("move into the store", upper))?;
        self.publish(scratch, diff_id, parent)
    }

    /// Flushes the layers that only the kernel's memory holds, so that they outlive a crash of the machine. Whoever waits
    /// for a layer does not wait for this: until it is done, a layer is trusted up to the next start of the machine.
    ///
    /// # Errors
    /// The store cannot be listed, flushed or written.
    pub fn flush_layers(&self) -> Result<usize, StoreError> {
        let layers = self.root().join("layers");
        let mut unflushed = Vec::new();
        for entry in fs::read_dir(&layers).map_err(StoreError::io("list", &layers))? {
            let name = entry.map_err(StoreError::io("list", &layers))?.file_name();
            let Ok(chain) = format!("sha256:{}", name.display()).parse::<Digest>() else { continue };
            unflushed.extend(self.layer_meta(&chain).filter(|meta| !meta.flushed).map(|meta| (chain, meta)));
        }
        if unflushed.is_empty() {
            return Ok(0);
        }
        // One syncfs instead of an fsync per file: tens of thousands of those cost minutes.
        let dir = File::open(&layers).map_err(StoreError::io("open", &layers))?;
        rustix::fs::syncfs(&dir).map_err(|e| StoreError::io("flush", &layers)(e.into()))?;
        for (chain, meta) in &unflushed {
            let path = self.layer_dir(chain).join("meta.json");
            let new = path.with_extension("new");
            LayerMeta { flushed: true, ..meta.clone() }.write(&new)?;
            fs::rename(&new, &path).map_err(StoreError::io("replace", &path))?;
        }
        Ok(unflushed.len())
    }

    fn lock_layer(&self, chain_id: &Digest) -> Result<LayerLock, StoreError> {
        let path = self.root().join("locks").join(chain_id.hex());
        loop {
            let file = lock_exclusive(&path)?;
            // The previous owner may have removed the file between our opening and locking it.
            let same = match (file.metadata(), fs::symlink_metadata(&path)) {
                (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
                (_, Err(error)) if error.kind() == io::ErrorKind::NotFound => false,
                (Err(source), _) | (_, Err(source)) => return Err(StoreError::Io { action: "lock", path, source }),
            };
            if same {
                return Ok(LayerLock { path, _file: file });
            }
        }
    }

    fn publish(
        &self,
        scratch: tempfile::TempDir,
        diff_id: &Digest,
        parent: Option<&Digest>,
    ) -> Result<UnpackedLayer, StoreError> {
        let chain = chain_id(parent, diff_id);
        let meta = LayerMeta { diff_id: diff_id.clone(), parent: parent.cloned(), flushed: false, boot_id: boot_id() };
        meta.write(&scratch.path().join("meta.json"))?;
        let dest = self.layer_dir(&chain);
        // Whatever is there is no complete layer, or layer_meta would have found it.
        self.throw_away(&dest)?;
        let scratch = scratch.keep();
        fs::rename(&scratch, &dest).map_err(StoreError::io("publish the layer", &dest))?;
        Ok(UnpackedLayer { chain_id: chain, dir: dest.join("fs") })
    }
}

impl LayerMeta {
    fn write(&self, path: &Path) -> Result<(), StoreError> {
        let text = serde_json::to_vec(self).map_err(|e| StoreError::io("write", path)(e.into()))?;
        fs::write(path, text).map_err(StoreError::io("write", path))
    }
}

/// Holds the lock of one chain id; the lock file goes away with it.
struct LayerLock {
    path: PathBuf,
    _file: File,
}

impl Drop for LayerLock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// The kernel's name for the time since the last start of the machine; empty where it has none.
fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}
