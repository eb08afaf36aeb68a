//! The rpmdb of an image, read in-process from its layers: no `rpm` binary, no chroot.
//!
//! Formats: sqlite (rpm ≥ 4.16 of Fedora and EL 9), ndb (SUSE), Berkeley DB hash (EL 7 and 8). The database files are
//! strangers' input: copied out first, opened without following links, never written, every header re-parsed and its
//! digests recomputed. Called by the proof before anything is pushed.

mod bdb_hash;
mod copy_out;
mod dbpath;
mod error;
mod locate;
mod ndb;
mod parallel;
mod sqlite;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use image_layers::MergedView;

use crate::RpmIdent;
use crate::dependencies::{self, PackageDependencies};
use crate::files::PackageFiles;
use crate::header::{Header, HeaderError, tag};
use crate::query::{FormatError, QueryFormat};
pub use error::RpmDbError;
pub use locate::LocateOptions;
pub(crate) use locate::{is_database, known_directories};
use parallel::on_threads;

/// The on-disk format of a rpmdb.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RpmDbFormat {
    /// There is no rpmdb.
    Absent,
    /// `rpmdb.sqlite`.
    Sqlite,
    /// `Packages.db`, rpm's own "new database".
    Ndb,
    /// `Packages`, a Berkeley DB hash file.
    BdbHash,
}

/// A row of the rpmdb whose header cannot be read. rpm may still show it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct UnreadableHeader {
    /// Number of the row.
    pub number: u64,
    /// Why.
    pub reason: String,
}

/// Everything a rpmdb holds.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RpmDb {
    /// Path inside the image; empty when there is no rpmdb.
    pub path: String,
    /// Its format.
    pub format: RpmDbFormat,
    /// The installed packages, public keys included, in the order of the database.
    pub packages: Vec<RpmIdent>,
    /// Rows that hold no readable header.
    pub unreadable: Vec<UnreadableHeader>,
    /// What rpm's own index over the rows has and they have not: rpm writes both, whoever takes a package out often one.
    /// Of sqlite databases; a row that the index does not know is among the unreadable ones.
    #[serde(default)]
    pub contradictions: Vec<String>,
    /// Whether the image holds no file at all; then the absence of a rpmdb means nothing.
    pub root_is_empty: bool,
}

/// Reads the rpmdb of an image from its unpacked layers.
///
/// An image without one gives [`RpmDbFormat::Absent`], which is for the proof to judge.
///
/// # Errors
/// When a database is there but cannot be read, is of an unknown format, or when there are several.
pub fn read_view(view: &MergedView) -> Result<RpmDb, RpmDbError> {
    Ok(read(view, &LocateOptions::default(), &|_, _, _| Ok(()))?.0)
}

/// A package as a query format prints it, or why it cannot be printed so.
pub type FormattedPackage = Result<Vec<u8>, FormatError>;

/// The same as [`read_view`], with each package as a query format prints it, in the same order.
///
/// # Errors
/// As [`read_view`].
pub fn query_view(
    view: &MergedView,
    options: &LocateOptions,
    format: &QueryFormat,
) -> Result<(RpmDb, Vec<FormattedPackage>), RpmDbError> {
    read(view, options, &|number, header, _| Ok(format.of(header, number)))
}

/// The same, with the files every package lists, in the same order; those of public keys and broken lists are left out.
///
/// A package whose lists contradict each other is among [`RpmDb::unreadable`].
///
/// # Errors
/// As [`read_view`].
pub fn read_view_with_files(view: &MergedView) -> Result<(RpmDb, Vec<PackageFiles>), RpmDbError> {
    let listed = Listed::default();
    let (db, files) = read(view, &LocateOptions::default(), &|_, header, ident| listed.read(header, ident))?;
    Ok((db, files.into_iter().flatten().collect()))
}

