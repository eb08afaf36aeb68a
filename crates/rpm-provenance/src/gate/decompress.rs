//! Metadata files by suffix: `.gz`, `.zst`, `.xz`, or plain. Output is bounded.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// Decompressed bytes allowed: Fedora's everything primary is about 250 MB.
const MAX_OPEN: u64 = 2 << 30;

/// Whether [`open`] can read a file of this name.
pub(super) fn is_readable(name: &str) -> bool {
    [".xml", ".gz", ".zst", ".xz"].iter().any(|suffix| name.ends_with(suffix))
}

/// Opens a file; `name` decides the compression, since the cache has no suffixes.
pub(super) fn open(file: &Path, name: &str) -> io::Result<Box<dyn BufRead>> {
    let file = BufReader::with_capacity(128 << 10, File::open(file)?);
    let plain: Box<dyn Read> = match name.rsplit_once('.').map(|(_, suffix)| suffix) {
        Some("gz") => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
        Some("zst") => Box::new(zstd::stream::read::Decoder::with_buffer(file)?),
        Some("xz") => Box::new(liblzma::bufread::XzDecoder::new_multi_decoder(file)),
        _ => Box::new(file),
    };
    Ok(Box::new(BufReader::with_capacity(128 << 10, Bounded { inner: plain, left: MAX_OPEN })))
}

/// Fails, instead of ending, when there is more than allowed: a cut document must not pass for a whole one.
struct Bounded {
    inner: Box<dyn Read>,
    left: u64,
}

impl Read for Bounded {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(into)?;
        self.left = self
            .left
            .checked_sub(n as u64)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("more than {MAX_OPEN} bytes when decompressed")))?;
        Ok(n)
    }
}
