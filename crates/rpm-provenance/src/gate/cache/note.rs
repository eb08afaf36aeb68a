//! What the gate worked out about a file, kept beside it: the list of packages of a primary.xml, the identity of an RPM
//! whose payload was verified. Written and read by the worker alone; a digest tells a whole note from half a one.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;

use sha2::{Digest as _, Sha256};

use super::{FileCache, evict, place};
use crate::repodata::Checksum;

/// Kinds of notes, with the version of their format in their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::gate) enum Note {
    /// [`crate::repodata::Offer`] of a primary.xml.
    Offer,
    /// [`crate::RpmIdent`] of an RPM, as JSON.
    Ident,
}

/// Largest note: the offer of two million packages.
const MAX_NOTE: u64 = 2 << 30;

impl FileCache {
    fn note_path(&self, note: Note, checksum: &Checksum) -> PathBuf {
        match note {
            Note::Offer => {
                let name = format!("{}-{}.v{}", checksum.algorithm(), checksum.hex(), crate::repodata::OFFER_VERSION);
                self.root().join("offers").join(name)
            }
            Note::Ident => place(self.root(), checksum).with_extension("ident1"),
        }
    }

    /// A note about the file with this checksum, if there is one that is whole.
    pub fn note(&self, note: Note, checksum: &Checksum) -> Option<Vec<u8>> {
        let file = std::fs::File::open(self.note_path(note, checksum)).ok()?;
        let mut bytes = Vec::with_capacity(usize::try_from(file.metadata().ok()?.len().min(MAX_NOTE)).ok()?);
        (&file).take(MAX_NOTE).read_to_end(&mut bytes).ok()?;
        let content = bytes.len().checked_sub(32)?;
        let sum = bytes.split_off(content);
        if Sha256::digest(&bytes).as_slice() != sum.as_slice() {
            return None;
        }
        evict::touch(&file);
        Some(bytes)
    }

    /// Keeps a note. Failing to is no failure: the next build works it out again.
    pub fn put_note(&self, note: Note, checksum: &Checksum, content: &[u8]) {
        let path = self.note_path(note, checksum);
        let write = || -> std::io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(self.root().join("tmp"))?;
            file.write_all(content)?;
            file.write_all(&Sha256::digest(content))?;
            if let Some(dir) = path.parent() {
                std::fs::create_dir_all(dir)?;
            }
            file.persist(&path)?;
            Ok(())
        };
        if let Err(error) = write() {
            tracing::warn!(path = %path.display(), %error, "cannot keep a note in the gate's cache");
        }
    }
}
