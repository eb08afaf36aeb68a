//! The task process from start to end: ticket, session, log upload, handler, outcome.

use std::io::Read;
use std::path::Path;

use anyhow::Context;
use build_model::{Blame, Diagnose};
use koji_session::Session;

use super::build_container::{self, Handled};
use super::log::TaskLog;
use super::outcome::{Failure, Outcome};
use super::pinned_build::CREATE_CONTAINER;
use super::{BUILD_SOURCE_CONTAINER, TaskTicket, build_source_container, create_container};
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
    /// This builder, as the hub numbers it.
    pub host: i64,
    /// Directory for everything temporary; the worker removes it.
    pub work_dir: std::path::PathBuf,
    /// The task's logs.
    pub log: TaskLog,
    /// What must survive a crash.
    pub journal: Journal,
}

/// The task is not one that this builder's hub plugin makes.
#[derive(Debug, thiserror::Error)]
#[error("the task's request cannot be used: {0}")]
pub struct BadTask(pub &'static str);

impl Diagnose for BadTask {
    fn blame(&self) -> Blame {
        Blame::Packager
    }
    fn kind(&self) -> &'static str {
        "task-request"
    }
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
    let arch = settings.worker.arch();
    let is_subtask = ticket.method == CREATE_CONTAINER;
    // The logs of all tasks of a build end up in one directory of it.
    let prefix = if is_subtask { format!("{arch}-") } else { String::new() };
    let logs_dir = dir.join("logs");
    let log = if ticket.resumed { TaskLog::reopen(&logs_dir, &prefix) } else { TaskLog::create(&logs_dir, &prefix) };
    let log = log.context("cannot create the task's logs")?;
    let upload = log.upload(session.clone(), ticket.task);
    let work_dir = dir.join("work");
    clear(&work_dir)?;
    std::fs::create_dir_all(&work_dir).context("cannot create the work directory")?;
    let mut context = TaskContext {
        settings,
        session: session.clone(),
        task: ticket.task,
        host: ticket.host,
        work_dir: work_dir.clone(),
        log: log.clone(),
        journal: Journal::open(dir)?,
    };
    let outcome = if is_subtask {
        match create_container::handle(&context).await {
            Ok(mut result) => {
                last_words(&log, &session);
                result.logs.extend(upload.finish(&arch).await);
                Outcome::Closed(serde_json::to_value(&result).context("cannot write the result")?)
            }
            Err(error) => {
                let outcome = failed(&log, &*error);
                last_words(&log, &session);
                upload.finish(&arch).await;
                outcome
            }
        }
    } else {
        let handled = if ticket.method == BUILD_SOURCE_CONTAINER {
            build_source_container::handle(&mut context).await.map(Handled::Done)
        } else {
            build_container::handle(&mut context).await
        };
        let outcome = match handled {
            Ok(Handled::Done(result)) => {
                for warning in &result.user_warnings {
                    log.step(&format!("warning: {warning}"));
                }
                Outcome::Closed(serde_json::to_value(&result).context("cannot write the result")?)
            }
            Ok(Handled::Waiting) => {
                clear(&work_dir)?; // nothing is held while waiting
                Outcome::Waiting
            }
            Err(error) => failed(&log, &*error),
        };
        last_words(&log, &session);
        upload.finish(&arch).await;
        outcome
    };
    if let Err(error) = session.logout().await {
        tracing::debug!(%error, "not logged out");
    }
    Ok(outcome)
}

fn failed(log: &TaskLog, error: &(dyn Diagnose + Send + Sync)) -> Outcome {
    let failure = Failure::from_error(error);
    log.step(&format!("FAILED ({}, {}): {}", failure.blame, failure.kind, failure.message));
    if let Some(hint) = &failure.hint {
        log.step(&format!("what to do: {hint}"));
    }
    Outcome::Failed(failure)
}

fn last_words(log: &TaskLog, session: &Session) {
    log.step(&format!("{} hub calls", session.calls_made()));
}

fn clear(dir: &Path) -> anyhow::Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e).context("cannot clear the work directory"),
        _ => Ok(()),
    }
}
