//! Checksums as repository metadata writes them: an algorithm and hex digits.

use sha2::{Digest as _, Sha256, Sha384, Sha512};

/// A checksum strong enough to pin a file by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Checksum {
    pub algorithm: &'static str,
    pub hex: String,
}

impl Checksum {
    /// From metadata; `None` for MD5 and SHA-1, which pin nothing, and for anything malformed.
    pub fn new(algorithm: &str, hex: &str) -> Option<Self> {
        let (algorithm, digits) = match algorithm {
            "sha256" => ("sha256", 64),
            "sha384" => ("sha384", 96),
            "sha512" => ("sha512", 128),
            _ => return None,
        };
        let ok = hex.len() == digits && hex.bytes().all(|b| b.is_ascii_hexdigit());
        ok.then(|| Checksum { algorithm, hex: hex.to_ascii_lowercase() })
    }

    pub fn hasher(&self) -> Hasher {
        match self.algorithm {
            "sha384" => Hasher::Sha384(Sha384::new()),
            "sha512" => Hasher::Sha512(Sha512::new()),
            _ => Hasher::Sha256(Sha256::new()),
        }
    }
}

impl std::fmt::Display for Checksum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.algorithm, self.hex)
    }
}

/// A running checksum.
pub(super) enum Hasher {
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Sha512),
}

impl Hasher {
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Sha256(h) => h.update(bytes),
            Hasher::Sha384(h) => h.update(bytes),
            Hasher::Sha512(h) => h.update(bytes),
        }
    }
    pub fn finish(self) -> String {
        match self {
            Hasher::Sha256(h) => crate::header::hex(&h.finalize()),
            Hasher::Sha384(h) => crate::header::hex(&h.finalize()),
            Hasher::Sha512(h) => crate::header::hex(&h.finalize()),
        }
    }
}
