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
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use build_model::{Diagnose, FaultCode, TaskId};
use koji_session::{CheckIn, Dispatch, HostReport, HubError, Offered, Session};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::drain::{Drain, DrainSignals, Ending};
use super::job::{Ended, Job};
use super::settle::{Settled, settle};
use super::take::{TurnedDown, handled_methods};
use super::wake::{EXPECT_FOR, EXPECT_PAUSE, Wake};
use super::{room, startup};
use crate::config::Settings;

/// How often directories are looked at that tasks left when they were given to another host: what they have reserved can
/// only be given back from here.
const SWEEP_EVERY: Duration = Duration::from_secs(30);

/// How often an idle host checks in with everything. The hub takes a host for not ready after three minutes.
const CHECK_IN_EVERY: Duration = Duration::from_secs(60);

/// How long a worker goes on asking often after something happened: tasks come in groups.
const BUSY_FOR: Duration = Duration::from_secs(20);

/// kojid's `task_avail_delay`, for hubs without a scheduler.
const AVAIL_DELAY: f64 = 300.0;

/// How often a host that takes no tasks looks whether it is enabled again.
const DISABLED_CHECK_IN_EVERY: Duration = Duration::from_secs(15);

/// Runs the worker until it is told to stop (SIGTERM, SIGINT) or has drained (worker/drain.rs).
///
/// # Errors
/// When it cannot start, or the hub ends its session for good.
pub async fn run(settings: Settings, config: PathBuf) -> anyhow::Result<Ending> {
    // Before anything else: until they are listened to, these signals end a process.
    let mut signals = DrainSignals::listen()?;
    let mut wake = Wake::listen(settings.worker.wake).await.context("cannot listen at worker.wake")?;
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
        enabled: host.enabled,
        capacity: host.capacity,
        dispatch: Dispatch::default(),
        drain: None,
        turned_down: TurnedDown::default(),
        jobs: BTreeMap::new(),
        waiting: BTreeMap::new(),
        unsettled: Vec::new(),
        has_room: true,
        load: 0.0,
        active: None,
        checked_in: None,
        expecting: None,
        seen: BTreeMap::new(),
        ended_sender,
    };
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Told to stop in the middle of a hub call (the hub may be down for hours), the worker stops at once.
    let ending = tokio::select! {
        result = worker.turns(&mut ended, &mut signals, &mut wake) => result,
        _ = terminate.recv() => Ok(Ending::Stop),
        _ = interrupt.recv() => Ok(Ending::Stop),
    };
    if ending.is_ok() {
        worker.shut_down(&mut ended).await;
    }
    ending.context("the hub ended this worker's session")
}

/// Errors after which the session is of no use: kojid exits on the same ones, and systemd starts it anew.
fn ends_session(error: &HubError) -> bool {
    use FaultCode::{AuthError, AuthExpired, AuthLockError, RetryError, SequenceError};
    matches!(error.fault_code(), Some(AuthError | AuthExpired | AuthLockError | RetryError | SequenceError))
}

/// The worker while it runs. Its parts: this loop, worker/take.rs, worker/held.rs.
pub struct Worker {
    pub(super) settings: Settings,
    pub(super) config: PathBuf,
    pub(super) session: Session,
    /// This host, as the hub numbers it.
    pub(super) host: i64,
    /// Whether administrators let it work (`koji disable-host`).
    enabled: bool,
    /// Load it may carry.
    capacity: f64,
    pub(super) jobs: BTreeMap<TaskId, Job>,
    /// Directories of the tasks that wait for their subtasks.
    pub(super) waiting: BTreeMap<TaskId, PathBuf>,
    /// Ended jobs whose end the hub has not been told yet, because it could not be reached.
    unsettled: Vec<(Job, Ended)>,
    /// What the hub is like.
    pub(super) dispatch: Dispatch,
    /// Told to take nothing more, and what then.
    pub(super) drain: Option<Drain>,
    /// Tasks to pass over, on hubs that keep no refusals.
    pub(super) turned_down: TurnedDown,
    /// Whether the machine had room for more when it was looked at last.
    has_room: bool,
    /// Weight of the running tasks, as the hub told it last.
    load: f64,
    /// When a task last began or ended here.
    pub(super) active: Option<Instant>,
    /// The last check-in.
    checked_in: Option<Instant>,
    /// When the hub said that there is a task; nothing was taken since.
    pub(super) expecting: Option<Instant>,
    /// When free tasks were first seen, on hubs that let hosts choose.
    seen: BTreeMap<TaskId, Instant>,
    pub(super) ended_sender: mpsc::Sender<Ended>,
}

