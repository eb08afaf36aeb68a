//! What the worker hands to a task process on its standard input.

use build_model::TaskId;
use koji_session::SessionTicket;
use serde::{Deserialize, Serialize};

/// The task and the hub session it may use.
#[derive(Serialize, Deserialize)]
pub struct TaskTicket {
    /// The task.
    pub task: TaskId,
    /// Its method.
    pub method: String,
    /// This builder, as the hub numbers it.
    pub host: i64,
    /// Whether it has waited for its subtasks: its logs go on.
    pub resumed: bool,
    /// A sub-session of the worker's, for this task alone.
    pub session: SessionTicket,
}
