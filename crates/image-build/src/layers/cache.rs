//! The instruction cache: `<store>/steps/HEX.json` says which layer a step made. An entry is a hint: when the layer's blob
//! is gone the step simply runs again.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use build_model::Digest;
use image_layers::{Descriptor, PackedLayer, Store};
use serde::{Deserialize, Serialize};

use super::CacheKey;

/// The cache in a store.
#[derive(Debug, Clone)]
pub(crate) struct StepCache<'a> {
    store: &'a Store,
    dir: PathBuf,
}

/// What a step made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StepRecord {
    /// `None` when it changed nothing.
    layer: Option<LayerRecord>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct LayerRecord {
    descriptor: Descriptor,
    diff_id: Digest,
    entries: u64,
    uncompressed_size: u64,
}

impl StepRecord {
    /// A layer without entries counts as no layer.
    pub(crate) fn new(layer: Option<&PackedLayer>) -> Self {
        let layer = layer.filter(|l| l.entries > 0).map(|l| LayerRecord {
            descriptor: l.descriptor.clone(),
            diff_id: l.diff_id.clone(),
            entries: l.entries,
            uncompressed_size: l.uncompressed_size,
        });
        Self { layer }
    }

    pub(crate) fn layer(&self) -> Option<PackedLayer> {
        self.layer.as_ref().map(|l| PackedLayer {
            descriptor: l.descriptor.clone(),
            diff_id: l.diff_id.clone(),
            entries: l.entries,
            uncompressed_size: l.uncompressed_size,
        })
    }
}

impl<'a> StepCache<'a> {
    pub(crate) fn new(store: &'a Store) -> Self {
        Self { store, dir: store.root().join("steps") }
    }

    /// What the step `key` made, if that is known and its blob still there.
    pub(crate) fn find(&self, key: &CacheKey) -> Option<StepRecord> {
        let text = fs::read(self.path(key)).ok()?;
        let record: StepRecord = serde_json::from_slice(&text).ok()?;
        let usable = record.layer.as_ref().is_none_or(|l| self.store.has_blob(&l.descriptor.digest));
        usable.then_some(record)
    }

    /// Remembers a step. Failing to is no failure of the build.
    pub(crate) fn remember(&self, key: &CacheKey, record: &StepRecord) {
        if let Err(error) = self.write(key, record) {
            tracing::warn!(%key, %error, "cannot remember a step in the instruction cache");
        }
    }

    fn write(&self, key: &CacheKey, record: &StepRecord) -> io::Result<()> {
        fs::create_dir_all(&self.dir)?;
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(&self.dir)?;
        file.write_all(&serde_json::to_vec(record)?)?;
        file.persist(self.path(key)).map_err(|e| e.error)?;
        Ok(())
    }

    fn path(&self, key: &CacheKey) -> PathBuf {
        self.dir.join(format!("{key}.json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_found_again_until_its_blob_is_gone() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::open(&dir.path().join("store")).expect("store");
        let cache = StepCache::new(&store);
        let key = CacheKey::base(None, "", "");
        assert_eq!(cache.find(&key), None);
        cache.remember(&key, &StepRecord::new(None));
        assert_eq!(cache.find(&key), Some(StepRecord::new(None)));

        let digest = store.put_blob(b"layer").expect("blob");
        let layer = PackedLayer {
            descriptor: Descriptor::new("application/vnd.oci.image.layer.v1.tar", digest.clone(), 5),
            diff_id: digest.clone(),
            entries: 1,
            uncompressed_size: 5,
        };
        cache.remember(&key, &StepRecord::new(Some(&layer)));
        assert_eq!(cache.find(&key).and_then(|r| r.layer()), Some(layer));
        fs::remove_file(store.blob_path(&digest)).expect("remove");
        assert_eq!(cache.find(&key), None);
    }
}
