//! Writing a sparse file: the pieces of its content go where the map says, and what is between them stays holes. Called by
//! the unpacking of layers, and by the engine's ADD of archives.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;

use super::SparseMap;

/// Bytes read at once.
const PIECE: usize = 256 * 1024;

/// A sparse file was not written.
#[derive(Debug, thiserror::Error)]
pub enum SparseFileError {
    /// The archive's fault, or its reader's.
    #[error("read its content")]
    Read(#[source] io::Error),
    /// The disk's fault.
    #[error("write the file")]
    Write(#[source] io::Error),
}

impl SparseMap {
    /// Writes `content`, which is what is stored of a file of `size` bytes, into the new file `file`.
    ///
    /// # Errors
    /// [`SparseFileError`] says which side failed.
    pub fn write(&self, file: &File, size: u64, content: &mut impl Read) -> Result<(), SparseFileError> {
        file.set_len(size).map_err(SparseFileError::Write)?;
        let mut buffer = vec![0; PIECE];
        for (offset, length) in &self.pieces {
            let mut piece = content.take(*length);
            let mut at = *offset;
            loop {
                let read = match piece.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(read) => read,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => return Err(SparseFileError::Read(error)),
                };
                file.write_all_at(&buffer[..read], at).map_err(SparseFileError::Write)?;
                at += read as u64;
            }
        }
        Ok(())
    }
}
