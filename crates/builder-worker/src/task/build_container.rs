//! The handler of `buildContainer(src, target, opts)`: the list of steps one build goes through (design §4).
//!
//! Steps take what the steps before returned, so the order is checked by the compiler. Nothing is undone here: what a
//! failed build leaves at the hub is in the journal and is given back by `worker/settle.rs`.

use std::collections::BTreeMap;

use build_model::{
    Blame, BoxedDiagnose, BuildContainerParams, BuildContainerResult, Diagnose, ImageLabels, ImageTagSet, TargetName,
};
use image_layers::Store;
use koji_session::Value;
use registry::Registry;

use super::run::TaskContext;
use super::steps::{self, Claim};
use crate::build_context::{platform, read_build_context};

/// The task's request is not what the hub plugin makes.
#[derive(Debug, thiserror::Error)]
#[error("the task's request is not (src, target, opts): {0}")]
pub struct BadRequest(&'static str);

impl Diagnose for BadRequest {
    fn blame(&self) -> Blame {
        Blame::Packager
    }
    fn kind(&self) -> &'static str {
        "task-request"
    }
}

/// Builds one container image and imports it.
///
/// # Errors
/// Of the step that failed; its blame says whose move it is.
pub async fn handle(context: &mut TaskContext<'_>) -> Result<BuildContainerResult, BoxedDiagnose> {
    let start_time = steps::now();
    let began = tokio::time::Instant::now();
    let info = context.session.get_task_info(context.task, true).await?.ok_or(BadRequest("the hub does not know the task"))?;
    let (src, target_name, params) = parse_request(info.request.as_deref().unwrap_or_default())?;
    context.log.step(&format!("task {}: {src} for {target_name}", context.task));

    let target = steps::resolve_target(context, &target_name, &params, info.owner).await?;
    let fetched = steps::fetch_source(context, &src, &params, info.owner).await?;
    let mut settings = steps::read_container_yaml(context, &fetched.tree.root, &target.arches)?;
    let time = steps::BuildTime::new(began, settings.buildtime_limit());
    let arch = steps::arch_built_here(&settings.arches)?;
    let dockerfile = dist_git::find_dockerfile(&fetched.tree.root)?;
    let options = dockerfile::PlanOptions { target: None, build_args: BTreeMap::new(), platform: platform(&arch) };
    let mut read = read_build_context(&fetched.tree.root, &dockerfile, &options)?;
    for warning in &read.plan.warnings {
        context.log.step(&format!("{}:{}: warning: {}", read.dockerfile_name, warning.span.first_line, warning.message));
    }
    let store = Store::open(&context.settings.store_dir())?;
    let registry = Registry::new(context.settings.registry.client_config())?;
    let parents = time.within(steps::resolve_parents(context, &registry, &store, &read, &params, &target_name.0, &arch)).await?;
    let named = steps::name_build(&read, &parents, &params)?;

    let reserved = if params.scratch {
        None
    } else {
        match steps::reserve_build(context, &target, &named).await? {
            Claim::Reserved(reserved) => Some(reserved),
            Claim::AlreadyImported(build) => {
                let result = steps::finish_imported(context, &registry, &target, *build).await?;
                return Ok(BuildContainerResult { user_warnings: settings.warnings, ..result });
            }
        }
    };
    let release = reserved.as_ref().map_or_else(|| format!("scratch.{}", context.task), |r| r.nvr.release.clone());
    let floating = settings.floating_tags(&named.labels.version);
    let tags = image_tags(context, &target_name, &params, &named.labels, &release, floating.as_deref())?;
    settings.set_release_env(&mut read.plan, &release);

    let mut content = time.within(steps::pin_content(context, &target, &arch)).await?;
    content.sources.extend(time.within(steps::repo_url_sources(context, &params.yum_repourls, &arch)).await?);
    let mut labels = automatic_labels(&named.labels, &release, &arch, &fetched);
    let base = read.base_reference().and_then(|reference| parents.get(reference));
    let inherited = base.map(|parent| parent.image.config.config.labels.clone()).unwrap_or_default();
    steps::add_site_labels(&context.settings.labels, &named.own, &inherited, &mut labels)?;
    let about = steps::AboutBuild {
        nvr: format!("{}-{}-{release}", named.labels.component, named.labels.version),
        component: named.labels.component.clone(),
        target: target_name.0.clone(),
        dest_tag: target.target.dest_tag_name.clone(),
        source: fetched.source.to_string(),
        parents: parents.iter().map(|(name, parent)| parent.report(name, read.base_reference())).collect(),
    };
    let build = steps::build_arch(context, &store, &arch, &fetched, &read, &parents, &content, &labels, &about, time.cancel());
    let built = time.within(build).await?;
    steps::archive_logs(context, &built.reports).await?;
    settings.warnings.extend(built.warnings.iter().cloned());

    let pushed = steps::push_image(context, &registry, &store, &built, &named.labels.name, &tags).await?;
    let mut repositories = pushed.image.pull_specs.clone();
    let Some(reserved) = reserved else {
        let result = BuildContainerResult::scratch(repositories);
        return Ok(BuildContainerResult { user_warnings: settings.warnings, ..result });
    };
    let request = steps::ImportRequest {
        target: &target,
        params: &params,
        fetched: &fetched,
        parents: &parents,
        base: read.base_reference(),
        content: &content,
        built: &built,
        pushed: &pushed,
        tags: &tags,
        reserved: &reserved,
        start_time,
    };
    let build = steps::import_build(context, &store, &request).await?;
    steps::tag_build(context, &target, build).await?;
    repositories.extend(steps::move_floating_tags(context, &registry, &pushed, &tags).await?);
    let result = BuildContainerResult::imported(repositories, build);
    Ok(BuildContainerResult { user_warnings: settings.warnings, ..result })
}

