//! The tasks this host holds at the hub, compared with what runs here: adopted after a restart, lost, gone on with, overdue.
//! Called by the loop of worker/poll.rs with every check-in.

use std::time::Duration;

use build_model::TaskId;
use koji_session::{HeldTask, HubError, TaskState};

use super::drain::Drain;
use super::job::Stop;
use super::poll::Worker;
use super::settle::{Lost, abandon};
use crate::task::{METHODS, Outcome};

impl Worker {
    /// Takes over the tasks that were waiting when an earlier life of this worker ended: nothing of them ran.
    pub(super) fn adopt(&mut self, held: &[HeldTask]) {
        for task in held.iter().filter(|t| t.waiting && !self.knows(t.id)).map(|t| t.id).collect::<Vec<_>>() {
            let dir = self.task_dir(task);
            if matches!(Outcome::read(&dir), Some(Outcome::Waiting)) {
                tracing::info!(%task, "still waiting for its subtasks");
                self.waiting.insert(task, dir);
            }
        }
    }

    /// A task the hub no longer lists as ours: cancelled, given to another host, or settled a moment ago.
    pub(super) async fn drop_lost(&mut self, id: TaskId) -> Result<(), HubError> {
        let info = self.session.get_task_info(id, false).await?;
        let lost = match info.map(|i| (i.state, i.host_id)) {
            Some((TaskState::Open, Some(host))) if host == self.host => return Ok(()), // opened between the two calls
            Some((TaskState::Canceled, _)) => Lost::Cancelled,
            _ => Lost::TakenAway,
        };
        tracing::info!(task = %id, ?lost, "this task is not ours any more");
        if let Some(job) = self.jobs.get_mut(&id) {
            job.stop(match lost {
                Lost::Cancelled => Stop::Cancelled,
                Lost::TakenAway => Stop::TakenAway,
            });
        } else if let Some(dir) = self.waiting.remove(&id) {
            abandon(&self.session, id, &dir, lost).await;
        }
        Ok(())
    }

    /// Runs a task again whose subtasks have ended.
    pub(super) async fn resume(&mut self, id: TaskId) -> Result<(), HubError> {
        let Some(dir) = self.waiting.remove(&id) else { return Ok(()) };
        match self.start(id, METHODS[0], true).await {
            Ok(job) => {
                tracing::info!(task = %id, "going on");
                self.jobs.insert(id, job);
                Ok(())
            }
            Err(error) => {
                // Still waiting, as far as this builder is concerned; the next turn tries again.
                tracing::error!(task = %id, error = format!("{error:#}"), "cannot start a task process");
                if let Err(error) = Outcome::Waiting.write(&dir) {
                    tracing::error!(task = %id, %error, "cannot note that a task waits");
                }
                self.waiting.insert(id, dir);
                Ok(())
            }
        }
    }

    pub(super) fn stop_overdue(&mut self) {
        let limit = Duration::from_secs(self.settings.worker.max_task_seconds);
        for job in self.jobs.values_mut().filter(|j| j.started.elapsed() > limit) {
            job.stop(Stop::TimedOut);
        }
    }

    /// Going on needs no free place: a coordinator builds nothing, and one whose subtask failed has to stop the other, which
    /// may be what takes the place. Twice as many processes as places is the limit all the same. A worker that is about to
    /// restart leaves them to the one that comes after.
    pub(super) fn may_resume(&self) -> bool {
        self.drain != Some(Drain::ThenRestart) && self.jobs.len() < 2 * self.settings.worker.max_jobs as usize
    }
}