/// The same, with what the packages require and provide besides.
///
/// # Errors
/// As [`read_view`].
pub fn read_view_whole(view: &MergedView) -> Result<(RpmDb, Vec<PackageFiles>, Vec<PackageDependencies>), RpmDbError> {
    let listed = Listed::default();
    let (db, read) = read(view, &LocateOptions::default(), &|_, header, ident| {
        let files = listed.read(header, ident)?;
        files.map(|files| Ok((files, PackageDependencies::read(header, ident)?))).transpose()
    })?;
    let (files, mut dependencies): (Vec<_>, Vec<_>) = read.into_iter().flatten().unzip();
    dependencies::add_files(&mut dependencies, &files);
    Ok((db, files, dependencies))
}

/// How many files all packages together have listed so far.
#[derive(Default)]
struct Listed(AtomicUsize);

impl Listed {
    /// The files of a package; `None` for a public key.
    fn read(&self, header: &Header, ident: &RpmIdent) -> Result<Option<PackageFiles>, HeaderError> {
        if ident.is_public_key() {
            return Ok(None);
        }
        let package = PackageFiles::read(header, ident)?;
        let found = self.0.fetch_add(package.len(), Ordering::Relaxed) + package.len();
        if found > MAX_FILES {
            return Err(HeaderError::TooLarge {
                part: "list of all packages' files",
                unit: "files",
                found: found as u64,
                limit: MAX_FILES as u64,
            });
        }
        Ok(Some(package))
    }
}

/// What is taken of a readable header besides its identity.
type Visit<'a, T> = &'a (dyn Fn(u64, &Header, &RpmIdent) -> Result<T, HeaderError> + Sync);

fn read<T: Send>(view: &MergedView, options: &LocateOptions, each: Visit<'_, T>) -> Result<(RpmDb, Vec<T>), RpmDbError> {
    let Some(found) = locate::find(view, options)? else {
        let absent = RpmDb {
            path: String::new(),
            format: RpmDbFormat::Absent,
            packages: Vec::new(),
            unreadable: Vec::new(),
            contradictions: Vec::new(),
            root_is_empty: locate::root_is_empty(view)?,
        };
        return Ok((absent, Vec::new()));
    };
    let copy = copy_out::copy(&found)?;
    let mut left_in_index = BTreeMap::new();
    let rows = match found.format {
        RpmDbFormat::Sqlite => {
            let (rows, names) = sqlite::read(&copy, &found.path)?;
            left_in_index = names;
            rows
        }
        RpmDbFormat::Ndb => ndb::read(&copy.bytes(&found.path)?, &found.path)?,
        RpmDbFormat::BdbHash => bdb_hash::read(&copy.bytes(&found.path)?, &found.path)?,
        RpmDbFormat::Absent => Vec::new(),
    };
    Ok(of_rows(found.path, found.format, rows, left_in_index, each))
}

/// Reads a database that is in memory: of a format that is one file, [`RpmDbFormat::Ndb`] or [`RpmDbFormat::BdbHash`].
/// Every package is formatted with `query`.
///
/// # Errors
/// As [`read_view`].
pub fn read_bytes(format: RpmDbFormat, bytes: &[u8], query: &QueryFormat) -> Result<(RpmDb, Vec<FormattedPackage>), RpmDbError> {
    let path = "memory";
    let rows = match format {
        RpmDbFormat::Ndb => ndb::read(bytes, path)?,
        RpmDbFormat::BdbHash => bdb_hash::read(bytes, path)?,
        RpmDbFormat::Sqlite | RpmDbFormat::Absent => {
            return Err(RpmDbError::Unsupported { format: "(not one that is a single file)".into(), path: path.into() });
        }
    };
    Ok(of_rows(path.to_owned(), format, rows, BTreeMap::new(), &|number, header, ident| {
        PackageFiles::read(header, ident)?;
        Ok(query.of(header, number))
    }))
}

