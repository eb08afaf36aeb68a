//! The size of a layer's tar, remembered beside its blob: docker-archive files state it before the content,
//! and finding it out again means inflating the whole layer.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use build_model::Digest;

use super::Store;

impl Store {
    fn size_path(&self, blob: &Digest) -> PathBuf {
        self.root().join("sizes").join(blob.hex())
    }

    /// Notes that `blob` inflates to `size` bytes. A failure only costs time later, so it is logged and no more.
    pub(crate) fn note_uncompressed_size(&self, blob: &Digest, size: u64) {
        let note = || -> std::io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(self.session_dir())?;
            write!(file, "{size}")?;
            file.persist(self.size_path(blob)).map_err(|e| e.error)?;
            Ok(())
        };
        if let Err(error) = note() {
            tracing::warn!(%blob, %error, "cannot note the size of a layer");
        }
    }

    /// What was noted; to be verified by whoever inflates the blob.
    pub(crate) fn noted_uncompressed_size(&self, blob: &Digest) -> Option<u64> {
        fs::read_to_string(self.size_path(blob)).ok()?.trim().parse().ok()
    }

    /// Forgets a note that turned out wrong.
    pub(crate) fn forget_uncompressed_size(&self, blob: &Digest) {
        let _ = fs::remove_file(self.size_path(blob));
    }
}