/// `[src, target, opts]`, checked again: a task can also be made by `koji make-task`.
fn parse_request(request: &[Value]) -> Result<(String, TargetName, BuildContainerParams), BoxedDiagnose> {
    let [src, target, rest @ ..] = request else { return Err(BadRequest("fewer than two arguments").into()) };
    let src = src.as_str().ok_or(BadRequest("src is not a string"))?;
    let target = target.as_str().ok_or(BadRequest("target is not a string"))?;
    let opts = rest.first().map_or(serde_json::Value::Null, |v| v.to_json());
    Ok((src.to_owned(), TargetName(target.to_owned()), BuildContainerParams::from_opts(&opts)?))
}

fn image_tags(
    context: &TaskContext<'_>,
    target: &TargetName,
    params: &BuildContainerParams,
    labels: &ImageLabels,
    release: &str,
    floating: Option<&[String]>,
) -> Result<ImageTagSet, BoxedDiagnose> {
    let unique = context.task.to_string();
    Ok(ImageTagSet::new(params.kind(), &target.0, &unique, &labels.version, release, floating)?)
}

/// Labels the service adds (compat §3.2). The Dockerfile is not edited: they are set on the image's configuration.
fn automatic_labels(
    labels: &ImageLabels,
    release: &str,
    arch: &build_model::Arch,
    fetched: &steps::Fetched,
) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("com.redhat.component".into(), labels.component.clone()),
        ("name".into(), labels.name.clone()),
        ("version".into(), labels.version.clone()),
        ("release".into(), release.to_owned()),
        ("architecture".into(), arch.to_string()),
        ("vcs-type".into(), "git".into()),
        ("vcs-ref".into(), fetched.tree.commit.clone()),
        ("build-date".into(), steps::rfc3339(fetched.tree.commit_time)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(json: serde_json::Value) -> Value {
        Value::from_json(&json)
    }

    #[test]
    fn a_request_without_options_or_with_wrong_ones_is_refused_in_words() {
        let message = |request: &[Value]| parse_request(request).expect_err("must be refused").to_string();
        assert!(message(&[]).contains("fewer than two"));
        assert!(message(&[value(1.into()), value("t".into())]).contains("src is not a string"));
        assert!(message(&[value("s".into()), value("t".into())]).contains("git_branch"));
    }
}
