//! The two tasks every builder host gets from `koji restart-hosts`: `restart` and `restartVerify` (koji/tasks.py
//! RestartTask, RestartVerifyTask). They build nothing, so the loop itself answers them (worker/take.rs).
//!
//! The parent task, `restartHosts`, makes both at once for every enabled host, with this host assigned. The first asks
//! for a graceful restart; the second is taken by the worker that comes after, and says whether it is a new one.

use std::os::unix::process::CommandExt;

use build_model::TaskId;
use koji_session::{TaskInfo, TaskState, Value};

/// Their names.
pub const METHODS: [&str; 2] = ["restart", "restartVerify"];

/// The answer to `restart`, in kojid's words.
pub const INITIATED: &str = "graceful restart initiated";

/// Why such a task fails: fault 1000, in kojid's words.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum RestartError {
    /// The task is another host's.
    #[error("Host mismatch")]
    Host,
    /// The request has not the form that restartHosts gives it.
    #[error("the request of a {0} task cannot be read")]
    Request(&'static str),
    /// The first task has not closed.
    #[error("Stage one restart task is {0}")]
    StageOne(&'static str),
    /// This is still the worker of before.
    #[error("Restart failed - this worker's session began {0:.0} s before the restart was asked for")]
    NotRestarted(f64),
}

/// Checks the request of a `restart` task, `[host]`.
///
/// # Errors
/// [`RestartError`]: the task then fails, and nothing is restarted.
pub fn check_restart(request: &[Value], own: i64) -> Result<(), RestartError> {
    let [host, ..] = request else { return Err(RestartError::Request("restart")) };
    check_host(host, own)
}

/// The task that a `restartVerify` task, `[task_id, host]`, is about.
///
/// # Errors
/// [`RestartError`]
pub fn first_task(request: &[Value], own: i64) -> Result<TaskId, RestartError> {
    let [Value::Int(first), host, ..] = request else { return Err(RestartError::Request("restartVerify")) };
    check_host(host, own).map(|()| TaskId(*first))
}

/// Whether a worker whose session began at `started` is a new one, as seen from the `restart` task.
///
/// # Errors
/// [`RestartError`]
pub fn check_restarted(first: Option<&TaskInfo>, started: f64) -> Result<(), RestartError> {
    let Some(first) = first else { return Err(RestartError::StageOne("gone")) };
    match (first.state, first.completion_ts) {
        (TaskState::Closed, Some(asked)) if started >= asked => Ok(()),
        (TaskState::Closed, asked) => Err(RestartError::NotRestarted(asked.unwrap_or(started) - started)),
        (TaskState::Free, _) => Err(RestartError::StageOne("FREE")),
        (TaskState::Open, _) => Err(RestartError::StageOne("OPEN")),
        (TaskState::Canceled, _) => Err(RestartError::StageOne("CANCELED")),
        (TaskState::Assigned, _) => Err(RestartError::StageOne("ASSIGNED")),
        (TaskState::Failed, _) => Err(RestartError::StageOne("FAILED")),
    }
}

fn check_host(host: &Value, own: i64) -> Result<(), RestartError> {
    if host.get("id").and_then(Value::as_i64) == Some(own) { Ok(()) } else { Err(RestartError::Host) }
}

/// Becomes the program anew, as it was called: perhaps a newer one, with the configuration as it is now. The process
/// stays the same one to systemd. Returns only when that does not work.
pub fn again() -> std::io::Error {
    let mut arguments = std::env::args_os();
    match arguments.next() {
        Some(program) => std::process::Command::new(program).args(arguments).exec(),
        None => std::io::Error::other("the program does not know its name"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(json: serde_json::Value) -> Vec<Value> {
        Value::from_json(&json).as_array().map(<[Value]>::to_vec).unwrap_or_default()
    }

    fn task(state: TaskState, completion_ts: Option<f64>) -> TaskInfo {
        TaskInfo {
            id: TaskId(7),
            state,
            method: "restart".into(),
            owner: None,
            host_id: Some(3),
            arch: "noarch".into(),
            channel_id: None,
            parent: None,
            label: None,
            priority: None,
            weight: 0.0,
            create_ts: None,
            start_ts: None,
            completion_ts,
            request: None,
        }
    }

    #[test]
    fn a_restart_is_for_the_host_it_names() {
        assert_eq!(check_restart(&values(serde_json::json!([{"id": 3, "name": "b"}])), 3), Ok(()));
        assert_eq!(check_restart(&values(serde_json::json!([{"id": 4}])), 3), Err(RestartError::Host));
        assert_eq!(check_restart(&values(serde_json::json!([])), 3), Err(RestartError::Request("restart")));
        assert_eq!(first_task(&values(serde_json::json!([7, {"id": 3}])), 3), Ok(TaskId(7)));
        assert_eq!(first_task(&values(serde_json::json!([7, {"id": 4}])), 3), Err(RestartError::Host));
        assert_eq!(first_task(&values(serde_json::json!(["7", {"id": 3}])), 3), Err(RestartError::Request("restartVerify")));
    }

    #[test]
    fn only_a_session_that_began_after_the_first_task_ended_is_a_restarted_one() {
        assert_eq!(check_restarted(Some(&task(TaskState::Closed, Some(100.0))), 100.5), Ok(()));
        let old = check_restarted(Some(&task(TaskState::Closed, Some(100.0))), 40.0);
        assert_eq!(old, Err(RestartError::NotRestarted(60.0)));
        let early = check_restarted(Some(&task(TaskState::Assigned, None)), 200.0).expect_err("not closed");
        assert_eq!(early.to_string(), "Stage one restart task is ASSIGNED");
        assert_eq!(check_restarted(None, 1.0), Err(RestartError::StageOne("gone")));
    }
}
