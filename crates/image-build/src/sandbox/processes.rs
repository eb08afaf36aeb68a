//! Processes that runtimes leave to this one: the first process of a container, which becomes a child of ours, and what a
//! runtime used to enter namespaces (proc_pid_stat(5), waitid(2)). Called by `runtime.rs` and `removal.rs`.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, getpid, pidfd_open, waitid};

use super::SandboxError;

/// How long killed processes may take to be gone; those in uninterruptible sleep take as long as their disk.
pub(super) const KILL_TIME: Duration = Duration::from_secs(30);

/// Waits for a container's first process, which has ended or was killed; its exit code, 128 + n after signal n. `None`
/// when somebody else waited for it.
///
/// crun's own child may be its parent for a moment longer than crun lives: only then is it ours.
pub(super) fn reap(init: &OwnedFd, pid: Pid) -> Result<Option<i32>, SandboxError> {
    let begun = Instant::now();
    loop {
        match waitid(WaitId::PidFd(init.as_fd()), WaitIdOptions::EXITED) {
            Ok(Some(status)) => {
                let signalled = status.terminating_signal().map(|signal| 128 + signal);
                return Ok(Some(status.exit_status().or(signalled).unwrap_or(255)));
            }
            Ok(None) | Err(Errno::INTR) => {}
            Err(Errno::CHILD) if begun.elapsed() < KILL_TIME => match Stat::of(&pid.as_raw_nonzero().to_string()) {
                None => return Ok(None),
                Some(stat) => wait_for_end(stat.parent)?,
            },
            Err(error) => return Err(SandboxError::Wait(error.into())),
        }
    }
}

/// Waits for the end of a process that may be anybody's; for a while.
fn wait_for_end(pid: i32) -> Result<(), SandboxError> {
    let Some(pid) = Pid::from_raw(pid).filter(|pid| *pid != getpid()) else { return Ok(()) };
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { return Ok(()) };
    let second = Timespec { tv_sec: 1, tv_nsec: 0 };
    match poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&second)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(SandboxError::Wait(error.into())),
    }
}

/// Waits for what runtimes used to enter namespaces and left behind when they ended: dead children of ours in a session
/// that is neither ours nor led by themselves. Every child that something else here waits for is in our session, or is a
/// container's first process and leads one.
pub(super) fn reap_helpers() {
    // In a PID namespace whose first process is of a session outside this is 0, here as for our children.
    let own = Stat::of("self").map(|stat| stat.session);
    for task in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        for pid in children.split_ascii_whitespace().filter_map(|pid| pid.parse::<i32>().ok()) {
            let is_helper = |session| session != pid && Some(session) != own;
            if Stat::of(&pid.to_string()).is_some_and(|stat| stat.is_dead && is_helper(stat.session))
                && let Some(pid) = Pid::from_raw(pid)
            {
                let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
            }
        }
    }
}

/// What proc_pid_stat(5) says of a process.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    /// It has ended and nobody has waited for it.
    is_dead: bool,
    parent: i32,
    session: i32,
}

impl Stat {
    fn of(pid: &str) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The name in it may hold blanks and parentheses.
    fn parse(text: &str) -> Option<Self> {
        let (_, fields) = text.rsplit_once(')')?;
        let mut fields = fields.split_ascii_whitespace();
        let (state, parent, session) = (fields.next()?, fields.next()?, fields.nth(1)?);
        Some(Self { is_dead: state == "Z", parent: parent.parse().ok()?, session: session.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_of_behind_any_name() {
        let stat = |is_dead, parent, session| Some(Stat { is_dead, parent, session });
        assert_eq!(Stat::parse("22346 (crun) Z 22291 22345 22344 0 -1"), stat(true, 22291, 22344));
        assert_eq!(Stat::parse("1 (a) Z 1 2) S 3 4 0 6"), stat(false, 3, 0));
        assert_eq!(Stat::parse(""), None);
    }
}
