//! What the two archive formats share: reading a tar that may be compressed, and writing a file that appears only whole.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use build_model::Digest;

use crate::codec::{BlockWriter, Compression, decoder};
use crate::layout_error::LayoutError;
use crate::store::{Store, StoreError};
use crate::tar_format::{TarEntry, TarKind, TarReader, TarWriter, shown};

/// An archive inflates to at most this many bytes.
const ARCHIVE_LIMIT: u64 = 256 << 30;
/// Extended headers of one entry.
const EXTENSION_LIMIT: u64 = 1 << 20;

/// An archive being read.
pub(crate) type Reader = TarReader<io::Take<Box<dyn Read>>>;

/// Opens the archive `file`, which may be in gzip or zstd.
pub(crate) fn open(file: &Path) -> Result<Reader, LayoutError> {
    let opened = File::open(file).map_err(LayoutError::io("open", file))?;
    let plain: Box<dyn Read> = decoder(BufReader::with_capacity(1 << 20, opened)).map_err(LayoutError::io("read", file))?;
    Ok(TarReader::new(plain.take(ARCHIVE_LIMIT), EXTENSION_LIMIT))
}

/// The name of an entry without `./` and doubled slashes; `None` for names that lead elsewhere.
pub(crate) fn normal_name(name: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(name).ok()?;
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    (!parts.contains(&"..") && !text.starts_with('/')).then(|| parts.join("/"))
}

/// Puts the content of the current entry, called `name`, into the store.
pub(crate) fn put(
    store: &Store,
    tar: &mut Reader,
    file: &Path,
    name: &str,
    expected: Option<&Digest>,
) -> Result<(Digest, u64), LayoutError> {
    match store.put_blob_from(tar, file, expected) {
        Err(StoreError::DigestMismatch { found, .. }) => Err(LayoutError::malformed(
            file,
            format!("the file {} is damaged: its content has the digest {found}", shown(name.as_bytes())),
        )),
        Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::UnexpectedEof => {
            Err(LayoutError::malformed(file, format!("it is cut off in the file {}", shown(name.as_bytes()))))
        }
        other => Ok(other?),
    }
}

/// An archive being written beside its final place.
pub(crate) struct NewArchive {
    path: PathBuf,
    pub(crate) tar: TarWriter<BlockWriter<tempfile::NamedTempFile>>,
}

impl NewArchive {
    pub(crate) fn create(path: &Path, compression: Compression) -> Result<Self, LayoutError> {
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let temp =
            tempfile::Builder::new().prefix(".archive-").tempfile_in(dir).map_err(LayoutError::io("create a file in", dir))?;
        let blocks = BlockWriter::new(temp, compression, 0).map_err(LayoutError::io("compress", path))?;
        Ok(Self { path: path.to_owned(), tar: TarWriter::new(blocks) })
    }

    /// Adds a directory.
    pub(crate) fn directory(&mut self, name: &str) -> Result<(), LayoutError> {
        let entry = TarEntry { mode: 0o755, ..TarEntry::new(format!("{name}/"), TarKind::Directory) };
        self.tar.append(&entry).map_err(LayoutError::io("write", &self.path))
    }

    /// Adds a file of `size` bytes.
    pub(crate) fn file(&mut self, name: &str, size: u64, content: impl Read) -> Result<(), LayoutError> {
        self.tar.append_file(&TarEntry::file(name, size), content).map_err(LayoutError::io("write", &self.path))
    }

    /// Adds a file of `size` bytes that is compressed already, as the whole archive is.
    pub(crate) fn compressed_file(&mut self, name: &str, size: u64, content: impl Read) -> Result<(), LayoutError> {
        let entry = TarEntry::file(name, size);
        self.tar.append_prepared(&entry, |blocks| blocks.compressed(content)).map_err(LayoutError::io("write", &self.path))
    }

    /// Completes the archive and puts it in its place.
    pub(crate) fn publish(self) -> Result<(), LayoutError> {
        let path = self.path;
        let (blocks, _) = self.tar.finish().map_err(LayoutError::io("write", &path))?;
        let mut temp = blocks.finish().map_err(LayoutError::io("write", &path))?;
        temp.flush().map_err(LayoutError::io("write", &path))?;
        fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o644)).map_err(LayoutError::io("write", &path))?;
        temp.persist(&path).map_err(|e| LayoutError::Io { action: "write", path, source: e.error })?;
        Ok(())
    }
}
