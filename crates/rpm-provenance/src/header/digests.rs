//! The header digests, recomputed over the bytes: what Koji calls `sha1header` and `sha256header`.

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::Header;

/// Magic number, version 1 and four reserved bytes: part of what is hashed.
pub(crate) const MAGIC: [u8; 8] = [0x8e, 0xad, 0xe8, 0x01, 0, 0, 0, 0];

/// SHA-1 and SHA-256 of the header as the package was built with it, in lower-case hex.
///
/// Signing or installing a package does not change them, so signed and unsigned copies agree.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct HeaderDigests {
    /// 40 hex digits.
    pub sha1: String,
    /// 64 hex digits.
    pub sha256: String,
}

impl HeaderDigests {
    pub(crate) fn of(header: &Header) -> Self {
        let (intro, index, data) = header.signed_bytes();
        let (mut sha1, mut sha256) = (Sha1::new(), Sha256::new());
        for piece in [intro.as_slice(), index, data] {
            sha1.update(piece);
            sha256.update(piece);
        }
        HeaderDigests { sha1: hex(&sha1.finalize()), sha256: hex(&sha256.finalize()) }
    }
}

/// Lower-case hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]]).map(char::from).collect()
}
