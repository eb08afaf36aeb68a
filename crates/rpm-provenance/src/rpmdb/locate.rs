//! Where the rpmdb of an image lies, and of which format it is.

use std::io::Read;
use std::path::PathBuf;

use image_layers::MergedView;

use super::{RpmDbError, RpmDbFormat, dbpath};

/// The directories distributions use: classic, Fedora ≥ 36 and SUSE, ostree images and their older places.
const DIRECTORIES: [&str; 5] =
    ["/var/lib/rpm", "/usr/lib/sysimage/rpm", "/usr/share/rpm", "/usr/lib/rpm-db", "/lib/sysimage/rpm"];

/// What an ostree image was composed of. rpm itself never looks there, and after `dnf install` it is out of date.
const OSTREE_BASE: &str = "/usr/lib/sysimage/rpm-ostree-base-db";

/// Where to look besides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LocateOptions {
    /// A directory of the image that holds the rpmdb, whatever the image's own configuration says.
    pub also: Option<String>,
}

/// File names and what they hold.
const FILES: [(&str, RpmDbFormat); 3] =
    [("rpmdb.sqlite", RpmDbFormat::Sqlite), ("Packages.db", RpmDbFormat::Ndb), ("Packages", RpmDbFormat::BdbHash)];

/// Whether a file is a rpmdb, by its name and first bytes: those of SQLite, ndb (rpm's lib/backend/ndb) and Berkeley DB
/// hash files of either byte order.
pub(crate) fn is_database(name: &[u8], head: &[u8]) -> bool {
    match FILES.iter().find(|(known, _)| known.as_bytes() == name) {
        Some((_, RpmDbFormat::Sqlite)) => head.starts_with(b"SQLite format 3\0"),
        Some((_, RpmDbFormat::Ndb)) => head.starts_with(b"RpmP"),
        Some((_, RpmDbFormat::BdbHash)) => {
            head.get(12..16).is_some_and(|magic| [[0x61, 0x15, 6, 0], [0, 6, 0x15, 0x61]].iter().any(|m| m == magic))
        }
        _ => false,
    }
}

/// Where an image may have its rpmdb: at the places of distributions, and where its own macros lead.
fn directories(view: &MergedView) -> Vec<String> {
    DIRECTORIES.map(str::to_owned).into_iter().chain(dbpath::directories(view)).collect()
}

/// Where a database is known to lie, read by rpm or not.
pub(crate) fn known_directories(view: &MergedView) -> Vec<String> {
    directories(view).into_iter().chain([OSTREE_BASE.to_owned()]).collect()
}

/// A database file found.
#[derive(Debug)]
pub(super) struct Found {
    /// Path inside the image.
    pub path: String,
    /// Where its bytes lie on this machine.
    pub host: PathBuf,
    /// The write-ahead log beside it, for sqlite.
    pub wal: Option<PathBuf>,
    pub format: RpmDbFormat,
}

/// The one rpmdb of the image; `None` when there is none.
///
/// # Errors
/// When there are several that differ: a tool inside the image might be shown another one than is proven here.
pub(super) fn find(view: &MergedView, options: &LocateOptions) -> Result<Option<Found>, RpmDbError> {
    let mut directories = directories(view);
    directories.extend(options.also.as_deref().map(|also| also.trim_end_matches('/').to_owned()));
    match find_in(view, &directories)? {
        None => find_in(view, &[OSTREE_BASE.to_owned()]),
        found => Ok(found),
    }
}

fn find_in(view: &MergedView, directories: &[String]) -> Result<Option<Found>, RpmDbError> {
    let mut all: Vec<Found> = Vec::new();
    for directory in directories {
        for (name, format) in FILES {
            let path = format!("{directory}/{name}");
            let Some(host) = view.lookup(&path) else { continue };
            let meta = std::fs::symlink_metadata(&host).map_err(|source| RpmDbError::Read { path: path.clone(), source })?;
            if !meta.is_file() {
                return Err(RpmDbError::Unsupported { format: "(not a regular file)".into(), path });
            }
            // Links between the directories lead to the same file.
            if all.iter().any(|f| f.host == host) {
                continue;
            }
            if format == RpmDbFormat::Sqlite {
                check_journal(view, &path)?;
            }
            let wal = if format == RpmDbFormat::Sqlite { view.lookup(&format!("{path}-wal")) } else { None };
            all.push(Found { path, host, wal, format });
        }
    }
    if all.len() > 1 {
        // ostree keeps a second copy of the same database; equal bytes say the same thing.
        let mut sums = Vec::new();
        for found in &all {
            let live_wal = found.wal.as_ref().and_then(|w| std::fs::metadata(w).ok()).is_some_and(|m| m.len() > 0);
            sums.push((sum(found)?, live_wal));
        }
        let same = sums.windows(2).all(|pair| matches!(pair, [(a, false), (b, false)] if a == b));
        if !same {
            return Err(RpmDbError::Several { paths: all.into_iter().map(|f| f.path).collect() });
        }
    }
    Ok(all.into_iter().next())
}

/// A rollback journal beside the database: whoever opens it in the image first takes back what it holds, and sees other
/// packages than the file alone shows. rpm's database has a write-ahead log and never such a journal.
fn check_journal(view: &MergedView, path: &str) -> Result<(), RpmDbError> {
    const MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
    let Some(host) = view.lookup(&format!("{path}-journal")) else { return Ok(()) };
    let failed = |source| RpmDbError::Read { path: format!("{path}-journal"), source };
    if !std::fs::symlink_metadata(&host).map_err(failed)?.is_file() {
        return Err(RpmDbError::Unsupported { format: "(its journal is not a regular file)".into(), path: path.to_owned() });
    }
    let mut head = Vec::new();
    std::fs::File::open(&host).map_err(failed)?.take(MAGIC.len() as u64).read_to_end(&mut head).map_err(failed)?;
    if head != MAGIC {
        return Ok(()); // one that is finished with is emptied or begins with zeros
    }
    let reason = "a rollback journal lies beside it, so that readers see other packages than the file holds".to_owned();
    Err(RpmDbError::Damaged { format: "sqlite", path: path.to_owned(), reason })
}

fn sum(found: &Found) -> Result<String, RpmDbError> {
    use sha2::Digest as _;
    let failed = |source| RpmDbError::Read { path: found.path.clone(), source };
    let mut file = std::fs::File::open(&found.host).map_err(failed)?;
    let (mut sha256, mut buffer) = (sha2::Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => return Ok(build_model::hex(&sha256.finalize())),
            n => sha256.update(buffer.get(..n).unwrap_or_default()),
        }
    }
}

/// Whether the image holds no entry at all.
pub(super) fn root_is_empty(view: &MergedView) -> Result<bool, RpmDbError> {
    match view.list("/") {
        Ok(names) => Ok(names.is_empty()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(source) => Err(RpmDbError::Read { path: "/".into(), source }),
    }
}
