//! The task process from start to end: ticket, session, log upload, handler, outcome.

use std::io::Read;
use std::path::Path;

use anyhow::Context;
use build_model::{Blame, Diagnose};
use koji_session::Session;

use super::log::TaskLog;
use super::outcome::{Failure, Outcome};
use super::{TaskTicket, build_container};
use crate::config::Settings;
use crate::worker::Journal;

/// Everything a handler works with.
pub struct TaskContext<'a> {
    /// The site's configuration.
    pub settings: &'a Settings,
    /// The task's own sub-session.
    pub session: Session,
    /// The task.
    pub task: build_model::TaskId,
    /// Directory for everything temporary; the worker removes it.
    pub work_dir: std::path::PathBuf,
    /// The task's logs.
    pub log: TaskLog,
    /// What must survive a crash.
    pub journal: Journal,
}

/// A file of the task's work directory cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the work file {path}")]
pub struct WorkFileError {
    /// The file.
    pub path: std::path::PathBuf,
    /// Why.
    pub source: std::io::Error,
}

impl Diagnose for WorkFileError {
    fn blame(&self) -> Blame {
        Blame::Site
    }
    fn kind(&self) -> &'static str {
        "work-file"
    }
    fn hint(&self) -> Option<String> {
        Some("look at the free space of the builder's state directory".into())
    }
}

/// Runs one task. The outcome is in `dir` afterwards, whether the build succeeded or failed.
///
/// # Errors
/// When not even an outcome could be produced: no ticket, no configuration, no disk.
pub fn run(config: &Path, dir: &Path) -> anyhow::Result<()> {
    // First, while there is one thread: the mount namespace (engine.md T2).
    image_build::prepare_process().context("cannot prepare the build process")?;
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes).context("cannot read the task ticket")?;
    let ticket: TaskTicket = serde_json::from_slice(&bytes).context("the task ticket is not valid")?;
    let settings = Settings::load(config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outcome = runtime.block_on(run_task(&settings, &ticket, dir))?;
    outcome.write(dir).context("cannot write the outcome")
}

async fn run_task(settings: &Settings, ticket: &TaskTicket, dir: &Path) -> anyhow::Result<Outcome> {
    let session = Session::resume(&crate::worker::hub_config(settings)?, &ticket.session)?;
    let log = TaskLog::create(&dir.join("logs")).context("cannot create the task's logs")?;
    let upload = log.upload(session.clone(), ticket.task);
    let work_dir = dir.join("work");
    match std::fs::remove_dir_all(&work_dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e).context("cannot clear the work directory"),
        _ => std::fs::create_dir_all(&work_dir).context("cannot create the work directory")?,
    }
    let mut context = TaskContext {
        settings,
        session: session.clone(),
        task: ticket.task,
        work_dir,
        log: log.clone(),
        journal: Journal::open(dir)?,
    };
    let outcome = match build_container::handle(&mut context).await {
        Ok(result) => {
            for warning in &result.user_warnings {
                log.step(&format!("warning: {warning}"));
            }
            Outcome::Closed(result)
        }
        Err(error) => {
            let failure = Failure::from_error(&*error);
            log.step(&format!("FAILED ({}, {}): {}", failure.blame, failure.kind, failure.message));
            if let Some(hint) = &failure.hint {
                log.step(&format!("what to do: {hint}"));
            }
            Outcome::Failed(failure)
        }
    };
    log.step(&format!("{} hub calls", session.calls_made()));
    upload.finish().await;
    if let Err(error) = session.logout().await {
        tracing::debug!(%error, "not logged out");
    }
    Ok(outcome)
}
