//! Where others take part in a build: images come from an [`ImageSource`], what ADD names by URL from a [`RemoteFetcher`],
//! and [`RunHooks`] see every RUN.

use std::path::{Path, PathBuf};

use build_model::BoxedDiagnose;
use dockerfile::{GitSource, Platform};
use image_layers::{FollowedBlob, LocalImage};

use crate::progress::StepInfo;

/// Finds the images a Dockerfile names (FROM, `COPY --from`, `RUN --mount=from=`).
pub trait ImageSource: Send + Sync {
    /// The image for `reference`, all its blobs in the build's store.
    ///
    /// # Errors
    /// Whatever the implementation says; the build fails with it.
    fn resolve(&self, reference: &str, platform: &Platform) -> Result<LocalImage, BoxedDiagnose>;
}

/// Fetches what ADD names by URL: files over http(s), and git repositories. A build without one refuses such an ADD.
pub trait RemoteFetcher: Send + Sync {
    /// Writes what `url` (http or https) has to `into`, a new file. Gives its `Last-Modified` in seconds since 1970.
    ///
    /// # Errors
    /// Whatever the implementation says; the step fails with it.
    fn file(&self, url: &str, into: &Path) -> Result<Option<i64>, BoxedDiagnose>;

    /// Puts the files of `source` below `into`, a directory that is not there yet. With `keep_git_dir` the repository's own
    /// data is in `.git`, unless `source` names a directory of it.
    ///
    /// # Errors
    /// Whatever the implementation says; the step fails with it.
    fn repository(&self, source: &GitSource, keep_git_dir: bool, into: &Path) -> Result<FetchedTree, BoxedDiagnose>;
}

/// A repository's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedTree {
    /// Where they are.
    pub root: PathBuf,
    /// Full hash of the commit they are from.
    pub commit: String,
    /// Hash of the annotated tag that led there.
    pub tag: Option<String>,
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

    /// After a RUN that succeeded: `upper` holds what it changed, at rest. What is not the same in every run of the same
    /// command can be settled here. Nothing in it may be followed: it is a stranger's.
    ///
    /// # Errors
    /// When the step must not count as done.
    fn settle(&self, step: &StepInfo, upper: &Path) -> Result<(), BoxedDiagnose> {
        let _ = (step, upper);
        Ok(())
    }
}

/// No hooks.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHooks;

impl RunHooks for NoHooks {}

/// Sees the layers of the image while they are packed: to send them on before the build is done.
pub trait LayerFollower: Send + Sync {
    /// The packing of a layer begins. `blob` can be read as it grows; when the layer is given up its reader has an error.
    /// Layers that turn out empty are not part of the image in the end.
    fn layer_begun(&self, blob: FollowedBlob);
}
