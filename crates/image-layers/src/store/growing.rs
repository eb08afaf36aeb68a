//! Blobs that are read while they are still being written: a layer is unpacked while it is downloaded, and uploaded
//! while it is packed. The reader follows the writer in the same file; a writer that gives up is an error for it.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use build_model::Digest;
use sha2::{Digest as _, Sha256};

use super::Store;
use super::error::StoreError;

/// What writer and readers share.
#[derive(Debug, Default)]
pub(super) struct Growth {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// `None` until the writer has begun.
    file: Option<Arc<File>>,
    written: u64,
    end: Option<End>,
}

#[derive(Debug, Clone)]
enum End {
    Whole(Digest),
    GivenUp,
}

impl Growth {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_all();
    }

    pub(super) fn begin(&self, file: File) {
        self.change(|state| (state.file, state.written) = (Some(Arc::new(file)), 0));
    }

    pub(super) fn grow(&self, written: u64) {
        self.change(|state| state.written = written);
    }

    pub(super) fn complete(&self, digest: &Digest) {
        self.change(|state| state.end = Some(End::Whole(digest.clone())));
    }

    /// The last word of a writer that did not come to its end.
    pub(super) fn give_up(&self) {
        self.change(|state| {
            state.end.get_or_insert(End::GivenUp);
        });
    }
}

/// A blob being read while it grows. A clone reads on its own.
#[derive(Debug, Clone)]
pub struct FollowedBlob {
    growth: Arc<Growth>,
    position: u64,
}

