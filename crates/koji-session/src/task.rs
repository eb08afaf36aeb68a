//! Tasks of the hub: state, request, result, cancel (kojihub.py class Task).

use build_model::TaskId;

use crate::answer::Row;
use crate::{HubError, Session, Value};

/// Where a task is (koji.TASK_STATES).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TaskState {
    /// Waiting for a host.
    Free,
    /// Being worked on.
    Open,
    /// Ended with a result.
    Closed,
    /// Cancelled.
    Canceled,
    /// Given to a host that has not opened it yet.
    Assigned,
    /// Ended with a fault.
    Failed,
}

impl TaskState {
    /// The state for Koji's number.
    pub fn from_number(number: i64) -> Option<Self> {
        use TaskState::{Assigned, Canceled, Closed, Failed, Free, Open};
        let index = usize::try_from(number).ok()?;
        [Free, Open, Closed, Canceled, Assigned, Failed].get(index).copied()
    }

    /// Whether the task can change no more.
    pub fn is_final(self) -> bool {
        matches!(self, TaskState::Closed | TaskState::Canceled | TaskState::Failed)
    }

    pub(crate) fn read(row: &Row<'_>) -> Result<Self, HubError> {
        let number = row.int("state")?;
        Self::from_number(number).ok_or_else(|| row.wrong(format!("{number} is no task state")))
    }
}

/// A task's row.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskInfo {
    /// The task.
    pub id: TaskId,
    /// Where it is.
    pub state: TaskState,
    /// What is to be done.
    pub method: String,
    /// The user it is done for.
    pub owner: Option<i64>,
    /// The host it is assigned to or done by.
    pub host_id: Option<i64>,
    /// Architecture.
    pub arch: String,
    /// Channel.
    pub channel_id: Option<i64>,
    /// The task it belongs to.
    pub parent: Option<TaskId>,
    /// What tells it from its siblings.
    pub label: Option<String>,
    /// Lower is sooner; 20 is ordinary.
    pub priority: Option<i64>,
    /// Its share of its host's load.
    pub weight: f64,
    /// Seconds since 1970 when it was made.
    pub create_ts: Option<f64>,
    /// Seconds since 1970 when it was opened.
    pub start_ts: Option<f64>,
    /// Seconds since 1970 when it ended.
    pub completion_ts: Option<f64>,
    /// Its decoded parameters, when asked for. Keyword arguments are a last struct with `__starstar`.
    pub request: Option<Vec<Value>>,
}

impl TaskInfo {
    fn read(row: &Row<'_>) -> Result<Self, HubError> {
        let request = match row.member("request") {
            Some(Value::Array(params)) => Some(params.clone()),
            _ => None,
        };
        Ok(Self {
            id: TaskId(row.int("id")?),
            state: TaskState::read(row)?,
            method: row.string("method")?,
            owner: row.opt_int("owner")?,
            host_id: row.opt_int("host_id")?,
            arch: row.opt_string("arch")?.unwrap_or_default(),
            channel_id: row.opt_int("channel_id")?,
            parent: row.opt_int("parent")?.map(TaskId),
            label: row.opt_string("label")?,
            priority: row.opt_int("priority")?,
            weight: row.opt_float("weight")?.unwrap_or_default(),
            create_ts: row.opt_float("create_ts")?,
            start_ts: row.opt_float("start_ts")?,
            completion_ts: row.opt_float("completion_ts")?,
            request,
        })
    }
}

impl Session {
    /// A task's row, with its decoded parameters when `request`. `None` when there is no such task.
    ///
    /// # Errors
    /// As [`Session::call`].
    pub async fn get_task_info(&self, task: TaskId, request: bool) -> Result<Option<TaskInfo>, HubError> {
        const METHOD: &str = "getTaskInfo";
        let answer = self.call_kw(METHOD, vec![task.into()], vec![("request", Value::Bool(request))]).await?;
        Row::new(METHOD, &answer).some().map(|row| TaskInfo::read(&row)).transpose()
    }

    /// The direct subtasks of a task with their decoded parameters, oldest first.
    ///
    /// # Errors
    /// As [`Session::call`].
    pub async fn get_task_children(&self, parent: TaskId) -> Result<Vec<TaskInfo>, HubError> {
        const METHOD: &str = "getTaskChildren";
        let answer = self.call_kw(METHOD, vec![parent.into()], vec![("request", Value::Bool(true))]).await?;
        let mut children = Row::new(METHOD, &answer).rows()?.map(|row| TaskInfo::read(&row)).collect::<Result<Vec<_>, _>>()?;
        children.sort_by_key(|child| child.id); // the hub promises no order
        Ok(children)
    }

    /// Cancels the subtasks of a task, and theirs. Allowed for its owner, its host and administrators.
    ///
    /// # Errors
    /// As [`Session::call`].
    pub async fn cancel_task_children(&self, parent: TaskId) -> Result<(), HubError> {
        self.call_unit("cancelTaskChildren", vec![parent.into()], vec![]).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_have_kojis_numbers() {
        assert_eq!(TaskState::from_number(0), Some(TaskState::Free));
        assert_eq!(TaskState::from_number(5), Some(TaskState::Failed));
        assert_eq!(TaskState::from_number(6), None);
        assert_eq!(TaskState::from_number(-1), None);
        assert!(TaskState::Canceled.is_final() && !TaskState::Assigned.is_final());
    }
}
