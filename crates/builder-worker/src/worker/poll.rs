//! The check-in loop. It never waits for a build: builds are child processes, and everything here is a short hub call.
//!
//! One turn, as kojid's (builder/kojid; koji/daemon.py TaskManager): tell the load, find jobs the hub no longer
//! counts as ours, take what is assigned to us. `koji cancel` is noticed by the second: a cancelled task is missing
//! from `host.getHostTasks`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use build_model::{Diagnose, FaultCode, TaskId};
use koji_session::{HubError, Session, TaskState};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::job::{Ended, Job, Stop};
use super::settle::settle;
use super::startup;
use crate::config::Settings;
use crate::task::{METHODS, Outcome, TASK_WEIGHT, TaskTicket};

/// How long running builds get to end by themselves when the worker is told to stop.
const SHUTDOWN_SECONDS: u64 = 10;

/// Runs the worker until it is told to stop (SIGTERM, SIGINT).
///
/// # Errors
/// When it cannot start, or the hub ends its session for good.
pub async fn run(settings: Settings, config: PathBuf) -> anyhow::Result<()> {
    let _lock = startup::lock_state_dir(&settings)?;
    startup::sweep_machine(&settings)?;
    let session = Session::login(&startup::hub_config(&settings)?).await.context("cannot log in to the hub")?;
    session.exclusive(true).await.context("cannot take the exclusive session")?;
    let host = session.get_host().await.context("the hub does not know this user as a builder host")?;
    tracing::info!(host = host.name, arches = ?host.arches, capacity = host.capacity, "checked in");
    startup::sweep_tasks(&session, &settings).await;
    let (ended_sender, mut ended) = mpsc::channel(64);
    let mut worker = Worker { settings, config, session, jobs: BTreeMap::new(), unsettled: Vec::new(), ended_sender };
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Told to stop in the middle of a hub call (the hub may be down for hours), the worker stops at once.
    let stopped = tokio::select! {
        result = worker.turns(&mut ended) => result,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    };
    if stopped.is_ok() {
        worker.shut_down(&mut ended).await;
    }
    stopped.context("the hub ended this worker's session")
}

/// Errors after which the session is of no use: kojid exits on the same ones, and systemd starts it anew.
fn ends_session(error: &HubError) -> bool {
    use FaultCode::{AuthError, AuthExpired, AuthLockError, RetryError, SequenceError};
    matches!(error.fault_code(), Some(AuthError | AuthExpired | AuthLockError | RetryError | SequenceError))
}

struct Worker {
    settings: Settings,
    config: PathBuf,
    session: Session,
    jobs: BTreeMap<TaskId, Job>,
    /// Ended jobs whose end the hub has not been told yet, because it could not be reached.
    unsettled: Vec<(Job, Ended)>,
    ended_sender: mpsc::Sender<Ended>,
}

