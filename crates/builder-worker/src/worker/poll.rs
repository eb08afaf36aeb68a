//! The check-in loop. It never waits for a build: builds are child processes, and everything here is a short hub call.
//!
//! One turn, as kojid's (builder/kojid; koji/daemon.py TaskManager): tell the load, find jobs the hub no longer
//! counts as ours, go on with those whose subtasks have ended, take what is assigned to us. `koji cancel` is noticed by
//! the second: a cancelled task is missing from `host.getHostTasks`.
//!
//! A task that waits for its subtasks has no process and takes no place here. The hub counts it among this host's tasks
//! all the same, so the host's maximum is reported with the waiting ones on top (koji-facts §8.25): a builder with one
//! place can do a coordinator and its subtasks, and any number of coordinators cannot keep it from the subtasks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use build_model::{Diagnose, FaultCode, TaskId};
use koji_session::{AssignedTask, CheckIn, Dispatch, HeldTask, HostReport, HubError, Offered, Session, TaskState};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::job::{Ended, Job, Stop};
use super::settle::{Lost, Settled, abandon, settle};
use super::startup;
use crate::config::Settings;
use crate::task::{METHODS, Outcome, TASK_WEIGHT, TaskTicket};

/// How long running builds get to end by themselves when the worker is told to stop.
const SHUTDOWN_SECONDS: u64 = 10;

/// How often directories are looked at that tasks left when they were given to another host: what they have reserved can
/// only be given back from here.
const SWEEP_EVERY: Duration = Duration::from_secs(600);

/// How often an idle host checks in with everything. The hub takes a host for not ready after three minutes.
const CHECK_IN_EVERY: Duration = Duration::from_secs(60);

/// How long a worker goes on asking often after something happened: tasks come in groups.
const BUSY_FOR: Duration = Duration::from_secs(20);

/// kojid's `task_avail_delay`, for hubs without a scheduler.
const AVAIL_DELAY: f64 = 300.0;

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
    startup::sweep_tasks(&session, &settings, &|_| false).await;
    let (ended_sender, mut ended) = mpsc::channel(64);
    let mut worker = Worker {
        settings,
        config,
        session,
        host: host.id,
        dispatch: Dispatch::default(),
        jobs: BTreeMap::new(),
        waiting: BTreeMap::new(),
        unsettled: Vec::new(),
        load: 0.0,
        active: None,
        checked_in: None,
        seen: BTreeMap::new(),
        ended_sender,
    };
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
    host: i64,
    jobs: BTreeMap<TaskId, Job>,
    /// Directories of the tasks that wait for their subtasks.
    waiting: BTreeMap<TaskId, PathBuf>,
    /// Ended jobs whose end the hub has not been told yet, because it could not be reached.
    unsettled: Vec<(Job, Ended)>,
    /// What the hub is like.
    dispatch: Dispatch,
    /// Weight of the running tasks, as the hub told it last.
    load: f64,
    /// When a task last began or ended here.
    active: Option<Instant>,
    /// The last check-in.
    checked_in: Option<Instant>,
    /// When free tasks were first seen, on hubs that let hosts choose.
    seen: BTreeMap<TaskId, Instant>,
    ended_sender: mpsc::Sender<Ended>,
}

impl Worker {
    /// Checks in again and again; returns only when the hub has ended the session.
    async fn turns(&mut self, ended: &mut mpsc::Receiver<Ended>) -> Result<(), HubError> {
        let mut next = Instant::now();
        let mut sweep = tokio::time::interval_at(next + SWEEP_EVERY, SWEEP_EVERY);
        loop {
            let result = tokio::select! {
                () = tokio::time::sleep_until(next) => {
                    let done = self.turn().await;
                    next = Instant::now() + self.pause();
                    done
                }
                Some(end) = ended.recv() => {
                    self.job_ended(end).await;
                    // There is a place now, or a coordinator whose subtask this was.
                    self.active = Some(Instant::now());
                    next = Instant::now();
                    Ok(())
                }
                _ = sweep.tick() => {
                    startup::sweep_tasks(&self.session, &self.settings, &|task| self.knows(task)).await;
                    Ok(())
                }
            };
            match result {
                Ok(()) => {}
                Err(error) if ends_session(&error) => return Err(error),
                Err(error) => tracing::warn!(%error, blame = %error.blame(), "check-in failed; trying again"),
            }
        }
    }

