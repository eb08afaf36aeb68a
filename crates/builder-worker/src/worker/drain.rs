//! How the worker ends: at once (SIGTERM, SIGINT), or drained: it takes nothing new, lets what runs end, and then
//! restarts (SIGUSR1, as kojid does on it and on `koji restart-hosts`) or stops (SIGUSR2). `containerbuild drain` sends
//! the signals. Called by worker/poll.rs.

use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use build_model::TaskId;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::job::{Ended, Stop};
use super::poll::Worker;

/// What the worker does when nothing runs any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drain {
    /// Starts anew. Tasks that wait for their subtasks stay with this host and are found again.
    ThenRestart,
    /// Ends. Tasks that wait for their subtasks run here, too: they are seen to their end first.
    ThenStop,
}

/// How the loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The process ends.
    Stop,
    /// The process becomes the worker anew (worker/restart.rs).
    Restart,
}

/// The signals that ask for draining.
pub struct DrainSignals {
    restart: Signal,
    stop: Signal,
}

impl DrainSignals {
    /// Listens to them from now on.
    ///
    /// # Errors
    /// The system's.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self { restart: signal(SignalKind::user_defined1())?, stop: signal(SignalKind::user_defined2())? })
    }

    /// The next one.
    pub async fn next(&mut self) -> Drain {
        tokio::select! {
            _ = self.restart.recv() => Drain::ThenRestart,
            _ = self.stop.recv() => Drain::ThenStop,
        }
    }
}

impl Drain {
    /// How it ends now, when it can: with so many jobs, untold ends and waiting tasks.
    pub fn ending(self, jobs: usize, unsettled: usize, waiting: usize) -> Option<Ending> {
        match self {
            _ if jobs + unsettled > 0 => None,
            Drain::ThenRestart => Some(Ending::Restart),
            Drain::ThenStop => (waiting == 0).then_some(Ending::Stop),
        }
    }

    /// Both asked for: the worker does not come back.
    #[must_use]
    pub fn with(self, other: Drain) -> Drain {
        if self == other { self } else { Drain::ThenStop }
    }

    fn signal(self) -> rustix::process::Signal {
        match self {
            Drain::ThenRestart => rustix::process::Signal::USR1,
            Drain::ThenStop => rustix::process::Signal::USR2,
        }
    }
}

/// How long running builds get to end by themselves when the worker is told to stop.
const SHUTDOWN_SECONDS: u64 = 10;

impl Worker {
    /// Lets running builds end for a moment, then stops them and gives their tasks back. Those that wait stay with this
    /// host: nothing of them runs, and the worker finds them when it starts again. Should it not, the hub frees them.
    pub(super) async fn shut_down(mut self, ended: &mut mpsc::Receiver<Ended>) {
        tracing::info!(jobs = self.jobs.len(), "shutting down");
        for job in self.jobs.values_mut() {
            job.stop(Stop::Shutdown);
        }
        let deadline = tokio::time::Instant::now() + Duration::from_secs(SHUTDOWN_SECONDS);
        let tasks: Vec<TaskId> = self.jobs.keys().copied().collect();
        while !self.jobs.is_empty() {
            match tokio::time::timeout_at(deadline, ended.recv()).await {
                Ok(Some(end)) => self.job_ended(end).await,
                _ => break,
            }
        }
        // Those that ended in the last moment are closed already; freeing them again changes nothing.
        for task in tasks {
            if let Err(error) = self.session.free_tasks(&[task]).await {
                tracing::debug!(%task, %error, "not freed");
            }
        }
        if let Err(error) = self.session.check_out().await {
            tracing::warn!(%error, "cannot report that this host is not ready");
        }
        if let Err(error) = self.session.logout().await {
            tracing::debug!(%error, "not logged out");
        }
    }
}

