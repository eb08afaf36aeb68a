//! The end of a build: layers packed and adopted by the store, steps remembered, config and manifest written.

use std::path::PathBuf;
use std::time::Instant;

use image_layers::{ImageConfig, LocalImage, PackedLayer, assemble_image, chain_id};

use super::Builder;
use crate::error::BuildError;
use crate::layers::{PackJob, Packed, Packing, StepCache, StepRecord};
use crate::request::BuiltImage;
use crate::snapshot::merge_uppers;
use crate::stage::{HistoryLine, StageState};

impl Builder<'_> {
    /// Makes the image of the target stage.
    pub(super) fn finish(
        mut self,
        mut target: StageState,
        created: &str,
        packing: &Packing<'_>,
    ) -> Result<BuiltImage, BuildError> {
        let begun = Instant::now();
        let mut packed = self.packer.take().and_then(|p| p.finish()).ok_or(BuildError::PackThread)?;
        self.spent("pack-wait", begun.elapsed().as_secs_f64());
        self.close_sources();

        let begun = Instant::now();
        if self.request.squash {
            self.squash(&mut target, packing, &mut packed)?;
            self.spent("squash", begun.elapsed().as_secs_f64());
        }
        let begun = Instant::now();
        // Children of a stage have its layers at the beginning of their own list, so file order is bottom-up.
        let stacks: Vec<StageState> = self.stages.values().filter(|s| s.index != target.index).cloned().collect();
        if self.caches() {
            for stage in &stacks {
                self.adopt(stage, &mut packed)?;
            }
        }
        self.adopt(&target, &mut packed)?;
        let built = self.assemble(&target, created)?;
        self.spent("publish", begun.elapsed().as_secs_f64());
        Ok(BuiltImage { phases: std::mem::take(&mut self.phases), ..built })
    }

    /// After an error: finished steps are still worth remembering, so that the next try begins where this one failed.
    pub(super) fn give_up(mut self, error: &BuildError) {
        if !self.caches() || matches!(error, BuildError::Cancelled) {
            return;
        }
        let Some(mut packed) = self.packer.take().and_then(|p| p.finish()) else { return };
        self.close_sources();
        let stages: Vec<StageState> = self.stages.values().cloned().chain(self.unfinished.take()).collect();
        for stage in &stages {
            if let Err(error) = self.adopt(stage, &mut packed) {
                tracing::warn!(%error, "cannot remember the steps of a failed build");
                return;
            }
        }
    }

    /// Makes one layer of all new ones of the target.
    fn squash(&self, target: &mut StageState, packing: &Packing<'_>, packed: &mut Packed) -> Result<(), BuildError> {
        let uppers: Vec<PathBuf> = target.layers.iter().filter_map(|i| self.layers.get(*i)).filter_map(|l| l.upper()).collect();
        let (Some(first), Some(upper)) = (target.layers.first().copied(), uppers.first()) else { return Ok(()) };
        for above in uppers.iter().skip(1) {
            merge_uppers(upper, above).map_err(BuildError::Squash)?;
        }
        let Some(step) = target.layers.last().and_then(|i| self.layers.get(*i)).map(|l| l.step.clone()) else { return Ok(()) };
        let lowers = target.base.as_ref().map(|b| b.dirs.iter().rev().cloned().collect()).unwrap_or_default();
        let job = PackJob { layer: first, step, upper: upper.clone(), lowers, is_part_of_image: true };
        packed.insert(first, packing.pack(&job));
        // The last instruction that changed files stands for the layer in the history.
        let last = target.layers.last().copied();
        target.layers.truncate(1);
        for line in &mut target.history {
            line.layer = line.layer.filter(|l| Some(*l) == last).map(|_| first);
        }
        Ok(())
    }

    /// Moves the layers of a stage into the store, bottom first, and remembers their steps.
    fn adopt(&mut self, stage: &StageState, packed: &mut Packed) -> Result<(), BuildError> {
        let cache = StepCache::new(self.request.store);
        let mut chain = stage.base.as_ref().and_then(|b| b.chain.clone());
        for index in &stage.layers {
            if let Some(result) = packed.remove(index) {
                let Some(record) = self.layers.get(*index) else { continue };
                let (step, key) = (record.step.clone(), record.key.clone());
                let layer = result.map_err(|source| BuildError::Pack { place: self.place(step.text, step.span), source })?;
                if self.caches() {
                    cache.remember(&key, &StepRecord::new(Some(&layer)));
                }
                if layer.entries > 0 {
                    self.layers.adopt(*index, layer, chain.as_ref(), self.request.store)?;
                }
            }
            // A layer that packed to nothing stays where it is, and is not part of the chain.
            if let Some(layer) = self.layers.get(*index).and_then(|l| l.packed()) {
                chain = Some(chain_id(chain.as_ref(), &layer.diff_id));
            }
        }
        Ok(())
    }

    fn assemble(&self, target: &StageState, created: &str) -> Result<BuiltImage, BuildError> {
        let base = target.base.as_ref();
        let stored = |index: &usize| self.layers.get(*index).and_then(|l| Some((l.dir(), l.packed()?.clone())));
        let layers: Vec<(PathBuf, PackedLayer)> = target.layers.iter().filter_map(stored).collect();
        let is_kept = |index: usize| self.layers.get(index).is_some_and(|l| l.packed().is_some());
        let config = self.config(target, created, &is_kept);
        let new: Vec<PackedLayer> = layers.iter().map(|(_, packed)| packed.clone()).collect();
        let base_image: Option<&LocalImage> = base.map(|b| &b.image);
        let image =
            assemble_image(self.request.store, base_image, &new, config, self.request.format).map_err(BuildError::Assemble)?;
        let mut layer_dirs = base.map(|b| b.dirs.clone()).unwrap_or_default();
        layer_dirs.extend(layers.into_iter().map(|(dir, _)| dir));
        Ok(BuiltImage { image, layer_dirs, base: base_image.cloned(), new_layers: new.len(), phases: Vec::new() })
    }

    fn config(&self, target: &StageState, created: &str, is_kept: &dyn Fn(usize) -> bool) -> ImageConfig {
        let base = target.base.as_ref().map(|b| &b.image.config);
        let mut config = ImageConfig {
            created: Some(created.to_owned()),
            author: target.author.clone(),
            architecture: base.map_or_else(|| self.request.arch.oci().to_owned(), |b| b.architecture.clone()),
            os: base.map_or_else(|| "linux".to_owned(), |b| b.os.clone()),
            variant: base.and_then(|b| b.variant.clone()),
            config: target.config.clone(),
            history: base.map(|b| b.history.clone()).unwrap_or_default(),
            ..ImageConfig::default()
        };
        config.config.labels.extend(self.request.labels.iter().map(|(k, v)| (k.clone(), v.clone())));
        let line = |line: &HistoryLine| line.entry(created, line.layer.is_some_and(is_kept));
        config.history.extend(target.history.iter().map(line));
        config
    }
}
