//! The sqlite rpmdb (rpm's lib/backend/sqlite.c): table `Packages(hnum INTEGER PRIMARY KEY, blob BLOB)`.
//!
//! The other tables are indexes over it; an installed package is what `Packages` holds. The index of names is read too:
//! rows that it does not know were not put there by rpm.

use std::collections::{BTreeMap, HashMap};

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};

use super::copy_out::Copy;
use super::{MAX_ROWS, Row, Rows, RpmDbError};

/// Longest header blob: rpm's own limit for a header.
const MAX_BLOB: i32 = 256 << 20;

/// The rows, and the names that rpm's index has for rows that are not there.
pub(super) fn read(copy: &Copy, path: &str) -> Result<(Vec<Row>, BTreeMap<u64, String>), RpmDbError> {
    let failed = |source| RpmDbError::Sqlite { path: path.to_owned(), source };
    // Read-write, because recovering a write-ahead log writes; it is our own copy.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let db = Connection::open_with_flags(&copy.file, flags).map_err(failed)?;
    // The schema is a stranger's: no triggers, no views, no functions in it are to run.
    for (option, on) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
    ] {
        db.set_db_config(option, on).map_err(failed)?;
    }
    db.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_BLOB).map_err(failed)?;
    db.pragma_update(None, "cell_size_check", true).map_err(failed)?;

    let damaged = |reason: String| RpmDbError::Damaged { format: "sqlite", path: path.to_owned(), reason };
    let table: Option<(String, i64)> = db
        .query_row(
            "SELECT coalesce(sql, ''), rootpage FROM sqlite_master WHERE type = 'table' AND name = 'Packages'",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .map(Some)
        .or_else(|e| if e == rusqlite::Error::QueryReturnedNoRows { Ok(None) } else { Err(e) })
        .map_err(failed)?;
    match table {
        None => return Err(damaged("it has no table `Packages`".into())),
        Some((_, rootpage)) if rootpage <= 0 => return Err(damaged("its table `Packages` is a virtual one".into())),
        Some(_) => {}
    }
    // A computed column may say something else to every version of SQLite; rpm makes none.
    let computed: i64 = db
        .query_row("SELECT count(*) FROM pragma_table_xinfo('Packages') WHERE hidden != 0", [], |row| row.get(0))
        .map_err(failed)?;
    if computed > 0 {
        return Err(damaged("its table `Packages` has a computed column".into()));
    }
    let mut names = names(&db).map_err(failed)?;
    let mut query = db.prepare("SELECT hnum, blob FROM Packages ORDER BY hnum").map_err(failed)?;
    let mut found = query.query([]).map_err(failed)?;
    let mut rows = Rows::new(path, copy.size);
    while let Some(row) = found.next().map_err(failed)? {
        let number: i64 = row.get(0).map_err(failed)?;
        let blob: Vec<u8> = row.get(1).map_err(failed)?;
        let names = Some(names.remove(&number).unwrap_or_default());
        rows.push(Row { number: u64::try_from(number).unwrap_or_default(), blob, names })?;
    }
    // What the index still has are rows that somebody took out without it.
    let left = names.into_iter().map(|(number, names)| (u64::try_from(number).unwrap_or_default(), names.concat()));
    Ok((rows.sorted(), left.collect()))
}

/// The index of names: what `rpm -q NAME` looks in. Entries of one row beyond the second are left out; two are one too many.
fn names(db: &Connection) -> rusqlite::Result<HashMap<i64, Vec<String>>> {
    let mut query = db.prepare("SELECT DISTINCT hnum, CAST(key AS TEXT) FROM Name")?;
    let mut found = query.query([])?;
    let mut names: HashMap<i64, Vec<String>> = HashMap::new();
    while let Some(row) = found.next()? {
        let entry = names.entry(row.get(0)?).or_default();
        if entry.len() < 2 {
            entry.push(String::from_utf8_lossy(row.get_ref(1)?.as_bytes()?).into_owned());
        }
        if names.len() > MAX_ROWS {
            break; // rows without an entry are faulted one by one
        }
    }
    Ok(names)
}
