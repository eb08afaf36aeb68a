//! A builder host's own calls (`host.*`, kojihub.py HostExports): check-in, taking tasks, ending them, subtasks.
//! All of them need a host's user and an exclusive session, own or master's.

use build_model::{Arch, FaultCode, TaskId};

use crate::answer::Row;
use crate::{HubError, Session, TaskState, Value, encode_fault, encode_response, fault_text};

/// This host as the hub knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct HostInfo {
    /// Host id.
    pub id: i64,
    /// The host's user.
    pub user_id: i64,
    /// Host name.
    pub name: String,
    /// Architectures it may build for.
    pub arches: Vec<Arch>,
    /// Load last reported.
    pub task_load: f64,
    /// Load it may carry.
    pub capacity: f64,
    /// Readiness last reported.
    pub ready: bool,
    /// Whether administrators let it work.
    pub enabled: bool,
}

/// An open task held by this host.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldTask {
    /// The task.
    pub id: TaskId,
    /// Whether it waits for subtasks; its weight does not count then.
    pub waiting: bool,
    /// Its share of the host's load.
    pub weight: f64,
    /// Whether a subtask it waits for has ended.
    pub alert: bool,
}

/// A task that the scheduler gave to this host; not yet opened.
#[derive(Debug, Clone, PartialEq)]
pub struct AssignedTask {
    /// The task.
    pub id: TaskId,
    /// Its state, [`TaskState::Assigned`].
    pub state: TaskState,
    /// The method that says what to do.
    pub method: String,
    /// Its architecture.
    pub arch: String,
    /// Its channel.
    pub channel_id: Option<i64>,
    /// The host it is assigned to.
    pub host_id: Option<i64>,
}

/// A subtask to make. `None` takes over what the parent has.
#[derive(Debug, Clone, PartialEq)]
pub struct Subtask {
    /// The method of the new task.
    pub method: String,
    /// Its parameters, keyword arguments already in starstar form.
    pub params: Vec<Value>,
    /// The task it belongs to; open and held by this host.
    pub parent: TaskId,
    /// Tells subtasks of one parent apart; asking twice for one label gives the same task.
    pub label: String,
    /// Architecture of the host that shall do it.
    pub arch: Option<Arch>,
    /// Channel.
    pub channel: Option<String>,
    /// Priority, lower is sooner.
    pub priority: Option<i64>,
}

impl HostInfo {
    pub(crate) fn read(row: &Row<'_>) -> Result<Self, HubError> {
        let arches = row.opt_string("arches")?.unwrap_or_default();
        Ok(Self {
            id: row.int("id")?,
            user_id: row.int("user_id")?,
            name: row.string("name")?,
            arches: arches.split_whitespace().filter_map(|a| Arch::canonical(a).ok()).collect(),
            task_load: row.opt_float("task_load")?.unwrap_or_default(),
            capacity: row.opt_float("capacity")?.unwrap_or_default(),
            ready: row.flag("ready")?,
            enabled: row.flag("enabled")?,
        })
    }
}

const SUBTASK: &str = "host.subtask";

impl Subtask {
    /// The parameters of `host.subtask`.
    fn arguments(&self) -> Vec<Value> {
        let params = vec![self.method.as_str().into(), Value::Array(self.params.clone()), self.parent.into()];
        let mut kwargs = vec![("label", Value::from(self.label.as_str()))];
        if let Some(arch) = &self.arch {
            kwargs.push(("arch", arch.as_str().into()));
        }
        if let Some(channel) = &self.channel {
            kwargs.push(("channel", channel.as_str().into()));
        }
        if let Some(priority) = self.priority {
            kwargs.push(("priority", priority.into()));
        }
        crate::with_kwargs(params, kwargs)
    }
}

impl Session {
    /// This host as the hub knows it.
    ///
    /// # Errors
    /// Fault AuthError when the user is no host or the session is not exclusive.
    pub async fn get_host(&self) -> Result<HostInfo, HubError> {
        let answer = self.call("host.getHost", vec![]).await?;
        HostInfo::read(&Row::new("host.getHost", &answer))
    }