/// Why a worker could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum DrainError {
    /// The lock file cannot be read.
    #[error("cannot read {path}")]
    Lock {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Nobody holds the lock.
    #[error("no worker uses {}", .0.display())]
    NoWorker(PathBuf),
    /// The lock names no process: it is a worker of an earlier version.
    #[error("{} does not say which process the worker is; signal it by hand (SIGUSR1 restarts, SIGUSR2 stops)", .0.display())]
    NoProcess(PathBuf),
    /// The process cannot be signalled.
    #[error("cannot signal the worker, process {pid}")]
    Signal {
        /// The process.
        pid: i32,
        /// Why.
        source: std::io::Error,
    },
}

/// The file that a worker locks for as long as it runs; its process id stands in it.
pub fn lock_path(state_dir: &Path) -> PathBuf {
    state_dir.join("worker.lock")
}

/// Notes the worker's process id in its lock.
///
/// # Errors
/// The system's.
pub fn note_process(lock: &mut std::fs::File) -> std::io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{}", std::process::id())
}

/// Asks the worker of a state directory to drain; its process id. The lock proves that the process is the worker.
///
/// # Errors
/// [`DrainError`]
pub fn ask(state_dir: &Path, drain: Drain) -> Result<i32, DrainError> {
    let path = lock_path(state_dir);
    let lock = |source| DrainError::Lock { path: path.clone(), source };
    let mut file = std::fs::File::open(&path).map_err(lock)?;
    if file.try_lock_shared().is_ok() {
        return Err(DrainError::NoWorker(state_dir.to_owned()));
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(lock)?;
    let process = text.trim().parse::<i32>().ok().and_then(rustix::process::Pid::from_raw);
    let process = process.ok_or_else(|| DrainError::NoProcess(path.clone()))?;
    let pid = process.as_raw_nonzero().get();
    rustix::process::kill_process(process, drain.signal()).map_err(|e| DrainError::Signal { pid, source: e.into() })?;
    Ok(pid)
}

/// Returns when no worker uses the directory any more, or (true) when the time is over.
///
/// # Errors
/// [`DrainError`]
pub fn wait_until_gone(state_dir: &Path, limit: Option<Duration>) -> Result<bool, DrainError> {
    let path = lock_path(state_dir);
    let lock = |source| DrainError::Lock { path: path.clone(), source };
    let file = std::fs::File::open(&path).map_err(lock)?;
    let Some(limit) = limit else {
        file.lock_shared().map_err(lock)?;
        return Ok(false);
    };
    let began = std::time::Instant::now();
    while file.try_lock_shared().is_err() {
        if began.elapsed() >= limit {
            return Ok(true);
        }
        std::thread::sleep(Duration::from_millis(200)); // flock has no time limit of its own
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_waits_for_running_builds_alone_a_stop_for_coordinators_too() {
        assert_eq!(Drain::ThenRestart.ending(1, 0, 0), None);
        assert_eq!(Drain::ThenRestart.ending(0, 1, 0), None);
        assert_eq!(Drain::ThenRestart.ending(0, 0, 3), Some(Ending::Restart));
        assert_eq!(Drain::ThenStop.ending(0, 0, 3), None);
        assert_eq!(Drain::ThenStop.ending(0, 0, 0), Some(Ending::Stop));
        assert_eq!(Drain::ThenRestart.with(Drain::ThenStop), Drain::ThenStop);
    }

    #[test]
    fn who_is_asked_to_drain_holds_the_lock() {
        let dir = tempfile::tempdir().expect("tempdir");
        assert!(matches!(ask(dir.path(), Drain::ThenStop), Err(DrainError::Lock { .. })));
        std::fs::write(lock_path(dir.path()), "1\n").expect("write");
        assert!(matches!(ask(dir.path(), Drain::ThenStop), Err(DrainError::NoWorker(_))), "never signals a stranger");
        let held = std::fs::File::create(lock_path(dir.path())).expect("create");
        held.lock().expect("lock");
        assert!(matches!(ask(dir.path(), Drain::ThenStop), Err(DrainError::NoProcess(_))));
        assert!(wait_until_gone(dir.path(), Some(Duration::ZERO)).expect("held"), "still there");
        drop(held);
        assert!(!wait_until_gone(dir.path(), None).expect("free"));
    }
}
