//! A builder host's regular check-in as one request: what kojid asks in four (koji/daemon.py updateTasks, readyForTask,
//! getNextTask), as one `multiCall`.
//!
//! Hubs differ in it, and it is found out by asking: `host.updateHost` takes data for the scheduler since 1.34.1, before that
//! `host.setHostData` does (1.34.0), and before that the hub has no scheduler and hosts choose tasks themselves out of
//! `host.getLoadData` (koji-facts §2).

use build_model::{FaultCode, TaskId};

use crate::answer::Row;
use crate::host::{assigned_tasks, held_tasks};
use crate::{AssignedTask, Fault, HeldTask, HostInfo, HubError, Session, Value};

const GET_HOST: &str = "host.getHost";

/// What a host says about itself.
#[derive(Debug, Clone, PartialEq)]
pub struct HostReport<'a> {
    /// Weight of what it does now.
    pub load: f64,
    /// Whether more work is welcome.
    pub ready: bool,
    /// Methods it handles.
    pub methods: &'a [&'a str],
    /// How many tasks it takes, waiting ones included.
    pub maxjobs: u32,
}

/// How a hub hands out tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dispatch {
    /// It assigns them, and takes the host's data with its check-in (1.34.1 and later).
    #[default]
    Scheduler,
    /// It assigns them, and takes the host's data by a call of its own (1.34.0).
    SchedulerWithoutData,
    /// Hosts choose among free tasks (before 1.34).
    HostsChoose,
}

/// The hub's answer to a check-in.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckIn {
    /// Open tasks of this host.
    pub held: Vec<HeldTask>,
    /// This host as the hub knows it, the report applied.
    pub host: HostInfo,
    /// Tasks to take; asked for only by a host that is ready.
    pub offered: Offered,
}

/// Tasks to take.
#[derive(Debug, Clone, PartialEq)]
pub enum Offered {
    /// The hub assigned these to this host.
    Assigned(Vec<AssignedTask>),
    /// Hosts and tasks to choose among.
    Choice(LoadData),
}

/// The answer of `host.getLoadData` on hubs without a scheduler.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LoadData {
    /// Ready hosts of our channels and arches, this one included.
    pub hosts: Vec<HostLoad>,
    /// Free tasks, and those assigned to somebody, soonest first.
    pub tasks: Vec<AssignedTask>,
}

/// A ready host.
#[derive(Debug, Clone, PartialEq)]
pub struct HostLoad {
    /// The host.
    pub id: i64,
    /// Architectures as the hub spells them.
    pub arches: Vec<String>,
    /// Its channels.
    pub channels: Vec<i64>,
    /// Load it may carry.
    pub capacity: f64,
    /// Load it reported.
    pub task_load: f64,
}

impl Session {
    /// Checks in. `dispatch` is what is known of the hub and is corrected when the hub proves to be older.
    ///
    /// # Errors
    /// As [`Session::call`]; the fault of one of the calls.
    pub async fn check_in(&self, report: &HostReport<'_>, dispatch: &mut Dispatch) -> Result<CheckIn, HubError> {
        loop {
            match self.check_in_as(report, *dispatch).await {
                Err(error) => match older_than(&error, *dispatch) {
                    Some(older) => {
                        tracing::info!(?older, %error, "the hub is of an older kind");
                        *dispatch = older;
                    }
                    None => return Err(error),
                },
                done => return done,
            }
        }
    }

    async fn check_in_as(&self, report: &HostReport<'_>, dispatch: Dispatch) -> Result<CheckIn, HubError> {
        let mut calls = vec![("host.getHostTasks".to_owned(), vec![]), ("host.updateHost".to_owned(), report.update(dispatch))];
        if dispatch == Dispatch::SchedulerWithoutData {
            calls.push(("host.setHostData".to_owned(), vec![report.data()]));
        }
        calls.push((GET_HOST.to_owned(), vec![]));
        let offer = if dispatch == Dispatch::HostsChoose { "host.getLoadData" } else { "host.getTasks" };
        if report.ready {
            calls.push((offer.to_owned(), vec![]));
        }
        let place = calls.iter().position(|(method, _)| method == GET_HOST).unwrap_or_default();
        let answers = self.multicall(calls).await?.into_iter().collect::<Result<Vec<Value>, Fault>>().map_err(HubError::Fault)?;
        let host = HostInfo::read(&Row::new(GET_HOST, answers.get(place).unwrap_or(&Value::Nil)))?;
        let held = answers.first().map(held_tasks).transpose()?.unwrap_or_default();
        let offered = match answers.last().filter(|_| report.ready) {
            None => Offered::Assigned(Vec::new()),
            Some(answer) if dispatch == Dispatch::HostsChoose => Offered::Choice(load_data(answer)?),
            Some(answer) => Offered::Assigned(assigned_tasks("host.getTasks", answer)?),
        };
        Ok(CheckIn { held, host, offered })
    }
}

