//! Digests of files, with the algorithms rpm has used for them.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};

const PIECE: usize = 128 << 10;

/// The digest of a file by rpm's number of the algorithm; `None` for one that is not known here.
pub(super) fn digest_of(path: &Path, algorithm: u64) -> io::Result<Option<Vec<u8>>> {
    Ok(Some(match algorithm {
        1 => sum::<Md5>(path)?,
        2 => sum::<Sha1>(path)?,
        8 => sum::<Sha256>(path)?,
        9 => sum::<Sha384>(path)?,
        10 => sum::<Sha512>(path)?,
        _ => return Ok(None),
    }))
}

/// SHA-256 of a file.
pub(super) fn sha256_of(path: &Path) -> io::Result<[u8; 32]> {
    let sum = sum::<Sha256>(path)?;
    <[u8; 32]>::try_from(sum.as_slice()).map_err(|_| io::ErrorKind::InvalidData.into())
}

fn sum<D: Digest>(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let (mut hasher, mut piece) = (D::new(), vec![0; PIECE]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hasher.finalize().to_vec()),
            n => hasher.update(piece.get(..n).unwrap_or_default()),
        }
    }
}
