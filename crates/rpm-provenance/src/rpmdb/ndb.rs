//! The ndb rpmdb of SUSE (rpm's lib/backend/ndb/rpmpkg.c): slot pages that point to header blobs, little-endian.

use super::{Row, Rows, RpmDbError};

const FILE_MAGIC: u32 = u32::from_le_bytes(*b"RpmP");
const SLOT_MAGIC: u32 = u32::from_le_bytes(*b"Slot");
const BLOB_MAGIC: u32 = u32::from_le_bytes(*b"BlbS");
const PAGE: usize = 4096;
const SLOT: usize = 16;
/// The file's own header takes the place of the first two slots.
const FIRST_SLOT: usize = 32;
const BLOCK: u64 = 16;
const BLOB_HEADER: u64 = 16;

fn le32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_le_bytes)
}

pub(super) fn read(bytes: &[u8], path: &str) -> Result<Vec<Row>, RpmDbError> {
    let damaged = |reason: String| RpmDbError::Damaged { format: "ndb", path: path.to_owned(), reason };
    if le32(bytes, 0) != Some(FILE_MAGIC) {
        return Err(damaged("it does not begin with `RpmP`".into()));
    }
    match le32(bytes, 4) {
        Some(0) => {}
        version => {
            let version = version.unwrap_or_default();
            return Err(RpmDbError::Unsupported { format: format!("ndb version {version}"), path: path.to_owned() });
        }
    }
    let pages = le32(bytes, 12).unwrap_or_default() as usize;
    let end = pages.saturating_mul(PAGE);
    let Some(slots) = bytes.get(FIRST_SLOT..end) else {
        return Err(damaged(format!("{pages} slot pages in a file of {} bytes", bytes.len())));
    };
    let mut rows = Rows::new(path, bytes.len() as u64);
    for slot in slots.chunks_exact(SLOT) {
        let word = |n: usize| le32(slot, 4 * n).unwrap_or_default();
        if word(0) != SLOT_MAGIC {
            return Err(damaged("a slot does not begin with `Slot`".into()));
        }
        let (number, offset) = (word(1), u64::from(word(2)) * BLOCK);
        if word(2) == 0 {
            continue;
        }
        let blob =
            blob(bytes, offset, number).ok_or_else(|| damaged(format!("the blob of header {number} is not at {offset}")))?;
        rows.push(Row { number: number.into(), blob, names: None })?;
    }
    Ok(rows.sorted())
}

fn blob(bytes: &[u8], offset: u64, number: u32) -> Option<Vec<u8>> {
    let at = usize::try_from(offset).ok()?;
    if le32(bytes, at)? != BLOB_MAGIC || le32(bytes, at + 4)? != number {
        return None;
    }
    let length = le32(bytes, at + 12)? as usize;
    let start = at.checked_add(BLOB_HEADER as usize)?;
    Some(bytes.get(start..start.checked_add(length)?)?.to_vec())
}
