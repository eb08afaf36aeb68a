//! How layer blobs are compressed and inflated.

mod blocks;
mod decode;

pub(crate) use blocks::BlockWriter;
pub use decode::decoder;

use crate::media_types::{OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD};

/// Compression of a layer blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// gzip, readable by everything. Level 1 to 12; 6 is usual.
    Gzip {
        /// The level of libdeflate.
        level: u32,
    },
    /// zstd: smaller and three times as fast, but not known to Docker's manifest format. Level 1 to 19; 3 is usual.
    Zstd {
        /// The level of libzstd.
        level: i32,
    },
    /// A plain tar.
    None,
}

impl Default for Compression {
    fn default() -> Self {
        Compression::Gzip { level: 6 }
    }
}

impl Compression {
    /// The OCI media type of a layer compressed this way.
    pub fn media_type(self) -> &'static str {
        match self {
            Compression::Gzip { .. } => OCI_LAYER_GZIP,
            Compression::Zstd { .. } => OCI_LAYER_ZSTD,
            Compression::None => OCI_LAYER,
        }
    }
}
