//! A few threads that finish files while another thread walks a tree and makes them: it keeps their order, and what is left
//! needs only the open file. Used where layers are unpacked and where COPY writes.
//!
//! Jobs are handed over in groups: a small file takes no longer than to wake a thread for it.

use std::cell::RefCell;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Builder, Scope};

/// The file system's own locks leave nothing to gain beyond this.
const THREADS_MAX: usize = 4;
/// Groups that the jobs which wait are in, at most.
const GROUPS: usize = 8;

/// The threads; they end when this is finished or dropped.
#[derive(Debug)]
pub struct Fillers<J, E> {
    jobs: SyncSender<Vec<J>>,
    /// The group that is not full yet.
    next: RefCell<Vec<J>>,
    /// Jobs in a full group.
    group: usize,
    outcome: Arc<Outcome<E>>,
    /// Closes when the last thread has ended.
    ended: Receiver<()>,
}

#[derive(Debug)]
struct Outcome<E> {
    failed: AtomicBool,
    first: Mutex<Option<E>>,
}

impl<J: Send, E: Send> Fillers<J, E> {
    /// Starts the threads. About `queue` jobs wait at most; each thread does its share with what `worker` gives it.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn start<'scope, W>(scope: &'scope Scope<'scope, '_>, queue: usize, worker: impl Fn() -> W) -> io::Result<Self>
    where
        J: 'scope,
        E: 'scope,
        W: FnMut(J) -> Result<(), E> + Send + 'scope,
    {
        let threads = thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
        let (jobs, receiver) = sync_channel(GROUPS);
        let receiver = Arc::new(Mutex::new(receiver));
        let (alive, ended) = sync_channel(0);
        let outcome = Arc::new(Outcome { failed: AtomicBool::new(false), first: Mutex::new(None) });
        for _ in 0..threads {
            let (receiver, outcome, alive, mut work) = (Arc::clone(&receiver), Arc::clone(&outcome), alive.clone(), worker());
            Builder::new().name("fill".to_owned()).spawn_scoped(scope, move || {
                let _alive: SyncSender<()> = alive;
                work_off(&receiver, &outcome, &mut work);
            })?;
        }
        Ok(Self { jobs, next: RefCell::default(), group: (queue / GROUPS).max(1), outcome, ended })
    }

    /// Has a job done, with the next ones; `false` when an earlier one failed, and this one is not.
    pub fn submit(&self, job: J) -> bool {
        if self.outcome.failed.load(Ordering::Relaxed) {
            return false;
        }
        let mut next = self.next.take();
        next.push(job);
        if next.len() < self.group {
            self.next.replace(next);
            return true;
        }
        self.jobs.send(next).is_ok()
    }

    /// The first failure, if there was one; the next call has none.
    pub fn take_failure(&self) -> Option<E> {
        self.outcome.first.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Waits until everything is done.
    ///
    /// # Errors
    /// The first failure, unless it was taken.
    pub fn finish(self) -> Result<(), E> {
        let Self { jobs, next, outcome, ended, .. } = self;
        // Nobody takes it only where all threads are gone.
        let _ = jobs.send(next.take());
        drop(jobs);
        // Only ever an error: that all senders are gone.
        let _ = ended.recv();
        outcome.first.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(()), Err)
    }
}

fn work_off<J, E>(jobs: &Mutex<Receiver<Vec<J>>>, outcome: &Outcome<E>, work: &mut impl FnMut(J) -> Result<(), E>) {
    loop {
        let group = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(group) = group else { return };
        for job in group {
            if outcome.failed.load(Ordering::Relaxed) {
                break;
            }
            if let Err(error) = work(job) {
                outcome.first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                outcome.failed.store(true, Ordering::Relaxed);
            }
        }
    }
}