    /// How long to leave the hub alone.
    fn pause(&self) -> Duration {
        let seconds = if self.is_busy() { self.settings.worker.busy_poll_seconds } else { self.settings.worker.poll_seconds };
        Duration::from_secs_f64(seconds)
    }

    /// Whether something may happen any moment: tasks are under way, or were a moment ago.
    fn is_busy(&self) -> bool {
        let something = !self.jobs.is_empty() || !self.waiting.is_empty() || !self.unsettled.is_empty();
        something || self.active.is_some_and(|at| at.elapsed() < BUSY_FOR)
    }

    /// One turn. An idle worker only asks for tasks; it checks in for good once in a while, and as soon as it is busy.
    async fn turn(&mut self) -> Result<(), HubError> {
        let is_due = self.checked_in.is_none_or(|at| at.elapsed() >= CHECK_IN_EVERY);
        if self.is_busy() || is_due || self.dispatch == Dispatch::HostsChoose {
            self.check_in().await
        } else {
            let tasks = self.session.get_tasks().await?;
            self.take_all(&tasks).await
        }
    }

    async fn check_in(&mut self) -> Result<(), HubError> {
        self.settle_again().await;
        let ready = !self.is_full() && self.has_space();
        let waiting = u32::try_from(self.waiting.len()).unwrap_or(u32::MAX);
        let report = HostReport {
            load: self.load,
            ready,
            methods: &METHODS,
            maxjobs: self.settings.worker.max_jobs.saturating_add(waiting),
        };
        let CheckIn { held, offered } = self.session.check_in(&report, &mut self.dispatch).await?;
        self.checked_in = Some(Instant::now());
        self.adopt(&held);
        let strangers: Vec<TaskId> = held.iter().map(|t| t.id).filter(|id| !self.knows(*id)).collect();
        if !strangers.is_empty() {
            // Tasks of an earlier life of this worker: give them back; the hub assigns them again.
            tracing::info!(?strangers, "freeing tasks that were running when this worker died");
            self.session.free_tasks(&strangers).await?;
        }
        let mine = self.jobs.keys().chain(self.waiting.keys());
        let lost: Vec<TaskId> = mine.copied().filter(|id| held.iter().all(|t| t.id != *id)).collect();
        for id in lost {
            self.drop_lost(id).await?;
        }
        self.stop_overdue();
        for task in held.iter().filter(|t| !t.waiting || t.alert) {
            if self.waiting.contains_key(&task.id) && self.may_resume() {
                self.resume(task.id).await?;
            }
        }
        self.load = held.iter().filter(|t| !t.waiting && self.jobs.contains_key(&t.id)).map(|t| t.weight).sum();
        match offered {
            Offered::Assigned(tasks) => self.take_all(&tasks).await,
            Offered::Choice(data) => {
                self.seen.retain(|id, _| data.tasks.iter().any(|t| t.id == *id));
                let seen = &mut self.seen;
                let mut known = |id| seen.entry(id).or_insert_with(Instant::now).elapsed().as_secs_f64();
                let tasks: Vec<_> = data.choose(self.host, AVAIL_DELAY, &mut known).into_iter().cloned().collect();
                self.take_all(&tasks).await
            }
        }
    }

    async fn take_all(&mut self, tasks: &[AssignedTask]) -> Result<(), HubError> {
        for task in tasks {
            if self.is_full() {
                break;
            }
            if !self.knows(task.id) {
                self.active = Some(Instant::now());
                self.take(task).await?;
            }
        }
        Ok(())
    }

