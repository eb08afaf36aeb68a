//! Step 14: the Koji tag. `host.tagBuild` acts as the owner of the task, so the destination's policy applies to the
//! packager and not to the builder (kojihub.py, HostExports.tagBuild). Tagging twice is not an error here.

use build_model::{BoxedDiagnose, BuildId, FaultCode, KojiTag};
use koji_session::HubError;

use crate::task::run::TaskContext;

/// Tags the build into the destination of its target.
///
/// # Errors
/// The hub's: locked tag, policy, package list.
pub async fn tag_build(context: &TaskContext<'_>, tag: &KojiTag, build: BuildId) -> Result<(), BoxedDiagnose> {
    // Asked before: a task that is run again finds its build tagged already.
    if is_tagged(context, tag, build).await? {
        context.log.step(&format!("already tagged {tag}"));
        return Ok(());
    }
    match context.session.tag_build_as_owner(context.task, tag, build).await {
        // The first answer was lost and the hub did not notice that the call was repeated (koji-facts §8.2).
        Err(error) if error.fault_code() == Some(FaultCode::TagError) && is_tagged(context, tag, build).await? => {}
        other => other?,
    }
    context.log.step(&format!("tagged {tag}"));
    Ok(())
}

async fn is_tagged(context: &TaskContext<'_>, tag: &KojiTag, build: BuildId) -> Result<bool, HubError> {
    Ok(context.session.list_tags(build).await?.iter().any(|t| t.name == *tag))
}
