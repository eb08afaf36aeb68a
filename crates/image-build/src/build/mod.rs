//! A whole build: base images, stages in file order, the finished image.

mod builder;
mod finish;
mod from;
mod walk;

use std::time::Instant;

use image_layers::PackOptions;

pub(crate) use builder::{Builder, Made, Source};

use crate::error::BuildError;
use crate::layers::{Packer, Packing};
use crate::request::{BuildRequest, BuiltImage};
use crate::sandbox::EngineDir;

/// Builds the target stage of `request.plan`.
///
/// Blocks until done; the process must have called [`crate::prepare_process`]. Whatever the outcome, no container, mount or
/// temporary file of the build is left. New layers and the image are in the store, and nowhere else.
///
/// # Errors
/// [`BuildError`] names the instruction; `BuildError::Cancelled` after [`crate::CancelFlag::cancel`].
pub fn build(request: &BuildRequest<'_>) -> Result<BuiltImage, BuildError> {
    let created =
        crate::stage::rfc3339(request.source_date_epoch).ok_or(BuildError::Date { epoch: request.source_date_epoch })?;
    let engine = EngineDir::create(request.work_dir, &request.sandbox.runtime).map_err(BuildError::WorkDir)?;
    let options = PackOptions {
        compression: request.compression,
        clamp_mtime: Some(request.source_date_epoch),
        file_digests: request.file_digests.to_vec(),
        ..PackOptions::default()
    };
    std::thread::scope(|scope| {
        let packing = Packing { store: request.store, options, progress: request.progress, follower: request.layer_follower };
        let packer = Packer::start(scope, packing.clone());
        let mut builder = Builder::new(request, engine, packer);
        let target = match builder.walk() {
            Ok(target) => target,
            Err(error) => {
                builder.give_up(&error);
                return Err(error);
            }
        };
        let begun = Instant::now();
        let built = builder.finish(target, &created, &packing)?;
        tracing::debug!(seconds = begun.elapsed().as_secs_f64(), "finished the image");
        Ok(built)
    })
}