impl Worker {
    /// Checks in again and again; returns only when the hub has ended the session.
    async fn turns(&mut self, ended: &mut mpsc::Receiver<Ended>) -> Result<(), HubError> {
        let mut turn = tokio::time::interval(Duration::from_secs_f64(self.settings.worker.poll_seconds));
        turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let result = tokio::select! {
                _ = turn.tick() => self.check_in().await,
                Some(end) = ended.recv() => { self.job_ended(end).await; Ok(()) }
            };
            match result {
                Ok(()) => {}
                Err(error) if ends_session(&error) => return Err(error),
                Err(error) => tracing::warn!(%error, blame = %error.blame(), "check-in failed; trying again"),
            }
        }
    }

    async fn check_in(&mut self) -> Result<(), HubError> {
        self.settle_again().await;
        let held = self.session.get_host_tasks().await?;
        let strangers: Vec<TaskId> =
            held.iter().map(|t| t.id).filter(|id| !self.jobs.contains_key(id) && !self.is_unsettled(*id)).collect();
        if !strangers.is_empty() {
            // Tasks of an earlier life of this worker: give them back; the hub assigns them again.
            tracing::info!(?strangers, "freeing tasks that were running when this worker died");
            self.session.free_tasks(&strangers).await?;
        }
        let lost: Vec<TaskId> = self.jobs.keys().copied().filter(|id| held.iter().all(|t| t.id != *id)).collect();
        for id in lost {
            self.drop_lost(id).await?;
        }
        self.stop_overdue();
        let load: f64 = held.iter().filter(|t| !t.waiting && self.jobs.contains_key(&t.id)).map(|t| t.weight).sum();
        let ready = !self.is_full() && self.has_space();
        self.session.update_host(load, ready, &METHODS, self.settings.worker.max_jobs).await?;
        if ready {
            for task in self.session.get_tasks().await? {
                if self.is_full() {
                    break;
                }
                if task.state == TaskState::Assigned && !self.jobs.contains_key(&task.id) && !self.is_unsettled(task.id) {
                    self.take(task.id, &task.method).await?;
                }
            }
        }
        Ok(())
    }

    /// A job the hub no longer lists as ours: cancelled, given to another host, or settled a moment ago.
    async fn drop_lost(&mut self, id: TaskId) -> Result<(), HubError> {
        let info = self.session.get_task_info(id, false).await?;
        let why = match info.map(|i| i.state) {
            Some(TaskState::Open) => return Ok(()), // opened between the two calls
            Some(TaskState::Canceled) => Stop::Cancelled,
            _ => Stop::TakenAway,
        };
        if let Some(job) = self.jobs.get_mut(&id) {
            tracing::info!(task = %id, ?why, "stopping a job");
            job.stop(why);
        }
        Ok(())
    }

    fn stop_overdue(&mut self) {
        let limit = Duration::from_secs(self.settings.worker.max_task_seconds);
        for job in self.jobs.values_mut().filter(|j| j.started.elapsed() > limit) {
            job.stop(Stop::TimedOut);
        }
    }

    async fn take(&mut self, id: TaskId, method: &str) -> Result<(), HubError> {
        if !METHODS.contains(&method) {
            // A hard refusal, so that the hub never offers it to this host again.
            let why = format!("this builder does not handle {method}");
            return self.session.refuse_task(id, false, &why).await;
        }
        if self.session.open_task(id).await?.is_none() {
            return Ok(()); // cancelled or lost in between
        }
        self.session.set_task_weight(id, TASK_WEIGHT).await?;
        match self.start(id, method).await {
            Ok(job) => {
                tracing::info!(task = %id, method, "started");
                self.jobs.insert(id, job);
                Ok(())
            }
            Err(error) => {
                tracing::error!(task = %id, error = format!("{error:#}"), "cannot start a task process");
                self.session.refuse_task(id, true, &format!("this builder cannot start it: {error:#}")).await
            }
        }
    }

    async fn start(&self, id: TaskId, method: &str) -> anyhow::Result<Job> {
        let dir = self.settings.tasks_dir().join(id.to_string());
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        Outcome::forget(&dir)?;
        let session = self.session.subsession().await?;
        let ticket = TaskTicket { task: id, method: method.to_owned(), session: session.export() };
        Ok(Job::start(&self.config, dir, &ticket, self.ended_sender.clone()).await?)
    }

    async fn job_ended(&mut self, end: Ended) {
        let Some(job) = self.jobs.remove(&end.task) else { return };
        if let Err(error) = settle(&self.session, &job, &end).await {
            tracing::warn!(task = %end.task, %error, "cannot tell the hub how a task ended; trying again");
            self.unsettled.push((job, end));
        }
        if self.jobs.is_empty() {
            self.flush_store();
        }
    }

    /// Unpacked layers are flushed when nobody waits; until then they are trusted up to the next start of the machine.
    fn flush_store(&self) {
        let dir = self.settings.store_dir();
        tokio::task::spawn_blocking(move || match image_layers::Store::open(&dir).and_then(|store| store.flush_layers()) {
            Ok(0) => {}
            Ok(layers) => tracing::debug!(layers, "flushed unpacked layers"),
            Err(error) => tracing::warn!(%error, "cannot flush unpacked layers"),
        });
    }

    async fn settle_again(&mut self) {
        for (job, end) in std::mem::take(&mut self.unsettled) {
            if settle(&self.session, &job, &end).await.is_err() {
                self.unsettled.push((job, end));
            }
        }
    }

    fn is_full(&self) -> bool {
        self.jobs.len() >= self.settings.worker.max_jobs as usize
    }

    fn is_unsettled(&self, id: TaskId) -> bool {
        self.unsettled.iter().any(|(_, end)| end.task == id)
    }

    fn has_space(&self) -> bool {
        match free_megabytes(&self.settings.worker.state_dir) {
            Ok(free) if free < self.settings.worker.min_free_mb => {
                tracing::warn!(free, needed = self.settings.worker.min_free_mb, "not ready: too little disk space (MB)");
                false
            }
            Ok(_) => true,
            Err(error) => {
                tracing::warn!(%error, "not ready: cannot look at the state directory");
                false
            }
        }
    }

    /// Lets running builds end for a moment, then stops them and gives their tasks back.
    async fn shut_down(mut self, ended: &mut mpsc::Receiver<Ended>) {
        tracing::info!(jobs = self.jobs.len(), "shutting down");
        for job in self.jobs.values_mut() {
            job.stop(Stop::Shutdown);
        }
        let deadline = tokio::time::Instant::now() + Duration::from_secs(SHUTDOWN_SECONDS);
        let tasks: Vec<TaskId> = self.jobs.keys().copied().collect();
        while !self.jobs.is_empty() {
            match tokio::time::timeout_at(deadline, ended.recv()).await {
                Ok(Some(end)) => self.job_ended(end).await,
                _ => break,
            }
        }
        // Those that ended in the last moment are closed already; freeing them again changes nothing.
        for task in tasks {
            if let Err(error) = self.session.free_tasks(&[task]).await {
                tracing::debug!(%task, %error, "not freed");
            }
        }
        if let Err(error) = self.session.check_out().await {
            tracing::warn!(%error, "cannot report that this host is not ready");
        }
        if let Err(error) = self.session.logout().await {
            tracing::debug!(%error, "not logged out");
        }
    }
}

fn free_megabytes(dir: &Path) -> std::io::Result<u64> {
    let stat = rustix::fs::statvfs(dir)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize) >> 20)
}
