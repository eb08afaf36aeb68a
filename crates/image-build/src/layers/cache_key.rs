//! Names of steps for the instruction cache: a hash chain over everything that decides what a step produces.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// Changes whenever the engine would produce another layer for the same step.
const ENGINE_VERSION: &str = concat!("image-build ", env!("CARGO_PKG_VERSION"), " steps 1");

/// The name of a step, or of what a stage starts from.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct CacheKey([u8; 32]);

impl CacheKey {
    /// What a stage starts from: the chain id of an image, or nothing. `salt` is the caller's, `format` whatever shapes
    /// every layer (compression, date).
    pub(crate) fn base(chain_id: Option<&str>, salt: &str, format: &str) -> Self {
        let engine = format!("{ENGINE_VERSION}, layers {}", image_layers::LAYER_WRITER);
        Self::hash([&engine, chain_id.unwrap_or("scratch"), salt, format].map(str::as_bytes))
    }

    /// The step that follows this one and is described by `fields`.
    pub(crate) fn step<'a>(&'a self, kind: &'a str, fields: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let own: [&[u8]; 2] = [&self.0, kind.as_bytes()];
        Self::hash(own.into_iter().chain(fields))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn hash<'a>(fields: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hash = Sha256::new();
        for field in fields {
            // Length first, so that neighbouring fields cannot be confused.
            hash.update((field.len() as u64).to_le_bytes());
            hash.update(field);
        }
        Self(hash.finalize().into())
    }
}

impl fmt::Display for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_the_chain_counts() {
        let base = CacheKey::base(Some("sha256:1"), "salt", "gzip");
        let step = base.step("RUN", [b"a".as_slice(), b"b"]);
        assert_eq!(step, CacheKey::base(Some("sha256:1"), "salt", "gzip").step("RUN", [b"a".as_slice(), b"b"]));
        for other in [
            base.step("RUN", [b"ab".as_slice()]),
            base.step("RUN", [b"a".as_slice(), b"b", b""]),
            base.step("COPY", [b"a".as_slice(), b"b"]),
            CacheKey::base(Some("sha256:1"), "other", "gzip").step("RUN", [b"a".as_slice(), b"b"]),
            CacheKey::base(None, "salt", "gzip").step("RUN", [b"a".as_slice(), b"b"]),
        ] {
            assert_ne!(step, other);
        }
        assert_eq!(step.to_string().len(), 64);
    }
}
