//! The SHA-256 of the files of a layer, taken while they are written: whoever accounts for them need not read them again.
//!
//! A file is known by its inode and the time of its last change, as git's index does: a layer may name a file twice, replace
//! it, link it, or reach it through links of its own, and none of that is repeated here. The kernel sets the time of change
//! and nobody can turn it back: a file that was touched after it was hashed is not taken for what was hashed. Made by
//! [`super::unpack_tar`], kept beside the layer by [`crate::Store`].

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use build_model::{hex, unhex};

/// Seconds and nanoseconds of a file's last change (`st_ctim`).
type Changed = (i64, i64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hashed {
    size: u64,
    sha256: [u8; 32],
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Inode {
    changed: Changed,
    hashed: Option<Hashed>,
}

/// The digests of an unpacked layer's files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnpackedDigests {
    inodes: HashMap<u64, Inode>,
}

impl UnpackedDigests {
    /// The SHA-256 of the file that `meta` is of, if it is one of the layer's and nothing was done to it since.
    pub fn get(&self, meta: &Metadata) -> Option<[u8; 32]> {
        let inode = self.inodes.get(&meta.ino()).filter(|inode| inode.changed == changed(meta))?;
        inode.hashed.filter(|hashed| hashed.size == meta.len()).map(|hashed| hashed.sha256)
    }

    /// Writes them, a line each: inode, seconds and nanoseconds of its last change, size, SHA-256.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        let mut file = BufWriter::with_capacity(64 << 10, File::create(path)?);
        for (number, inode) in &self.inodes {
            if let Some(Hashed { size, sha256 }) = inode.hashed {
                let (seconds, nanoseconds) = inode.changed;
                writeln!(file, "{number} {seconds} {nanoseconds} {size} {}", hex(&sha256))?;
            }
        }
        file.into_inner().map(drop).map_err(io::IntoInnerError::into_error)
    }

    /// Reads what was written.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        let mut inodes = HashMap::new();
        for line in BufReader::with_capacity(64 << 10, File::open(path)?).lines() {
            let (number, inode) = parse(&line?).ok_or(io::ErrorKind::InvalidData)?;
            inodes.insert(number, inode);
        }
        Ok(Self { inodes })
    }
}

fn parse(line: &str) -> Option<(u64, Inode)> {
    let mut words = line.split(' ');
    let number = words.next()?.parse().ok()?;
    let changed = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let (size, sha256) = (words.next()?.parse().ok()?, unhex(words.next()?.as_bytes())?.as_ref().try_into().ok()?);
    if words.next().is_some() {
        return None;
    }
    Some((number, Inode { changed, hashed: Some(Hashed { size, sha256 }) }))
}

fn changed(meta: &Metadata) -> Changed {
    (meta.ctime(), meta.ctime_nsec())
}

/// Where the threads that write files put what they found.
#[derive(Debug, Default)]
pub(super) struct DigestSink(Mutex<UnpackedDigests>);

impl DigestSink {
    /// Notes the content of a file that is complete. It must still be open: until it is closed, no other file gets its inode.
    pub(super) fn note(&self, file: &File, sha256: [u8; 32]) -> io::Result<()> {
        let meta = file.metadata()?;
        let mut digests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let inode = digests.inodes.entry(meta.ino()).or_default();
        inode.changed = inode.changed.max(changed(&meta));
        inode.hashed = Some(Hashed { size: meta.len(), sha256 });
        Ok(())
    }

    /// A file that is not hashed: whatever had its inode before is gone.
    pub(super) fn forget(&self, file: &File) -> io::Result<()> {
        let inode = file.metadata()?.ino();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).inodes.remove(&inode);
        Ok(())
    }

    /// Another name for a file changes it, too, but not its content. The file itself may not have been noted yet.
    pub(super) fn note_link(&self, inode: u64, changed: Changed) {
        let mut digests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let inode = digests.inodes.entry(inode).or_default();
        inode.changed = inode.changed.max(changed);
    }

    /// What was noted.
    pub(super) fn into_digests(self) -> UnpackedDigests {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}
