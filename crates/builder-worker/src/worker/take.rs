//! Taking tasks and turning them down: what the loop of worker/poll.rs does with a task that the hub offers.
//!
//! | a task                                           | the hub is told                                     |
//! |--------------------------------------------------|-----------------------------------------------------|
//! | of a method that this builder does not handle    | hard refusal: never offered to this host again      |
//! | of an architecture that it does not build for    | hard refusal                                        |
//! | that cannot be started here now                  | soft refusal: another host, or this one much later  |
//! | that was cancelled or given away meanwhile       | nothing: `openTask` answers nil                     |
//! | `restart`, `restartVerify`                       | answered by the loop itself (worker/restart.rs)     |
//!
//! Hubs without a scheduler know no refusals (before 1.34): a task that was opened is freed, and passed over here.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use build_model::{FaultCode, TaskId};
use koji_session::{AssignedTask, Dispatch, HubError, Value};
use tokio::time::Instant;

use super::drain::Drain;
use super::job::Job;
use super::poll::Worker;
use super::restart::{self, RestartError};
use crate::task::{CREATE_CONTAINER, METHODS, Outcome, TASK_WEIGHT, TaskTicket};

/// How long a soft refusal lasts on hubs that keep none: as on those that do (`SoftRefusalTimeout`).
const SOFT_REFUSAL: Duration = Duration::from_secs(900);

/// The methods reported to the hub.
pub fn handled_methods() -> Vec<&'static str> {
    METHODS.iter().chain(&restart::METHODS).copied().collect()
}

/// Tasks this host has turned down on a hub that does not remember it: until when, or for good.
#[derive(Debug, Default)]
pub struct TurnedDown(BTreeMap<TaskId, Option<Instant>>);

impl TurnedDown {
    /// Whether a task is to be passed over.
    pub fn has(&self, task: TaskId) -> bool {
        self.0.get(&task).is_some_and(|until| until.is_none_or(|until| Instant::now() < until))
    }

    /// Forgets tasks that are offered no more.
    pub fn keep(&mut self, offered: &[AssignedTask]) {
        self.0.retain(|id, _| offered.iter().any(|t| t.id == *id));
    }

    fn add(&mut self, task: TaskId, soft: bool) {
        self.0.insert(task, soft.then(|| Instant::now() + SOFT_REFUSAL));
    }
}

/// How a task is turned down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// For the life of the task; it was not opened.
    Hard,
    /// For a quarter of an hour; it was opened.
    SoftOpened,
}

impl Worker {
    pub(super) async fn take_all(&mut self, tasks: &[AssignedTask]) -> Result<(), HubError> {
        for task in tasks {
            if self.is_full() || self.drain.is_some() {
                break;
            }
            if !self.knows(task.id) {
                self.active = Some(Instant::now());
                self.expecting = None;
                self.take(task).await?;
            }
        }
        Ok(())
    }

    async fn take(&mut self, task: &AssignedTask) -> Result<(), HubError> {
        let (id, method) = (task.id, task.method.as_str());
        if restart::METHODS.contains(&method) {
            return self.host_task(id, method).await;
        }
        if !METHODS.contains(&method) {
            let why = format!("this builder does not handle {method}");
            return self.refuse(id, Refusal::Hard, &why).await;
        }
        let own = self.settings.worker.arch();
        if method == CREATE_CONTAINER && task.arch != own.as_str() && task.arch != "noarch" {
            let why = format!("this builder builds for {own}, not for {}", task.arch);
            return self.refuse(id, Refusal::Hard, &why).await;
        }
        if self.session.open_task(id).await?.is_none() {
            return Ok(()); // cancelled or lost in between
        }
        match self.session.set_task_weight(id, TASK_WEIGHT).await {
            Err(error) if error.fault_code() == Some(FaultCode::ActionNotAllowed) => {
                tracing::info!(task = %id, %error, "cancelled as soon as it was opened");
                return Ok(());
            }
            done => done?,
        }
        match self.start(id, method, false).await {
            Ok(job) => {
                tracing::info!(task = %id, method, "started");
                self.jobs.insert(id, job);
                Ok(())
            }
            Err(error) => {
                tracing::error!(task = %id, error = format!("{error:#}"), "cannot start a task process");
                self.refuse(id, Refusal::SoftOpened, &format!("this builder cannot start it: {error:#}")).await
            }
        }
    }

    async fn refuse(&mut self, id: TaskId, how: Refusal, why: &str) -> Result<(), HubError> {
        let soft = how == Refusal::SoftOpened;
        if self.dispatch != Dispatch::HostsChoose {
            return self.session.refuse_task(id, soft, why).await;
        }
        if !self.turned_down.has(id) {
            tracing::info!(task = %id, why, "passed over");
        }
        self.turned_down.add(id, soft);
        if soft { self.session.free_tasks(&[id]).await } else { Ok(()) }
    }

    /// `restart` and `restartVerify`: opened, answered, closed.
    async fn host_task(&mut self, id: TaskId, method: &str) -> Result<(), HubError> {
        if self.session.open_task(id).await?.is_none() {
            return Ok(());
        }
        let info = self.session.get_task_info(id, true).await?;
        let request = info.and_then(|info| info.request).unwrap_or_default();
        let is_restart = method == restart::METHODS[0];
        let answer = if is_restart {
            restart::check_restart(&request, self.host).map(|()| Value::from(restart::INITIATED))
        } else {
            self.verify_restart(&request).await?.map(|()| Value::Nil)
        };
        match answer {
            Ok(result) => {
                self.session.close_task(id, &result).await?;
                if is_restart {
                    tracing::warn!(task = %id, "asked to restart; running builds are finished first");
                    self.drain = Some(self.drain.map_or(Drain::ThenRestart, |drain| drain.with(Drain::ThenRestart)));
                }
                Ok(())
            }
            Err(error) => {
                tracing::warn!(task = %id, method, %error, "a task of this host fails");
                self.session.fail_task(id, FaultCode::GenericError, &error.to_string()).await
            }
        }
    }

    async fn verify_restart(&self, request: &[Value]) -> Result<Result<(), RestartError>, HubError> {
        let first = match restart::first_task(request, self.host) {
            Ok(first) => first,
            Err(error) => return Ok(Err(error)),
        };
        let info = self.session.get_task_info(first, false).await?;
        Ok(restart::check_restarted(info.as_ref(), self.session.started_at().await?))
    }

    pub(super) async fn start(&self, id: TaskId, method: &str, resumed: bool) -> anyhow::Result<Job> {
        let dir = self.task_dir(id);
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        Outcome::forget(&dir)?;
        let session = self.session.subsession().await?;
        let ticket = TaskTicket { task: id, method: method.to_owned(), host: self.host, resumed, session: session.export() };
        Ok(Job::start(&self.config, dir, &ticket, self.ended_sender.clone()).await?)
    }

    pub(super) fn task_dir(&self, id: TaskId) -> PathBuf {
        self.settings.tasks_dir().join(id.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_was_turned_down_is_passed_over_for_a_while_or_for_good() {
        let mut turned_down = TurnedDown::default();
        turned_down.add(TaskId(1), false);
        turned_down.add(TaskId(2), true);
        turned_down.0.insert(TaskId(3), Some(Instant::now()));
        assert!(turned_down.has(TaskId(1)) && turned_down.has(TaskId(2)));
        assert!(!turned_down.has(TaskId(3)), "its time is over");
        assert!(!turned_down.has(TaskId(4)));
        turned_down.keep(&[]);
        assert!(!turned_down.has(TaskId(1)), "the task has ended or is somebody's");
    }
}
