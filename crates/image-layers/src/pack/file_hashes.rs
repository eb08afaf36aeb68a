//! Digests of single files, taken while their content passes by on its way into the layer: whoever accounts for files
//! afterwards need not read them again. Which algorithms is the caller's choice; packages name five.

use std::io::{self, Read};

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

/// A digest algorithm that packages use for files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FileDigestAlgorithm {
    /// MD5: packages of long ago.
    Md5,
    /// SHA-1.
    Sha1,
    /// SHA-256: what packages use today.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl FileDigestAlgorithm {
    const ALL: [Self; 5] = [Self::Md5, Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512];

    /// Its name: `sha256`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// The algorithm with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }
}

/// The digests of one regular file of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileDigest {
    /// Path in the image, relative, as it stands in the layer. A file with several names is listed under each.
    pub path: Vec<u8>,
    /// Its size in bytes.
    pub size: u64,
    /// The digests, in the order they were asked for.
    pub digests: Vec<(FileDigestAlgorithm, Vec<u8>)>,
}

impl FileDigest {
    /// The digest by one algorithm, if it was asked for.
    pub fn get(&self, algorithm: FileDigestAlgorithm) -> Option<&[u8]> {
        self.digests.iter().find(|(found, _)| *found == algorithm).map(|(_, digest)| digest.as_slice())
    }
}

enum Sum {
    Md5(Md5),
    Sha1(Sha1),
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Sha512),
}

/// A file being read, hashed on the way.
pub(super) struct HashedFile<R> {
    inner: R,
    sums: Vec<(FileDigestAlgorithm, Sum)>,
}

impl<R: Read> HashedFile<R> {
    pub(super) fn new(inner: R, algorithms: &[FileDigestAlgorithm]) -> Self {
        let sum = |algorithm: &FileDigestAlgorithm| match algorithm {
            FileDigestAlgorithm::Md5 => Sum::Md5(Md5::new()),
            FileDigestAlgorithm::Sha1 => Sum::Sha1(Sha1::new()),
            FileDigestAlgorithm::Sha256 => Sum::Sha256(Sha256::new()),
            FileDigestAlgorithm::Sha384 => Sum::Sha384(Sha384::new()),
            FileDigestAlgorithm::Sha512 => Sum::Sha512(Sha512::new()),
        };
        Self { inner, sums: algorithms.iter().map(|algorithm| (*algorithm, sum(algorithm))).collect() }
    }

    /// The digests of what was read.
    pub(super) fn finish(self) -> Vec<(FileDigestAlgorithm, Vec<u8>)> {
        let digest = |sum| match sum {
            Sum::Md5(sum) => sum.finalize().to_vec(),
            Sum::Sha1(sum) => sum.finalize().to_vec(),
            Sum::Sha256(sum) => sum.finalize().to_vec(),
            Sum::Sha384(sum) => sum.finalize().to_vec(),
            Sum::Sha512(sum) => sum.finalize().to_vec(),
        };
        self.sums.into_iter().map(|(algorithm, sum)| (algorithm, digest(sum))).collect()
    }
}

impl<R: Read> Read for HashedFile<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let bytes = buffer.get(..read).unwrap_or_default();
        for (_, sum) in &mut self.sums {
            match sum {
                Sum::Md5(sum) => sum.update(bytes),
                Sum::Sha1(sum) => sum.update(bytes),
                Sum::Sha256(sum) => sum.update(bytes),
                Sum::Sha384(sum) => sum.update(bytes),
                Sum::Sha512(sum) => sum.update(bytes),
            }
        }
        Ok(read)
    }
}