fn of_rows<T: Send>(
    path: String,
    format: RpmDbFormat,
    rows: Vec<Row>,
    left_in_index: BTreeMap<u64, String>,
    each: Visit<'_, T>,
) -> (RpmDb, Vec<T>) {
    let mut db =
        RpmDb { path, format, packages: Vec::new(), unreadable: Vec::new(), contradictions: Vec::new(), root_is_empty: false };
    let mut taken = Vec::with_capacity(rows.len());
    let parsed = on_threads(rows, &|mut row| {
        let (number, blob) = (row.number, std::mem::take(&mut row.blob));
        let read = Header::parse(blob, tag::HEADER_IMMUTABLE).and_then(|header| {
            let ident = RpmIdent::from_header(&header, &header)?;
            if ident.fault.is_none() {
                row.check_index(&ident.nvra.nvr.name)?;
            }
            let part = each(number, &header, &ident)?;
            Ok((ident, part))
        });
        (number, read)
    });
    for (number, read) in parsed {
        match read {
            Ok((ident, part)) => {
                db.packages.push(ident);
                taken.push(part);
            }
            Err(e) => db.unreadable.push(UnreadableHeader { number, reason: e.to_string() }),
        }
    }
    let gone = |(number, name)| format!("rpm's index has {name} as row {number}, but there is no such row");
    db.contradictions = left_in_index.into_iter().map(gone).collect();
    (db, taken)
}

/// Reads the rpmdb of an unpacked root directory.
///
/// # Errors
/// As [`read_view`].
pub fn read_dir(root: &Path) -> Result<RpmDb, RpmDbError> {
    read_view(&view_of(root)?)
}

/// An unpacked root directory as a view of one layer.
///
/// # Errors
/// When it is no directory.
pub fn view_of(root: &Path) -> Result<MergedView, RpmDbError> {
    let failed = |source| RpmDbError::Read { path: root.display().to_string(), source };
    match std::fs::metadata(root) {
        Ok(meta) if meta.is_dir() => Ok(MergedView::new(vec![root.to_owned()])),
        Ok(_) => Err(failed(std::io::ErrorKind::NotADirectory.into())),
        Err(source) => Err(failed(source)),
    }
}

/// One header of a database, before it is parsed.
struct Row {
    number: u64,
    blob: Vec<u8>,
    /// What the index of names calls it; `None` where a format has no index that is read here.
    names: Option<Vec<String>>,
}

impl Row {
    /// `rpm -q NAME` asks the index, `rpm -qa` the rows: they must not speak of different packages.
    fn check_index(&self, name: &str) -> Result<(), HeaderError> {
        match self.names.as_deref() {
            None => Ok(()),
            Some([]) => Err(HeaderError::damaged(format!("{name} is not in the index of names"))),
            Some(names) => match names.iter().find(|known| *known != name) {
                Some(other) => Err(HeaderError::damaged(format!("the index of names calls it {other}, the header {name}"))),
                None => Ok(()),
            },
        }
    }
}

/// Headers allowed in one database; the largest images hold some thousands.
const MAX_ROWS: usize = 200_000;
/// Files allowed in all packages together; a full desktop has some 500 000.
const MAX_FILES: usize = 5_000_000;

/// The rows of a database while they are read. All headers together are no longer than the database that holds them: a
/// damaged one may lead to the same bytes again and again.
struct Rows<'a> {
    all: Vec<Row>,
    path: &'a str,
    room: u64,
}

impl<'a> Rows<'a> {
    fn new(path: &'a str, database_size: u64) -> Self {
        Rows { all: Vec::new(), path, room: database_size }
    }

    fn push(&mut self, row: Row) -> Result<(), RpmDbError> {
        let too_large = |size, unit, limit| RpmDbError::TooLarge { path: self.path.to_owned(), size, unit, limit };
        if self.all.len() == MAX_ROWS {
            return Err(too_large(MAX_ROWS as u64 + 1, "headers", MAX_ROWS as u64));
        }
        let Some(room) = self.room.checked_sub(row.blob.len() as u64) else {
            return Err(too_large(row.blob.len() as u64, "bytes in one header", self.room));
        };
        self.room = room;
        self.all.push(row);
        Ok(())
    }

    fn sorted(mut self) -> Vec<Row> {
        self.all.sort_by_key(|row| row.number);
        self.all
    }
}
