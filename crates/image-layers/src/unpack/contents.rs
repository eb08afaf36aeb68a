//! Fills files on a few threads. The thread that applies the entries makes every file and so keeps their order; what is
//! left needs no names, only the open file: content, owner, mode, attributes, time. That is most of the kernel's work
//! on a layer of many small files.

use std::fs::File;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Builder, Scope};

use super::error::EntryProblem;
use super::tree::{self, Attributes, Time};

/// Files larger than this are written by the thread that applies the entries: memory stays bounded.
pub(super) const QUEUED_BYTES: usize = 512 << 10;
/// Files on their way. With [`QUEUED_BYTES`] this is the most memory they take: 16 MiB.
const QUEUE: usize = 32;
/// The file system's own locks leave nothing to gain beyond this.
const THREADS_MAX: usize = 4;

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
    jobs: SyncSender<Filling>,
    shared: Arc<Shared>,
    ended: Receiver<()>,
}

/// The first problem, with the path of its entry.
type Failure = (Vec<u8>, EntryProblem);

struct Shared {
    failed: AtomicBool,
    failure: Mutex<Option<Failure>>,
    empties: Mutex<Vec<Vec<u8>>>,
}

impl Contents {
    /// Starts the threads.
    pub(super) fn start<'scope>(scope: &'scope Scope<'scope, '_>) -> io::Result<Self> {
        let threads = thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
        let (jobs, receiver) = sync_channel(QUEUE);
        let receiver = Arc::new(Mutex::new(receiver));
        // Closes when the last thread has ended.
        let (alive, ended) = sync_channel(0);
        let shared = Arc::new(Shared { failed: AtomicBool::new(false), failure: Mutex::default(), empties: Mutex::default() });
        for _ in 0..threads {
            let (receiver, shared, alive) = (Arc::clone(&receiver), Arc::clone(&shared), alive.clone());
            Builder::new().name("fill".to_owned()).spawn_scoped(scope, move || {
                let _alive = alive;
                fill_all(&receiver, &shared);
            })?;
        }
        Ok(Self { jobs, shared, ended })
    }

    /// An empty buffer for a content.
    pub(super) fn buffer(&self) -> Vec<u8> {
        self.shared.empties.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Has a file filled. Fails when an earlier one could not be.
    pub(super) fn fill(&self, filling: Filling) -> Result<(), EntryProblem> {
        if self.shared.failed.load(Ordering::Relaxed) || self.jobs.send(filling).is_err() {
            return Err(EntryProblem::system("go on after the failure of another entry")(io::Error::other("see there")));
        }
        Ok(())
    }

    /// Waits for the threads; gives the first problem any of them had.
    pub(super) fn finish(self) -> Result<(), Failure> {
        drop(self.jobs);
        // Only ever an error: that all senders are gone.
        let _ = self.ended.recv();
        match self.shared.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }
}

fn fill_all(jobs: &Mutex<Receiver<Filling>>, shared: &Shared) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(mut job) = job else { return };
        if shared.failed.load(Ordering::Relaxed) {
            continue;
        }
        if let Err(problem) = fill(&mut job) {
            shared.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert((job.path, problem));
            shared.failed.store(true, Ordering::Relaxed);
        }
        job.content.clear();
        let mut empties = shared.empties.lock().unwrap_or_else(PoisonError::into_inner);
        if empties.len() < QUEUE {
            empties.push(job.content);
        }
    }
}

fn fill(job: &mut Filling) -> Result<(), EntryProblem> {
    job.file.write_all(&job.content).map_err(EntryProblem::system("write the file"))?;
    complete(&job.file, &job.attributes, job.time)
}

/// Gives a written file what it has besides its content.
pub(super) fn complete(file: &File, attributes: &Attributes, time: Time) -> Result<(), EntryProblem> {
    tree::set_attributes(file, attributes).map_err(EntryProblem::system("set its owner, mode and attributes"))?;
    tree::set_time(file, time).map_err(EntryProblem::system("set its time"))
}
