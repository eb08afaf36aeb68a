//! Metadata files: gzip, zstd, xz or plain, told apart by their first bytes. Output and memory are bounded.

use std::io::{self, BufRead, BufReader, Read};

/// Decompressed bytes allowed where repomd.xml promises no size: Fedora's everything primary is about 250 MB.
pub const MAX_OPEN: u64 = 2 << 30;
/// Memory for an xz dictionary; `xz -9` takes 65 MB to decompress, and a stream may ask for 4 GB.
const MAX_XZ_MEMORY: u64 = 256 << 20;
/// Largest zstd window, as a power of two; the format allows 2^41, `zstd -19` uses 2^23.
const MAX_ZSTD_WINDOW: u32 = 27;

/// Whether [`open`] can read what is called so.
pub fn is_readable(name: &str) -> bool {
    [".xml", ".gz", ".zst", ".xz"].iter().any(|suffix| name.ends_with(suffix))
}

/// Decompresses `file`. `promised` is the size repomd.xml gives for the decompressed file, and then the limit.
///
/// # Errors
/// When the first bytes cannot be read or announce a decoder that cannot be set up. A stream that is damaged or too
/// long fails when it is read.
pub fn open<'a>(file: impl Read + 'a, promised: Option<u64>) -> io::Result<Box<dyn BufRead + 'a>> {
    let mut file = BufReader::with_capacity(128 << 10, file);
    let start = file.fill_buf()?;
    let plain: Box<dyn Read + 'a> = if start.starts_with(&[0x1f, 0x8b]) {
        Box::new(flate2::bufread::MultiGzDecoder::new(file))
    } else if start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        let mut decoder = zstd::stream::read::Decoder::with_buffer(file)?;
        decoder.window_log_max(MAX_ZSTD_WINDOW)?;
        Box::new(decoder)
    } else if start.starts_with(&[0xfd, b'7', b'z', b'X', b'Z']) {
        let stream = liblzma::stream::Stream::new_stream_decoder(MAX_XZ_MEMORY, liblzma::stream::CONCATENATED)?;
        Box::new(liblzma::bufread::XzDecoder::new_stream(file, stream))
    } else {
        Box::new(file)
    };
    let limit = promised.map_or(MAX_OPEN, |size| size.min(MAX_OPEN));
    Ok(Box::new(BufReader::with_capacity(128 << 10, Bounded { inner: plain, left: limit, limit })))
}

/// Fails, instead of ending, when there is more than allowed: a cut document must not pass for a whole one.
struct Bounded<R> {
    inner: R,
    left: u64,
    limit: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(into)?;
        self.left = self.left.checked_sub(n as u64).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, format!("more than {} bytes when decompressed", self.limit))
        })?;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn read(packed: &[u8], promised: Option<u64>) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        open(packed, promised)?.read_to_end(&mut plain)?;
        Ok(plain)
    }

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(plain).expect("write");
        packer.finish().expect("finish")
    }

    #[test]
    fn the_content_decides_how_it_is_read() {
        let text = b"<metadata/>".repeat(1000);
        let xz = liblzma::encode_all(text.as_slice(), 1).expect("xz");
        let zstd = zstd::encode_all(text.as_slice(), 3).expect("zstd");
        for packed in [gzip(&text), xz, zstd, text.clone()] {
            assert_eq!(read(&packed, Some(text.len() as u64)).expect("reads"), text);
        }
    }

    #[test]
    fn a_bomb_ends_at_the_promised_size() {
        let bomb = gzip(&vec![b' '; 64 << 20]);
        assert!(bomb.len() < 1 << 20);
        let error = read(&bomb, Some(1 << 20)).expect_err("too much");
        assert!(error.to_string().contains("more than 1048576 bytes"), "{error}");
    }

    #[test]
    fn absurd_dictionaries_and_windows_are_refused_before_they_are_made() {
        use liblzma::stream::{Check, Filters, LzmaOptions, Stream};
        let mut options = LzmaOptions::new_preset(0).expect("preset");
        options.dict_size(1 << 30);
        let mut filters = Filters::new();
        filters.lzma2(&options);
        let stream = Stream::new_stream_encoder(&filters, Check::Crc32).expect("encoder");
        let mut packed = Vec::new();
        liblzma::read::XzEncoder::new_stream(b"x".as_slice(), stream).read_to_end(&mut packed).expect("xz");
        assert!(read(&packed, None).expect_err("memory").to_string().to_lowercase().contains("memory"));
        // a zstd frame header that announces a window of 2^31 bytes
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, (31 - 10) << 3, 0x01, 0x00, 0x00];
        assert!(read(&frame, None).is_err());
    }
}
