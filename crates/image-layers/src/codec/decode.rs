//! Inflating: the format is told from the first bytes, as all container tools do; media types are often wrong.

use std::io::{self, BufRead, Read};

/// The largest zstd window accepted: 128 MiB, what `zstd -d` allows without `--long`.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// A reader of the plain content of `input`, which may be in gzip (any number of members), zstd (any number of frames)
/// or not compressed at all. Bounds on the output are the caller's.
///
/// # Errors
/// The first bytes cannot be read; the content is in a format that layers do not come in (bzip2, xz).
pub fn decoder<'a, R: BufRead + 'a>(mut input: R) -> io::Result<Box<dyn Read + 'a>> {
    let start = input.fill_buf()?;
    Ok(match start {
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
        // A frame, or a skippable frame in front of one.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            let mut zstd = zstd::stream::read::Decoder::with_buffer(input)?;
            zstd.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            Box::new(zstd)
        }
        [b'B', b'Z', b'h', ..] => return Err(io::Error::new(io::ErrorKind::Unsupported, "bzip2 is no compression of layers")),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "xz is no compression of layers"));
        }
        _ => Box::new(input),
    })
}
