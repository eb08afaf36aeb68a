//! The `createContainer` subtasks of a build: made once each, awaited without holding capacity, and read when they ended.
//!
//! A subtask is known by its label, the architecture: asking the hub again under the same label names the same task
//! (kojihub.py HostExports.subtask), so this can be done any number of times, after any kind of interruption and on any
//! host. A coordinator that lost its reservation begins anew with labels of the next generation (`x86_64.1`).

use build_model::{Arch, Blame, BoxedDiagnose, Diagnose, TaskId};
use koji_session::{Subtask, TaskInfo, TaskState, Value};

use crate::task::arch_result::ArchResult;
use crate::task::outcome::Failure;
use crate::task::pinned_build::{ArchRequest, CREATE_CONTAINER, PinnedBuild};
use crate::task::run::TaskContext;

/// What an earlier run of this coordinator has decided.
pub struct EarlierRun {
    /// The build, as its subtasks were asked for it.
    pub pinned: PinnedBuild,
    /// How often the build was begun anew.
    pub generation: u32,
}

/// The subtasks' results, or the need to wait for them.
pub enum Collected {
    /// Subtasks are still under way; the hub knows that this task waits for them.
    Waiting,
    /// Every architecture that did not fail, in the build's order, and remarks on those that did.
    Results(Vec<ArchResult>, Vec<String>),
}

/// An architecture that must not fail did.
#[derive(Debug, thiserror::Error)]
#[error("{arch} failed (task {task}): {}", .failure.message)]
pub struct ArchFailed {
    arch: Arch,
    task: TaskId,
    failure: Failure,
}

impl Diagnose for ArchFailed {
    fn blame(&self) -> Blame {
        self.failure.blame
    }
    fn kind(&self) -> &'static str {
        "arch-failed"
    }
    fn hint(&self) -> Option<String> {
        self.failure.hint.clone()
    }
}

/// All architectures were optional, and none succeeded.
#[derive(Debug, thiserror::Error)]
#[error("no architecture succeeded:\n{0}")]
pub struct NoArchSucceeded(String);

impl Diagnose for NoArchSucceeded {
    fn blame(&self) -> Blame {
        Blame::Packager
    }
    fn kind(&self) -> &'static str {
        "no-arch-succeeded"
    }
}

/// The newest decisions of earlier runs of this task, read back from the requests of its subtasks.
///
/// # Errors
/// The hub's, or a request of another version of this program.
pub async fn earlier_run(context: &TaskContext<'_>) -> Result<Option<EarlierRun>, BoxedDiagnose> {
    let children = context.session.get_task_children(context.task).await?;
    let newest =
        children.iter().filter_map(|child| Some((generation_of(child)?, child))).max_by_key(|(generation, _)| *generation);
    let Some((generation, child)) = newest else { return Ok(None) };
    let request = ArchRequest::from_params(child.request.as_deref().unwrap_or_default())?;
    Ok(Some(EarlierRun { pinned: request.build, generation }))
}

/// Makes the subtask of every architecture, or finds it.
///
/// # Errors
/// The hub's.
pub async fn request_arches(
    context: &TaskContext<'_>,
    pinned: &PinnedBuild,
    generation: u32,
) -> Result<Vec<(Arch, TaskId)>, BoxedDiagnose> {
    let subtask = |arch: &Arch| Subtask {
        method: CREATE_CONTAINER.into(),
        params: ArchRequest::new(arch.clone(), pinned.clone()).to_params(),
        parent: context.task,
        label: label_of(arch, generation),
        arch: Some(arch.clone()),
        channel: None,
        priority: None,
    };
    let arches: Vec<Arch> = pinned.arches.iter().map(|a| a.arch.clone()).collect();
    let subtasks: Vec<_> = arches.iter().map(subtask).collect();
    let ids = context.session.subtasks(&subtasks).await?;
    Ok(arches.into_iter().zip(ids).collect())
}

