//! The index of a header: entries (tag, type, offset, count) over a data area, all big-endian.
//!
//! A `Header` borrows nothing and copies nothing but the blob it is given; every access is checked against it.

use std::borrow::Cow;

use super::{HeaderError, MAX_DATA, MAX_ENTRIES, MAX_LIST, tag};

/// One index entry.
#[derive(Debug, Clone, Copy)]
struct Entry {
    tag: u32,
    kind: u32,
    offset: usize,
    count: usize,
}

/// Where the immutable region lies: the first `entries` index entries and the first `data` data bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Region {
    pub entries: usize,
    pub data: usize,
}

/// A parsed header: index entries and data, without magic.
#[derive(Debug)]
pub(crate) struct Header {
    entries: Vec<Entry>,
    /// `il`, `dl`, index and data as they were read: what the digests are made of.
    blob: Vec<u8>,
    region: Option<Region>,
}

/// What a tag holds, of whatever type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Data<'a> {
    /// Numbers of any width.
    Numbers(Vec<u64>),
    /// Strings, in no particular encoding.
    Strings(Vec<Cow<'a, [u8]>>),
    /// A string with translations: those of the header's table of languages, the untranslated one first.
    Translated(Vec<Cow<'a, [u8]>>),
    /// Bytes.
    Binary(&'a [u8]),
}

const INTRO: usize = 8;
const ENTRY: usize = 16;

/// A list takes many times the memory of its bytes: 100 MB of empty strings must not become gigabytes.
fn check_list(entry: Entry) -> Result<(), HeaderError> {
    if entry.count > MAX_LIST {
        let (found, limit) = (entry.count as u64, MAX_LIST as u64);
        return Err(HeaderError::TooLarge { part: "header", unit: "values in one list", found, limit });
    }
    Ok(())
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_be_bytes)
}

impl Header {
    /// Parses `il`, `dl`, index and data: a header without its magic, as the rpmdb stores it.
    pub fn parse(blob: Vec<u8>, region_tag: u32) -> Result<Self, HeaderError> {
        let (Some(il), Some(dl)) = (be32(&blob, 0), be32(&blob, 4)) else {
            return Err(HeaderError::damaged(format!("{} bytes hold no header", blob.len())));
        };
        for (unit, found, limit) in [("index entries", il, MAX_ENTRIES), ("data bytes", dl, MAX_DATA)] {
            if found > limit {
                return Err(HeaderError::TooLarge { part: "header", unit, found: found.into(), limit: limit.into() });
            }
        }
        let (il, dl) = (il as usize, dl as usize);
        if blob.len() != INTRO + il * ENTRY + dl {
            return Err(HeaderError::damaged(format!("{il} entries and {dl} data bytes do not make {} bytes", blob.len())));
        }
        let mut header = Header { entries: Vec::with_capacity(il), blob, region: None };
        for i in 0..il {
            let at = INTRO + i * ENTRY;
            let word = |n: usize| be32(&header.blob, at + 4 * n).unwrap_or_default();
            let (entry_tag, kind, offset, count) = (word(0), word(1), word(2) as i32, word(3));
            let entry = match usize::try_from(offset) {
                Ok(offset) if offset <= dl => Entry { tag: entry_tag, kind, offset, count: count as usize },
                _ => return Err(HeaderError::damaged(format!("tag {entry_tag} lies at {offset}, outside the {dl} data bytes"))),
            };
            // Every value takes at least a byte, so a count beyond the data is a lie that would cost memory later.
            if entry.count > dl - entry.offset {
                return Err(HeaderError::damaged(format!(
                    "tag {entry_tag} counts {count} values in {} bytes",
                    dl - entry.offset
                )));
            }
            header.entries.push(entry);
        }
        header.region = header.find_region(region_tag)?;
        Ok(header)
    }

    /// The region the first entry declares; its trailer says how many entries belong to it.
    fn find_region(&self, region_tag: u32) -> Result<Option<Region>, HeaderError> {
        let Some(first) = self.entries.first().copied().filter(|e| e.tag == region_tag) else { return Ok(None) };
        if first.kind != tag::TYPE_BIN || first.count != ENTRY {
            return Err(HeaderError::damaged("the region tag is not 16 bytes of binary data"));
        }
        let trailer = self.data().get(first.offset..first.offset + ENTRY);
        let Some(trailer) = trailer else { return Err(HeaderError::damaged("the region trailer is cut off")) };
        let (Some(trailer_tag), Some(back)) = (be32(trailer, 0), be32(trailer, 8)) else {
            return Err(HeaderError::damaged("the region trailer is cut off"));
        };
        let back = i64::from(back as i32);
        let ok_tag = trailer_tag == region_tag
            // old signature headers were written with the main header's number in the trailer
            || (region_tag == tag::HEADER_SIGNATURES && trailer_tag == tag::HEADER_IMMUTABLE);
        if !ok_tag || back >= 0 || -back % ENTRY as i64 != 0 {
            return Err(HeaderError::damaged("the region trailer is not one"));
        }
        let entries = usize::try_from(-back).unwrap_or(usize::MAX) / ENTRY;
        if entries > self.entries.len() {
            return Err(HeaderError::damaged(format!("a region of {entries} entries in a header of {}", self.entries.len())));
        }
        let region = Region { entries, data: first.offset + ENTRY };
        if let Some(stray) = self.entries.iter().take(entries).find(|e| e.offset + e.count > region.data) {
            return Err(HeaderError::damaged(format!("tag {} of the region lies outside of it", stray.tag)));
        }
        Ok(Some(region))
    }

    /// The immutable region, when the header has one (rpm 3 did not write it).
    pub fn region(&self) -> Option<Region> {
        self.region
    }

    /// How many entries and data bytes the header has in all.
    pub fn extent(&self) -> Region {
        Region { entries: self.entries.len(), data: self.data().len() }
    }

    fn data(&self) -> &[u8] {
        self.blob.get(INTRO + self.entries_in_blob() * ENTRY..).unwrap_or_default()
    }

    fn entries_in_blob(&self) -> usize {
        be32(&self.blob, 0).unwrap_or_default() as usize
    }

    /// The bytes the header digests are made of, in pieces: intro, index, data of the region (or of all, without one).
    pub fn signed_bytes(&self) -> (Vec<u8>, &[u8], &[u8]) {
        let region = self.region.unwrap_or_else(|| self.extent());
        let mut intro = super::digests::MAGIC.to_vec();
        intro.extend((region.entries as u32).to_be_bytes());
        intro.extend((region.data as u32).to_be_bytes());
        let index = self.blob.get(INTRO..INTRO + region.entries * ENTRY).unwrap_or_default();
        let data = self.data().get(..region.data).unwrap_or_default();
        (intro, index, data)
    }

    /// An identity tag that an entry outside the region sets again: rpm would believe it, no digest covers it.
    pub fn overridden_identity(&self) -> Option<u32> {
        let region = self.region?;
        self.entries.iter().skip(region.entries).map(|e| e.tag).find(|t| tag::IDENTITY.contains(t))
    }

    /// Entries of the region first, so that nothing added later can speak for what the package was built with.
    fn entry(&self, wanted: u32) -> Option<Entry> {
        self.entries.iter().copied().find(|e| e.tag == wanted && !matches!(e.tag, tag::HEADER_IMMUTABLE | tag::HEADER_SIGNATURES))
    }

    /// Whether the tag is present, of whatever type.
    pub fn has(&self, wanted: u32) -> bool {
        self.entry(wanted).is_some()
    }

    /// A string; the first one of an array or of a translated string.
    pub fn string(&self, wanted: u32) -> Result<Option<String>, HeaderError> {
        let Some(entry) = self.entry(wanted) else { return Ok(None) };
        if !matches!(entry.kind, tag::TYPE_STRING | tag::TYPE_STRING_ARRAY | tag::TYPE_I18NSTRING) || entry.count == 0 {
            return Err(HeaderError::damaged(format!("tag {wanted} is not a string")));
        }
        let rest = self.data().get(entry.offset..).unwrap_or_default();
        let Some(end) = rest.iter().position(|b| *b == 0) else {
            return Err(HeaderError::damaged(format!("the string of tag {wanted} has no end")));
        };
        Ok(Some(String::from_utf8_lossy(rest.get(..end).unwrap_or_default()).into_owned()))
    }

    /// The first number of an integer tag, of any width.
    pub fn number(&self, wanted: u32) -> Result<Option<u64>, HeaderError> {
        let Some(entry) = self.entry(wanted) else { return Ok(None) };
        let width = match entry.kind {
            tag::TYPE_INT8 => 1,
            tag::TYPE_INT16 => 2,
            tag::TYPE_INT32 => 4,
            tag::TYPE_INT64 => 8,
            _ => return Err(HeaderError::damaged(format!("tag {wanted} is not a number"))),
        };
        if entry.count == 0 {
            return Err(HeaderError::damaged(format!("tag {wanted} holds no number")));
        }
        let Some(bytes) = self.data().get(entry.offset..entry.offset + width) else {
            return Err(HeaderError::damaged(format!("the number of tag {wanted} is cut off")));
        };
        Ok(Some(bytes.iter().fold(0, |n, b| n << 8 | u64::from(*b))))
    }

    /// Binary data.
    pub fn binary(&self, wanted: u32) -> Result<Option<&[u8]>, HeaderError> {
        let Some(entry) = self.entry(wanted) else { return Ok(None) };
        if entry.kind != tag::TYPE_BIN {
            return Err(HeaderError::damaged(format!("tag {wanted} is not binary data")));
        }
        match self.data().get(entry.offset..entry.offset + entry.count) {
            Some(bytes) => Ok(Some(bytes)),
            None => Err(HeaderError::damaged(format!("the data of tag {wanted} is cut off"))),
        }
    }

    /// The entry of a list. What the digests do not cover speaks for nothing, so those of the region only, but for
    /// what rpm writes when it installs (`installed`).
    fn list_entry(&self, wanted: u32, installed: bool) -> Option<Entry> {
        let covered = match self.region {
            Some(region) if !installed => region.entries,
            _ => self.entries.len(),
        };
        self.entries.iter().take(covered).copied().find(|e| e.tag == wanted)
    }

    /// All strings of an array, as bytes: file names are in no particular encoding. Empty when the tag is absent.
    pub fn strings(&self, wanted: u32) -> Result<Vec<&[u8]>, HeaderError> {
        self.list_entry(wanted, false).map_or(Ok(Vec::new()), |entry| self.strings_of(entry))
    }

    /// The same, wherever the entry lies: signatures are no part of what the digests cover.
    pub fn all_strings(&self, wanted: u32) -> Result<Vec<&[u8]>, HeaderError> {
        self.entry(wanted).map_or(Ok(Vec::new()), |entry| self.strings_of(entry))
    }

    fn strings_of(&self, entry: Entry) -> Result<Vec<&[u8]>, HeaderError> {
        let Entry { tag, .. } = entry;
        if !matches!(entry.kind, tag::TYPE_STRING | tag::TYPE_STRING_ARRAY | tag::TYPE_I18NSTRING) {
            return Err(HeaderError::damaged(format!("tag {tag} is not an array of strings")));
        }
        check_list(entry)?;
        let mut rest = self.data().get(entry.offset..).unwrap_or_default();
        let mut all = Vec::with_capacity(entry.count);
        for _ in 0..entry.count {
            let Some(end) = memchr::memchr(0, rest) else {
                return Err(HeaderError::damaged(format!("a string of tag {tag} has no end")));
            };
            let (text, after) = rest.split_at(end);
            all.push(text);
            rest = after.get(1..).unwrap_or_default();
        }
        Ok(all)
    }

    /// All numbers of an integer tag, of any width. Empty when the tag is absent.
    pub fn numbers(&self, wanted: u32) -> Result<Vec<u64>, HeaderError> {
        self.list_entry(wanted, wanted == tag::FILESTATES).map_or(Ok(Vec::new()), |entry| self.numbers_of(entry))
    }

    fn numbers_of(&self, entry: Entry) -> Result<Vec<u64>, HeaderError> {
        let Entry { tag, .. } = entry;
        check_list(entry)?;
        let width = match entry.kind {
            tag::TYPE_CHAR | tag::TYPE_INT8 => 1,
            tag::TYPE_INT16 => 2,
            tag::TYPE_INT32 => 4,
            tag::TYPE_INT64 => 8,
            _ => return Err(HeaderError::damaged(format!("tag {tag} is not a list of numbers"))),
        };
        let end = entry.count.checked_mul(width).and_then(|length| length.checked_add(entry.offset));
        match end.and_then(|end| self.data().get(entry.offset..end)) {
            Some(bytes) => Ok(bytes.chunks_exact(width).map(|n| n.iter().fold(0, |n, b| n << 8 | u64::from(*b))).collect()),
            None => Err(HeaderError::damaged(format!("the numbers of tag {tag} are cut off"))),
        }
    }

    /// Whatever a tag holds, as rpm's query formats see it; `None` when it is absent or of no known type.
    pub fn data_of(&self, wanted: u32) -> Result<Option<Data<'_>>, HeaderError> {
        let Some(entry) = self.entry(wanted) else { return Ok(None) };
        Ok(Some(match entry.kind {
            tag::TYPE_CHAR | tag::TYPE_INT8 | tag::TYPE_INT16 | tag::TYPE_INT32 | tag::TYPE_INT64 => {
                Data::Numbers(self.numbers_of(entry)?)
            }
            tag::TYPE_STRING | tag::TYPE_STRING_ARRAY => {
                Data::Strings(self.strings_of(entry)?.into_iter().map(Cow::Borrowed).collect())
            }
            tag::TYPE_I18NSTRING => Data::Translated(self.strings_of(entry)?.into_iter().map(Cow::Borrowed).collect()),
            tag::TYPE_BIN => match self.binary(wanted)? {
                Some(bytes) => Data::Binary(bytes),
                None => return Ok(None),
            },
            _ => return Ok(None),
        }))
    }
}
