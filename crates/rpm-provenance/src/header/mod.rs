//! RPM headers: the index-and-data blobs of packages and of the rpmdb (rpm's docs/manual/format_header.md).
//!
//! Own parser, bounds-checked throughout: the `rpm` crate panicked on 666 of 3000 lightly damaged headers, and
//! these bytes come from strangers' images. Read by [`crate::package_file`] and [`crate::rpmdb`].

mod digests;
mod entry;
mod signing_key;
pub(crate) mod tag;

use build_model::{Blame, Diagnose};

pub use digests::HeaderDigests;
pub(crate) use entry::{Data, Header};
pub(crate) use signing_key::{decode_base64, signature, signing_key_id};

/// Index entries allowed in one header; rpm's own limit (`HEADER_TAGS_MAX`).
pub(crate) const MAX_ENTRIES: u32 = 65_535;
/// Values allowed in one list that is read whole; the packages with most files have some 200 000.
pub(crate) const MAX_LIST: usize = 1 << 20;
/// Data bytes allowed in a main header. rpm allows 256 MiB; the largest headers of Fedora are below 20 MiB.
pub(crate) const MAX_DATA: u32 = 128 << 20;
/// Data bytes allowed in a signature header. rpm 6 allows 64 MiB to hold file signatures.
pub(crate) const MAX_SIGNATURE_DATA: u32 = 64 << 20;

/// Why bytes are not a usable RPM header.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    /// The stream ended or failed before the header did.
    #[error("cannot read the {part} of the RPM")]
    Read {
        /// `lead`, `signature header`, `header`, `payload`.
        part: &'static str,
        /// What the stream said.
        #[source]
        source: std::io::Error,
    },
    /// The first bytes are not an RPM's.
    #[error("not an RPM: the {part} does not begin with its magic number")]
    NotRpm {
        /// `lead`, `signature header` or `header`.
        part: &'static str,
    },
    /// A size beyond the limits of rpm itself.
    #[error("the {part} declares {found} {unit}, more than {limit}")]
    TooLarge {
        /// `signature header` or `header`.
        part: &'static str,
        /// `index entries` or `data bytes`.
        unit: &'static str,
        /// What it declares.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// Index and data do not fit together.
    #[error("damaged header: {reason}")]
    Damaged {
        /// What does not fit.
        reason: String,
    },
    /// The name, version, release or architecture is missing or has forbidden characters.
    #[error("the header names no package: {reason}")]
    BadName {
        /// Which tag, and what is wrong.
        reason: String,
    },
    /// A digest of the package does not hold.
    #[error("{digest} of {nvra} is {computed}, but the package declares {declared}")]
    DigestDiffers {
        /// Name-version-release.arch.
        nvra: String,
        /// `SIGMD5`, `SHA1HEADER`, `SHA256HEADER`, `SHA3_256HEADER` or `PAYLOADDIGEST`.
        digest: &'static str,
        /// What the package says.
        declared: String,
        /// What the bytes say.
        computed: String,
    },
}

impl HeaderError {
    pub(crate) fn damaged(reason: impl Into<String>) -> Self {
        HeaderError::Damaged { reason: reason.into() }
    }
}

impl Diagnose for HeaderError {
    fn blame(&self) -> Blame {
        Blame::Packager
    }
    fn kind(&self) -> &'static str {
        match self {
            HeaderError::Read { .. } => "rpm-truncated",
            HeaderError::NotRpm { .. } => "rpm-magic",
            HeaderError::TooLarge { .. } => "rpm-header-too-large",
            HeaderError::Damaged { .. } => "rpm-header-damaged",
            HeaderError::BadName { .. } => "rpm-name-invalid",
            HeaderError::DigestDiffers { .. } => "rpm-digest-differs",
        }
    }
}
