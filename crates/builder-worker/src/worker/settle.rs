//! From outcome to hub: the one place that decides between close, fail, free and nothing.
//!
//! | how it ended                    | to the hub                     | reservation        |
//! |---------------------------------|--------------------------------|--------------------|
//! | closed                          | closeTask                      | used by the import |
//! | waiting for its subtasks        | nothing: its process told it   | kept with journal  |
//! | failed                          | failTask, fault 1005 or 2001   | refunded: FAILED   |
//! | cancelled                       | nothing (it would be 1004)     | refunded: CANCELED |
//! | taken away                      | nothing; it runs elsewhere     | kept               |
//! | timed out, crashed              | failTask 2001                  | refunded: FAILED   |
//! | worker shuts down               | freeTasks                      | kept with journal  |

use std::path::Path;

use build_model::{FaultCode, TaskId};
use koji_session::{BuildState, HubError, Session};

use super::Journal;
use super::job::{Ended, Job, Stop};
use crate::task::{Failure, Outcome, send_all};

/// What is left of an ended job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// Nothing.
    Gone,
    /// It waits for its subtasks; its directory stays.
    Waiting,
}

/// Settles an ended job with the hub and removes its directory where nothing in it is needed again.
///
/// # Errors
/// When the hub cannot be reached: then nothing is removed, and the same call can be made again.
pub async fn settle(session: &Session, job: &Job, ended: &Ended) -> Result<Settled, HubError> {
    let task = ended.task;
    let read = Outcome::read(&job.dir);
    if let Some(child) = job.session.filter(|_| read.is_none()) {
        // Killed or crashed: a call that is still on its way must not be carried out for it.
        if let Err(error) = session.logout_child(child).await {
            tracing::warn!(%task, %error, "cannot end the session of a task process that is gone");
        }
    }
    let outcome = match (job.stopping, read) {
        (None | Some(Stop::TimedOut | Stop::Shutdown), Some(outcome)) => outcome, // it finished before the kill arrived
        (Some(Stop::Cancelled), _) => {
            abandon(session, task, &job.dir, Lost::Cancelled).await;
            return Ok(Settled::Gone);
        }
        (Some(Stop::TakenAway | Stop::Shutdown), _) => {
            abandon(session, task, &job.dir, Lost::TakenAway).await;
            return Ok(Settled::Gone);
        }
        (Some(Stop::TimedOut), None) => {
            let hours = job.started.elapsed().as_secs_f64() / 3600.0;
            Outcome::Failed(Failure::site(
                "task-timeout",
                format!("the build ran for {hours:.1} hours, longer than this builder allows"),
            ))
        }
        (None, None) => {
            let how = match &ended.status {
                Ok(status) => status.to_string(),
                Err(error) => error.to_string(),
            };
            Outcome::Failed(Failure::site("task-process-died", format!("the build process ended without a result ({how})")))
        }
    };
    let told = match &outcome {
        Outcome::Waiting => return Ok(Settled::Waiting),
        Outcome::Closed(result) => session.close_task(task, &koji_session::Value::from_json(result)).await,
        Outcome::Failed(failure) => {
            send_all(session, task, &job.dir.join("logs")).await;
            refund_dir(session, &job.dir, BuildState::Failed).await;
            session.fail_task(task, failure.fault_code(), &failure.fault_text()).await
        }
    };
    match told {
        Err(error) if error.fault_code() == Some(FaultCode::ActionNotAllowed) => {
            // 1004: it was cancelled or taken away in the last moment. Nobody is waiting for this result.
            tracing::warn!(%task, %error, "the hub does not want the result");
            refund_dir(session, &job.dir, BuildState::Canceled).await;
        }
        Err(error) => return Err(error),
        Ok(()) => tracing::info!(%task, outcome = outcome.word(), "settled"),
    }
    cancel_lost(session, &job.dir).await;
    remove(task, &job.dir);
    Ok(Settled::Gone)
}

/// How this builder lost a task that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// It was cancelled.
    Cancelled,
    /// It was given to another host, or freed.
    TakenAway,
}

/// Lets go of a task of which nothing runs here any more: nothing is told to the hub, which knows.
pub async fn abandon(session: &Session, task: TaskId, dir: &Path, lost: Lost) {
    match lost {
        Lost::Cancelled => {
            refund_dir(session, dir, BuildState::Canceled).await;
            remove(task, dir);
        }
        Lost::TakenAway => keep_journal(task, dir),
    }
}

async fn refund_dir(session: &Session, dir: &Path, state: BuildState) {
    match Journal::open(dir) {
        Ok(mut journal) => refund(session, &mut journal, state).await,
        Err(error) => tracing::warn!(%error, "cannot read a task journal; a reservation may be left"),
    }
}

/// Cancels builds that were reserved for an ended task and whose token never arrived. Only then: while the task is open,
/// the hub would cancel it along with the build (koji-facts §8.11).
pub async fn cancel_lost(session: &Session, dir: &Path) {
    let Ok(journal) = Journal::open(dir) else { return };
    for build in journal.lost() {
        match session.cancel_build(*build).await {
            Ok(_) => tracing::info!(%build, "cancelled a reservation without a token"),
            Err(error) => tracing::warn!(%build, %error, "a reservation without a token is left; cancel the build by hand"),
        }
    }
}

/// Gives a reserved build back, when there is one. A hub that has done so already (cancelling a task cancels its build)
/// is not an error.
pub async fn refund(session: &Session, journal: &mut Journal, state: BuildState) {
    let Some(reserved) = journal.reserved().cloned() else { return };
    match session.refund(&reserved.content_generator, &reserved.reservation(), state).await {
        Ok(()) => tracing::info!(nvr = %reserved.nvr, ?state, "gave the reservation back"),
        Err(error) => tracing::info!(nvr = %reserved.nvr, %error, "the reservation was not open any more"),
    }
    if let Err(error) = journal.set_reserved(None) {
        tracing::warn!(%error, "cannot clear a task journal");
    }
}

fn remove(task: TaskId, dir: &Path) {
    if let Err(error) = std::fs::remove_dir_all(dir) {
        tracing::warn!(%task, %error, "cannot remove a task's directory; the next start sweeps it");
    }
}

/// Removes everything but the journal: the task may be run again here and then needs its reservation's token.
fn keep_journal(task: TaskId, dir: &Path) {
    if let Err(error) = Outcome::forget(dir) {
        tracing::warn!(%task, %error, "cannot remove the outcome of a task that was taken away");
    }
    for part in ["work", "logs"] {
        match std::fs::remove_dir_all(dir.join(part)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(%task, %error, "cannot remove a task's {part} directory");
            }
            _ => {}
        }
    }
}
