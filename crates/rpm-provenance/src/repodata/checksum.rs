//! Checksums as repository metadata writes them: an algorithm and hex digits.

use sha2::{Digest as _, Sha256, Sha384, Sha512};

/// A checksum strong enough to pin a file by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Checksum {
    algorithm: &'static str,
    hex: String,
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

    /// From the text a verdict has, `sha256:HEX`.
    pub fn from_text(text: &str) -> Option<Self> {
        let (algorithm, hex) = text.split_once(':')?;
        Self::new(algorithm, hex)
    }

    /// The SHA-256 of bytes at hand.
    pub fn sha256_of(bytes: &[u8]) -> Self {
        Checksum { algorithm: "sha256", hex: build_model::hex(&Sha256::digest(bytes)) }
    }

    /// `sha256`, `sha384` or `sha512`.
    pub fn algorithm(&self) -> &'static str {
        self.algorithm
    }

    /// The digest in lower-case hex.
    pub fn hex(&self) -> &str {
        &self.hex
    }

    /// A running checksum of the same algorithm.
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
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum Hasher {
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Sha512),
}

impl Hasher {
    /// More bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Sha256(h) => h.update(bytes),
            Hasher::Sha384(h) => h.update(bytes),
            Hasher::Sha512(h) => h.update(bytes),
        }
    }

    /// The digest in lower-case hex.
    pub fn finish(self) -> String {
        match self {
            Hasher::Sha256(h) => build_model::hex(&h.finalize()),
            Hasher::Sha384(h) => build_model::hex(&h.finalize()),
            Hasher::Sha512(h) => build_model::hex(&h.finalize()),
        }
    }
}
