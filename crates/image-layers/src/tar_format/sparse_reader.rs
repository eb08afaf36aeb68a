//! Entries that are sparse files, in the four forms GNU tar writes them.

use std::io::Read;

use super::BLOCK;
use super::entry::{TarEntry, TarKind};
use super::error::TarError;
use super::overrides::Overrides;
use super::reader::{TarReader, unsigned};
use super::sparse::{self, MapLines, SparseMap};

impl<R: Read> TarReader<R> {
    /// A file of type `S`: the map begins in the header and goes on in blocks of its own.
    pub(super) fn old_sparse(
        &mut self,
        header: &[u8; BLOCK],
        found: Overrides,
        stored: u64,
        offset: u64,
        mut extensions: u64,
    ) -> Result<TarEntry, TarError> {
        let bad = || TarError::Number { field: "map", offset };
        let mut numbers = sparse::pairs(header, 386, 4).ok_or_else(bad)?;
        let mut more = header[482] != 0;
        let real_size = unsigned(&header[483..495], "real size", offset)?;
        while more {
            extensions += 1;
            let size = extensions.saturating_mul(BLOCK as u64);
            if size > self.extension_limit {
                return Err(TarError::ExtensionTooLarge { offset, size, limit: self.extension_limit });
            }
            let mut block = [0_u8; BLOCK];
            if !self.read_block(&mut block)? {
                return Err(TarError::Truncated { offset: self.offset });
            }
            numbers.extend(sparse::pairs(&block, 0, 21).ok_or_else(bad)?);
            more = block[504] != 0;
        }
        let stored = found.size.unwrap_or(stored);
        // `entry` takes what is stored for the content.
        let entry = self.entry(header, Overrides { size: Some(stored), ..found }, stored, offset)?;
        self.sparse_entry(entry, &numbers, real_size, stored)
    }

    /// A file that extended headers call sparse.
    pub(super) fn pax_sparse(
        &mut self,
        header: &[u8; BLOCK],
        mut found: Overrides,
        size: u64,
        offset: u64,
        extensions: u64,
    ) -> Result<TarEntry, TarError> {
        let records = std::mem::take(&mut found.sparse);
        // What tools that know nothing of sparse files would call it is elsewhere.
        found.path = records.name.clone().or(found.path);
        let entry = self.entry(header, found, size, offset)?;
        let wrong = |entry: &TarEntry, reason| TarError::SparseMap { path: entry.shown_path(), reason };
        if entry.kind != TarKind::File {
            return Err(wrong(&entry, "it is no file"));
        }
        let real_size = records.real_size.ok_or_else(|| wrong(&entry, "its size is not told"))?;
        let (numbers, stored) = match records.version {
            (0, _) => (records.numbers(), entry.size),
            (1, 0) if !self.takes_sparse => return Err(TarError::Sparse { path: entry.shown_path() }),
            (1, 0) => {
                let (numbers, read) = self.map_before_content(&entry, offset, extensions)?;
                (numbers, entry.size - read)
            }
            _ => return Err(wrong(&entry, "its version is unknown")),
        };
        self.sparse_entry(entry, &numbers, real_size, stored)
    }

    /// The map of version 1.0, and how many bytes of the content it takes: whole blocks.
    fn map_before_content(&mut self, entry: &TarEntry, offset: u64, extensions: u64) -> Result<(Vec<u64>, u64), TarError> {
        let (mut lines, mut read) = (MapLines::default(), 0_u64);
        loop {
            let size = read.saturating_add(extensions.saturating_mul(BLOCK as u64));
            if size > self.extension_limit {
                return Err(TarError::ExtensionTooLarge { offset, size, limit: self.extension_limit });
            }
            let mut block = [0_u8; BLOCK];
            if self.content < BLOCK as u64 {
                return Err(TarError::SparseMap { path: entry.shown_path(), reason: "its map ends half-way" });
            }
            if !self.read_block(&mut block)? {
                return Err(TarError::Truncated { offset: self.offset });
            }
            self.content -= BLOCK as u64;
            read += BLOCK as u64;
            match lines.feed(&block) {
                Some(true) => return Ok((lines.numbers, read)),
                Some(false) => {}
                None => return Err(TarError::Number { field: "map", offset }),
            }
        }
    }

    fn sparse_entry(&self, mut entry: TarEntry, numbers: &[u64], real_size: u64, stored: u64) -> Result<TarEntry, TarError> {
        if !self.takes_sparse {
            return Err(TarError::Sparse { path: entry.shown_path() });
        }
        let wrong = |reason| TarError::SparseMap { path: entry.shown_path(), reason };
        let map = SparseMap::new(numbers, real_size, stored).map_err(wrong)?;
        entry.size = real_size;
        entry.sparse = Some(map);
        Ok(entry)
    }
}
