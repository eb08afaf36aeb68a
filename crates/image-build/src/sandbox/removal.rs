//! Removing containers: those of this build that have ended, beside the next step, and those that killed builds left.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tempfile::TempDir;

use super::processes::{KILL_TIME, reap_helpers};
use super::{CgroupHost, SandboxError};

/// A container that has ended and is being removed: its cgroup and the runtime's notes about it.
#[derive(Debug)]
pub(crate) struct Removal {
    runtime: PathBuf,
    cgroups: CgroupHost,
    id: String,
    child: Option<Child>,
    _bundle: TempDir,
}

impl Removal {
    /// Starts it; `delete` is the runtime's command for that.
    pub(super) fn begin(runtime: &Path, cgroups: &CgroupHost, mut delete: Command, bundle: TempDir, id: String) -> Self {
        use std::os::unix::process::CommandExt;
        delete.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = match delete.process_group(0).spawn() {
            Ok(child) => Some(child),
            Err(error) => {
                tracing::warn!(id, %error, "cannot start the OCI runtime to remove a container");
                None
            }
        };
        Self { runtime: runtime.to_owned(), cgroups: cgroups.clone(), id, child, _bundle: bundle }
    }

    /// Waits until nothing is left of the container.
    ///
    /// # Errors
    /// The runtime could not remove it.
    pub(crate) fn finish(mut self) -> Result<(), SandboxError> {
        self.wait()
    }

    fn wait(&mut self) -> Result<(), SandboxError> {
        let Some(child) = self.child.take() else { return Ok(()) };
        let output = child.wait_with_output().map_err(SandboxError::Wait)?;
        self.cgroups.remove(&self.id);
        // Late enough for them to be dead.
        reap_helpers();
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        // Also said of a container whose start failed before there was one.
        if output.status.success() || message.contains("does not exist") || message.contains("No such file") {
            return Ok(());
        }
        let runtime = self.runtime.display().to_string();
        Err(SandboxError::NotRemoved { id: self.id.clone(), message: format!("{runtime}: {message}") })
    }
}

impl Drop for Removal {
    fn drop(&mut self) {
        if let Err(error) = self.wait() {
            tracing::warn!(%error, "a container is left for the next sweep");
        }
    }
}

/// Kills the processes of a container that is no child of ours, waits for their end and removes its cgroup and state.
pub(crate) fn delete(runtime: &Path, state: &Path, id: &str) -> Result<(), SandboxError> {
    let stuck = |message: String| SandboxError::NotRemoved { id: id.to_owned(), message };
    let init = init_process(runtime, state, id)?;
    let output = output(runtime, state, &["delete", "--force", id])?;
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
    let output = output(runtime, state, &["state", id])?;
    let told: Option<serde_json::Value> = serde_json::from_slice(&output.stdout).ok();
    let pid = told.and_then(|t| t["pid"].as_i64()).and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 0);
    Ok(pid.and_then(Pid::from_raw).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()))
}

fn output(runtime: &Path, state: &Path, args: &[&str]) -> Result<Output, SandboxError> {
    let output = Command::new(runtime).arg("--root").arg(state).args(args).stdin(Stdio::null()).output();
    output.map_err(|source| SandboxError::RuntimeMissing { runtime: runtime.to_owned(), source })
}