    /// Checks out: no load, not ready (`host.updateHost` as kojid calls it when it ends; works on hubs of any age).
    ///
    /// # Errors
    /// As [`Session::call`].
    pub async fn check_out(&self) -> Result<(), HubError> {
        self.call_unit("host.updateHost", vec![Value::Double(0.0), Value::Bool(false)], vec![]).await
    }

    /// The tasks assigned to this host and waiting to be opened. The hub may run its scheduler during the call.
    ///
    /// # Errors
    /// As [`Session::call`]; hubs before 1.34 have no such method.
    pub async fn get_tasks(&self) -> Result<Vec<AssignedTask>, HubError> {
        assigned_tasks("host.getTasks", &self.call("host.getTasks", vec![]).await?)
    }

    /// Takes a task. `None` when it is no longer ours to take (cancelled, or assigned elsewhere): no error.
    /// When the answer is lost, the task was opened; its row is then fetched instead.
    ///
    /// # Errors
    /// As [`Session::call`].
    pub async fn open_task(&self, task: TaskId) -> Result<Option<Value>, HubError> {
        let answer = match self.call("host.openTask", vec![task.into()]).await {
            Err(HubError::AnswerLost { .. }) => self.call("getTaskInfo", vec![task.into()]).await?,
            other => other?,
        };
        Ok((!answer.is_nil()).then_some(answer))
    }

    /// Sets a task's share of the host's load. Fault ActionNotAllowed: the task is no longer ours.
    ///
    /// # Errors
    /// As [`Session::call`].
    pub async fn set_task_weight(&self, task: TaskId, weight: f64) -> Result<(), HubError> {
        self.call_unit("host.setTaskWeight", vec![task.into(), weight.into()], vec![]).await
    }

    /// Ends a task with its result. Fault ActionNotAllowed: the task is no longer ours.
    ///
    /// # Errors
    /// As [`Session::call`].
    pub async fn close_task(&self, task: TaskId, result: &Value) -> Result<(), HubError> {
        self.call_unit("host.closeTask", vec![task.into(), encode_response(result).into()], vec![]).await
    }

    /// Ends a task as failed. The message is cleaned and shortened by [`fault_text`]: the hub refuses control
    /// characters, and the task would stay open.
    ///
    /// # Errors
    /// As [`Session::call`].
    pub async fn fail_task(&self, task: TaskId, code: FaultCode, message: &str) -> Result<(), HubError> {
        let document = encode_fault(i64::from(code.code()), &fault_text(message));
        self.call_unit("host.failTask", vec![task.into(), document.into()], vec![]).await
    }

    /// Gives tasks back, to be done again by whoever the scheduler finds.
    ///
    /// # Errors
    /// As [`Session::call`].
    pub async fn free_tasks(&self, tasks: &[TaskId]) -> Result<(), HubError> {
        let ids = tasks.iter().map(|t| Value::from(*t)).collect::<Vec<_>>();
        self.call_unit("host.freeTasks", vec![Value::Array(ids)], vec![]).await
    }

    /// Declines an assigned task: for fifteen minutes when `soft`, for the task's life otherwise.
    ///
    /// # Errors
    /// As [`Session::call`].
    pub async fn refuse_task(&self, task: TaskId, soft: bool, message: &str) -> Result<(), HubError> {
        let kwargs = vec![("soft", Value::Bool(soft)), ("msg", fault_text(message).into())];
        self.call_unit("host.refuseTask", vec![task.into()], kwargs).await
    }

    /// Makes a subtask, or finds the one already made under its label: safe to repeat after a restart.
    ///
    /// # Errors
    /// As [`Session::call`].
    pub async fn subtask(&self, subtask: &Subtask) -> Result<TaskId, HubError> {
        let answer = match self.call(SUBTASK, subtask.arguments()).await {
            // it exists now; asking again under the same label names it
            Err(HubError::AnswerLost { .. }) => self.call(SUBTASK, subtask.arguments()).await?,
            other => other?,
        };
        Ok(TaskId(Row::new(SUBTASK, &answer).number()?))
    }