impl FollowedBlob {
    /// The digest, once the whole blob is written; waits for it.
    ///
    /// # Errors
    /// The writer gave up.
    pub fn digest(&self) -> io::Result<Digest> {
        let mut state = self.growth.state();
        loop {
            match &state.end {
                Some(End::Whole(digest)) => return Ok(digest.clone()),
                Some(End::GivenUp) => return Err(given_up()),
                None => state = self.growth.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Waits until there is something to read: the file and how much of it may be read; `None` at the end.
    fn wait(&self) -> io::Result<Option<(Arc<File>, u64)>> {
        let mut state = self.growth.state();
        loop {
            match (&state.file, &state.end) {
                (Some(file), _) if state.written > self.position => return Ok(Some((Arc::clone(file), state.written))),
                (_, Some(End::GivenUp)) => return Err(given_up()),
                (_, Some(End::Whole(_))) => return Ok(None),
                _ => state = self.growth.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

fn given_up() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the writing of the blob was given up")
}

impl Read for FollowedBlob {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let Some((file, written)) = self.wait()? else { return Ok(0) };
        let length = usize::try_from(written - self.position).unwrap_or(usize::MAX).min(buffer.len());
        let read = file.read_at(&mut buffer[..length], self.position)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.position += read as u64;
        Ok(read)
    }
}

/// Blobs that somebody in this process is about to write, by digest.
pub(super) type Expected = Mutex<HashMap<Digest, Arc<Growth>>>;

/// The promise that a blob will be written, or given up when this is dropped. Until then, [`Store::blob_source`] waits.
#[derive(Debug)]
pub struct ExpectedBlob {
    digest: Digest,
    growth: Arc<Growth>,
    store: Store,
}

impl ExpectedBlob {
    pub(super) fn growth(&self) -> Arc<Growth> {
        Arc::clone(&self.growth)
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// The blob's digest.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }
}

impl Drop for ExpectedBlob {
    fn drop(&mut self) {
        self.growth.give_up();
        let mut expected = self.store.expected().lock().unwrap_or_else(PoisonError::into_inner);
        if expected.get(&self.digest).is_some_and(|growth| Arc::ptr_eq(growth, &self.growth)) {
            expected.remove(&self.digest);
        }
    }
}

impl Store {
    /// Announces a blob that will be written with [`ExpectedBlob::writer`], so that readers can follow it.
    pub fn expect_blob(&self, digest: &Digest) -> ExpectedBlob {
        let growth = Arc::<Growth>::default();
        let mut expected = self.expected().lock().unwrap_or_else(PoisonError::into_inner);
        expected.insert(digest.clone(), Arc::clone(&growth));
        ExpectedBlob { digest: digest.clone(), growth, store: self.clone() }
    }

    /// The blob, also when it is still on its way in this process. The reader does not check the digest.
    pub(crate) fn blob_source(&self, digest: &Digest) -> Result<BlobSource, StoreError> {
        let expected = self.expected().lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned();
        match expected {
            // It may have been completed in between: then this reads the same file.
            Some(growth) => Ok(BlobSource::Growing(FollowedBlob { growth, position: 0 })),
            None => Ok(BlobSource::Stored(HashedBlob { file: self.open_blob(digest)?, sum: Sha256::new() })),
        }
    }
}

/// A blob to be unpacked; its digest is known once it is read.
pub(crate) enum BlobSource {
    /// Hashed while it is read: whatever happened to it since it was stored.
    Stored(HashedBlob),
    /// The writer hashes it, and has to say so in the end.
    Growing(FollowedBlob),
}

pub(crate) struct HashedBlob {
    file: File,
    sum: Sha256,
}

impl BlobSource {
    /// The digest of what was read, which must be everything.
    pub(crate) fn finish(self) -> io::Result<Digest> {
        match self {
            BlobSource::Stored(blob) => Ok(Digest::from_sha256(&blob.sum.finalize().into())),
            BlobSource::Growing(blob) => blob.digest(),
        }
    }
}

impl Read for BlobSource {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            BlobSource::Growing(blob) => blob.read(buffer),
            BlobSource::Stored(blob) => {
                let read = blob.file.read(buffer)?;
                blob.sum.update(&buffer[..read]);
                Ok(read)
            }
        }
    }
}

/// A reader of what a writer that shares `growth` writes.
pub(super) fn follow(growth: &Arc<Growth>) -> FollowedBlob {
    FollowedBlob { growth: Arc::clone(growth), position: 0 }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::testing::{sha256, store};

    #[test]
    fn a_reader_follows_the_writer_to_the_end() {
        let (_dir, store) = store();
        let content: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        let digest = sha256(&content);
        let expected = store.expect_blob(&digest);
        let mut early = store.blob_source(&digest).expect("expected");
        std::thread::scope(|scope| {
            let reader = scope.spawn(move || {
                let mut read = Vec::new();
                early.read_to_end(&mut read).map(|_| read)
            });
            let mut writer = expected.writer().expect("a writer");
            content.chunks(7000).for_each(|piece| writer.write_all(piece).expect("written"));
            writer.finish(Some(&digest)).expect("finished");
            assert_eq!(reader.join().expect("no panic").expect("read"), content);
        });
        drop(expected);
        let mut late = store.blob_source(&digest).expect("there");
        let mut read = Vec::new();
        late.read_to_end(&mut read).expect("read");
        assert_eq!(read, content);
    }

    #[test]
    fn a_writer_that_gives_up_is_an_error_for_readers() {
        let (_dir, store) = store();
        let digest = sha256(b"whole");
        let expected = store.expect_blob(&digest);
        let mut unbegun = store.blob_source(&digest).expect("expected");
        drop(expected);
        assert!(unbegun.read(&mut [0; 9]).is_err());
        assert!(store.blob_source(&digest).is_err(), "nobody promises it any more");

        let mut writer = store.blob_writer().expect("a writer");
        let mut follower = writer.follow().expect("a reader");
        writer.write_all(b"wh").expect("written");
        drop(writer);
        let mut buffer = [0; 9];
        assert_eq!(follower.read(&mut buffer).expect("what was written"), 2);
        assert!(follower.read(&mut buffer).is_err() && follower.digest().is_err());

        let mut writer = store.blob_writer().expect("a writer");
        let mut follower = writer.follow().expect("a reader");
        writer.write_all(b"other").expect("written");
        assert!(writer.finish(Some(&digest)).is_err());
        assert_eq!(follower.read(&mut buffer).expect("what was written"), 5);
        assert!(follower.read(&mut buffer).is_err(), "a wrong digest is no end");
    }
}
