//! Packs layers on a thread of its own while later steps run: compression is what a build otherwise waits for at its end.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Instant;

use image_layers::{PackError, PackOptions, PackedLayer, Store, pack_layer, pack_layer_followed};

use crate::hooks::LayerFollower;
use crate::progress::{Progress, ProgressEvent, StepInfo};

/// A frozen upper directory to be packed.
#[derive(Debug)]
pub(crate) struct PackJob {
    /// Index of the layer.
    pub(crate) layer: usize,
    pub(crate) step: StepInfo,
    pub(crate) upper: PathBuf,
    /// What it lies on, top first.
    pub(crate) lowers: Vec<PathBuf>,
    /// Whether it becomes a layer of the image.
    pub(crate) is_part_of_image: bool,
}

/// How layers are packed, and who is told.
#[derive(Clone)]
pub(crate) struct Packing<'a> {
    pub(crate) store: &'a Store,
    pub(crate) options: PackOptions,
    pub(crate) progress: &'a dyn Progress,
    pub(crate) follower: Option<&'a dyn LayerFollower>,
}

/// What became of the layers, by index.
pub(crate) type Packed = BTreeMap<usize, Result<PackedLayer, PackError>>;

/// The thread.
pub(crate) struct Packer<'scope> {
    jobs: Sender<PackJob>,
    thread: ScopedJoinHandle<'scope, Packed>,
}

impl<'scope> Packer<'scope> {
    /// Starts the thread in `scope`.
    pub(crate) fn start<'env>(scope: &'scope Scope<'scope, 'env>, packing: Packing<'env>) -> Self {
        let (jobs, receiver) = channel();
        let thread = scope.spawn(move || pack_all(&receiver, &packing));
        Self { jobs, thread }
    }

    /// Packs a layer when those before it are done.
    pub(crate) fn pack(&self, job: PackJob) {
        // Only a panic of the thread closes the channel; finish() tells.
        let _ = self.jobs.send(job);
    }

    /// Waits for all layers. `None` when the thread panicked.
    pub(crate) fn finish(self) -> Option<Packed> {
        drop(self.jobs);
        self.thread.join().ok()
    }
}

fn pack_all(jobs: &Receiver<PackJob>, packing: &Packing<'_>) -> Packed {
    let mut packed = Packed::new();
    for job in jobs {
        packed.insert(job.layer, packing.pack(&job));
    }
    packed
}

impl Packing<'_> {
    /// Packs one layer and tells about it.
    pub(crate) fn pack(&self, job: &PackJob) -> Result<PackedLayer, PackError> {
        let begun = Instant::now();
        let layer = match self.follower.filter(|_| job.is_part_of_image) {
            Some(follower) => {
                let tell = |blob| follower.layer_begun(blob);
                pack_layer_followed(self.store, &job.upper, &job.lowers, &self.options, &tell)?
            }
            None => pack_layer(self.store, &job.upper, &job.lowers, &self.options)?,
        };
        self.progress.event(ProgressEvent::LayerPacked {
            step: job.step.clone(),
            entries: layer.entries,
            size: layer.descriptor.size,
            uncompressed_size: layer.uncompressed_size,
            seconds: begun.elapsed().as_secs_f64(),
        });
        Ok(layer)
    }
}
