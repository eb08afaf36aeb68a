//! The Berkeley DB hash rpmdb of EL 7 and 8 (file `Packages`; Berkeley DB's dbinc/db_page.h describes the pages).
//!
//! Every hash page of the file is read, in whatever bucket it hangs: a page that is not reachable would at worst
//! show a package too many, never hide one. Byte order is that of the machine that wrote the file.

use super::{Row, Rows, RpmDbError};

const HASH_MAGIC: u32 = 0x0006_1561;
/// Page types.
const HASH_UNSORTED: u8 = 2;
const OVERFLOW: u8 = 7;
const HASH_META: u8 = 8;
const HASH: u8 = 13;
/// Item types on a hash page.
const KEYDATA: u8 = 1;
const OFFPAGE: u8 = 3;
const PAGE_HEADER: usize = 26;

struct File<'a> {
    bytes: &'a [u8],
    page_size: usize,
    big_endian: bool,
}

impl<'a> File<'a> {
    fn page(&self, number: u32) -> Option<&'a [u8]> {
        let at = (number as usize).checked_mul(self.page_size)?;
        self.bytes.get(at..at.checked_add(self.page_size)?)
    }
    fn u16(&self, bytes: &[u8], at: usize) -> Option<usize> {
        let raw: [u8; 2] = bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(usize::from(if self.big_endian { u16::from_be_bytes(raw) } else { u16::from_le_bytes(raw) }))
    }
    fn u32(&self, bytes: &[u8], at: usize) -> Option<u32> {
        let raw: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if self.big_endian { u32::from_be_bytes(raw) } else { u32::from_le_bytes(raw) })
    }

    /// The bytes of item `index` on a page, its type byte first. Items lie from the end of the page downwards.
    fn item(&self, page: &'a [u8], index: usize) -> Option<&'a [u8]> {
        let start = self.u16(page, PAGE_HEADER + 2 * index)?;
        let end = if index == 0 { page.len() } else { self.u16(page, PAGE_HEADER + 2 * (index - 1))? };
        page.get(start..end)
    }

    /// An item's data, its overflow pages put together.
    fn data(&self, item: &[u8]) -> Option<Vec<u8>> {
        match *item.first()? {
            KEYDATA => Some(item.get(1..)?.to_vec()),
            OFFPAGE => {
                let (mut next, length) = (self.u32(item, 4)?, self.u32(item, 8)? as usize);
                if length > self.bytes.len() {
                    return None;
                }
                let mut data = Vec::with_capacity(length);
                // Every page adds a byte at least, so a ring of pages ends.
                while data.len() < length {
                    let page = self.page(next)?;
                    let used = self.u16(page, 22)?;
                    if *page.get(25)? != OVERFLOW || used == 0 {
                        return None;
                    }
                    data.extend_from_slice(page.get(PAGE_HEADER..PAGE_HEADER.checked_add(used)?)?);
                    next = self.u32(page, 16)?;
                }
                (data.len() == length).then_some(data)
            }
            _ => None,
        }
    }
}

pub(super) fn read(bytes: &[u8], path: &str) -> Result<Vec<Row>, RpmDbError> {
    let damaged = |reason: String| RpmDbError::Damaged { format: "Berkeley DB", path: path.to_owned(), reason };
    let magic: Option<[u8; 4]> = bytes.get(12..16).and_then(|b| b.try_into().ok());
    let big_endian = match magic {
        Some(raw) if u32::from_le_bytes(raw) == HASH_MAGIC => false,
        Some(raw) if u32::from_be_bytes(raw) == HASH_MAGIC => true,
        _ => return Err(RpmDbError::Unsupported { format: "(no Berkeley DB hash file)".into(), path: path.to_owned() }),
    };
    let mut file = File { bytes, page_size: 0, big_endian };
    file.page_size = file.u32(bytes, 20).unwrap_or_default() as usize;
    if !(512..=65_536).contains(&file.page_size) || !file.page_size.is_power_of_two() {
        return Err(damaged(format!("a page size of {}", file.page_size)));
    }
    if bytes.get(24) != Some(&0) || bytes.get(25) != Some(&HASH_META) {
        return Err(RpmDbError::Unsupported { format: "(an encrypted Berkeley DB, or no hash)".into(), path: path.to_owned() });
    }
    // Checksums move everything on a page; partitions lie in other files. rpm never used either.
    if bytes.get(26).is_none_or(|flags| *flags != 0) {
        return Err(RpmDbError::Unsupported {
            format: "(a Berkeley DB with checksums or partitions)".into(),
            path: path.to_owned(),
        });
    }
    // The meta page says which page is the last: what is cut off at a page's end would not be missed otherwise.
    let last = file.u32(bytes, 32).unwrap_or_default();
    if file.page(last).is_none() {
        return Err(damaged(format!("page {last}, its last one, is not there")));
    }
    let mut rows = Rows::new(path, bytes.len() as u64);
    for number in 1..bytes.len().div_ceil(file.page_size) {
        let Some(page) = u32::try_from(number).ok().and_then(|n| file.page(n)) else {
            return Err(damaged(format!("page {number} is cut off")));
        };
        if !matches!(page.get(25), Some(&(HASH | HASH_UNSORTED))) {
            continue;
        }
        let entries = file.u16(page, 20).unwrap_or_default();
        for pair in 0..entries / 2 {
            let bad = || damaged(format!("entry {pair} of page {number}"));
            let key = file.item(page, 2 * pair).and_then(|item| file.data(item)).ok_or_else(bad)?;
            let Some(key) = file.u32(&key, 0).filter(|_| key.len() == 4) else { return Err(bad()) };
            // Header number 0 holds the highest number given out, not a header.
            if key == 0 {
                continue;
            }
            let blob = file.item(page, 2 * pair + 1).and_then(|item| file.data(item)).ok_or_else(bad)?;
            rows.push(Row { number: key.into(), blob, names: None })?;
        }
    }
    Ok(rows.sorted())
}
