//! One block of a layer as gzip members (RFC 1952): what deflate can shrink goes through libdeflate, and what it cannot
//! is stored as it is. Used by [`super::blocks`].
//!
//! Much of what an image holds is compressed already: packages, archives, fonts, pictures, kernel modules. libdeflate
//! works on such bytes longer than on text, for nothing: of pictures and archives, a layer is packed three times as fast
//! without, and 0.7 % larger.

use std::io;
use std::ops::Range;

use libdeflater::{CompressionLvl, Compressor};

use super::incompressible::{PIECE, is_incompressible};

/// Fewer bytes than this in a row are not worth two members' headers and a fresh start for the text after them.
const STORED_MIN: usize = 2 * PIECE;
/// Most bytes of one stored deflate block (RFC 1951, 3.2.4).
const STORED_MAX: usize = 65_535;
/// ID, deflate, no flags, no time, no hint, and no system: the same for all input.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// Compresses blocks, each on its own.
pub(super) struct GzipCodec {
    deflate: Compressor,
}

impl GzipCodec {
    /// `None` when there is no such level.
    pub(super) fn new(level: u32) -> Option<Self> {
        let level = CompressionLvl::new(i32::try_from(level).ok()?).ok()?;
        Some(Self { deflate: Compressor::new(level) })
    }

    /// The members for `block`, one after the other. The output depends on the block and the level alone.
    pub(super) fn compress(&mut self, block: &[u8]) -> io::Result<Vec<u8>> {
        let mut output = Vec::with_capacity(block.len());
        let mut deflated_to = 0;
        for stored in stored_runs(block) {
            self.deflate(&block[deflated_to..stored.start], &mut output)?;
            store(&block[stored.clone()], &mut output);
            deflated_to = stored.end;
        }
        self.deflate(&block[deflated_to..], &mut output)?;
        Ok(output)
    }

    fn deflate(&mut self, bytes: &[u8], output: &mut Vec<u8>) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let start = output.len();
        output.resize(start + self.deflate.gzip_compress_bound(bytes.len()), 0);
        // The header has no time and no name: nothing in the output but the input.
        let length = self.deflate.gzip_compress(bytes, &mut output[start..]).map_err(io::Error::other)?;
        output.truncate(start + length);
        Ok(())
    }
}

/// The parts of `block` that are stored.
fn stored_runs(block: &[u8]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (number, piece) in block.chunks(PIECE).enumerate() {
        if !is_incompressible(piece) {
            continue;
        }
        let start = number * PIECE;
        match runs.last_mut() {
            Some(last) if last.end == start => last.end += piece.len(),
            _ => runs.push(start..start + piece.len()),
        }
    }
    runs.retain(|run| run.len() >= STORED_MIN);
    runs
}

/// Appends a member with `bytes` as they are.
fn store(bytes: &[u8], output: &mut Vec<u8>) {
    output.extend_from_slice(&HEADER);
    let blocks = bytes.chunks(STORED_MAX);
    let last = blocks.len() - 1;
    for (number, part) in blocks.enumerate() {
        // A chunk fits by its size.
        let length = part.len() as u16;
        output.push(u8::from(number == last));
        output.extend_from_slice(&length.to_le_bytes());
        output.extend_from_slice(&(!length).to_le_bytes());
        output.extend_from_slice(part);
    }
    output.extend_from_slice(&libdeflater::crc32(bytes).to_le_bytes());
    // The size is kept modulo 2^32 (2.3.1).
    output.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Read};

    use super::super::incompressible::tests::noise;
    use super::*;
    use crate::codec::decoder;

    fn text(length: usize) -> Vec<u8> {
        b"the quick brown fox jumps over the lazy dog, ".iter().copied().cycle().take(length).collect()
    }

    fn inflated(gzip: &[u8]) -> Vec<u8> {
        let mut back = Vec::new();
        decoder(BufReader::new(gzip)).expect("a decoder").read_to_end(&mut back).expect("inflated");
        back
    }

    #[test]
    fn what_cannot_shrink_is_stored_and_everything_comes_back() {
        let mut codec = GzipCodec::new(2).expect("a level");
        let odd = [text(10_000), noise(7, 200_001), text(3), noise(8, 12_288), text(70_000)].concat();
        for (what, block) in [("noise", noise(1, 1 << 20)), ("text", text(1 << 20)), ("mixed", odd), ("one byte", vec![7])] {
            let packed = codec.compress(&block).expect("compressed");
            assert!(inflated(&packed) == block, "{what}");
            assert_eq!(codec.compress(&block).expect("again"), packed, "{what}");
        }
        let stored = codec.compress(&noise(1, 1 << 20)).expect("compressed").len();
        assert!(((1 << 20) + 1..(1 << 20) + 128).contains(&stored), "{stored}");
        let packed = codec.compress(&[noise(7, 65_536), text(65_536)].concat()).expect("compressed").len();
        assert!(packed < 65_536 + 2_000, "{packed}");
    }

    #[test]
    fn short_runs_go_with_the_text_around_them() {
        let piece = |seed| noise(seed, PIECE);
        let runs = |parts: &[Vec<u8>]| stored_runs(&parts.concat());
        assert_eq!(runs(&[piece(1), text(PIECE), piece(2), text(PIECE)]), []);
        let long = runs(&[text(PIECE), piece(1), piece(2), text(9)]);
        assert_eq!((long.len(), &long[0]), (1, &(PIECE..3 * PIECE)));
    }

    #[test]
    fn gnu_gzip_reads_it() {
        let block = [text(9_999), noise(3, 140_000), text(50_000)].concat();
        let packed = GzipCodec::new(6).expect("a level").compress(&block).expect("compressed");
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("block.gz");
        std::fs::write(&path, packed).expect("written");
        let output = std::process::Command::new("gzip").arg("-dc").arg(&path).output().expect("gzip runs");
        assert!(output.status.success() && output.stdout == block, "{}", String::from_utf8_lossy(&output.stderr));
    }
}
