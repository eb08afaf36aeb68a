//! Writes a tar archive: ustar headers, and a pax extended header where something does not fit.
//!
//! The bytes depend on the entries alone: no user names, no access or change times, no fractions of seconds, records in
//! a fixed order. This is the form whose digest is a layer's diff id, so a change here changes every image built later.

use std::io::{self, Read, Write};

use super::entry::{TarEntry, TarKind};
use super::{BLOCK, number, pax};

/// A tar archive being written.
#[derive(Debug)]
pub struct TarWriter<W> {
    inner: W,
    written: u64,
    buffer: Vec<u8>,
}

/// Contents are copied in pieces of this size.
const COPY_BUFFER: usize = 128 << 10;

impl<W: Write> TarWriter<W> {
    /// Starts an archive.
    pub fn new(inner: W) -> Self {
        Self { inner, written: 0, buffer: Vec::new() }
    }

    /// Bytes written so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Appends an entry without content.
    ///
    /// # Errors
    /// Writing failed; the entry states a size.
    pub fn append(&mut self, entry: &TarEntry) -> io::Result<()> {
        self.append_file(entry, io::empty())
    }

    /// Appends an entry with its content.
    ///
    /// # Errors
    /// Reading or writing failed, or `content` has not exactly the size the entry states (`InvalidData`).
    pub fn append_file(&mut self, entry: &TarEntry, content: impl Read) -> io::Result<()> {
        self.write_header(entry)?;
        if !self.put_content(entry.size, content)? {
            let text = format!("`{}` changed its size while it was read", entry.shown_path());
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        self.pad(entry.size)
    }

    /// Appends an entry whose content `write` puts into the stream itself: exactly as many bytes as the entry states, as
    /// the archive's readers see them.
    ///
    /// # Errors
    /// Writing failed.
    pub(crate) fn append_prepared(&mut self, entry: &TarEntry, write: impl FnOnce(&mut W) -> io::Result<()>) -> io::Result<()> {
        self.write_header(entry)?;
        write(&mut self.inner)?;
        self.written += entry.size;
        self.pad(entry.size)
    }

    /// Ends the archive and gives the stream back, with the number of bytes written.
    ///
    /// # Errors
    /// Writing failed.
    pub fn finish(mut self) -> io::Result<(W, u64)> {
        self.put(&[0; 2 * BLOCK])?;
        Ok((self.inner, self.written))
    }

    fn write_header(&mut self, entry: &TarEntry) -> io::Result<()> {
        let mut header = [0_u8; BLOCK];
        let mut records = Vec::new();

        if !put_path(&mut header, &entry.path) {
            records.push((b"path".to_vec(), entry.path.clone()));
            put_short(&mut header[..100], &entry.path);
        }
        if entry.link.len() > 100 || !entry.link.is_ascii() {
            records.push((b"linkpath".to_vec(), entry.link.clone()));
        }
        put_short(&mut header[157..257], &entry.link);
        let decimals = [
            (100..108, i64::from(entry.mode & 0o7777), "mode"),
            (108..116, to_i64(entry.uid)?, "uid"),
            (116..124, to_i64(entry.gid)?, "gid"),
            (124..136, to_i64(entry.size)?, "size"),
            (136..148, entry.mtime, "mtime"),
            (329..337, i64::from(entry.device.0), "major number"),
            (337..345, i64::from(entry.device.1), "minor number"),
        ];
        for (range, value, key) in decimals {
            if !number::format(&mut header[range.clone()], value) {
                // pax has no keys for the rest; no file system has such devices either.
                if !matches!(key, "uid" | "gid" | "size" | "mtime") {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidInput,
                        format!("the {key} {value} does not fit into a tar header"),
                    ));
                }
                records.push((key.as_bytes().to_vec(), value.to_string().into_bytes()));
                number::format(&mut header[range], 0);
            }
        }
        for (name, value) in &entry.xattrs {
            records.push(([b"SCHILY.xattr.", name.as_slice()].concat(), value.clone()));
        }
        if !records.is_empty() {
            self.write_extension(entry, records)?;
        }
        header[156] = match entry.kind {
            TarKind::File => b'0',
            TarKind::HardLink => b'1',
            TarKind::Symlink => b'2',
            TarKind::CharDevice => b'3',
            TarKind::BlockDevice => b'4',
            TarKind::Directory => b'5',
            TarKind::Fifo => b'6',
            TarKind::Other(byte) => byte,
        };
        seal(&mut header);
        self.put(&header)
    }

    fn write_extension(&mut self, entry: &TarEntry, mut records: Vec<(Vec<u8>, Vec<u8>)>) -> io::Result<()> {
        records.sort();
        let mut data = Vec::new();
        for (key, value) in &records {
            pax::push(&mut data, key, value);
        }
        let mut header = [0_u8; BLOCK];
        let trimmed = entry.path.strip_suffix(b"/").unwrap_or(&entry.path);
        let base = trimmed.rsplit(|b| *b == b'/').next().unwrap_or_default();
        put_short(&mut header[..100], &[b"PaxHeaders.0/", base].concat());
        let fields = [(100..108, 0o644), (108..116, 0), (116..124, 0), (124..136, to_i64(data.len() as u64)?), (136..148, 0)];
        for (range, value) in fields {
            number::format(&mut header[range], value);
        }
        header[156] = b'x';
        seal(&mut header);
        self.put(&header)?;
        self.put(&data)?;
        self.pad(data.len() as u64)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.inner.write_all(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        let missing = (size.wrapping_neg() % BLOCK as u64) as usize;
        self.put(&[0; BLOCK][..missing])
    }

    /// Copies the content; `false` when it has not exactly `size` bytes.
    fn put_content(&mut self, size: u64, mut content: impl Read) -> io::Result<bool> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(COPY_BUFFER, 0);
        let mut left = size;
        let whole = loop {
            // Asking for one byte more than expected tells whether the file grew.
            let wanted = COPY_BUFFER.min(usize::try_from(left.saturating_add(1)).unwrap_or(usize::MAX));
            match content.read(&mut buffer[..wanted]) {
                Ok(0) => break left == 0,
                Ok(read) if read as u64 > left => break false,
                Ok(read) => {
                    self.put(&buffer[..read])?;
                    left -= read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        };
        self.buffer = buffer;
        Ok(whole)
    }
}

/// Puts the path into the header, split at a slash if it must be; `false` when it does not fit or is not ASCII.
fn put_path(header: &mut [u8; BLOCK], path: &[u8]) -> bool {
    if !path.is_ascii() {
        return false;
    }
    if path.len() <= 100 {
        put_short(&mut header[..100], path);
        return true;
    }
    // The slash itself is not stored. The one at the end of a directory's path belongs to the name.
    let first = path.len() - 101;
    let last = 155.min(path.len() - 2);
    let Some(slash) = (first..=last).find(|i| path.get(*i) == Some(&b'/')) else { return false };
    let (prefix, name) = path.split_at(slash);
    if prefix.is_empty() {
        return false;
    }
    put_short(&mut header[345..500], prefix);
    put_short(&mut header[..100], &name[1..]);
    true
}

/// As much of `text` as fits.
fn put_short(field: &mut [u8], text: &[u8]) {
    for (to, from) in field.iter_mut().zip(text) {
        *to = *from;
    }
}

/// Puts magic and sum into a header.
fn seal(header: &mut [u8; BLOCK]) {
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[148..156].copy_from_slice(b"        ");
    let sum: u32 = header.iter().map(|b| u32::from(*b)).sum();
    // Six digits, NUL, blank: 512 * 255 is 0o376000.
    number::format(&mut header[148..155], i64::from(sum));
    header[155] = b' ';
}

fn to_i64(number: u64) -> io::Result<i64> {
    i64::try_from(number).map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a number does not fit into a tar header"))
}