/// Looks at the subtasks. When all have ended, or one that must not fail has failed, waiting is over; otherwise the hub
/// is told that this task waits, and its weight counts no more.
///
/// # Errors
/// [`ArchFailed`], with the other subtasks cancelled; [`NoArchSucceeded`]; the hub's.
pub async fn collect_arches(
    context: &TaskContext<'_>,
    pinned: &PinnedBuild,
    tasks: &[(Arch, TaskId)],
) -> Result<Collected, BoxedDiagnose> {
    let session = &context.session;
    let children = session.get_task_children(context.task).await?;
    let state_of = |task: TaskId| children.iter().find(|c| c.id == task).map(|c| c.state);
    let running: Vec<TaskId> =
        tasks.iter().map(|(_, task)| *task).filter(|task| !state_of(*task).is_some_and(TaskState::is_final)).collect();
    let lost = tasks.iter().any(|(arch, task)| {
        matches!(state_of(*task), Some(TaskState::Failed | TaskState::Canceled)) && !pinned.is_optional(arch)
    });
    if !running.is_empty() && !lost {
        session.task_set_wait(context.task, &running).await?;
        return Ok(Collected::Waiting);
    }
    if lost && !running.is_empty() {
        context.log.step("cancelling the other architectures");
        session.cancel_task_children(context.task).await?;
    }
    let ended: Vec<TaskId> = tasks.iter().map(|(_, task)| *task).filter(|task| !running.contains(task)).collect();
    let values = session.task_wait_results(context.task, &ended, &ended).await?;
    let (mut results, mut remarks) = (Vec::new(), Vec::new());
    for (arch, task) in tasks {
        let Some((_, value)) = values.iter().find(|(id, _)| id == task) else { continue };
        let cancelled = state_of(*task) == Some(TaskState::Canceled);
        match failure_in(value).map(|failure| if cancelled { Failure { blame: Blame::Cancelled, ..failure } } else { failure }) {
            None => {
                let result = ArchResult::from_value(*task, arch, value)?;
                context.log.step(&format!("{arch} is done (task {task}): {}", result.member.digest));
                results.push(result);
            }
            Some(failure) if pinned.is_optional(arch) => {
                remarks.push(format!("{arch} is missing, it failed in task {task}: {}", failure.message));
            }
            Some(failure) => return Err(ArchFailed { arch: arch.clone(), task: *task, failure }.into()),
        }
    }
    if results.is_empty() {
        return Err(NoArchSucceeded(remarks.join("\n")).into());
    }
    Ok(Collected::Results(results, remarks))
}

/// The failure in an entry of `host.taskWaitResults`.
fn failure_in(value: &Value) -> Option<Failure> {
    let code = value.get("faultCode").and_then(Value::as_i64)?;
    let text = value.get("faultString").and_then(Value::as_str).unwrap_or_default();
    Some(Failure::from_fault(code, text))
}

fn label_of(arch: &Arch, generation: u32) -> String {
    if generation == 0 { arch.to_string() } else { format!("{arch}.{generation}") }
}

/// The generation of a subtask of this module; `None` for any other task.
fn generation_of(child: &TaskInfo) -> Option<u32> {
    let label = child.label.as_deref().filter(|_| child.method == CREATE_CONTAINER)?;
    match label.split_once('.') {
        None => Some(0),
        Some((_, generation)) => generation.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_label_is_the_arch_and_later_ones_are_told_apart() {
        let arch = Arch::canonical("aarch64").expect("an arch");
        assert_eq!((label_of(&arch, 0).as_str(), label_of(&arch, 2).as_str()), ("aarch64", "aarch64.2"));
    }

    #[test]
    fn a_subtask_that_failed_is_told_from_one_that_succeeded() {
        let fault = Value::from_json(&serde_json::json!({"faultCode": 1005, "faultString": "no\nWhat to do: pray"}));
        let failure = failure_in(&fault).expect("a failure");
        assert_eq!((failure.blame, failure.message.as_str()), (Blame::Packager, "no"));
        assert!(failure_in(&Value::from_json(&serde_json::json!({"arch": "x86_64"}))).is_none());
    }
}
