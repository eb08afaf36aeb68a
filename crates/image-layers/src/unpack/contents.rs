//! Fills files on a few threads. The thread that applies the entries makes every file and so keeps their order; what is
//! left needs no names, only the open file: content, owner, mode, attributes, time. That is most of the kernel's work
//! on a layer of many small files.

use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Scope;

use sha2::{Digest as _, Sha256};

use super::digests::DigestSink;
use super::error::EntryProblem;
use super::tree::{self, Attributes, Time};
use crate::fillers::Fillers;

/// Files larger than this are written by the thread that applies the entries: memory stays bounded.
pub(super) const QUEUED_BYTES: usize = 512 << 10;
/// Files on their way. With [`QUEUED_BYTES`] this is the most memory they take: 16 MiB.
const QUEUE: usize = 32;

/// A file that is there, to be filled.
pub(super) struct Filling {
    /// Path of the entry, for errors.
    pub(super) path: Vec<u8>,
    pub(super) file: File,
    pub(super) content: Vec<u8>,
    pub(super) attributes: Attributes,
    pub(super) time: Time,
}

/// The threads.
pub(super) struct Contents {
    fillers: Fillers<Filling, Failure>,
    empties: Empties,
}

/// The first problem, with the path of its entry.
type Failure = (Vec<u8>, EntryProblem);
/// Buffers to be filled again.
type Empties = Arc<Mutex<Vec<Vec<u8>>>>;

impl Contents {
    /// Starts the threads. With `digests`, they hash what they write.
    pub(super) fn start<'scope>(scope: &'scope Scope<'scope, '_>, digests: Option<Arc<DigestSink>>) -> io::Result<Self> {
        let empties = Empties::default();
        let fillers = Fillers::start(scope, QUEUE, || {
            let (empties, digests) = (Arc::clone(&empties), digests.clone());
            move |filling| fill(filling, &empties, digests.as_deref())
        })?;
        Ok(Self { fillers, empties })
    }

    /// An empty buffer for a content.
    pub(super) fn buffer(&self) -> Vec<u8> {
        self.empties.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Has a file filled. Fails when an earlier one could not be.
    pub(super) fn fill(&self, filling: Filling) -> Result<(), EntryProblem> {
        if self.fillers.submit(filling) {
            return Ok(());
        }
        Err(EntryProblem::system("go on after the failure of another entry")(io::Error::other("see there")))
    }

    /// Waits for the threads; gives the first problem any of them had.
    pub(super) fn finish(self) -> Result<(), Failure> {
        self.fillers.finish()
    }
}

fn fill(mut job: Filling, empties: &Mutex<Vec<Vec<u8>>>, digests: Option<&DigestSink>) -> Result<(), Failure> {
    let written = job.file.write_all(&job.content).map_err(EntryProblem::system("write the file"));
    let completed = written.and_then(|()| complete(&job.file, &job.attributes, job.time));
    let noted = completed.and_then(|()| match digests {
        Some(digests) => note(digests, &job.file, Sha256::digest(&job.content).into()),
        None => Ok(()),
    });
    noted.map_err(|problem| (job.path, problem))?;
    job.content.clear();
    let mut empties = empties.lock().unwrap_or_else(PoisonError::into_inner);
    if empties.len() < QUEUE {
        empties.push(job.content);
    }
    Ok(())
}

/// Gives a written file what it has besides its content.
pub(super) fn complete(file: &File, attributes: &Attributes, time: Time) -> Result<(), EntryProblem> {
    tree::set_attributes(file, attributes).map_err(EntryProblem::system("set its owner, mode and attributes"))?;
    tree::set_time(file, time).map_err(EntryProblem::system("set its time"))
}

/// Notes the digest of a completed file.
pub(super) fn note(digests: &DigestSink, file: &File, sha256: [u8; 32]) -> Result<(), EntryProblem> {
    digests.note(file, sha256).map_err(EntryProblem::system("look at the written file"))
}
