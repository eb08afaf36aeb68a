//! What can go wrong with the store itself.

use std::io;
use std::path::{Path, PathBuf};

use build_model::{Blame, Diagnose, Digest};

/// A failure of the content store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
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
    /// A blob that should be there is not.
    #[error("the blob {digest} is not in the store")]
    MissingBlob {
        /// Its digest.
        digest: Digest,
    },
    /// Content that is not what its digest says.
    #[error("the content should have the digest {expected} but has {found}")]
    DigestMismatch {
        /// The digest it was expected to have.
        expected: Digest,
        /// The digest it has.
        found: Digest,
    },
    /// A document larger than anyone needs.
    #[error("the blob {digest} has {size} bytes, more than the {limit} allowed here")]
    BlobTooLarge {
        /// Its digest.
        digest: Digest,
        /// Its size.
        size: u64,
        /// The most that is read.
        limit: u64,
    },
    /// A layer whose parent was never unpacked.
    #[error("the layer {chain_id} is not unpacked in the store")]
    MissingLayer {
        /// Its chain id.
        chain_id: Digest,
    },
}

impl StoreError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| StoreError::Io { action, path: path.to_owned(), source }
    }
}

impl Diagnose for StoreError {
    fn blame(&self) -> Blame {
        Blame::Site
    }
    fn kind(&self) -> &'static str {
        match self {
            StoreError::Io { .. } => "store-io",
            StoreError::MissingBlob { .. } => "blob-missing",
            StoreError::DigestMismatch { .. } => "blob-digest",
            StoreError::BlobTooLarge { .. } => "blob-too-large",
            StoreError::MissingLayer { .. } => "layer-missing",
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            StoreError::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Some("free space on the file system of the store".to_owned())
            }
            StoreError::DigestMismatch { .. } => Some("the damaged copy was set aside; fetching it again may help".to_owned()),
            _ => None,
        }
    }
    fn is_transient(&self) -> bool {
        match self {
            StoreError::Io { source, .. } => source.kind() == io::ErrorKind::StorageFull,
            // A blob damaged at rest or on its way is fetched anew the next time.
            StoreError::MissingBlob { .. } | StoreError::DigestMismatch { .. } => true,
            StoreError::BlobTooLarge { .. } | StoreError::MissingLayer { .. } => false,
        }
    }
}
