//! Blobs: files named by their digest. Written under a temporary name, hashed on the way, renamed when the digest is known.
//!
//! Nothing is fsynced: the store is a cache. A blob that a crash damaged is found by its digest when it is read,
//! set aside, and fetched again.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use build_model::Digest;
use sha2::{Digest as _, Sha256};

use super::Store;
use super::error::StoreError;
use super::growing::{ExpectedBlob, FollowedBlob, Growth, follow};

/// A blob being written. Dropped without [`BlobWriter::finish`], it leaves nothing behind.
#[derive(Debug)]
pub struct BlobWriter {
    file: tempfile::NamedTempFile,
    sum: Sha256,
    size: u64,
    store: Store,
    followers: Followers,
}

/// Tells readers that follow the blob, and those most of all when the writer goes away early.
#[derive(Debug, Default)]
struct Followers(Option<Arc<Growth>>);

impl Drop for Followers {
    fn drop(&mut self) {
        if let Some(growth) = &self.0 {
            growth.give_up();
        }
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.as_file_mut().write(bytes)?;
        self.sum.update(bytes.get(..written).unwrap_or_default());
        self.size += written as u64;
        if let Some(growth) = &self.followers.0 {
            growth.grow(self.size);
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_file_mut().flush()
    }
}

impl BlobWriter {
    /// Bytes written so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// A reader that gets everything as it is written, from the beginning.
    ///
    /// # Errors
    /// No second handle of the file.
    pub fn follow(&mut self) -> io::Result<FollowedBlob> {
        let growth = match &self.followers.0 {
            Some(growth) => Arc::clone(growth),
            None => self.tell(Arc::default())?,
        };
        Ok(follow(&growth))
    }

    fn tell(&mut self, growth: Arc<Growth>) -> io::Result<Arc<Growth>> {
        growth.begin(self.file.as_file().try_clone()?);
        growth.grow(self.size);
        self.followers.0 = Some(Arc::clone(&growth));
        Ok(growth)
    }

    /// Publishes the blob under its digest and returns digest and size.
    ///
    /// # Errors
    /// The content has another digest than `expected`, or the file cannot be renamed. Nothing is left behind then.
    pub fn finish(self, expected: Option<&Digest>) -> Result<(Digest, u64), StoreError> {
        let digest = Digest::from_sha256(&self.sum.finalize().into());
        if let Some(expected) = expected
            && *expected != digest
        {
            return Err(StoreError::DigestMismatch { expected: expected.clone(), found: digest });
        }
        let path = self.store.blob_path(&digest);
        let followers = self.followers;
        // Renaming over an existing copy is right: this one was just verified, the other may be damaged.
        self.file.persist(&path).map_err(|e| StoreError::Io { action: "publish the blob", path, source: e.error })?;
        if let Some(growth) = &followers.0 {
            growth.complete(&digest);
        }
        Ok((digest, self.size))
    }
}

impl ExpectedBlob {
    /// Starts to write the blob that was announced.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn writer(&self) -> Result<BlobWriter, StoreError> {
        let mut writer = self.store().blob_writer()?;
        writer.tell(self.growth()).map_err(StoreError::io("write a blob in", self.store().root()))?;
        Ok(writer)
    }
}

impl Store {
    /// Whether the blob is there. Its content is checked when it is read.
    pub fn has_blob(&self, digest: &Digest) -> bool {
        self.blob_size(digest).is_some()
    }

    /// Where the blob is, or would be.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.blobs_dir().join(digest.hex())
    }

    /// Size of the blob in bytes, `None` when it is not there.
    pub fn blob_size(&self, digest: &Digest) -> Option<u64> {
        fs::symlink_metadata(self.blob_path(digest)).ok().filter(fs::Metadata::is_file).map(|meta| meta.len())
    }

    /// Opens the blob for reading. The reader does not check the digest.
    ///
    /// # Errors
    /// It is not there or cannot be opened.
    pub fn open_blob(&self, digest: &Digest) -> Result<File, StoreError> {
        let path = self.blob_path(digest);
        match File::open(&path) {
            Ok(file) => Ok(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StoreError::MissingBlob { digest: digest.clone() }),
            Err(source) => Err(StoreError::Io { action: "open", path, source }),
        }
    }

    /// The whole blob, checked against its digest. A damaged one is set aside.
    ///
    /// # Errors
    /// Missing, larger than `limit` bytes, damaged, or unreadable.
    pub fn read_blob(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>, StoreError> {
        let file = self.open_blob(digest)?;
        let path = self.blob_path(digest);
        let size = file.metadata().map_err(StoreError::io("read", &path))?.len();
        if size > limit {
            return Err(StoreError::BlobTooLarge { digest: digest.clone(), size, limit });
        }
        let mut bytes = Vec::new();
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(StoreError::io("read", &path))?;
        let found = Digest::from_sha256(&Sha256::digest(&bytes).into());
        if found != *digest {
            self.discard_blob(digest);
            return Err(StoreError::DigestMismatch { expected: digest.clone(), found });
        }
        Ok(bytes)
    }

    /// Puts `bytes` into the store.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn put_blob(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let mut writer = self.blob_writer()?;
        writer.write_all(bytes).map_err(StoreError::io("write a blob in", self.root()))?;
        Ok(writer.finish(None)?.0)
    }

    /// Copies a file into the store, to be found under `expected`.
    ///
    /// # Errors
    /// The file cannot be read, its content has another digest, or the store cannot be written.
    pub(crate) fn put_blob_from(
        &self,
        reader: impl Read,
        from: &Path,
        expected: Option<&Digest>,
    ) -> Result<(Digest, u64), StoreError> {
        let mut writer = self.blob_writer()?;
        io::copy(&mut BufReader::with_capacity(1 << 20, reader), &mut writer)
            .map_err(StoreError::io("copy a blob from", from))?;
        writer.finish(expected)
    }

    /// Starts a blob whose digest is not known yet.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn blob_writer(&self) -> Result<BlobWriter, StoreError> {
        let dir = self.session_dir();
        let file = tempfile::Builder::new().prefix("blob-").tempfile_in(dir).map_err(StoreError::io("create a file in", dir))?;
        Ok(BlobWriter { file, sum: Sha256::new(), size: 0, store: self.clone(), followers: Followers::default() })
    }

    /// Moves a damaged blob out of the way, so that the next attempt fetches it again.
    pub(crate) fn discard_blob(&self, digest: &Digest) {
        let path = self.blob_path(digest);
        if let Err(error) = self.throw_away(&path) {
            tracing::warn!(%digest, %error, "a damaged blob could not be set aside");
        }
    }
}

/// A blob being read; at its end the digest is checked, and a mismatch is an `InvalidData` error.
#[derive(Debug)]
pub(crate) struct VerifiedBlob {
    file: File,
    digest: Digest,
    sum: Sha256,
}

impl Store {
    /// Opens a blob whose reader checks the digest at the end.
    pub(crate) fn open_verified(&self, digest: &Digest) -> Result<VerifiedBlob, StoreError> {
        Ok(VerifiedBlob { file: self.open_blob(digest)?, digest: digest.clone(), sum: Sha256::new() })
    }
}

impl Read for VerifiedBlob {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.sum.update(buffer.get(..read).unwrap_or_default());
        if read == 0 && !buffer.is_empty() {
            let found = Digest::from_sha256(&self.sum.clone().finalize().into());
            if found != self.digest {
                let text = format!("the blob {} is damaged: its content has the digest {found}", self.digest);
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
        }
        Ok(read)
    }
}
