//! Where others take part in a build: images come from an [`ImageSource`], and [`RunHooks`] see every RUN.

use build_model::BoxedDiagnose;
use dockerfile::Platform;
use image_layers::LocalImage;

use crate::progress::StepInfo;

/// Finds the images a Dockerfile names (FROM, `COPY --from`, `RUN --mount=from=`).
pub trait ImageSource: Send + Sync {
    /// The image for `reference`, all its blobs in the build's store.
    ///
    /// # Errors
    /// Whatever the implementation says; the build fails with it.
    fn resolve(&self, reference: &str, platform: &Platform) -> Result<LocalImage, BoxedDiagnose>;
}

/// Called around every RUN that really runs (not for cached ones).
pub trait RunHooks: Send + Sync {
    /// Right before the container starts.
    fn before_run(&self, step: &StepInfo) {
        let _ = step;
    }

    /// After the container is gone, whatever its exit code. An error fails the step, and takes precedence over a bad exit
    /// code: it is the better explanation.
    ///
    /// # Errors
    /// When the step must not count as done.
    fn after_run(&self, step: &StepInfo, exit: i32) -> Result<(), BoxedDiagnose> {
        let _ = (step, exit);
        Ok(())
    }
}

/// No hooks.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHooks;

impl RunHooks for NoHooks {}