    fn knows(&self, id: TaskId) -> bool {
        self.jobs.contains_key(&id) || self.waiting.contains_key(&id) || self.unsettled.iter().any(|(_, end)| end.task == id)
    }

    /// Takes over the tasks that were waiting when an earlier life of this worker ended: nothing of them ran.
    fn adopt(&mut self, held: &[HeldTask]) {
        for task in held.iter().filter(|t| t.waiting && !self.knows(t.id)).map(|t| t.id).collect::<Vec<_>>() {
            let dir = self.task_dir(task);
            if matches!(Outcome::read(&dir), Some(Outcome::Waiting)) {
                tracing::info!(%task, "still waiting for its subtasks");
                self.waiting.insert(task, dir);
            }
        }
    }

    /// A task the hub no longer lists as ours: cancelled, given to another host, or settled a moment ago.
    async fn drop_lost(&mut self, id: TaskId) -> Result<(), HubError> {
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
    async fn resume(&mut self, id: TaskId) -> Result<(), HubError> {
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

    fn stop_overdue(&mut self) {
        let limit = Duration::from_secs(self.settings.worker.max_task_seconds);
        for job in self.jobs.values_mut().filter(|j| j.started.elapsed() > limit) {
            job.stop(Stop::TimedOut);
        }
    }

    async fn take(&mut self, task: &AssignedTask) -> Result<(), HubError> {
        let (id, method) = (task.id, task.method.as_str());
        if !METHODS.contains(&method) {
            if self.dispatch == Dispatch::HostsChoose {
                return Ok(()); // nobody has given it to us; another host will take it
            }
            // A hard refusal, so that the hub never offers it to this host again.
            let why = format!("this builder does not handle {method}");
            return self.session.refuse_task(id, false, &why).await;
        }
        if self.session.open_task(id).await?.is_none() {
            return Ok(()); // cancelled or lost in between
        }
        self.session.set_task_weight(id, TASK_WEIGHT).await?;
        match self.start(id, method, false).await {
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

    async fn start(&self, id: TaskId, method: &str, resumed: bool) -> anyhow::Result<Job> {
        let dir = self.task_dir(id);
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        Outcome::forget(&dir)?;
        let session = self.session.subsession().await?;
        let ticket = TaskTicket { task: id, method: method.to_owned(), host: self.host, resumed, session: session.export() };
        Ok(Job::start(&self.config, dir, &ticket, self.ended_sender.clone()).await?)
    }

    fn task_dir(&self, id: TaskId) -> PathBuf {
        self.settings.tasks_dir().join(id.to_string())
    }

    async fn job_ended(&mut self, end: Ended) {
        let Some(job) = self.jobs.remove(&end.task) else { return };
        self.settle(job, end).await;
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
            self.settle(job, end).await;
        }
    }

    async fn settle(&mut self, job: Job, end: Ended) {
        match settle(&self.session, &job, &end).await {
            Ok(Settled::Gone) => {}
            Ok(Settled::Waiting) => drop(self.waiting.insert(end.task, job.dir)),
            Err(error) => {
                tracing::warn!(task = %end.task, %error, "cannot tell the hub how a task ended; trying again");
                self.unsettled.push((job, end));
            }
        }
    }

    /// Going on needs no free place: a coordinator builds nothing, and one whose subtask failed has to stop the other, which
    /// may be what takes the place. Twice as many processes as places is the limit all the same.
    fn may_resume(&self) -> bool {
        self.jobs.len() < 2 * self.settings.worker.max_jobs as usize
    }

    fn is_full(&self) -> bool {
        self.jobs.len() >= self.settings.worker.max_jobs as usize
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

    /// Lets running builds end for a moment, then stops them and gives their tasks back. Those that wait stay with this
    /// host: nothing of them runs, and the worker finds them when it starts again. Should it not, the hub frees them.
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
