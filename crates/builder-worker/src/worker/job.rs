//! One running task: a child process in its own mount and pid namespace, and the watcher that waits for it.
//!
//! The child is `containerbuild task`, started through `setpriv --pdeathsig KILL` and `unshare --kill-child`: when the
//! worker dies, however it dies, the kernel kills the child, everything it started, and unmounts what it mounted.
//! (The road not taken: fork without exec. A threaded program must not do much between fork and exec.)

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Instant;

use build_model::TaskId;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::sync::{mpsc, oneshot};

use crate::task::TaskTicket;

/// A task process that has ended.
pub struct Ended {
    /// Its task.
    pub task: TaskId,
    /// How the process ended; `Err` when it could not be waited for.
    pub status: std::io::Result<ExitStatus>,
}

/// A running task process.
pub struct Job {
    /// Directory of the task: journal, logs, outcome, work.
    pub dir: PathBuf,
    /// When it started.
    pub started: Instant,
    /// Why it is being killed, once it is.
    pub stopping: Option<Stop>,
    /// Its sub-session at the hub.
    pub session: Option<i64>,
    kill: Option<oneshot::Sender<()>>,
}

/// Why a job is stopped before it ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The hub says CANCELED.
    Cancelled,
    /// The hub gave the task to somebody else, or freed it.
    TakenAway,
    /// It ran longer than the site allows.
    TimedOut,
    /// The worker shuts down.
    Shutdown,
}

impl Job {
    /// Starts the task process. Its end arrives on `ended`.
    ///
    /// # Errors
    /// When the process cannot be started or does not take its ticket.
    pub async fn start(config: &Path, dir: PathBuf, ticket: &TaskTicket, ended: mpsc::Sender<Ended>) -> std::io::Result<Self> {
        let program = own_program()?;
        let mut command = Command::new("setpriv");
        command
            .args([
                "--pdeathsig",
                "KILL",
                "--",
                "unshare",
                "--mount",
                "--pid",
                "--fork",
                "--kill-child=KILL",
                "--mount-proc",
                "--",
            ])
            .arg(program)
            .arg("task")
            .arg("--config")
            .arg(config)
            .arg("--dir")
            .arg(&dir)
            .stdin(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn()?;
        // The ticket holds a session key: over a pipe, never on a command line.
        let ticket_bytes = serde_json::to_vec(ticket)?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(&ticket_bytes).await?;
        }
        let (kill, killed) = oneshot::channel::<()>();
        let task = ticket.task;
        tokio::spawn(async move {
            let status = tokio::select! {
                status = child.wait() => status,
                Ok(()) = killed => {
                    let _ = child.start_kill(); // an error here means it has ended by itself
                    child.wait().await
                }
            };
            // A closed channel means the worker is shutting down and no longer asks.
            let _ = ended.send(Ended { task, status }).await;
        });
        Ok(Self { dir, started: Instant::now(), stopping: None, session: ticket.session.session_id(), kill: Some(kill) })
    }

    /// Kills the process and everything below it; its end arrives as usual. Repeating it does nothing.
    pub fn stop(&mut self, why: Stop) {
        if let Some(kill) = self.kill.take() {
            self.stopping = Some(why);
            let _ = kill.send(()); // the watcher may have seen the end already
        }
    }
}

/// Where this program is. After a package update the kernel adds ` (deleted)` to its name; the new one is there without.
fn own_program() -> std::io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let renamed = program.to_str().and_then(|path| path.strip_suffix(" (deleted)")).map(PathBuf::from);
    Ok(renamed.filter(|path| path.exists()).unwrap_or(program))
}
