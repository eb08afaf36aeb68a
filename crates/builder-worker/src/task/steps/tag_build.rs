//! Step 14: the Koji tag. `host.tagBuild` acts as the owner of the task, so the destination's policy applies to the
//! packager and not to the builder (kojihub.py, HostExports.tagBuild). Tagging twice is not an error here.

use build_model::{BoxedDiagnose, BuildId};

use super::ResolvedTarget;
use crate::task::run::TaskContext;

/// Tags the build into the target's destination.
///
/// # Errors
/// The hub's: locked tag, policy, package list.
pub async fn tag_build(context: &TaskContext<'_>, target: &ResolvedTarget, build: BuildId) -> Result<(), BoxedDiagnose> {
    let tag = &target.target.dest_tag_name;
    // Asked before and not after a fault: a task that is run again finds its build tagged already.
    if context.session.list_tags(build).await?.iter().any(|t| t.name == *tag) {
        context.log.step(&format!("already tagged {tag}"));
        return Ok(());
    }
    context.session.tag_build_as_owner(context.task, tag, build).await?;
    context.log.step(&format!("tagged {tag}"));
    Ok(())
}
