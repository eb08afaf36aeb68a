//! Why a layer is not unpacked: the blob, the archive in it, or one of its entries.

use std::io;

use build_model::{Blame, Diagnose, Digest};

use crate::store::StoreError;
use crate::tar_format::TarError;

/// Why a layer was not unpacked. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The blob is not what its descriptor says. It was set aside.
    #[error("the blob of the layer {layer} is damaged: its content has the digest {found}")]
    BlobDigest {
        /// The digest it should have.
        layer: Digest,
        /// The digest it has.
        found: Digest,
    },
    /// The blob is right, but holds another layer than the config names.
    #[error("the layer {layer} unpacks to {found}, the image config says {expected}")]
    DiffId {
        /// The blob.
        layer: Digest,
        /// The diff id of the config.
        expected: Digest,
        /// The digest of the tar.
        found: Digest,
    },
    /// The compressed stream or the archive in it is malformed.
    #[error("the layer {layer} is no readable archive")]
    Archive {
        /// The blob.
        layer: Digest,
        /// What is wrong.
        #[source]
        source: TarError,
    },
    /// A limit was reached.
    #[error("the layer {layer} has {what}: more than the {limit} allowed, at the entry `{entry}`")]
    Limit {
        /// The blob.
        layer: Digest,
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: u64,
        /// The entry being unpacked.
        entry: String,
    },
    /// An entry was refused.
    #[error("the layer {layer}: the entry `{entry}` cannot be unpacked")]
    Entry {
        /// The blob.
        layer: Digest,
        /// Path of the entry.
        entry: String,
        /// What is wrong with it.
        #[source]
        source: EntryProblem,
    },
    /// The directory for the layer failed, not the layer.
    #[error("cannot {action} the directory of the layer {layer}")]
    Directory {
        /// What was attempted.
        action: &'static str,
        /// The blob.
        layer: Digest,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

/// What is wrong with one entry of a layer.
#[derive(Debug, thiserror::Error)]
pub enum EntryProblem {
    /// No name at all.
    #[error("it has no name")]
    NoName,
    /// A name from the root of the machine.
    #[error("its {what} begins with a slash")]
    Absolute {
        /// `name` or `link target`.
        what: &'static str,
    },
    /// A name with `..`.
    #[error("its {what} has a `..` part")]
    ParentPart {
        /// `name` or `link target`.
        what: &'static str,
    },
    /// A NUL byte in a name.
    #[error("its {what} has a NUL byte")]
    Nul {
        /// `name` or `link target`.
        what: &'static str,
    },
    /// A name too long or too deep.
    #[error("its {what} is too long or too deep: at most {bytes} bytes, 255 per part, {depth} parts")]
    TooLong {
        /// `name` or `link target`.
        what: &'static str,
        /// Bytes allowed.
        bytes: usize,
        /// Parts allowed.
        depth: usize,
    },
    /// A way out of the layer.
    #[error("it lies below the symbolic link `{link}`, which leads out of the layer")]
    LinkLeaves {
        /// The link.
        link: String,
    },
    /// A link to nothing.
    #[error("it lies below the symbolic link `{link}`, which leads nowhere in this layer")]
    LinkDangles {
        /// The link.
        link: String,
    },
    /// A file used as a directory.
    #[error("it lies below `{parent}`, which is no directory")]
    ParentIsFile {
        /// The file.
        parent: String,
    },
    /// A hard link to something that is not there.
    #[error("it is a hard link to `{target}`, which is no file of this layer")]
    HardLinkTarget {
        /// The target.
        target: String,
    },
    /// A whiteout that names nothing.
    #[error("it is no valid whiteout")]
    Whiteout,
    /// A type byte nobody knows.
    #[error("its type `{0}` is unknown")]
    UnknownType(String),
    /// The root must be a directory.
    #[error("the root of a layer must be a directory")]
    RootIsNoDirectory,
    /// A device number Linux does not have, or that of an overlay whiteout.
    #[error("there can be no device {major}:{minor} in a layer")]
    Device {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A uid or gid Linux does not have.
    #[error("it belongs to {uid}:{gid}, and Linux has no such ids")]
    Owner {
        /// User.
        uid: u64,
        /// Group.
        gid: u64,
    },
    /// The system refused.
    #[error("cannot {action}")]
    System {
        /// What was attempted.
        action: &'static str,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

impl EntryProblem {
    pub(super) fn system<E: Into<io::Error>>(action: &'static str) -> impl FnOnce(E) -> Self {
        move |source| EntryProblem::System { action, source: source.into() }
    }
}

impl Diagnose for UnpackError {
    fn blame(&self) -> Blame {
        match self {
            UnpackError::Store(source) => source.blame(),
            UnpackError::BlobDigest { .. } | UnpackError::Directory { .. } => Blame::Site,
            UnpackError::Entry { source: EntryProblem::System { source, .. }, .. } if is_sites_fault(source) => Blame::Site,
            // The packager chose the image.
            _ => Blame::Packager,
        }
    }
    fn kind(&self) -> &'static str {
        match self {
            UnpackError::Store(source) => source.kind(),
            UnpackError::BlobDigest { .. } => "layer-blob-digest",
            UnpackError::DiffId { .. } => "layer-diff-id",
            UnpackError::Archive { .. } => "layer-archive",
            UnpackError::Limit { .. } => "layer-limit",
            UnpackError::Entry { .. } => "layer-entry",
            UnpackError::Directory { .. } => "layer-directory",
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            UnpackError::Store(source) => source.hint(),
            UnpackError::BlobDigest { .. } => Some("try again: the blob will be fetched anew".to_owned()),
            UnpackError::DiffId { .. } | UnpackError::Archive { .. } | UnpackError::Entry { .. } => {
                Some("the image was made wrongly or is damaged; use another one or have it rebuilt".to_owned())
            }
            UnpackError::Limit { .. } => Some("if the image is meant to be like that, the site can raise the limit".to_owned()),
            UnpackError::Directory { .. } => None,
        }
    }
    fn is_transient(&self) -> bool {
        match self {
            UnpackError::Store(source) => source.is_transient(),
            UnpackError::BlobDigest { .. } => true,
            UnpackError::Entry { source: EntryProblem::System { source, .. }, .. } => source.kind() == io::ErrorKind::StorageFull,
            _ => false,
        }
    }
}

/// Errors that say something about this machine, not about the layer.
fn is_sites_fault(error: &io::Error) -> bool {
    use io::ErrorKind::{
        FileTooLarge, OutOfMemory, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull, Unsupported,
    };
    matches!(
        error.kind(),
        FileTooLarge | OutOfMemory | PermissionDenied | QuotaExceeded | ReadOnlyFilesystem | StorageFull | Unsupported
    ) || error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}
