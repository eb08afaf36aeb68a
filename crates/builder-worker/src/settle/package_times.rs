//! The times in rpm's database. Newer versions take them from `SOURCE_DATE_EPOCH`; for older ones (before 4.17) they are
//! set back here: INSTALLTIME and INSTALLTID of every header that says later than the build's date, and the index of the
//! latter. Both stand outside the part of a header that signatures and digests cover.

use rusqlite::{Connection, params};

const INSTALL_TIME: u32 = 1008;
const INSTALL_TID: u32 = 1128;
const INT32: u32 = 4;
/// Bytes of an index entry: tag, type, offset, count.
const ENTRY: usize = 16;

/// Sets times after `epoch` back to it; whether there were any.
pub(super) fn set_back(db: &mut Connection, epoch: i64) -> rusqlite::Result<bool> {
    let Ok(epoch) = u32::try_from(epoch) else { return Ok(false) };
    let change = db.transaction()?;
    let mut changed = false;
    {
        let mut numbers = change.prepare("SELECT hnum FROM Packages ORDER BY hnum")?;
        let numbers: Vec<i64> = numbers.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let mut read = change.prepare("SELECT blob FROM Packages WHERE hnum = ?1")?;
        let mut write = change.prepare("UPDATE Packages SET blob = ?2 WHERE hnum = ?1")?;
        for number in numbers {
            let mut header: Vec<u8> = read.query_row([number], |row| row.get(0))?;
            if set_back_header(&mut header, epoch) {
                write.execute(params![number, header])?;
                changed = true;
            }
        }
        if changed && has_index(&change)? {
            set_back_index(&change, epoch)?;
        }
    }
    change.commit()?;
    Ok(changed)
}

fn has_index(db: &Connection) -> rusqlite::Result<bool> {
    db.query_row("SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'Installtid'", [], |row| {
        Ok(row.get::<_, i64>(0)? == 1)
    })
}

/// The index's keys are the numbers as the machine holds them.
fn set_back_index(db: &Connection, epoch: u32) -> rusqlite::Result<()> {
    let mut rows = db.prepare("SELECT rowid, key FROM Installtid WHERE typeof(key) = 'blob' AND length(key) = 4")?;
    let rows: Vec<(i64, [u8; 4])> = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    for (row, _) in rows.into_iter().filter(|(_, key)| u32::from_ne_bytes(*key) > epoch) {
        db.execute("UPDATE Installtid SET key = ?2 WHERE rowid = ?1", params![row, epoch.to_ne_bytes()])?;
    }
    Ok(())
}

/// Sets late times in one header (index length, data length, index, data; all big-endian) back.
fn set_back_header(header: &mut [u8], epoch: u32) -> bool {
    let number = |header: &[u8], at: usize| header.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_be_bytes);
    let Some(entries) = number(header, 0).and_then(|n| usize::try_from(n).ok()) else { return false };
    let Some(data) = entries.checked_mul(ENTRY).and_then(|n| n.checked_add(8)).filter(|at| *at <= header.len()) else {
        return false;
    };
    let mut changed = false;
    for entry in (8..data).step_by(ENTRY) {
        let [tag, kind, offset] = [0, 4, 8].map(|at| number(header, entry + at).unwrap_or(u32::MAX));
        if !matches!(tag, INSTALL_TIME | INSTALL_TID) || kind != INT32 {
            continue;
        }
        let Some(at) = usize::try_from(offset).ok().and_then(|offset| data.checked_add(offset)) else { continue };
        if number(header, at).is_some_and(|time| time > epoch)
            && let Some(place) = at.checked_add(4).and_then(|end| header.get_mut(at..end))
        {
            place.copy_from_slice(&epoch.to_be_bytes());
            changed = true;
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of one number per tag.
    fn header(tags: &[(u32, u32)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let words = |bytes: &mut Vec<u8>, words: &[u32]| words.iter().for_each(|w| bytes.extend(w.to_be_bytes()));
        words(&mut bytes, &[tags.len() as u32, 4 * tags.len() as u32]);
        tags.iter().enumerate().for_each(|(at, (tag, _))| words(&mut bytes, &[*tag, INT32, 4 * at as u32, 1]));
        tags.iter().for_each(|(_, value)| words(&mut bytes, &[*value]));
        bytes
    }

    #[test]
    fn late_times_are_set_back_and_earlier_ones_and_other_tags_stay() {
        let mut late = header(&[(1000, 9000), (INSTALL_TIME, 5000), (INSTALL_TID, 900)]);
        assert!(set_back_header(&mut late, 1000));
        assert_eq!(late, header(&[(1000, 9000), (INSTALL_TIME, 1000), (INSTALL_TID, 900)]));
        assert!(!set_back_header(&mut late, 1000));
    }

    #[test]
    fn the_index_follows() {
        let mut db = Connection::open_in_memory().expect("a database");
        db.execute_batch(
            "CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB); CREATE TABLE Installtid (key, hnum, idx);",
        )
        .expect("tables");
        for (number, time) in [(1, 700_u32), (2, 5000)] {
            db.execute("INSERT INTO Packages VALUES (?1, ?2)", params![number, header(&[(INSTALL_TID, time)])]).expect("a row");
            db.execute("INSERT INTO Installtid VALUES (?1, ?2, 0)", params![time.to_ne_bytes(), number]).expect("a row");
        }
        assert!(set_back(&mut db, 1000).expect("set back"));
        let keys: Vec<[u8; 4]> = db
            .prepare("SELECT key FROM Installtid ORDER BY hnum")
            .and_then(|mut s| s.query_map([], |row| row.get(0))?.collect())
            .expect("keys");
        assert_eq!(keys, [700_u32, 1000].map(u32::to_ne_bytes));
        assert!(!set_back(&mut db, 1000).expect("nothing left to do"));
    }

    proptest::proptest! {
        #[test]
        fn damaged_headers_never_panic(mut bytes: Vec<u8>, epoch: u32) {
            set_back_header(&mut bytes, epoch);
            let mut counted = [0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 3, 0xf0, 0, 0, 0, 4].to_vec();
            counted.extend(bytes);
            set_back_header(&mut counted, epoch);
        }
    }
}
