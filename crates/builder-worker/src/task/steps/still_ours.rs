//! Whether the task is still this builder's: asked before anything goes out that the hub does not tie to the task, which is the
//! push and `CGImport`. A builder that was out of touch for too long has lost its task to another one, which the worker
//! above finds out with its next check-in; nothing must leave in between.

use build_model::{Blame, BoxedDiagnose, Diagnose, TaskId};
use koji_session::TaskState;

use crate::task::run::TaskContext;

/// The build was stopped on this side.
#[derive(Debug, thiserror::Error)]
#[error("task {task} is not this builder's any more ({state:?}); nothing was published")]
pub struct TaskGone {
    task: TaskId,
    state: Option<TaskState>,
}

impl Diagnose for TaskGone {
    fn blame(&self) -> Blame {
        Blame::Cancelled
    }
    fn kind(&self) -> &'static str {
        "task-gone"
    }
}

/// Asks the hub.
///
/// # Errors
/// [`TaskGone`], or the hub's.
pub async fn still_ours(context: &TaskContext<'_>) -> Result<(), BoxedDiagnose> {
    let info = context.session.get_task_info(context.task, false).await?;
    match info {
        Some(info) if info.state == TaskState::Open && info.host_id == Some(context.host) => Ok(()),
        other => Err(TaskGone { task: context.task, state: other.map(|i| i.state) }.into()),
    }
}
