//! One entry of a tar archive, as the reader finds it and the writer takes it.

use super::SparseMap;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TarKind {
    /// A file with content.
    File,
    /// Another name of a file that came earlier.
    HardLink,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
    /// A type byte this program does not know.
    Other(u8),
}

/// The metadata of one entry. Names are bytes: nothing says that they are UTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TarEntry {
    /// Path as written, for directories perhaps with a slash at the end.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: TarKind,
    /// Permission bits with setuid, setgid and sticky (07777).
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Bytes of content; 0 for everything but files. They follow, but for the holes of a sparse file.
    pub size: u64,
    /// Where what follows belongs, for a sparse file. Never written.
    pub sparse: Option<SparseMap>,
    /// Time of modification, seconds since 1970.
    pub mtime: i64,
    /// Nanoseconds to add to `mtime`. Never written.
    pub mtime_nanos: u32,
    /// Target of a link; empty for everything else.
    pub link: Vec<u8>,
    /// Major and minor number of a device.
    pub device: (u32, u32),
    /// Extended attributes (`SCHILY.xattr.*`).
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl TarEntry {
    /// An entry of `kind` at `path`, owned by root, with no mode bits, at time 0.
    pub fn new(path: impl Into<Vec<u8>>, kind: TarKind) -> Self {
        Self {
            path: path.into(),
            kind,
            mode: 0,
            uid: 0,
            gid: 0,
            size: 0,
            sparse: None,
            mtime: 0,
            mtime_nanos: 0,
            link: Vec::new(),
            device: (0, 0),
            xattrs: Vec::new(),
        }
    }

    /// A file of `size` bytes with mode 0644.
    pub fn file(path: impl Into<Vec<u8>>, size: u64) -> Self {
        Self { mode: 0o644, size, ..Self::new(path, TarKind::File) }
    }

    /// The path for a message: readable, in quotes' place, control characters escaped.
    pub fn shown_path(&self) -> String {
        shown(&self.path)
    }
}

/// Bytes of a stranger's file name as text for a message: control characters escaped, at most 200 characters.
pub fn shown(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    let mut shown: String = text.chars().take(200).flat_map(char::escape_debug).collect();
    if text.chars().nth(200).is_some() {
        shown.push('…');
    }
    shown
}