/// The next older kind of hub, when the fault says that this one has not got what was called.
fn older_than(error: &HubError, dispatch: Dispatch) -> Option<Dispatch> {
    let HubError::Fault(fault) = error else { return None };
    let unknown = |method: &str| {
        fault.method == method && fault.fault_code() == Some(FaultCode::GenericError) && fault.message.contains("Invalid method")
    };
    match dispatch {
        Dispatch::Scheduler if fault.method == "host.updateHost" && refuses_arguments(fault) => {
            Some(Dispatch::SchedulerWithoutData)
        }
        Dispatch::SchedulerWithoutData if unknown("host.setHostData") || unknown("host.getTasks") => Some(Dispatch::HostsChoose),
        Dispatch::Scheduler if unknown("host.getTasks") => Some(Dispatch::HostsChoose),
        _ => None,
    }
}

/// Hubs check arguments since 1.23 (fault 1019); a TypeError behind a proxy of an older one is fault 1.
fn refuses_arguments(fault: &Fault) -> bool {
    matches!(fault.fault_code(), Some(FaultCode::ParameterError))
        || (fault.fault_code() == Some(FaultCode::Unknown) && fault.message.contains("unexpected keyword argument"))
}

impl HostReport<'_> {
    fn data(&self) -> Value {
        let methods = self.methods.iter().map(|m| Value::from(*m)).collect();
        Value::from_pairs([("methods", Value::Array(methods)), ("maxjobs", Value::from(self.maxjobs))])
    }

    fn update(&self, dispatch: Dispatch) -> Vec<Value> {
        let load = if self.load.is_finite() { self.load.max(0.0) } else { 0.0 };
        let params = vec![load.into(), self.ready.into()];
        match dispatch {
            Dispatch::Scheduler => crate::with_kwargs(params, vec![("data", self.data())]),
            _ => params,
        }
    }
}

fn load_data(answer: &Value) -> Result<LoadData, HubError> {
    const METHOD: &str = "host.getLoadData";
    let row = Row::new(METHOD, answer);
    let Some([hosts, tasks]) = answer.as_array() else { return Err(row.wrong("it does not hold two lists")) };
    let host = |row: Row<'_>| {
        let channels = row.any("channels");
        Ok(HostLoad {
            id: row.int("id")?,
            arches: row.opt_string("arches")?.unwrap_or_default().split_whitespace().map(str::to_owned).collect(),
            channels: channels.as_array().into_iter().flatten().filter_map(Value::as_i64).collect(),
            capacity: row.opt_float("capacity")?.unwrap_or_default(),
            task_load: row.opt_float("task_load")?.unwrap_or_default(),
        })
    };
    let hosts = Row::new(METHOD, hosts).rows()?.map(host).collect::<Result<_, HubError>>()?;
    Ok(LoadData { hosts, tasks: assigned_tasks(METHOD, tasks)? })
}

