//! stub
use std::path::{Path, PathBuf};

use build_model::{Blame, Diagnose, Digest};

use crate::codec::Compression;
use crate::descriptor::Descriptor;
use crate::store::{Store, StoreError};

/// A rule for paths that are left out of a layer. Paths are those of the image, with or without a leading slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathRule {
    /// The path itself and everything below it.
    Whole(PathBuf),
    /// Everything below the path; the directory itself is packed (mount points like `/proc`).
    Below(PathBuf),
}

/// How a layer is packed. The result depends on all of it except `threads`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackOptions {
    /// Compression of the blob.
    pub compression: Compression,
    /// Times of modification after this one (seconds since 1970) are set to it; earlier ones stay.
    pub clamp_mtime: Option<i64>,
    /// Paths that are left out.
    pub skip: Vec<PathRule>,
    /// Threads that compress; 0 for as many as there are processors.
    pub threads: usize,
}

impl Default for PackOptions {
    fn default() -> Self {
        Self { compression: Compression::default(), clamp_mtime: None, skip: Vec::new(), threads: 0 }
    }
}

/// A layer that was packed; its blob is in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedLayer {
    /// The blob, with an OCI media type.
    pub descriptor: Descriptor,
    /// Digest of the uncompressed tar.
    pub diff_id: Digest,
    /// Number of entries; 0 means that the layer changes nothing.
    pub entries: u64,
    /// Size of the uncompressed tar.
    pub uncompressed_size: u64,
}

/// Why a directory was not packed. No blob is left behind.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Diagnose for PackError {
    fn blame(&self) -> Blame {
        Blame::Site
    }
    fn kind(&self) -> &'static str {
        "pack"
    }
}

/// Packs the overlay upper directory `upper`, which lies over `lowers` (top first), as a layer.
///
/// # Errors
/// stub
pub fn pack_layer(_store: &Store, _upper: &Path, _lowers: &[PathBuf], _options: &PackOptions) -> Result<PackedLayer, PackError> {
    let digest = Digest::from_sha256(&[0; 32]);
    Err(PackError::Store(StoreError::MissingBlob { digest }))
}
