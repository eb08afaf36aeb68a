//! What is in an archive, without unpacking it: `verify` holds the files of an image against what ADD would have unpacked.

use std::fs::File;
use std::io::{self, Read};

use image_layers::tar_format::TarKind;
use sha2::{Digest as _, Sha256};

use super::archive;

/// Bytes of one archive that are read. More would be a bomb.
const MAX: u64 = 64 << 30;

/// Size and SHA-256 of a file.
pub type FileContent = (u64, [u8; 32]);

/// Size and SHA-256 of every plain file in a local archive as ADD recognises it; `None` when `file` is no archive.
///
/// # Errors
/// When it is damaged, cannot be read, or has no end.
pub fn archive_contents(file: File) -> io::Result<Option<Vec<FileContent>>> {
    let Some(mut archive) = archive::open(file)? else { return Ok(None) };
    let (mut found, mut all) = (Vec::new(), 0_u64);
    while let Some(entry) = archive.next_entry().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))? {
        if entry.kind != TarKind::File {
            continue;
        }
        all = all.saturating_add(entry.size);
        if all > MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it holds more than {MAX} bytes")));
        }
        let mut hash = Sha256::new();
        match &entry.sparse {
            None => {
                io::copy(&mut archive, &mut Hashing(&mut hash))?;
            }
            Some(map) => {
                let mut at = 0;
                for (offset, length) in &map.pieces {
                    io::copy(&mut io::repeat(0).take(offset.saturating_sub(at)), &mut Hashing(&mut hash))?;
                    io::copy(&mut archive.by_ref().take(*length), &mut Hashing(&mut hash))?;
                    at = offset.saturating_add(*length);
                }
                io::copy(&mut io::repeat(0).take(entry.size.saturating_sub(at)), &mut Hashing(&mut hash))?;
            }
        }
        found.push((entry.size, hash.finalize().into()));
    }
    Ok(Some(found))
}

/// A hash that is written to.
struct Hashing<'a>(&'a mut Sha256);

impl io::Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
