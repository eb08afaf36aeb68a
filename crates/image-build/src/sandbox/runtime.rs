//! The OCI runtime as a child process (crun's command line, which runc shares): run a container to its end, stream its
//! output, and kill it when the build is cancelled or the time is over. Nothing of it is left afterwards.

use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::output::{LineSplitter, Tail};
use super::{Container, EngineDir, SandboxError};
use crate::cancel::CancelFlag;
use crate::progress::OutputStream;

/// How long killed processes may take to be gone; those in uninterruptible sleep take as long as their disk.
const KILL_TIME: Duration = Duration::from_secs(30);

/// How long the runtime may take to clean up after its container was killed, before it is killed itself.
const RUNTIME_PATIENCE: Duration = Duration::from_secs(20);

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Finished {
    /// By itself. `code` is 128 + n after signal n.
    Exited { code: i32, last_lines: Vec<String> },
    /// Killed after this many seconds.
    TimedOut { seconds: u64, last_lines: Vec<String> },
    /// Killed because the build was cancelled.
    Cancelled,
}

enum Woken {
    ChildExited,
    TimeIsOver(u64),
    Cancelled,
}

/// Runs `container` to its end. `emit` gets every line of output, from two threads.
///
/// # Errors
/// The runtime cannot be started or fails itself; a bad exit code of the command is no error here.
pub(crate) fn run(
    runtime: &Path,
    engine: &EngineDir,
    container: &Container<'_>,
    cancel: &CancelFlag,
    emit: &(dyn Fn(OutputStream, String) + Sync),
) -> Result<Finished, SandboxError> {
    let bundle = engine.temp_dir("run-")?;
    let id = bundle.path().file_name().map(|n| format!("{}-{}", std::process::id(), n.to_string_lossy())).unwrap_or_default();
    let config_path = bundle.path().join("config.json");
    fs::write(&config_path, container.config(&id).to_string()).map_err(SandboxError::path("write", &config_path))?;
    let log = bundle.path().join("runtime.log");
    let watch = cancel.watch().map_err(SandboxError::Wait)?;
    let (stop_read, stop_write) = pipe_with(PipeFlags::CLOEXEC).map_err(|e| SandboxError::Wait(e.into()))?;

    let mut command = Command::new(runtime);
    command.arg("--root").arg(engine.containers()).arg("--log").arg(&log).args(["--log-format", "json"]);
    command.arg("run").arg("--bundle").arg(bundle.path()).arg(&id);
    // Its own process group: a Ctrl-C at the terminal is for the build, which then cancels in order.
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let missing = |source| SandboxError::RuntimeMissing { runtime: runtime.to_owned(), source };
    let mut child = command.spawn().map_err(missing)?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let process = open_process(&child);

    let tail = Mutex::new(Tail::default());
    let keep = |stream, line: String| {
        if let Ok(mut tail) = tail.lock() {
            tail.push(&line);
        }
        emit(stream, line);
    };
    let (woken, status) = std::thread::scope(|scope| {
        // Shadowed so that the closures below take references with the scope's lifetime.
        let (keep, stop) = (&keep, &stop_read);
        if let Some(stdout) = stdout {
            scope.spawn(move || read_lines(stdout.into(), stop, &|line| keep(OutputStream::Stdout, line)));
        }
        if let Some(stderr) = stderr {
            scope.spawn(move || read_lines(stderr.into(), stop, &|line| keep(OutputStream::Stderr, line)));
        }
        let woken = process.as_ref().map_err(|e| SandboxError::Wait(e.kind().into()));
        let woken = woken.and_then(|process| wait(process, &watch, container.limits.run_seconds));
        let ended = match (&woken, &process) {
            (Ok(Woken::ChildExited), _) => Ok(()),
            (_, Ok(process)) => kill(&mut child, process, runtime, &engine.containers(), &id),
            (_, Err(_)) => child.kill().map_err(SandboxError::Wait),
        };
        let status = child.wait().map_err(SandboxError::Wait);
        // Ends the readers even if something out of our reach still holds a pipe open.
        drop(stop_write);
        (ended.and(woken), status)
    });
    let last_lines = tail.into_inner().map(Tail::into_lines).unwrap_or_default();
    match woken? {
        Woken::Cancelled => Ok(Finished::Cancelled),
        Woken::TimeIsOver(seconds) => Ok(Finished::TimedOut { seconds, last_lines }),
        Woken::ChildExited => {
            let status = status?;
            if let Some(message) = runtime_error(&log).filter(|_| !status.success()) {
                // It may have failed half-way.
                let _ = delete(runtime, &engine.containers(), &id);
                return Err(SandboxError::Runtime { runtime: runtime.to_owned(), message });
            }
            let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
            Ok(Finished::Exited { code, last_lines })
        }
    }
}

fn open_process(child: &Child) -> io::Result<OwnedFd> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
    pidfd_open(pid, PidfdFlags::empty()).map_err(Into::into)
}

