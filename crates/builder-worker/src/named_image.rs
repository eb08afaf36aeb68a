//! Which line of the Dockerfile names the image that cannot be had. Parents are looked up before anything is built, so the
//! engine, which tells the place of every other error, does not see these. Used by builds in Koji and on the command line.

use build_model::{Blame, BoxedDiagnose, Diagnose};
use image_build::Foreign;

/// An image that the Dockerfile names cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {source}")]
pub struct NamedImageError {
    /// `FILE:LINE`.
    place: String,
    /// The reference's, the registry's or the store's error.
    #[source]
    source: Foreign,
}

impl NamedImageError {
    /// Puts the place before an error.
    pub fn at<E: Into<BoxedDiagnose>>(place: &str) -> impl Fn(E) -> Self {
        move |error| Self { place: place.to_owned(), source: Foreign(error.into()) }
    }
}

impl Diagnose for NamedImageError {
    fn blame(&self) -> Blame {
        self.source.0.blame()
    }
    fn kind(&self) -> &'static str {
        self.source.0.kind()
    }
    fn hint(&self) -> Option<String> {
        self.source.0.hint()
    }
    fn is_transient(&self) -> bool {
        self.source.0.is_transient()
    }
}

#[cfg(test)]
mod tests {
    use registry::ImageReference;

    use super::*;

    #[test]
    fn the_place_stands_before_the_error_and_the_rest_is_the_errors() {
        let refused = "stage1".parse::<ImageReference>().expect_err("a short name");
        let (kind, hint) = (refused.kind(), refused.hint());
        let error = NamedImageError::at("Dockerfile:2")(refused);
        let told = crate::task::chain(&error);
        assert!(told.starts_with("Dockerfile:2: `stage1` is not an image reference"), "{told}");
        assert_eq!(told.matches("stage1").count(), 1, "{told}");
        assert_eq!((error.blame(), error.kind(), error.hint()), (Blame::Packager, kind, hint));
    }
}
