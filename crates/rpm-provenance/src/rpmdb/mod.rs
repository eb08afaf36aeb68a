//! The rpmdb of an image, read in-process from its layers: no `rpm` binary, no chroot.
//!
//! Formats: sqlite (rpm ≥ 4.16 of Fedora and EL 9), ndb (SUSE), Berkeley DB hash (EL 7 and 8). The database files are
//! strangers' input: copied out first, opened without following links, never written, every header re-parsed and its
//! digests recomputed. Called by the proof before anything is pushed.

mod bdb_hash;
mod copy_out;
mod error;
mod locate;
mod ndb;
mod sqlite;

use std::path::Path;

use image_layers::MergedView;

use crate::RpmIdent;
use crate::dependencies::{self, PackageDependencies};
use crate::files::PackageFiles;
use crate::header::{Header, HeaderError, tag};
pub use error::RpmDbError;
pub(crate) use locate::{DIRECTORIES, is_database};

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
    read(view, &mut |_, _| Ok(()))
}

/// The same, with the files every package lists, in the same order; those of public keys and broken lists are left out.
///
/// A package whose lists contradict each other is among [`RpmDb::unreadable`].
///
/// # Errors
/// As [`read_view`].
pub fn read_view_with_files(view: &MergedView) -> Result<(RpmDb, Vec<PackageFiles>), RpmDbError> {
    let mut files = Vec::new();
    let db = read(view, &mut |header, ident| {
        if !ident.is_public_key() {
            files.push(PackageFiles::read(header, ident)?);
        }
        Ok(())
    })?;
    Ok((db, files))
}

/// The same, with what the packages require and provide besides.
///
/// # Errors
/// As [`read_view`].
pub fn read_view_whole(view: &MergedView) -> Result<(RpmDb, Vec<PackageFiles>, Vec<PackageDependencies>), RpmDbError> {
    let (mut files, mut dependencies) = (Vec::new(), Vec::new());
    let db = read(view, &mut |header, ident| {
        if !ident.is_public_key() {
            files.push(PackageFiles::read(header, ident)?);
            dependencies.push(PackageDependencies::read(header, ident)?);
        }
        Ok(())
    })?;
    dependencies::add_files(&mut dependencies, &files);
    Ok((db, files, dependencies))
}

fn read(view: &MergedView, each: &mut dyn FnMut(&Header, &RpmIdent) -> Result<(), HeaderError>) -> Result<RpmDb, RpmDbError> {
    let Some(found) = locate::find(view)? else {
        return Ok(RpmDb {
            path: String::new(),
            format: RpmDbFormat::Absent,
            packages: Vec::new(),
            unreadable: Vec::new(),
            root_is_empty: locate::root_is_empty(view)?,
        });
    };
    let copy = copy_out::copy(&found)?;
    let rows = match found.format {
        RpmDbFormat::Sqlite => sqlite::read(&copy, &found.path)?,
        RpmDbFormat::Ndb => ndb::read(&copy.bytes(&found.path)?, &found.path)?,
        RpmDbFormat::BdbHash => bdb_hash::read(&copy.bytes(&found.path)?, &found.path)?,
        RpmDbFormat::Absent => Vec::new(),
    };
    let mut db =
        RpmDb { path: found.path, format: found.format, packages: Vec::new(), unreadable: Vec::new(), root_is_empty: false };
    for mut row in rows {
        let (number, blob) = (row.number, std::mem::take(&mut row.blob));
        let ident = Header::parse(blob, tag::HEADER_IMMUTABLE).and_then(|header| {
            let ident = RpmIdent::from_header(&header, &header)?;
            if ident.fault.is_none() {
                row.check_index(&ident.nvra.nvr.name)?;
            }
            each(&header, &ident)?;
            Ok(ident)
        });
        match ident {
            Ok(ident) => db.packages.push(ident),
            Err(e) => db.unreadable.push(UnreadableHeader { number, reason: e.to_string() }),
        }
    }
    Ok(db)
}

/// Reads the rpmdb of an unpacked root directory.
///
/// # Errors
/// As [`read_view`].
pub fn read_dir(root: &Path) -> Result<RpmDb, RpmDbError> {
    match std::fs::metadata(root) {
        Ok(meta) if meta.is_dir() => read_view(&MergedView::new(vec![root.to_owned()])),
        Ok(_) => Err(RpmDbError::Read { path: root.display().to_string(), source: std::io::ErrorKind::NotADirectory.into() }),
        Err(source) => Err(RpmDbError::Read { path: root.display().to_string(), source }),
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
