//! The OCI runtime as a program (crun's command line, which runc, runsc and kata-runtime share): run a container to its end,
//! stream its output, and kill it when the build is cancelled or a limit is reached.
//!
//! `run --detach` starts the container and leaves it to this process, which is the subreaper of the build. Its cgroup is
//! there until `delete`, so that after the end the kernel can be asked what the container died of. `delete` itself runs
//! beside the next step: nothing waits for it but the end of the build.

use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, Signal, child_subreaper, pidfd_open, pidfd_send_signal};
use tempfile::TempDir;

use super::cgroup::{CgroupEvents, PREFIX};
use super::disk_watch::{DiskWatch, TICK};
use super::limits::LimitHit;
use super::output::{LineSplitter, Tail};
use super::processes::reap;
use super::removal::Removal;
use super::{CgroupHost, Container, EngineDir, Redaction, SandboxError};
use crate::cancel::CancelFlag;
use crate::progress::OutputStream;

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Finished {
    /// By itself. `code` is 128 + n after signal n; `hit` is the limit that its processes ran into, if any.
    Exited { code: i32, hit: Option<LimitHit>, last_lines: Vec<String> },
    /// Killed at a limit that the engine keeps.
    Stopped { hit: LimitHit, last_lines: Vec<String> },
    /// Killed because the build was cancelled.
    Cancelled,
}

enum Woken {
    Ended,
    Limit(LimitHit),
    Cancelled,
}

/// The runtime of one build.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Runtime<'a> {
    pub(crate) program: &'a Path,
    pub(crate) engine: &'a EngineDir,
    pub(crate) cgroups: &'a CgroupHost,
}

/// What is done with the lines of a container's output, from two threads.
pub(crate) type Emit<'a> = dyn Fn(OutputStream, String) + Sync + 'a;

/// What came of a container.
pub(crate) struct Outcome {
    pub(crate) finished: Finished,
    /// How long the limit on processors kept it waiting.
    pub(crate) held_back: Duration,
    /// What is left of it.
    pub(crate) removal: Removal,
}

