//! The OCI runtime as a child process (crun's command line, which runc shares): run a container to its end, stream its
//! output, and kill it when the build is cancelled or the time is over. Nothing of it is left afterwards.

use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::output::{LineSplitter, Tail};
use super::{Container, EngineDir, SandboxError};
use crate::cancel::CancelFlag;
use crate::progress::OutputStream;

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
        let woken = wait(&child, &watch, container.limits.run_seconds);
        let ended = match woken {
            Ok(Woken::ChildExited) => Ok(()),
            _ => kill(&mut child, runtime, &engine.containers(), &id),
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

/// Waits for the child's end, the cancel flag or the time limit, whichever comes first.
fn wait(child: &Child, cancelled: &impl AsFd, limit: Option<u64>) -> Result<Woken, SandboxError> {
    let wait_failed = |e: Errno| SandboxError::Wait(e.into());
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or_else(|| wait_failed(Errno::SRCH))?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(wait_failed)?;
    let deadline = limit.map(|seconds| (seconds, Instant::now() + Duration::from_secs(seconds)));
    loop {
        let timeout = match deadline {
            None => None,
            Some((seconds, at)) => match at.checked_duration_since(Instant::now()) {
                None => return Ok(Woken::TimeIsOver(seconds)),
                Some(left) => Timespec::try_from(left).ok(),
            },
        };
        let mut fds = [PollFd::new(&pidfd, PollFlags::IN), PollFd::new(cancelled, PollFlags::IN)];
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(wait_failed(error)),
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

/// Ends the runtime first, so that it cannot start what is about to be removed, then everything in the container.
fn kill(child: &mut Child, runtime: &Path, state: &Path, id: &str) -> Result<(), SandboxError> {
    child.kill().map_err(SandboxError::Wait)?;
    child.wait().map_err(SandboxError::Wait)?;
    if state.join(id).exists() { delete(runtime, state, id) } else { Ok(()) }
}

/// Kills the processes of a container and removes its cgroup and state.
pub(crate) fn delete(runtime: &Path, state: &Path, id: &str) -> Result<(), SandboxError> {
    let mut command = Command::new(runtime);
    command.arg("--root").arg(state).args(["delete", "--force", id]).stdin(Stdio::null());
    let output = command.output().map_err(|source| SandboxError::RuntimeMissing { runtime: runtime.to_owned(), source })?;
    if output.status.success() {
        return Ok(());
    }
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(SandboxError::NotRemoved { id: id.to_owned(), message })
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
