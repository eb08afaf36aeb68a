//! The handler of `createContainer`: one architecture of a build whose every decision its coordinator has made
//! (`pinned_build.rs`). What it returns is read by the coordinator alone (`arch_result.rs`).

use build_model::{BoxedDiagnose, ImageTag};
use image_layers::Store;
use registry::Registry;

use super::arch_result::ArchResult;
use super::log::remote_dir;
use super::one_arch::{self, Destination};
use super::pinned_build::ArchRequest;
use super::run::{BadTask, TaskContext};
use super::steps;

/// Builds one architecture. The logs of the task are not in the result yet.
///
/// # Errors
/// Of the step that failed; its blame says whose move it is.
pub async fn handle(context: &TaskContext<'_>) -> Result<ArchResult, BoxedDiagnose> {
    let began = tokio::time::Instant::now();
    let info = context.session.get_task_info(context.task, true).await?.ok_or(BadTask("the hub does not know the task"))?;
    let ArchRequest { arch, build: pinned, .. } = ArchRequest::from_params(info.request.as_deref().unwrap_or_default())?;
    let of = info.parent.map(|parent| format!(" of task {parent}")).unwrap_or_default();
    context.log.step(&format!("task {}: {} for {arch}{of}", context.task, pinned.nvr));
    let request = steps::SourceRequest {
        git_branch: &pinned.git_branch,
        scratch: pinned.scratch,
        owner: pinned.owner_id,
        channel: info.channel_id,
        build_tag: None,
    };
    let fetched = steps::fetch_source(context, &pinned.source, &request).await?;
    // The coordinator has told the packager about the file already.
    let settings = steps::read_container_yaml(context, &fetched.tree.root, std::slice::from_ref(&arch))?;
    steps::fetch_submodules(context, &fetched, settings.wants_submodules()).await?;
    let time = steps::BuildTime::new(began, settings.buildtime_limit());
    let store = Store::open(&context.settings.store_dir())?;
    let registry = Registry::new(context.settings.registry.client_config())?;
    let tag = arch_tag(&pinned.tags.unique, &arch)?;
    let dir = remote_dir(context.task);
    let destination = Destination { tags: &[tag], archive_dir: (!pinned.scratch).then_some(dir.as_str()) };
    let (result, _) =
        one_arch::build(context, &registry, &store, &pinned, &arch, &fetched, &settings, &time, &destination).await?;
    Ok(result)
}

/// The tag that keeps the image of one architecture alive until an index names it, and after: registries remove what
/// nothing names.
///
/// # Errors
/// When it would be longer than registries allow.
pub fn arch_tag(unique: &ImageTag, arch: &build_model::Arch) -> Result<ImageTag, build_model::NameError> {
    ImageTag::new(format!("{unique}-{arch}"))
}
