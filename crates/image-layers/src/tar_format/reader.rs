//! Reads a tar archive entry by entry. What strangers can choose is bounded: extended headers have a limit, file
//! contents are passed through, nothing is allocated by a size that a header merely claims.

use std::io::{self, Read};

use super::entry::{TarEntry, TarKind};
use super::error::TarError;
use super::overrides::Overrides;
use super::{BLOCK, number};

/// A tar archive being read. After [`TarReader::next_entry`], reading gives the content of that entry.
#[derive(Debug)]
pub struct TarReader<R> {
    inner: R,
    /// Bytes read from `inner`.
    pub(super) offset: u64,
    /// Content of the current entry not yet read.
    pub(super) content: u64,
    /// Fill bytes after it.
    padding: u64,
    pub(super) extension_limit: u64,
    global: Overrides,
    finished: bool,
    pub(super) takes_sparse: bool,
}

impl<R: Read> TarReader<R> {
    /// Starts reading. `extension_limit` bounds the bytes of the extended headers of one entry.
    pub fn new(inner: R, extension_limit: u64) -> Self {
        let global = Overrides::default();
        Self { inner, offset: 0, content: 0, padding: 0, extension_limit, global, finished: false, takes_sparse: false }
    }

    /// Sparse files are entries, too: what is read of one are the pieces of its map, one after the other.
    pub fn with_sparse_files(self) -> Self {
        Self { takes_sparse: true, ..self }
    }

    /// Bytes of the archive consumed so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The stream underneath.
    pub fn get_ref(&self) -> &R {
        &self.inner
    }

    /// Gives the stream back, for what follows the end of the archive.
    pub fn into_inner(self) -> R {
        self.inner
    }

    /// The next entry; what was not read of the one before is skipped. `None` at the end of the archive: two empty
    /// blocks, or, as many writers leave it, simply no more data.
    ///
    /// # Errors
    /// See [`TarError`]. There is no way on after an error.
    pub fn next_entry(&mut self) -> Result<Option<TarEntry>, TarError> {
        let mut found = self.global.clone();
        let mut extensions = 0;
        loop {
            self.skip_content()?;
            if self.finished {
                return Ok(None);
            }
            let offset = self.offset;
            let Some(header) = self.read_header()? else {
                self.finished = true;
                return Ok(None);
            };
            let size = unsigned(&header[124..136], "size", offset)?;
            match header[156] {
                kind @ (b'x' | b'g' | b'L' | b'K') => {
                    extensions += 1;
                    let data = self.read_extension(offset, size, extensions)?;
                    match kind {
                        b'x' => found.apply(&data, offset)?,
                        b'g' => {
                            self.global.apply(&data, offset)?;
                            found.apply(&data, offset)?;
                        }
                        b'L' => found.path = Some(until_nul(&data).to_vec()),
                        _ => found.link = Some(until_nul(&data).to_vec()),
                    }
                }
                b'S' => return self.old_sparse(&header, found, size, offset, extensions).map(Some),
                _ if found.sparse.any => return self.pax_sparse(&header, found, size, offset, extensions).map(Some),
                _ => return self.entry(&header, found, size, offset).map(Some),
            }
        }
    }

    pub(super) fn entry(&mut self, header: &[u8; BLOCK], found: Overrides, size: u64, offset: u64) -> Result<TarEntry, TarError> {
        let path = found.path.unwrap_or_else(|| header_path(header));
        let mut kind = match header[156] {
            0 | b'0' | b'7' | b'S' => TarKind::File,
            b'1' => TarKind::HardLink,
            b'2' => TarKind::Symlink,
            b'3' => TarKind::CharDevice,
            b'4' => TarKind::BlockDevice,
            b'5' => TarKind::Directory,
            b'6' => TarKind::Fifo,
            other => TarKind::Other(other),
        };
        // Before ustar, a directory was a file with a slash at its end.
        if header[156] == 0 && path.ends_with(b"/") {
            kind = TarKind::Directory;
        }
        let mut entry = TarEntry::new(path, kind);
        entry.mode = (unsigned(&header[100..108], "mode", offset)? & 0o7777) as u32;
        entry.uid = found.uid.map_or_else(|| unsigned(&header[108..116], "uid", offset), Ok)?;
        entry.gid = found.gid.map_or_else(|| unsigned(&header[116..124], "gid", offset), Ok)?;
        let time = number::parse(&header[136..148]).ok_or(TarError::Number { field: "mtime", offset });
        (entry.mtime, entry.mtime_nanos) = found.mtime.map_or_else(|| time.map(|t| (t, 0)), Ok)?;
        entry.link = found.link.unwrap_or_else(|| until_nul(&header[157..257]).to_vec());
        if matches!(kind, TarKind::CharDevice | TarKind::BlockDevice) {
            let part = |range, field| unsigned(range, field, offset).map(|n| u32::try_from(n).unwrap_or(u32::MAX));
            entry.device = (part(&header[329..337], "major number")?, part(&header[337..345], "minor number")?);
        }
        entry.xattrs = found.xattrs;
        // Only files have content; for links the size is that of the file they point to.
        if matches!(kind, TarKind::File | TarKind::Other(_)) {
            entry.size = found.size.unwrap_or(size);
            self.expect_content(entry.size);
        }
        Ok(entry)
    }

