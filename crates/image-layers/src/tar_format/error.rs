//! Why a tar archive cannot be read.

use std::io;

/// Why an archive cannot be read further. Offsets count bytes of the uncompressed archive.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The stream underneath failed, in the decompressor or the file.
    #[error("reading failed at byte {offset}")]
    Read {
        /// Where.
        offset: u64,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The archive ends inside an entry.
    #[error("the archive is cut off at byte {offset}")]
    Truncated {
        /// Where it ends.
        offset: u64,
    },
    /// The header's sum does not fit: damaged, or no tar archive at all.
    #[error("the header at byte {offset} is damaged")]
    Checksum {
        /// Where the header begins.
        offset: u64,
    },
    /// A field that should hold a number.
    #[error("the {field} in the header at byte {offset} is no valid number")]
    Number {
        /// Which field.
        field: &'static str,
        /// Where the header begins.
        offset: u64,
    },
    /// A malformed extended header.
    #[error("the extended header at byte {offset} is malformed")]
    Extension {
        /// Where it begins.
        offset: u64,
    },
    /// An extended header larger than allowed.
    #[error("the extended header at byte {offset} has {size} bytes, more than the {limit} allowed")]
    ExtensionTooLarge {
        /// Where it begins.
        offset: u64,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// A sparse file where none can be.
    #[error("the entry `{path}` is a sparse file in GNU's form, which is not supported here")]
    Sparse {
        /// The entry.
        path: String,
    },
    /// A sparse file that contradicts itself.
    #[error("the entry `{path}` is no proper sparse file: {reason}")]
    SparseMap {
        /// The entry.
        path: String,
        /// What is wrong.
        reason: &'static str,
    },
}
