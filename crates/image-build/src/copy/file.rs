//! One file's content and attributes from one descriptor to another: reflinked where the file system can, holes kept.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _, Seek, SeekFrom, Write as _};

use rustix::fs::Stat;
use rustix::io::Errno;

/// The attributes that belong to an image: capabilities, access lists, and what users set. Others are the builder's.
pub(super) fn is_portable_xattr(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name == b"security.capability"
        || name.starts_with(b"system.posix_acl_")
        || (name.starts_with(b"user.") && !name.starts_with(b"user.overlay."))
}

/// Files up to this size are read and written: asking for shared blocks costs more than a copy of them.
const SMALL: u64 = 128 << 10;

/// Copies all of `from`, which `stat` is of, into the empty file `to`; small contents go through `buffer`.
pub(super) fn copy_content(from: &mut File, stat: &Stat, to: &mut File, buffer: &mut Vec<u8>) -> io::Result<()> {
    let length = u64::try_from(stat.st_size).unwrap_or_default();
    if length <= SMALL {
        return copy_small(from, to, length, buffer);
    }
    if u64::try_from(stat.st_blocks).unwrap_or_default().saturating_mul(512) >= length {
        // std uses copy_file_range(2), which shares blocks where it can.
        return io::copy(from, to).map(drop);
    }
    copy_sparse(from, to, length)
}

/// Without the questions about size and position that `read_to_end` asks of every file.
fn copy_small(from: &mut File, to: &mut File, length: u64, buffer: &mut Vec<u8>) -> io::Result<()> {
    buffer.resize(usize::try_from(length).unwrap_or(0) + 1, 0);
    loop {
        match from.read(buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => {
                to.write_all(buffer.get(..read).unwrap_or_default())?;
                // As long as it was said to be, and not longer: there is room for a byte more.
                if read as u64 == length {
                    return Ok(());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn copy_sparse(from: &mut File, to: &mut File, length: u64) -> io::Result<()> {
    let mut at = 0;
    while at < length {
        let data = match rustix::fs::seek(&*from, rustix::fs::SeekFrom::Data(at)) {
            Ok(data) => data,
            // Only a hole is left.
            Err(Errno::NXIO) => break,
            Err(error) => return Err(error.into()),
        };
        let hole = rustix::fs::seek(&*from, rustix::fs::SeekFrom::Hole(data))?;
        from.seek(SeekFrom::Start(data))?;
        to.seek(SeekFrom::Start(data))?;
        let mut piece = io::Read::take(&mut *from, hole - data);
        io::copy(&mut piece, to)?;
        at = hole;
    }
    to.set_len(length)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn holes_stay_holes() {
        let mut from = tempfile::tempfile().expect("tempfile");
        from.write_all(b"head").expect("write");
        from.seek(SeekFrom::Start(8 << 20)).expect("seek");
        from.write_all(b"tail").expect("write");
        from.set_len(16 << 20).expect("set_len");
        from.rewind().expect("rewind");
        let mut to = tempfile::tempfile().expect("tempfile");
        let stat = rustix::fs::fstat(&from).expect("stat");
        copy_content(&mut from, &stat, &mut to, &mut Vec::new()).expect("copy");
        assert_eq!(to.metadata().expect("metadata").len(), 16 << 20);
        assert!(to.metadata().expect("metadata").blocks() * 512 < 4 << 20, "it takes as much room as it looks");
        let mut tail = [0; 4];
        to.seek(SeekFrom::Start(8 << 20)).expect("seek");
        to.read_exact(&mut tail).expect("read");
        assert_eq!(&tail, b"tail");
    }

    #[test]
    fn only_portable_attributes_travel() {
        for (name, portable) in [
            ("security.capability", true),
            ("user.comment", true),
            ("user.overlay.opaque", false),
            ("security.selinux", false),
            ("trusted.overlay.opaque", false),
        ] {
            assert_eq!(is_portable_xattr(OsStr::new(name)), portable, "{name}");
        }
    }
}
