//! Repository metadata as createrepo_c writes it: repomd.xml and primary.xml, with the compressions around them.
//!
//! Whoever offers a repository wrote it, so every reader here is bounded in memory, time and nesting, and says what it
//! does not accept and where. Used by the gate; fuzzed in `tests/fuzz`, timed by `benches/primary.rs`.

pub mod checksum;
pub mod decompress;
mod location;
mod offer;
pub mod primary;
pub mod repomd;
mod xml;

pub use checksum::{Checksum, Hasher};
pub use location::is_inside;
pub use offer::{Listed, OFFER_VERSION, Offer, OfferDamaged, Offered};
pub use repomd::{MetadataFile, Repomd};

use build_model::{Blame, Diagnose};

/// Metadata that is not accepted: where, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("byte {at}: {reason}")]
pub struct MetadataError {
    /// Offset in the decompressed document.
    pub at: u64,
    /// What is wrong there.
    pub reason: String,
}

impl Diagnose for MetadataError {
    fn blame(&self) -> Blame {
        Blame::Site
    }
    fn kind(&self) -> &'static str {
        "content-source-metadata"
    }
    fn hint(&self) -> Option<String> {
        Some("have the repository's metadata made again with createrepo_c".to_owned())
    }
}
