//! A few threads that finish files while another thread walks a tree and makes them: it keeps their order, and what is left
//! needs only the open file. Used where layers are unpacked and where COPY writes.
//!
//! Jobs are handed over in groups: a small file takes no longer than to wake a thread for it.

use std::cell::RefCell;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, Builder, Scope};

/// The file system's own locks leave nothing to gain beyond this.
const THREADS_MAX: usize = 4;
/// Groups that the jobs which wait are in, at most.
const GROUPS: usize = 8;

/// The threads; they end when this is finished or dropped.
#[derive(Debug)]
pub struct Fillers<J, E> {
    jobs: SyncSender<Group<J, E>>,
    /// The group that is not full yet.
    next: RefCell<Vec<J>>,
    /// Jobs in a full group.
    group: usize,
    outcome: Arc<Outcome<E>>,
}

#[derive(Debug)]
struct Outcome<E> {
    failed: AtomicBool,
    first: Mutex<Option<E>>,
    /// Groups handed over and not done.
    left: Mutex<usize>,
    none_left: Condvar,
}

/// Goes with a group; the group is done, or lost with a thread that panicked, when this is dropped.
#[derive(Debug)]
struct Ticket<E>(Arc<Outcome<E>>);

impl<E> Ticket<E> {
    fn of(outcome: &Arc<Outcome<E>>) -> Self {
        *outcome.left.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Ticket(Arc::clone(outcome))
    }
}

impl<E> Drop for Ticket<E> {
    fn drop(&mut self) {
        let mut left = self.0.left.lock().unwrap_or_else(PoisonError::into_inner);
        *left -= 1;
        if *left == 0 {
            self.0.none_left.notify_all();
        }
    }
}

type Group<J, E> = (Vec<J>, Ticket<E>);

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
        let outcome = Arc::new(Outcome {
            failed: AtomicBool::new(false),
            first: Mutex::new(None),
            left: Mutex::new(0),
            none_left: Condvar::new(),
        });
        for _ in 0..threads {
            let (receiver, outcome, mut work) = (Arc::clone(&receiver), Arc::clone(&outcome), worker());
            Builder::new().name("fill".to_owned()).spawn_scoped(scope, move || work_off(&receiver, &outcome, &mut work))?;
        }
        Ok(Self { jobs, next: RefCell::default(), group: (queue / GROUPS).max(1), outcome })
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
        self.hand_over(next)
    }

    fn hand_over(&self, group: Vec<J>) -> bool {
        self.jobs.send((group, Ticket::of(&self.outcome))).is_ok()
    }

    /// Waits until everything that was submitted is done; `false` when something failed.
    pub fn wait(&self) -> bool {
        self.hand_over(self.next.take());
        let left = self.outcome.left.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.outcome.none_left.wait_while(left, |left| *left > 0).unwrap_or_else(PoisonError::into_inner));
        !self.outcome.failed.load(Ordering::Relaxed)
    }

    /// The first failure, if there was one; the next call has none.
    pub fn take_failure(&self) -> Option<E> {
        self.outcome.first.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Waits until everything is done, and lets the threads end.
    ///
    /// # Errors
    /// The first failure, unless it was taken.
    pub fn finish(self) -> Result<(), E> {
        self.wait();
        self.take_failure().map_or(Ok(()), Err)
    }
}

fn work_off<J, E>(jobs: &Mutex<Receiver<Group<J, E>>>, outcome: &Outcome<E>, work: &mut impl FnMut(J) -> Result<(), E>) {
    loop {
        let group = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((group, _ticket)) = group else { return };
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn what_was_submitted_is_done_when_it_was_waited_for() {
        for (queue, count) in [(1, 5), (64, 0), (64, 3), (64, 1000)] {
            let done = AtomicUsize::new(0);
            thread::scope(|scope| {
                let work = || {
                    |_: usize| -> Result<(), ()> {
                        done.fetch_add(1, Ordering::Relaxed);
                        Ok(())
                    }
                };
                let fillers = Fillers::start(scope, queue, work).expect("threads");
                for round in 1..=3 {
                    (0..count).for_each(|job| assert!(fillers.submit(job)));
                    assert!(fillers.wait());
                    assert_eq!(done.load(Ordering::Relaxed), round * count, "{queue} {count}");
                }
                fillers.finish().expect("nothing failed");
            });
        }
    }

    #[test]
    fn a_failure_is_told_by_whoever_waits() {
        thread::scope(|scope| {
            let work = || |job: usize| if job == 7 { Err(job) } else { Ok(()) };
            let fillers = Fillers::start(scope, 64, work).expect("threads");
            let _ = (0..20).all(|job| fillers.submit(job));
            assert!(!fillers.wait() && fillers.take_failure() == Some(7));
            assert!(!fillers.submit(1));
        });
    }
}