/// Waits for the end of the runtime, the cancel flag or the time limit, whichever comes first.
fn wait(runtime_process: &OwnedFd, cancelled: &impl AsFd, limit: Option<u64>) -> Result<Woken, SandboxError> {
    let deadline = limit.map(|seconds| (seconds, Instant::now() + Duration::from_secs(seconds)));
    loop {
        let timeout = match deadline {
            None => None,
            Some((seconds, at)) => match at.checked_duration_since(Instant::now()) {
                None => return Ok(Woken::TimeIsOver(seconds)),
                Some(left) => Timespec::try_from(left).ok(),
            },
        };
        let mut fds = [PollFd::new(runtime_process, PollFlags::IN), PollFd::new(cancelled, PollFlags::IN)];
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(SandboxError::Wait(error.into())),
        }
        let [child, cancel] = &fds;
        if !child.revents().is_empty() {
            return Ok(Woken::ChildExited);
        }
        if !cancel.revents().is_empty() {
            return Ok(Woken::Cancelled);
        }
    }
}

/// Kills what the runtime started, so that it takes the container down as after any other end. Killing the runtime itself
/// would not do: right after the start it has not written down yet what there is to be removed.
fn kill(child: &mut Child, process: &OwnedFd, runtime: &Path, state: &Path, id: &str) -> Result<(), SandboxError> {
    let begun = Instant::now();
    while begun.elapsed() < RUNTIME_PATIENCE {
        kill_children(child.id());
        // Again soon: it may be about to start another process.
        let soon = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
        match poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&soon)) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => return Ok(()),
            Err(error) => return Err(SandboxError::Wait(error.into())),
        }
    }
    child.kill().map_err(SandboxError::Wait)?;
    child.wait().map_err(SandboxError::Wait)?;
    if state.join(id).exists() { delete(runtime, state, id) } else { Ok(()) }
}

/// Sends SIGKILL to the children of `parent`: the first process of the container, or a helper of the runtime.
fn kill_children(parent: u32) {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    for pid in children.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).filter_map(Pid::from_raw) {
        let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { continue };
        // Checked once it cannot be replaced by another process any more.
        if parent_of(pid) == Some(parent) {
            let _ = pidfd_send_signal(&process, Signal::KILL);
        }
    }
}

/// The fourth field of proc_pid_stat(5); the second may hold blanks and parentheses.
fn parent_of(pid: Pid) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Kills the processes of a container, waits for their end and removes its cgroup and state.
pub(crate) fn delete(runtime: &Path, state: &Path, id: &str) -> Result<(), SandboxError> {
    let stuck = |message: String| SandboxError::NotRemoved { id: id.to_owned(), message };
    let init = init_process(runtime, state, id)?;
    let output = command(runtime, state, &["delete", "--force", id])?;
    if !output.status.success() {
        return Err(stuck(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    // The runtime only sends the signal. The first process of a PID namespace is gone last.
    let Some(init) = init else { return Ok(()) };
    let begun = Instant::now();
    while let Some(left) = KILL_TIME.checked_sub(begun.elapsed()) {
        let timeout = Timespec::try_from(left).map_err(|_| SandboxError::Wait(Errno::RANGE.into()))?;
        match poll(&mut [PollFd::new(&init, PollFlags::IN)], Some(&timeout)) {
            Ok(0) => break,
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(SandboxError::Wait(error.into())),
        }
    }
    Err(stuck(format!("its processes are still there after {} seconds", KILL_TIME.as_secs())))
}

/// The first process of a container; `None` when there is no such process any more.
fn init_process(runtime: &Path, state: &Path, id: &str) -> Result<Option<OwnedFd>, SandboxError> {
    let output = command(runtime, state, &["state", id])?;
    let told: Option<serde_json::Value> = serde_json::from_slice(&output.stdout).ok();
    let pid = told.and_then(|t| t["pid"].as_i64()).and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 0);
    Ok(pid.and_then(Pid::from_raw).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()))
}

fn command(runtime: &Path, state: &Path, args: &[&str]) -> Result<Output, SandboxError> {
    let output = Command::new(runtime).arg("--root").arg(state).args(args).stdin(Stdio::null()).output();
    output.map_err(|source| SandboxError::RuntimeMissing { runtime: runtime.to_owned(), source })
}

/// The first error in the runtime's own log, if it wrote one.
fn runtime_error(log: &Path) -> Option<String> {
    let text = fs::read_to_string(log).ok()?;
    text.lines().find_map(|line| {
        let entry: serde_json::Value = serde_json::from_str(line).ok()?;
        (entry["level"] == "error").then(|| entry["msg"].as_str().unwrap_or(line).to_owned())
    })
}

fn read_lines(pipe: OwnedFd, stop: &OwnedFd, emit: &dyn Fn(String)) {
    let mut file = fs::File::from(pipe);
    let (mut splitter, mut buffer) = (LineSplitter::default(), vec![0; 32 * 1024]);
    loop {
        let mut fds = [PollFd::new(&file, PollFlags::IN), PollFd::new(stop, PollFlags::IN)];
        match poll(&mut fds, None) {
            Err(Errno::INTR) => continue,
            Err(_) => break,
            Ok(_) => {}
        }
        let [data, _] = &fds;
        // With nothing to read it was the stop; what was written before it has been read by then.
        if data.revents().is_empty() {
            break;
        }
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => splitter.feed(buffer.get(..n).unwrap_or_default(), &mut |line| emit(line)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    splitter.finish(&mut |line| emit(line));
}
