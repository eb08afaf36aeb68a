//! The header digests, recomputed over the bytes: what Koji calls `sha1header` and `sha256header`.

use build_model::hex;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use sha3::Sha3_256;

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
    /// SHA3-256, 64 hex digits; only of packages that declare one (rpm 6).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha3_256: Option<String>,
}

impl HeaderDigests {
    pub(crate) fn of(header: &Header, with_sha3: bool) -> Self {
        let (intro, index, data) = header.signed_bytes();
        let (mut sha1, mut sha256, mut sha3) = (Sha1::new(), Sha256::new(), with_sha3.then(Sha3_256::new));
        for piece in [intro.as_slice(), index, data] {
            sha1.update(piece);
            sha256.update(piece);
            if let Some(sha3) = &mut sha3 {
                sha3.update(piece);
            }
        }
        HeaderDigests {
            sha1: hex(&sha1.finalize()),
            sha256: hex(&sha256.finalize()),
            sha3_256: sha3.map(|sha3| hex(&sha3.finalize())),
        }
    }
}
