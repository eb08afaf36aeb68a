//! Whether an entry of an upper directory differs from what is below it.
//!
//! overlayfs copies a file up when it is opened for writing or its mode is set, even to what it was. Such an entry is no
//! change. Times alone decide nothing: equal ones can be faked or restored, so contents are compared then.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use rustix::fs::CWD;

use super::listing::open_at;
use crate::overlay;

/// One side of a comparison.
#[derive(Clone, Copy)]
pub(super) struct Side<'a> {
    pub(super) path: &'a Path,
    pub(super) meta: &'a Metadata,
}

/// Whether type, owner, mode and the image's extended attributes are the same. Times are not looked at.
pub(super) fn same_attributes(upper: Side, lower: Side) -> io::Result<bool> {
    let key = |meta: &Metadata| (meta.mode(), meta.uid(), meta.gid());
    Ok(key(upper.meta) == key(lower.meta) && overlay::image_xattrs(upper.path)? == overlay::image_xattrs(lower.path)?)
}

/// Whether two entries that are no directories are the same in everything a layer records.
pub(super) fn same_entry(upper: Side, lower: Side, clamp: Option<i64>) -> io::Result<bool> {
    if upper.meta.size() != lower.meta.size() || !same_time(upper.meta, lower.meta, clamp) || !same_attributes(upper, lower)? {
        return Ok(false);
    }
    let kind = upper.meta.file_type();
    if kind.is_symlink() {
        return Ok(fs::read_link(upper.path)? == fs::read_link(lower.path)?);
    }
    if kind.is_char_device() || kind.is_block_device() {
        return Ok(upper.meta.rdev() == lower.meta.rdev());
    }
    if kind.is_file() {
        return same_content(upper.path, lower.path);
    }
    Ok(true)
}

/// A time that will be clamped to what the lower layer has is not a new one.
fn same_time(upper: &Metadata, lower: &Metadata, clamp: Option<i64>) -> bool {
    let time = |meta: &Metadata| (meta.mtime(), meta.mtime_nsec());
    time(upper) == time(lower) || clamp.is_some_and(|clamp| upper.mtime() > clamp && time(lower) == (clamp, 0))
}

fn same_content(upper: &Path, lower: &Path) -> io::Result<bool> {
    let (mut upper, mut lower) = (open_at(CWD, upper)?, open_at(CWD, lower)?);
    let (mut left, mut right) = (vec![0_u8; 128 << 10], vec![0_u8; 128 << 10]);
    loop {
        let (a, b) = (fill(&mut upper, &mut left)?, fill(&mut lower, &mut right)?);
        if left[..a] != right[..b] {
            return Ok(false);
        }
        if a == 0 {
            return Ok(true);
        }
    }
}

fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
