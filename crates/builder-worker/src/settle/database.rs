//! Settles one SQLite database: its write-ahead log merged, times set back, and written anew so that nothing of the old
//! times is left in free pages. All of it on a private copy: a journal or a link of the RUN's is never SQLite's to follow.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};

use super::package_times;
use super::places::{Content, Place};
use super::plain_file;

/// Larger ones are left alone.
const SIZE_MAX: i64 = 1 << 30;
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// Where the header says how a database is written: 2 stands for a write-ahead log.
const WRITE_VERSION: u64 = 18;

pub(super) fn settle(dir: &OwnedFd, place: &Place, epoch: i64, scratch: &Path) -> io::Result<()> {
    let [log, shared, journal] = ["-wal", "-shm", "-journal"].map(|end| format!("{}{end}", place.name));
    let Some(stat) = plain_file(dir, place.name)? else { return Ok(()) };
    let log_size = plain_file(dir, &log)?.map_or(0, |stat| stat.st_size);
    let has_journal = plain_file(dir, &journal)?.is_some_and(|stat| stat.st_size > 0);
    if stat.st_size > SIZE_MAX || log_size > SIZE_MAX || has_journal {
        return Ok(());
    }
    let copy = tempfile::Builder::new().prefix("settle-").tempdir_in(scratch)?;
    let path = copy.path().join("db");
    let mut original = open(dir, place.name, OFlags::RDWR)?;
    let mut start = Vec::new();
    (&mut original).take(WRITE_VERSION + 2).read_to_end(&mut start)?;
    if !start.starts_with(MAGIC) {
        return Ok(());
    }
    original.seek(SeekFrom::Start(0))?;
    io::copy(&mut original, &mut File::create_new(&path)?)?;
    if log_size > 0 {
        io::copy(&mut open(dir, &log, OFlags::RDONLY)?, &mut File::create_new(copy.path().join("db-wal"))?)?;
    }
    match rewrite(&path, place.content, epoch, log_size > 0) {
        Ok(false) => {}
        Ok(true) => {
            original.set_len(0)?;
            original.seek(SeekFrom::Start(0))?;
            let mut settled = fs::read(&path)?;
            // Readers of an image need no shared memory for it, and rpm turns the log on again by itself.
            if let Some(versions) = settled.get_mut(18..20) {
                versions.fill(1);
            }
            original.write_all(&settled)?;
        }
        // Damaged, or no database of the kind expected: it stays what the RUN made of it.
        Err(error) => {
            tracing::debug!(database = place.name, %error, "not settled");
            return Ok(());
        }
    }
    for name in [&log, &shared] {
        if plain_file(dir, name)?.is_some() {
            white_out(dir, name)?;
        }
    }
    Ok(())
}

/// Removes a file of this layer and hides one of that name in the layers below. The log of an earlier state that came to
/// light again would be replayed over this one. Where there is nothing to hide, packing leaves the whiteout out.
fn white_out(dir: &OwnedFd, name: &str) -> io::Result<()> {
    rustix::fs::unlinkat(dir, name, AtFlags::empty())?;
    Ok(rustix::fs::mknodat(dir, name, FileType::CharacterDevice, Mode::empty(), 0)?)
}

fn open(dir: &OwnedFd, name: &str, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(dir, name, flags, Mode::empty())?.into())
}

/// Whether anything had to be changed.
fn rewrite(path: &Path, content: Content, epoch: i64, has_log: bool) -> rusqlite::Result<bool> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let mut db = Connection::open_with_flags(path, flags)?;
    db.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 1)?; // VACUUM takes one
    // Nothing but tables: a trigger would run with every change.
    db.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;")?;
    let programs: i64 =
        db.query_row("SELECT count(*) FROM sqlite_master WHERE type NOT IN ('table', 'index')", [], |row| row.get(0))?;
    if programs > 0 {
        return Err(rusqlite::Error::InvalidQuery);
    }
    let changed = match content {
        Content::Packages => package_times::set_back(&mut db, epoch)?,
        Content::History => {
            let times = "UPDATE trans SET dt_begin = min(dt_begin, ?1), dt_end = min(dt_end, ?1) \
                         WHERE dt_begin > ?1 OR dt_end > ?1";
            db.execute(times, [epoch])?;
            // Also when no time was late: what is left of earlier ones in free pages is not the same twice.
            true
        }
    };
    if !changed && !has_log {
        return Ok(false);
    }
    db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE; VACUUM;")?;
    db.close().map_err(|(_, error)| error)?;
    Ok(true)
}
