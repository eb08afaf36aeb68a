//! The new layers of a build. Stages that build on one another share them, so they are kept in one list and named by index.

use std::path::PathBuf;

use build_model::Digest;
use image_layers::{PackedLayer, Store, StoreError};

use super::CacheKey;
use crate::progress::StepInfo;
use crate::snapshot::FrozenUpper;

/// One new layer.
#[derive(Debug)]
pub(crate) struct LayerRecord {
    /// The step that made it.
    pub(crate) step: StepInfo,
    /// Its name in the instruction cache.
    pub(crate) key: CacheKey,
    content: Content,
}

#[derive(Debug)]
enum Content {
    /// Made in this build.
    Upper(FrozenUpper),
    /// In the store: found in the cache, or adopted.
    Stored { dir: PathBuf, packed: PackedLayer },
}

/// The list.
#[derive(Debug, Default)]
pub(crate) struct Layers(Vec<LayerRecord>);

impl Layers {
    /// Adds what a step made; returns its index.
    pub(crate) fn push_upper(&mut self, step: StepInfo, key: CacheKey, upper: FrozenUpper) -> usize {
        self.0.push(LayerRecord { step, key, content: Content::Upper(upper) });
        self.0.len() - 1
    }

    /// Adds a layer that is in the store.
    pub(crate) fn push_stored(&mut self, step: StepInfo, key: CacheKey, dir: PathBuf, packed: PackedLayer) -> usize {
        self.0.push(LayerRecord { step, key, content: Content::Stored { dir, packed } });
        self.0.len() - 1
    }

    pub(crate) fn get(&self, index: usize) -> Option<&LayerRecord> {
        self.0.get(index)
    }

    /// Where the layer `index` is now, to be mounted.
    pub(crate) fn dir(&self, index: usize) -> Option<PathBuf> {
        self.0.get(index).map(LayerRecord::dir)
    }

    /// Moves the upper directory of the layer `index` into the store, if it is not there. `parent` is the chain id below.
    pub(crate) fn adopt(
        &mut self,
        index: usize,
        packed: PackedLayer,
        parent: Option<&Digest>,
        store: &Store,
    ) -> Result<(), StoreError> {
        let Some(record) = self.0.get_mut(index) else { return Ok(()) };
        if let Content::Upper(upper) = &record.content {
            let layer = store.adopt_layer(&upper.path(), &packed.diff_id, parent)?;
            record.content = Content::Stored { dir: layer.dir, packed };
        }
        Ok(())
    }
}

impl LayerRecord {
    pub(crate) fn dir(&self) -> PathBuf {
        match &self.content {
            Content::Upper(upper) => upper.path(),
            Content::Stored { dir, .. } => dir.clone(),
        }
    }

    /// What it was packed to, once it is in the store.
    pub(crate) fn packed(&self) -> Option<&PackedLayer> {
        match &self.content {
            Content::Upper(_) => None,
            Content::Stored { packed, .. } => Some(packed),
        }
    }

    /// Its upper directory, while it has one of its own.
    pub(crate) fn upper(&self) -> Option<PathBuf> {
        match &self.content {
            Content::Upper(upper) => Some(upper.path()),
            Content::Stored { .. } => None,
        }
    }
}
