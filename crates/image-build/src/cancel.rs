//! Stopping a build from another thread. Given to [`crate::build`] by the caller; read between steps and waited on
//! while a container runs, so that a cancelled task does not wait for its `dnf install`.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::pipe::{PipeFlags, pipe_with};

/// Says that a build shall stop. Clones are the same flag; it cannot be taken back.
#[derive(Debug, Clone, Default)]
pub struct CancelFlag(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    cancelled: AtomicBool,
    waiting: Mutex<Waiting>,
}

/// Write ends of pipes; closing one wakes whoever polls the other end.
#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    pipes: BTreeMap<u64, OwnedFd>,
}

impl CancelFlag {
    /// A flag that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops the build: the running container is killed, no further step begins. Idempotent, never blocks for long.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::SeqCst);
        self.waiting().pipes.clear();
    }

    /// Whether [`CancelFlag::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::SeqCst)
    }

    /// A descriptor that hangs up when the flag is set; at once when it already is.
    ///
    /// # Errors
    /// No pipe can be made.
    pub(crate) fn watch(&self) -> io::Result<CancelWatch> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
        let mut waiting = self.waiting();
        let id = waiting.next;
        waiting.next += 1;
        // Under the lock: a cancel before this is seen here, a cancel after it finds the pipe.
        if !self.is_cancelled() {
            waiting.pipes.insert(id, write);
        }
        drop(waiting);
        Ok(CancelWatch { flag: self.clone(), id, read })
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See [`CancelFlag::watch`].
pub(crate) struct CancelWatch {
    flag: CancelFlag,
    id: u64,
    read: OwnedFd,
}

impl AsFd for CancelWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.read.as_fd()
    }
}

impl Drop for CancelWatch {
    fn drop(&mut self) {
        self.flag.waiting().pipes.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    fn hung_up(watch: &CancelWatch, seconds: i64) -> bool {
        let mut fds = [PollFd::new(watch, PollFlags::IN)];
        let timeout = Timespec { tv_sec: seconds, tv_nsec: 0 };
        poll(&mut fds, Some(&timeout)).expect("poll");
        fds[0].revents().contains(PollFlags::HUP)
    }

    #[test]
    fn a_cancel_wakes_waiters_before_and_after() {
        let flag = CancelFlag::new();
        let early = flag.watch().expect("watch");
        assert!(!hung_up(&early, 0));
        let other = flag.clone();
        let thread = std::thread::spawn(move || other.cancel());
        assert!(hung_up(&early, 30));
        thread.join().expect("join");
        assert!(flag.is_cancelled() && hung_up(&flag.watch().expect("watch"), 0));
    }

    #[test]
    fn a_dropped_watch_leaves_nothing_behind() {
        let flag = CancelFlag::new();
        drop(flag.watch().expect("watch"));
        assert!(flag.waiting().pipes.is_empty());
    }
}