impl Worker {
    /// Checks in again and again; returns when the hub has ended the session, or the worker has drained.
    async fn turns(
        &mut self,
        ended: &mut mpsc::Receiver<Ended>,
        signals: &mut DrainSignals,
        wake: &mut Wake,
    ) -> Result<Ending, HubError> {
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
                drain = signals.next() => {
                    let drain = self.drain.map_or(drain, |before| before.with(drain));
                    tracing::info!(?drain, jobs = self.jobs.len(), waiting = self.waiting.len(), "draining");
                    self.drain = Some(drain);
                    // The hub is told at once, so that it assigns nothing more.
                    self.checked_in = None;
                    next = Instant::now();
                    continue;
                }
                () = wake.called() => {
                    self.expecting = Some(Instant::now());
                    next = Instant::now();
                    continue;
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
            let drained = self.drain.and_then(|d| d.ending(self.jobs.len(), self.unsettled.len(), self.waiting.len()));
            if let Some(ending) = drained {
                tracing::info!(?ending, "drained");
                return Ok(ending);
            }
        }
    }

    /// How long to leave the hub alone.
    fn pause(&self) -> Duration {
        if self.expecting.is_some_and(|at| at.elapsed() < EXPECT_FOR) {
            return EXPECT_PAUSE;
        }
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
        let ready = self.is_ready();
        let every = if ready { CHECK_IN_EVERY } else { DISABLED_CHECK_IN_EVERY };
        let is_due = self.checked_in.is_none_or(|at| at.elapsed() >= every);
        if self.is_busy() || is_due || self.dispatch == Dispatch::HostsChoose {
            self.check_in().await
        } else if ready {
            let tasks = self.session.get_tasks().await?;
            self.take_all(&tasks).await
        } else {
            Ok(())
        }
    }

    /// Whether more work is welcome (kojid's readyForTask).
    fn is_ready(&mut self) -> bool {
        self.enabled && self.drain.is_none() && self.load <= self.capacity && !self.is_full() && self.has_room()
    }

    async fn check_in(&mut self) -> Result<(), HubError> {
        self.settle_again().await;
        let ready = self.is_ready();
        let methods = handled_methods();
        let waiting = u32::try_from(self.waiting.len()).unwrap_or(u32::MAX);
        let report = HostReport {
            load: self.load,
            ready,
            methods: &methods,
            maxjobs: self.settings.worker.max_jobs.saturating_add(waiting),
        };
        let CheckIn { held, host, offered } = self.session.check_in(&report, &mut self.dispatch).await?;
        if host.enabled != self.enabled {
            tracing::info!(enabled = host.enabled, "an administrator enabled or disabled this host");
        }
        let enabled_again = host.enabled && !self.enabled;
        (self.enabled, self.capacity) = (host.enabled, host.capacity);
        // A host that is enabled again says at once that it is ready.
        self.checked_in = (!enabled_again).then(Instant::now);
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
        if !self.enabled {
            return Ok(()); // what was assigned before, the hub gives to another host after a while
        }
        match offered {
            Offered::Assigned(tasks) => self.take_all(&tasks).await,
            Offered::Choice(data) => {
                self.seen.retain(|id, _| data.tasks.iter().any(|t| t.id == *id));
                self.turned_down.keep(&data.tasks);
                let seen = &mut self.seen;
                let mut known = |id| seen.entry(id).or_insert_with(Instant::now).elapsed().as_secs_f64();
                let chosen = data.choose(self.host, AVAIL_DELAY, &mut known).into_iter();
                let tasks: Vec<_> = chosen.filter(|t| !self.turned_down.has(t.id)).cloned().collect();
                self.take_all(&tasks).await
            }
        }
    }

    pub(super) fn knows(&self, id: TaskId) -> bool {
        self.jobs.contains_key(&id) || self.waiting.contains_key(&id) || self.unsettled.iter().any(|(_, end)| end.task == id)
    }

    pub(super) async fn job_ended(&mut self, end: Ended) {
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

    pub(super) fn is_full(&self) -> bool {
        self.jobs.len() >= self.settings.worker.max_jobs as usize
    }

    /// Whether the machine has room (worker/room.rs). That it has none is told once, as long as it lasts.
    fn has_room(&mut self) -> bool {
        let found = room::check(&self.settings.worker);
        let changed = found.is_ok() != self.has_room;
        self.has_room = found.is_ok();
        match found {
            Err(why) if changed => tracing::warn!(%why, "not ready for tasks"),
            Ok(()) if changed => tracing::info!("ready for tasks again"),
            _ => {}
        }
        self.has_room
    }
}
