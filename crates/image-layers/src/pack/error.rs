//! Why a directory cannot be made a layer.

use std::io;

use build_model::{Blame, Diagnose};

use crate::store::StoreError;

/// Why a directory was not packed. No blob is left behind.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file could not be read, or the layer could not be written.
    #[error("cannot {action} `{path}` for the layer")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// Path in the image.
        path: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The compressor could not be set up.
    #[error("cannot compress the layer")]
    Compression {
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A name that layers use for deletions.
    #[error("`{path}` cannot be packed: names that begin with `.wh.` mean deletions in layers")]
    ReservedName {
        /// Path in the image.
        path: String,
    },
    /// Longer or deeper than other programs would unpack.
    #[error("`{path}` is nested too deeply for a layer")]
    TooDeep {
        /// Path in the image, shortened.
        path: String,
    },
    /// More bytes than a layer may have that is to be unpacked again.
    #[error("`{path}` cannot be packed: {what} is larger than the {limit} bytes that are ever unpacked")]
    TooLarge {
        /// Path in the image.
        path: String,
        /// `the file`, or `the layer with it`.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// The upper directory refers to the lower ones.
    #[error("`{path}` cannot be packed: it was mounted with {option}=on, so the upper directory is not complete in itself")]
    Incomplete {
        /// Path in the image.
        path: String,
        /// The mount option.
        option: &'static str,
    },
    /// A lower directory cannot be read.
    #[error("cannot look for `{path}` in the layers below")]
    Below {
        /// Path in the image.
        path: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

impl Diagnose for PackError {
    fn blame(&self) -> Blame {
        match self {
            PackError::ReservedName { .. } | PackError::TooDeep { .. } | PackError::TooLarge { .. } => Blame::Packager,
            PackError::Store(source) => source.blame(),
            _ => Blame::Site,
        }
    }
    fn kind(&self) -> &'static str {
        match self {
            PackError::Store(source) => source.kind(),
            PackError::Io { .. } => "pack-io",
            PackError::Compression { .. } => "pack-compression",
            PackError::ReservedName { .. } => "pack-reserved-name",
            PackError::TooDeep { .. } => "pack-too-deep",
            PackError::TooLarge { .. } => "pack-too-large",
            PackError::Incomplete { .. } => "pack-incomplete",
            PackError::Below { .. } => "pack-below",
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            PackError::Store(source) => source.hint(),
            PackError::ReservedName { .. } => Some("rename the file, or remove it in the step that makes it".to_owned()),
            PackError::TooLarge { .. } => {
                Some("remove the file in the step that makes it; a sparse file counts with its holes".to_owned())
            }
            PackError::Incomplete { option, .. } => Some(format!("mount the overlay with {option}=off")),
            _ => None,
        }
    }
    fn is_transient(&self) -> bool {
        match self {
            PackError::Store(source) => source.is_transient(),
            PackError::Io { source, .. } => source.kind() == io::ErrorKind::StorageFull,
            _ => false,
        }
    }
}
