//! stub
use std::fs::File;
use std::path::Path;

use build_model::{Blame, Diagnose, Digest};

use crate::store::StoreError;

/// Bounds on what a layer may make this machine do. The defaults are far above any sane image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnpackLimits {
    /// Bytes of the uncompressed tar.
    pub uncompressed_bytes: u64,
    /// Bytes of one file.
    pub file_bytes: u64,
    /// Number of entries.
    pub entries: u64,
    /// Bytes of a path within the layer.
    pub path_bytes: usize,
    /// Bytes of the extended headers of one entry: long names and extended attributes.
    pub extension_bytes: u64,
}

impl Default for UnpackLimits {
    fn default() -> Self {
        Self {
            uncompressed_bytes: 64 << 30,
            file_bytes: 32 << 30,
            entries: 4_000_000,
            path_bytes: 4095,
            extension_bytes: 1 << 20,
        }
    }
}

/// Why a layer was not unpacked. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The blob is not what its descriptor says.
    #[error("the layer {layer} is damaged: its content has the digest {found}")]
    BlobDigest {
        /// The digest it should have.
        layer: Digest,
        /// The digest it has.
        found: Digest,
    },
}

impl Diagnose for UnpackError {
    fn blame(&self) -> Blame {
        Blame::Site
    }
    fn kind(&self) -> &'static str {
        "layer"
    }
}

/// What was unpacked.
pub(crate) struct Unpacked {
    pub(crate) uncompressed_size: u64,
}

pub(crate) fn unpack_tar(
    _fs_dir: &Path,
    _file: File,
    layer: &Digest,
    _diff_id: &Digest,
    _lowers: &[std::path::PathBuf],
    _limits: &UnpackLimits,
) -> Result<Unpacked, UnpackError> {
    Err(UnpackError::Store(StoreError::MissingBlob { digest: layer.clone() }))
}
