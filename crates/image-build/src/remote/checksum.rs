//! `ADD --checksum`: a digest of a file, or the beginning of a commit's hash.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256, Sha384, Sha512};

use super::RemoteError;
use crate::error::StepError;
use crate::snapshot::SnapshotError;

/// The digest a file must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checksum {
    algorithm: Algorithm,
    hex: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Sha256,
    Sha384,
    Sha512,
}

impl Algorithm {
    fn name(self) -> &'static str {
        match self {
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha384 => "sha384",
            Algorithm::Sha512 => "sha512",
        }
    }
}

impl Checksum {
    /// `sha256:HEX`, also sha384 and sha512.
    pub(super) fn parse(text: &str) -> Result<Self, RemoteError> {
        let bad = || RemoteError::BadChecksum { checksum: text.to_owned(), form: "sha256:HEX" };
        let (name, hex) = text.split_once(':').ok_or_else(bad)?;
        let (algorithm, digits) = match name {
            "sha256" => (Algorithm::Sha256, 64),
            "sha384" => (Algorithm::Sha384, 96),
            "sha512" => (Algorithm::Sha512, 128),
            _ => return Err(bad()),
        };
        if hex.len() != digits || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(bad());
        }
        Ok(Self { algorithm, hex: hex.to_ascii_lowercase() })
    }

    /// The name of the content, when this is it.
    pub(super) fn identity(&self) -> Option<String> {
        (self.algorithm == Algorithm::Sha256).then(|| self.to_string())
    }
}

impl std::fmt::Display for Checksum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.hex)
    }
}

/// The beginning of a commit's hash.
pub(super) fn commit(text: &str) -> Result<String, RemoteError> {
    match text.len() {
        1..=64 if text.bytes().all(|b| b.is_ascii_hexdigit()) => Ok(text.to_ascii_lowercase()),
        _ => Err(RemoteError::BadChecksum { checksum: text.to_owned(), form: "the hash of a commit" }),
    }
}

/// The sha256 of a fetched file, once the file is seen to be what `checksum` says.
pub(super) fn verify(path: &Path, checksum: Option<&Checksum>, url: &str) -> Result<String, StepError> {
    let failed = || SnapshotError::path("read", path);
    let sha256 = hex_digest::<Sha256>(path).map_err(failed())?;
    if let Some(checksum) = checksum {
        let found = match checksum.algorithm {
            Algorithm::Sha256 => sha256.clone(),
            Algorithm::Sha384 => hex_digest::<Sha384>(path).map_err(failed())?,
            Algorithm::Sha512 => hex_digest::<Sha512>(path).map_err(failed())?,
        };
        if found != checksum.hex {
            let found = format!("{}:{found}", checksum.algorithm.name());
            return Err(RemoteError::Checksum { url: url.to_owned(), expected: checksum.to_string(), found }.into());
        }
    }
    Ok(format!("sha256:{sha256}"))
}

fn hex_digest<D: Digest>(path: &Path) -> io::Result<String> {
    let (mut file, mut hash, mut buffer) = (File::open(path)?, D::new(), vec![0; 128 * 1024]);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(build_model::hex(&hash.finalize())),
            Ok(n) => hash.update(buffer.get(..n).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_held_to_its_checksum() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("file");
        std::fs::write(&path, "hello").expect("write");
        let sha256 = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        let sha384 = "sha384:59e1748777448c69de6b800d7a33bbfb9ff1b463e44354c3553bcdb9c666fa90125a3c79f90397bdf5f6a13de828684f";
        for right in [sha256, sha384] {
            let checksum = Checksum::parse(right).expect("a checksum");
            assert_eq!(verify(&path, Some(&checksum), "u").expect("right"), sha256);
        }
        assert_eq!(verify(&path, None, "u").expect("none"), sha256);
        std::fs::write(&path, "hallo").expect("write");
        let err = verify(&path, Some(&Checksum::parse(sha384).expect("a checksum")), "u").expect_err("wrong");
        assert!(matches!(&err, StepError::Remote(RemoteError::Checksum { expected, .. }) if expected == sha384), "{err}");
    }
}