    /// Makes several subtasks in one request, or finds those already made under their labels.
    ///
    /// # Errors
    /// As [`Session::call`]; the first subtask that is refused. The others exist then, and asking again finds them.
    pub async fn subtasks(&self, subtasks: &[Subtask]) -> Result<Vec<TaskId>, HubError> {
        let calls: Vec<_> = subtasks.iter().map(|subtask| (SUBTASK.to_owned(), subtask.arguments())).collect();
        let outcomes = match self.multicall(calls.clone()).await {
            // they exist now; asking again under the same labels names them
            Err(HubError::AnswerLost { .. }) => self.multicall(calls).await?,
            other => other?,
        };
        let id = |outcome: Result<Value, crate::Fault>| match outcome {
            Ok(answer) => Row::new(SUBTASK, &answer).number().map(TaskId),
            Err(fault) => Err(HubError::Fault(fault)),
        };
        outcomes.into_iter().map(id).collect()
    }

    /// Marks a task as waiting for these subtasks; its weight stops counting. An empty list means all subtasks.
    ///
    /// # Errors
    /// As [`Session::call`].
    pub async fn task_set_wait(&self, parent: TaskId, children: &[TaskId]) -> Result<(), HubError> {
        self.call_unit("host.taskSetWait", vec![parent.into(), ids_or_nil(children)], vec![]).await
    }

    /// The results of ended subtasks, and the end of waiting. A failed subtask raises its fault here, unless it is in
    /// `may_fail`; its entry is then a struct with `faultCode` and `faultString`.
    ///
    /// # Errors
    /// As [`Session::call`]; the fault of a subtask.
    pub async fn task_wait_results(
        &self,
        parent: TaskId,
        children: &[TaskId],
        may_fail: &[TaskId],
    ) -> Result<Vec<(TaskId, Value)>, HubError> {
        const METHOD: &str = "host.taskWaitResults";
        let may_fail = may_fail.iter().map(|t| Value::from(*t)).collect::<Vec<_>>();
        let params = vec![parent.into(), ids_or_nil(children)];
        let kwargs = vec![("canfail", Value::Array(may_fail))];
        let answer = match self.call_kw(METHOD, params.clone(), kwargs.clone()).await {
            // only the waiting mark was taken off; asking again gives the same results
            Err(HubError::AnswerLost { .. }) => self.call_kw(METHOD, params, kwargs).await?,
            other => other?,
        };
        let row = Row::new(METHOD, &answer);
        row.rows()?
            .map(|pair| match pair.value.as_array() {
                Some([Value::Int(id), result]) => Ok((TaskId(*id), result.clone())),
                _ => Err(row.wrong("an entry is no pair of task id and result")),
            })
            .collect()
    }
}

pub(crate) fn held_tasks(answer: &Value) -> Result<Vec<HeldTask>, HubError> {
    Row::new("host.getHostTasks", answer)
        .rows()?
        .map(|row| {
            Ok(HeldTask {
                id: TaskId(row.int("id")?),
                waiting: row.flag("waiting")?,
                weight: row.opt_float("weight")?.unwrap_or_default(),
                alert: row.flag("alert")?,
            })
        })
        .collect()
}

pub(crate) fn assigned_tasks(method: &'static str, answer: &Value) -> Result<Vec<AssignedTask>, HubError> {
    Row::new(method, answer)
        .rows()?
        .map(|row| {
            Ok(AssignedTask {
                id: TaskId(row.int("id")?),
                state: TaskState::read(&row)?,
                method: row.string("method")?,
                arch: row.opt_string("arch")?.unwrap_or_default(),
                channel_id: row.opt_int("channel_id")?,
                host_id: row.opt_int("host_id")?,
            })
        })
        .collect()
}

fn ids_or_nil(ids: &[TaskId]) -> Value {
    if ids.is_empty() { Value::Nil } else { Value::Array(ids.iter().map(|t| Value::from(*t)).collect()) }
}