    fn expect_content(&mut self, size: u64) {
        self.content = size;
        self.padding = size.wrapping_neg() % BLOCK as u64;
    }

    /// Passes over what is left of the current entry.
    fn skip_content(&mut self) -> Result<(), TarError> {
        let mut left = u128::from(self.content) + u128::from(self.padding);
        (self.content, self.padding) = (0, 0);
        let mut scratch = [0_u8; 8192];
        while left > 0 {
            let wanted = scratch.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let read = self.read_some(&mut scratch[..wanted])?;
            if read == 0 {
                return Err(TarError::Truncated { offset: self.offset });
            }
            left -= read as u128;
        }
        Ok(())
    }

    /// One header block with a valid sum; `None` at the end of the archive.
    fn read_header(&mut self) -> Result<Option<[u8; BLOCK]>, TarError> {
        let offset = self.offset;
        let mut block = [0_u8; BLOCK];
        if !self.read_block(&mut block)? {
            return Ok(None);
        }
        if block.iter().all(|b| *b == 0) {
            // A second empty block follows, or nothing; anything else would be an entry hidden from some readers.
            if self.read_block(&mut block)? && block.iter().any(|b| *b != 0) {
                return Err(TarError::Checksum { offset });
            }
            return Ok(None);
        }
        let claimed = number::parse(&block[148..156]);
        let (mut sum, mut signed) = (0_i64, 0_i64);
        for (index, byte) in block.iter().enumerate() {
            let byte = if (148..156).contains(&index) { b' ' } else { *byte };
            sum += i64::from(byte);
            signed += i64::from(byte.cast_signed());
        }
        // Historic writers added signed bytes.
        if claimed != Some(sum) && claimed != Some(signed) {
            return Err(TarError::Checksum { offset });
        }
        Ok(Some(block))
    }

    /// Fills `block`; `false` when the stream was at its end.
    pub(super) fn read_block(&mut self, block: &mut [u8; BLOCK]) -> Result<bool, TarError> {
        let mut filled = 0;
        while filled < BLOCK {
            match self.read_some(&mut block[filled..])? {
                0 if filled == 0 => return Ok(false),
                0 => return Err(TarError::Truncated { offset: self.offset }),
                read => filled += read,
            }
        }
        Ok(true)
    }

    fn read_extension(&mut self, offset: u64, size: u64, count: u64) -> Result<Vec<u8>, TarError> {
        // The count makes endless empty headers reach the limit, too.
        if size.saturating_add(count.saturating_mul(BLOCK as u64)) > self.extension_limit {
            return Err(TarError::ExtensionTooLarge { offset, size, limit: self.extension_limit });
        }
        self.expect_content(size);
        let mut data = Vec::new();
        (&mut *self).take(size).read_to_end(&mut data).map_err(|source| TarError::Read { offset, source })?;
        if data.len() as u64 != size {
            return Err(TarError::Truncated { offset: self.offset });
        }
        Ok(data)
    }

    fn read_some(&mut self, buffer: &mut [u8]) -> Result<usize, TarError> {
        loop {
            match self.inner.read(buffer) {
                Ok(read) => {
                    self.offset += read as u64;
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(TarError::Read { offset: self.offset, source }),
            }
        }
    }
}

/// The content of the current entry. An archive that ends too early is an `UnexpectedEof` error, never a short file.
impl<R: Read> Read for TarReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.content).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        let read = self.inner.read(&mut buffer[..wanted])?;
        self.offset += read as u64;
        self.content -= read as u64;
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive is cut off"));
        }
        Ok(read)
    }
}

pub(super) fn unsigned(field: &[u8], name: &'static str, offset: u64) -> Result<u64, TarError> {
    number::parse(field).and_then(|n| u64::try_from(n).ok()).ok_or(TarError::Number { field: name, offset })
}

fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|b| *b == 0).next().unwrap_or_default()
}

/// The path in the header block; ustar splits long ones in two. (In GNU's own format the second field holds times.)
fn header_path(header: &[u8; BLOCK]) -> Vec<u8> {
    let name = until_nul(&header[..100]);
    let prefix = until_nul(&header[345..500]);
    if &header[257..263] == b"ustar\0" && !prefix.is_empty() { [prefix, b"/", name].concat() } else { name.to_vec() }
}
