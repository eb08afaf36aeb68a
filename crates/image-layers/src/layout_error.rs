//! What can go wrong with an image in files: OCI layouts, OCI archives, docker archives.

use std::io;
use std::path::{Path, PathBuf};

use build_model::{Blame, Diagnose, Digest};

use crate::image::ImageError;
use crate::store::StoreError;
use crate::tar_format::TarError;

/// A failure to read or write an image as files.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The documents inside are malformed.
    #[error("{} holds no usable image", path.display())]
    Image {
        /// The directory or archive.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: ImageError,
    },
    /// A file operation failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The archive is damaged.
    #[error("{} is no usable archive", path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: TarError,
    },
    /// Not the layout it should be.
    #[error("{}: {problem}", path.display())]
    Malformed {
        /// The directory or archive.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// No image under that name, or for that architecture.
    #[error("{} holds no image {wanted}; it holds {present}", path.display())]
    NoSuchImage {
        /// The directory or archive.
        path: PathBuf,
        /// What was asked for.
        wanted: String,
        /// What there is.
        present: String,
    },
    /// A layer that is not the diff id the config gives.
    #[error("{}: the layer {layer} unpacks to {found}, the config says {expected}", path.display())]
    DiffId {
        /// The archive.
        path: PathBuf,
        /// The layer.
        layer: Digest,
        /// What the config says.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
}

impl LayoutError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| LayoutError::Io { action, path: path.to_owned(), source }
    }

    pub(crate) fn malformed(path: &Path, problem: impl Into<String>) -> Self {
        LayoutError::Malformed { path: path.to_owned(), problem: problem.into() }
    }

    pub(crate) fn image(path: &Path) -> impl FnOnce(ImageError) -> Self {
        move |source| match source {
            ImageError::Store(source) => LayoutError::Store(source),
            source => LayoutError::Image { path: path.to_owned(), source },
        }
    }
}

impl Diagnose for LayoutError {
    fn blame(&self) -> Blame {
        match self {
            LayoutError::Store(source) => source.blame(),
            LayoutError::Image { source, .. } => source.blame(),
            LayoutError::Io { .. } => Blame::Site,
            _ => Blame::Packager,
        }
    }
    fn kind(&self) -> &'static str {
        match self {
            LayoutError::Store(source) => source.kind(),
            LayoutError::Image { source, .. } => source.kind(),
            LayoutError::Io { .. } => "layout-io",
            LayoutError::Archive { .. } => "layout-archive",
            LayoutError::Malformed { .. } => "layout-malformed",
            LayoutError::NoSuchImage { .. } => "layout-no-such-image",
            LayoutError::DiffId { .. } => "layout-diff-id",
        }
    }
    fn is_transient(&self) -> bool {
        match self {
            LayoutError::Store(source) => source.is_transient(),
            LayoutError::Io { source, .. } => source.kind() == io::ErrorKind::StorageFull,
            _ => false,
        }
    }
}