impl Runtime<'_> {
    /// Runs `container` to its end. No process of it is left then; what else is of it goes with the [`Outcome`].
    /// `writable` are the directories on disk that count for the disk limit.
    ///
    /// # Errors
    /// The runtime cannot be started or fails itself; a bad exit code of the command is no error here.
    pub(crate) fn run(
        &self,
        container: &Container<'_>,
        writable: Vec<PathBuf>,
        redaction: &Redaction,
        cancel: &CancelFlag,
        emit: &Emit<'_>,
    ) -> Result<Outcome, SandboxError> {
        // Else exit codes would go to the host's first process.
        if child_subreaper().ok().flatten().is_none() {
            return Err(SandboxError::NotPrepared);
        }
        let bundle = self.engine.bundle_dir()?;
        let name = bundle.path().file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let id = format!("{PREFIX}{}-{name}", self.engine.build_id());
        let config_path = bundle.path().join("config.json");
        fs::write(&config_path, container.config(&id).to_string()).map_err(SandboxError::path("write", &config_path))?;
        let watch = cancel.watch().map_err(SandboxError::Wait)?;
        let (stop_read, stop_write) = pipe_with(PipeFlags::CLOEXEC).map_err(|e| SandboxError::Wait(e.into()))?;
        let disk = container.limits.disk_bytes.map(|limit| DiskWatch::new(limit, writable));

        let mut child = self.start_command(bundle.path(), &id).spawn().map_err(self.missing())?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let tail = Mutex::new(Tail::default());
        let keep = |stream, line: String| {
            let line = redaction.apply(line);
            if let Ok(mut tail) = tail.lock() {
                tail.push(&line);
            }
            emit(stream, line);
        };
        let ended = std::thread::scope(|scope| {
            // Shadowed so that the closures below take references with the scope's lifetime.
            let (keep, stop) = (&keep, &stop_read);
            if let Some(stdout) = stdout {
                scope.spawn(move || read_lines(stdout.into(), stop, &|line| keep(OutputStream::Stdout, line)));
            }
            if let Some(stderr) = stderr {
                scope.spawn(move || read_lines(stderr.into(), stop, &|line| keep(OutputStream::Stderr, line)));
            }
            let ended = self.follow(&mut child, bundle.path(), container, disk, &watch);
            // Ends the readers even if something out of our reach still holds a pipe open.
            drop(stop_write);
            ended
        });
        let last_lines = tail.into_inner().map(Tail::into_lines).unwrap_or_default();
        let events = self.cgroups.events(&id);
        let removal = self.begin_removal(bundle, id);
        let finished = match ended {
            Err(error) => {
                // What the runtime says now matters less than why it did not start.
                drop(removal);
                return Err(error);
            }
            Ok((Woken::Cancelled, _)) => Finished::Cancelled,
            Ok((Woken::Limit(hit), _)) => Finished::Stopped { hit, last_lines },
            Ok((Woken::Ended, code)) => Finished::Exited { code, hit: limit_hit(container, events), last_lines },
        };
        Ok(Outcome { finished, held_back: events.held_back, removal })
    }

    fn start_command(&self, bundle: &Path, id: &str) -> Command {
        let mut command = self.command();
        command.arg("--log").arg(bundle.join(LOG)).args(["--log-format", "json"]);
        command.args(["run", "--detach", "--bundle"]).arg(bundle).arg("--pid-file").arg(bundle.join(PID)).arg(id);
        // Its own process group: a Ctrl-C at the terminal is for the build, which then cancels in order.
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        command
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.program);
        command.arg("--root").arg(self.engine.containers());
        // Others take the absence for granted.
        if *self.cgroups == CgroupHost::Absent && self.program.ends_with("crun") {
            command.arg("--cgroup-manager=disabled");
        }
        command
    }

    fn missing(&self) -> impl FnOnce(io::Error) -> SandboxError {
        let runtime = self.program.to_owned();
        move |source| SandboxError::RuntimeMissing { runtime, source }
    }

    /// From the runtime's start to the container's end: what ended it, and its exit code.
    fn follow(
        &self,
        child: &mut Child,
        bundle: &Path,
        container: &Container<'_>,
        mut disk: Option<DiskWatch>,
        cancelled: &impl AsFd,
    ) -> Result<(Woken, i32), SandboxError> {
        let begun = Instant::now();
        // A matter of milliseconds that nothing may cut short: half a container is hard to remove.
        let status = child.wait().map_err(SandboxError::Wait)?;
        let pid = fs::read_to_string(bundle.join(PID)).ok().and_then(|text| text.trim().parse().ok()).and_then(Pid::from_raw);
        let Some(pid) = pid.filter(|_| status.success() || runtime_error(&bundle.join(LOG)).is_none()) else {
            return Err(self.start_failed(bundle, status.success()));
        };
        // A command may end before the runtime does, which then may have been told of it, and ends with its code.
        let told = status.code().unwrap_or(255);
        // Else a child of ours from here on, so that the number cannot become another process's.
        let init = match pidfd_open(pid, PidfdFlags::empty()) {
            Err(Errno::SRCH) if told != 0 => return Ok((Woken::Ended, told)),
            Err(Errno::SRCH) => return Err(SandboxError::ExitCodeLost),
            other => other.map_err(|e| SandboxError::Wait(e.into()))?,
        };
        let deadline = container.limits.run_seconds.map(|seconds| (seconds, begun + Duration::from_secs(seconds)));
        let woken = wait(&init, pid, cancelled, deadline, disk.as_mut());
        if !matches!(woken, Ok(Woken::Ended)) {
            // The first process of a PID namespace takes all others with it.
            match pidfd_send_signal(&init, Signal::KILL) {
                Ok(()) | Err(Errno::SRCH) => {}
                Err(error) => return Err(SandboxError::Wait(error.into())),
            }
        }
        // A runtime that waited for it itself and says nothing bad about it must not make a failure a success.
        let code = reap(&init, pid)?.or((told != 0).then_some(told)).ok_or(SandboxError::ExitCodeLost)?;
        // One that was quicker than the watch.
        if let (Ok(Woken::Ended), Some(disk)) = (&woken, disk.as_mut())
            && disk.is_exceeded(None)
        {
            return Ok((Woken::Limit(LimitHit::Disk { bytes: disk.limit() }), code));
        }
        Ok((woken?, code))
    }

    fn start_failed(&self, bundle: &Path, said_well: bool) -> SandboxError {
        if said_well {
            return SandboxError::NoProcess { runtime: self.program.to_owned() };
        }
        let message = runtime_error(&bundle.join(LOG)).unwrap_or_else(|| "it gives no reason".to_owned());
        SandboxError::Runtime { runtime: self.program.to_owned(), message }
    }

    fn begin_removal(&self, bundle: TempDir, id: String) -> Removal {
        let mut command = self.command();
        command.args(["delete", "--force", &id]);
        Removal::begin(self.program, self.cgroups, command, bundle, id)
    }
}

const LOG: &str = "runtime.log";
const PID: &str = "pid";

/// Which of the limits the kernel keeps was reached.
fn limit_hit(container: &Container<'_>, events: CgroupEvents) -> Option<LimitHit> {
    match (container.limits.memory_bytes, container.limits.pids) {
        (Some(bytes), _) if events.oom_kills > 0 => Some(LimitHit::Memory { bytes, killed: events.oom_kills }),
        (_, Some(limit)) if events.forks_refused > 0 => Some(LimitHit::Pids { limit }),
        _ => None,
    }
}

/// Waits for the end of the container, the cancel flag or a limit, whichever comes first.
fn wait(
    init: &OwnedFd,
    pid: Pid,
    cancelled: &impl AsFd,
    deadline: Option<(u64, Instant)>,
    mut disk: Option<&mut DiskWatch>,
) -> Result<Woken, SandboxError> {
    loop {
        let mut timeout = disk.is_some().then_some(TICK);
        if let Some((seconds, at)) = deadline {
            match at.checked_duration_since(Instant::now()) {
                None => return Ok(Woken::Limit(LimitHit::Time { seconds })),
                Some(left) => timeout = Some(timeout.map_or(left, |tick| tick.min(left))),
            }
        }
        let timeout = timeout.and_then(|left| Timespec::try_from(left).ok());
        let mut fds = [PollFd::new(init, PollFlags::IN), PollFd::new(cancelled, PollFlags::IN)];
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(SandboxError::Wait(error.into())),
        }
        let [ended, cancel] = &fds;
        if !ended.revents().is_empty() {
            return Ok(Woken::Ended);
        }
        if !cancel.revents().is_empty() {
            return Ok(Woken::Cancelled);
        }
        if let Some(disk) = disk.as_mut()
            && disk.is_exceeded(Some(pid.as_raw_nonzero().get()))
        {
            return Ok(Woken::Limit(LimitHit::Disk { bytes: disk.limit() }));
        }
    }
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
