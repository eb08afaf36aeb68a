//! The engine's source of images: only those that were resolved before the build, by the reference the Dockerfile uses.

use std::collections::BTreeMap;

use build_model::{Blame, BoxedDiagnose, Diagnose};
use dockerfile::Platform;
use image_build::ImageSource;
use image_layers::LocalImage;

/// Images by reference; everything else is refused.
#[derive(Default)]
pub struct PinnedImages(pub BTreeMap<String, LocalImage>);

/// A reference that was not resolved beforehand.
#[derive(Debug, thiserror::Error)]
#[error("the image {0} was not resolved before the build")]
pub struct NotPinned(String);

impl Diagnose for NotPinned {
    fn blame(&self) -> Blame {
        Blame::Packager
    }
    fn kind(&self) -> &'static str {
        "image-not-resolved"
    }
    fn hint(&self) -> Option<String> {
        Some("name images in FROM, COPY --from and RUN --mount literally, not through variables of a stage".into())
    }
}

impl ImageSource for PinnedImages {
    fn resolve(&self, reference: &str, _platform: &Platform) -> Result<LocalImage, BoxedDiagnose> {
        self.0.get(reference).cloned().ok_or_else(|| NotPinned(reference.to_owned()).into())
    }
}
