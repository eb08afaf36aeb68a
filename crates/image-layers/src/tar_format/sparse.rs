//! GNU's sparse files (tar manual, "Storing Sparse Files"): a map says where in the file the stored bytes belong, the rest
//! is holes. The map is in the header block and blocks after it (type `S`), in extended headers (pax 0.0 and 0.1), or before
//! the content (pax 1.0). Maps are strangers' input: their size is bounded, and what they say must be true of the content.

use super::{BLOCK, number, pax};

/// Where the stored bytes of a sparse file belong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SparseMap {
    /// Offset and length of each piece, ascending; together as long as what is stored.
    pub pieces: Vec<(u64, u64)>,
}

/// What extended headers say about a sparse file.
#[derive(Debug, Clone, Default)]
pub(super) struct SparseRecords {
    /// Any was there.
    pub(super) any: bool,
    /// `GNU.sparse.major` and `minor`; absent in version 0.
    pub(super) version: (u64, u64),
    pub(super) name: Option<Vec<u8>>,
    pub(super) real_size: Option<u64>,
    /// Offsets and lengths in turn.
    numbers: Vec<u64>,
    map: Option<Vec<u64>>,
}

impl SparseRecords {
    /// Takes the record `key` (without `GNU.sparse.`). `None` when its value makes no sense.
    pub(super) fn take(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        self.any = true;
        match key {
            b"major" => self.version.0 = pax::decimal(value)?,
            b"minor" => self.version.1 = pax::decimal(value)?,
            b"name" => self.name = Some(value.to_vec()),
            b"size" | b"realsize" => self.real_size = Some(pax::decimal(value)?),
            b"offset" | b"numbytes" => self.numbers.push(pax::decimal(value)?),
            b"map" => {
                let numbers = value.split(|b| *b == b',').filter(|n| !n.is_empty()).map(pax::decimal);
                self.map = Some(numbers.collect::<Option<_>>()?);
            }
            // How many pieces there are is seen.
            _ => {}
        }
        Some(())
    }

    /// The map of version 0.0 or 0.1.
    pub(super) fn numbers(self) -> Vec<u64> {
        self.map.unwrap_or(self.numbers)
    }
}

impl SparseMap {
    /// From offsets and lengths in turn; `Err` says what is wrong with them for a file of `real_size` bytes of which
    /// `stored` are stored.
    pub(super) fn new(numbers: &[u64], real_size: u64, stored: u64) -> Result<Self, &'static str> {
        let (pairs, rest) = numbers.as_chunks::<2>();
        if !rest.is_empty() {
            return Err("its map ends half-way");
        }
        let (mut end, mut sum) = (0_u64, 0_u64);
        let mut pieces = Vec::new();
        for [offset, length] in pairs {
            if *offset < end {
                return Err("the pieces of its map overlap");
            }
            end = offset.checked_add(*length).filter(|end| *end <= real_size).ok_or("its map goes beyond its end")?;
            sum += length;
            // The last one often only marks the end.
            if *length > 0 {
                pieces.push((*offset, *length));
            }
        }
        if sum != stored {
            return Err("its map is for another number of bytes than are stored");
        }
        Ok(Self { pieces })
    }
}

/// Offset and length pairs of a header block from `at` on, at most `count`; blank ones end the map.
pub(super) fn pairs(block: &[u8; BLOCK], at: usize, count: usize) -> Option<Vec<u64>> {
    let mut numbers = Vec::new();
    for field in block.get(at..at + count * 24)?.chunks_exact(24) {
        let (offset, length) = field.split_at(12);
        if field.iter().all(|b| *b == 0) {
            break;
        }
        numbers.extend([u64::try_from(number::parse(offset)?).ok()?, u64::try_from(number::parse(length)?).ok()?]);
    }
    Some(numbers)
}

/// Reads the map of version 1.0, numbers a line each: how many pieces, then offset and length of each.
#[derive(Debug, Default)]
pub(super) struct MapLines {
    line: Vec<u8>,
    wanted: Option<u64>,
    pub(super) numbers: Vec<u64>,
}

impl MapLines {
    /// Takes some text; true when the map is whole, what follows it is no part of it.
    pub(super) fn feed(&mut self, text: &[u8]) -> Option<bool> {
        for byte in text {
            if *byte != b'\n' {
                self.line.push(*byte);
                continue;
            }
            let number = pax::decimal(&self.line)?;
            self.line.clear();
            match self.wanted {
                None => self.wanted = Some(number.checked_mul(2)?),
                Some(_) => self.numbers.push(number),
            }
            if self.wanted == Some(self.numbers.len() as u64) {
                return Some(true);
            }
        }
        Some(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_must_be_true() {
        let map = |numbers: &[u64]| SparseMap::new(numbers, 100, 10).map(|map| map.pieces);
        assert_eq!(map(&[0, 4, 90, 6, 100, 0]), Ok(vec![(0, 4), (90, 6)]));
        for bad in [&[0, 4, 90][..], &[0, 4, 3, 6], &[50, 4, 0, 6], &[0, 4, 95, 6], &[0, 4], &[u64::MAX, 10], &[0, u64::MAX]] {
            assert!(map(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn lines_are_read_until_the_map_is_whole() {
        let fed = |pieces: &[&[u8]]| {
            let mut lines = MapLines::default();
            let whole: Option<Vec<bool>> = pieces.iter().map(|piece| lines.feed(piece)).collect();
            whole.map(|whole| (whole.last().copied().unwrap_or_default(), lines.numbers))
        };
        assert_eq!(fed(&[b"1\n0\n5\n\0\0"]), Some((true, vec![0, 5])));
        assert_eq!(fed(&[b"1\n1", b"2\n", b"5\n"]), Some((true, vec![12, 5])));
        assert_eq!((fed(&[b"1\n0\n5"]), fed(&[b"0\n"])), (Some((false, vec![0])), Some((true, vec![]))));
        assert!(fed(&[b"x\n"]).is_none() && fed(&[b"18446744073709551615\n"]).is_none());
    }
}