impl LoadData {
    /// The tasks `host` should take now, soonest first: those assigned to it, and free ones for which it has the most room.
    /// Where others have more, it waits `seconds_known` of the task against a delay that grows with its rank among them, as
    /// kojid does (koji/daemon.py checkAvailDelay): a free host elsewhere takes it meanwhile.
    pub fn choose(&self, host: i64, delay: f64, seconds_known: &mut dyn FnMut(TaskId) -> f64) -> Vec<&AssignedTask> {
        let Some(own) = self.hosts.iter().find(|h| h.id == host) else {
            // Not ready in the hub's eyes: only what an administrator gave to it.
            return self.tasks.iter().filter(|t| t.host_id == Some(host)).collect();
        };
        let room = |h: &HostLoad| h.capacity - h.task_load;
        let fits = |h: &HostLoad, task: &AssignedTask| {
            task.channel_id.is_some_and(|c| h.channels.contains(&c)) && (task.arch == "noarch" || h.arches.contains(&task.arch))
        };
        let mut chosen = Vec::new();
        for task in &self.tasks {
            if task.host_id.is_some() {
                if task.host_id == Some(host) {
                    chosen.push(task);
                }
                continue;
            }
            if !fits(own, task) {
                continue;
            }
            let others = self.hosts.iter().filter(|h| fits(h, task)).count();
            let roomier = self.hosts.iter().filter(|h| fits(h, task) && room(h) > room(own)).count();
            let rank = if others > 1 { roomier as f64 / (others - 1) as f64 } else { 0.0 };
            if seconds_known(task.id) >= delay * rank {
                chosen.push(task);
            }
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TaskState;

    fn fault(method: &str, code: FaultCode, message: &str) -> HubError {
        HubError::Fault(Fault { code: i64::from(code.code()), message: message.into(), method: method.into() })
    }

    #[test]
    fn what_a_hub_lacks_tells_its_kind_and_nothing_else_does() {
        let no_data = fault("host.updateHost", FaultCode::ParameterError, "unexpected keyword argument 'data'");
        assert_eq!(older_than(&no_data, Dispatch::Scheduler), Some(Dispatch::SchedulerWithoutData));
        let no_tasks = fault("host.getTasks", FaultCode::GenericError, "Invalid method: host.getTasks");
        assert_eq!(older_than(&no_tasks, Dispatch::Scheduler), Some(Dispatch::HostsChoose));
        let no_setter = fault("host.setHostData", FaultCode::GenericError, "Invalid method: host.setHostData");
        assert_eq!(older_than(&no_setter, Dispatch::SchedulerWithoutData), Some(Dispatch::HostsChoose));
        for other in [
            fault("host.getTasks", FaultCode::GenericError, "database is locked"),
            fault("host.updateHost", FaultCode::AuthError, "not a host"),
            fault("host.getTasks", FaultCode::LockError, "Invalid method"),
        ] {
            assert_eq!(older_than(&other, Dispatch::Scheduler), None, "{other}");
        }
    }

    fn task(id: i64, arch: &str, host_id: Option<i64>) -> AssignedTask {
        let state = if host_id.is_some() { TaskState::Assigned } else { TaskState::Free };
        AssignedTask { id: TaskId(id), state, method: "buildContainer".into(), arch: arch.into(), channel_id: Some(7), host_id }
    }

    fn host(id: i64, room: f64, arch: &str) -> HostLoad {
        HostLoad { id, arches: vec![arch.into()], channels: vec![7], capacity: room, task_load: 0.0 }
    }

    fn chosen(data: &LoadData, host: i64, seconds: f64) -> Vec<i64> {
        data.choose(host, 300.0, &mut |_| seconds).iter().map(|t| t.id.0).collect()
    }

    #[test]
    fn a_free_task_goes_to_the_host_with_the_most_room_and_later_to_others() {
        let tasks =
            vec![task(1, "noarch", None), task(2, "aarch64", None), task(3, "x86_64", Some(2)), task(4, "x86_64", Some(9))];
        let data = LoadData { hosts: vec![host(1, 4.0, "x86_64"), host(2, 2.0, "x86_64"), host(3, 3.0, "aarch64")], tasks };
        assert_eq!(chosen(&data, 1, 0.0), [1]);
        assert_eq!(chosen(&data, 2, 0.0), [3], "assigned to it; for the free one others have more room");
        assert_eq!(chosen(&data, 2, 300.0), [1, 3]);
        assert_eq!(chosen(&data, 3, 0.0), [2]);
        assert_eq!(chosen(&data, 3, 150.0), [1, 2], "second of three: half the delay");
        assert_eq!(chosen(&data, 9, 0.0), [4], "not ready, but an administrator gave it a task");
    }
}
