//! The handler of `buildContainer(src, target, opts)`: the coordinator of one build (design §4).
//!
//! It decides everything once (`PinnedBuild`), has every architecture built by a `createContainer` task on a host of that
//! architecture, and makes one Koji build of the results. While they are built nothing of it runs: its process ends with
//! [`Handled::Waiting`] and is started again when the hub says that a subtask has ended. A build for the coordinator's own
//! architecture alone needs nobody else and is done here (docs/adr/0013-coordinator-and-arch-tasks.md).
//!
//! Steps take what the steps before returned, so the order is checked by the compiler. Nothing is undone here: what a
//! failed build leaves at the hub is in the journal and is given back by `worker/settle.rs`.

use std::collections::BTreeMap;

use build_model::{
    Arch, BoxedDiagnose, BuildContainerParams, BuildContainerResult, ImageLabels, ImageTagSet, Nvr, ScmUrl, TargetName,
};
use image_layers::Store;
use koji_session::{Build, TaskInfo, Value};
use registry::Registry;

use super::arch_result::ArchResult;
use super::create_container::arch_tag;
use super::one_arch::{self, Destination, plan_for};
use super::pinned_build::{PinnedArch, PinnedBuild};
use super::run::{BadTask, TaskContext};
use super::steps::{self, Claim, Collected, Held};
use crate::worker::Reserved;

/// How far the build has got.
pub enum Handled {
    /// It is done.
    Done(BuildContainerResult),
    /// Its subtasks are under way.
    Waiting,
}

/// A build that is decided, with what the deciding left on this host.
struct Prepared {
    pinned: PinnedBuild,
    reserved: Option<Reserved>,
    fetched: steps::Fetched,
    settings: steps::RepositorySettings,
    time: steps::BuildTime,
    /// Of a dry run: what would end the build.
    refusals: Vec<BoxedDiagnose>,
}

/// The request and the clients every step of the coordinator uses.
struct Coordinator<'a, 'b> {
    context: &'a mut TaskContext<'b>,
    registry: Registry,
    store: Store,
    params: BuildContainerParams,
}

/// Builds one container image and imports it.
///
/// # Errors
/// Of the step that failed; its blame says whose move it is.
pub async fn handle(context: &mut TaskContext<'_>) -> Result<Handled, BoxedDiagnose> {
    let info = context.session.get_task_info(context.task, true).await?.ok_or(BadTask("the hub does not know the task"))?;
    let (src, target_name, params) = parse_request(info.request.as_deref().unwrap_or_default())?;
    let store = Store::open(&context.settings.store_dir())?;
    let registry = Registry::new(context.settings.registry.client_config())?;
    let mut coordinator = Coordinator { context, registry, store, params };
    let mut generation = 0;
    if let Some(earlier) = steps::earlier_run(coordinator.context).await? {
        match steps::held_reservation(coordinator.context, &earlier.pinned).await? {
            Held::Yes(reserved) => return coordinator.have_built(&earlier.pinned, earlier.generation, reserved).await,
            Held::AlreadyImported(build) => {
                return coordinator.finish_imported(&earlier.pinned.dest_tag, build, earlier.pinned.warnings).await;
            }
            Held::Lost(why) => {
                coordinator.context.log.step(&format!("beginning anew: {why}"));
                // What they build would carry a release that is not to be had any more.
                coordinator.context.session.cancel_task_children(coordinator.context.task).await?;
                generation = earlier.generation + 1;
            }
        }
    } else {
        coordinator.context.log.step(&format!("task {}: {src} for {target_name}", info.id));
    }
    let prepared = match coordinator.prepare(&info, &src, &target_name).await? {
        Decided::Build(prepared) => prepared,
        Decided::AlreadyImported(target, build, warnings) => {
            return coordinator.finish_imported(&target.target.dest_tag_name, build, warnings).await;
        }
    };
    if coordinator.params.dry_run {
        return coordinator.tell(&prepared);
    }
    let own = coordinator.context.settings.worker.arch();
    if generation == 0 && matches!(prepared.pinned.arches.as_slice(), [only] if only.arch == own) {
        coordinator.build_here(*prepared, &own).await
    } else {
        coordinator.have_built(&prepared.pinned, generation, prepared.reserved).await
    }
}

/// The outcome of preparing.
enum Decided {
    Build(Box<Prepared>),
    /// This very task imported the build before it was run again.
    AlreadyImported(Box<steps::ResolvedTarget>, Box<Build>, Vec<String>),
}

impl Coordinator<'_, '_> {
    /// Decides everything about the build and reserves its name.
    async fn prepare(&mut self, info: &TaskInfo, src: &str, target_name: &TargetName) -> Result<Decided, BoxedDiagnose> {
        let (start_time, began) = (steps::now(), tokio::time::Instant::now());
        let (context, params) = (&mut *self.context, &self.params);
        // A dry run tells of a locked tag among the rest (`foresee_name`).
        let scratch = params.scratch || params.dry_run;
        let wanted = steps::TargetUse { scratch, arch_override: &params.arch_override };
        let target = steps::resolve_target(context, target_name, wanted, info.owner).await?;
        let request = steps::SourceRequest {
            git_branch: &params.git_branch,
            scratch: params.scratch,
            owner: info.owner,
            channel: info.channel_id,
            build_tag: Some(&target.target.build_tag_name),
        };
        let fetched = steps::fetch_source(context, src, &request).await?;
        let settings = steps::read_container_yaml(context, &fetched.tree.root, &target.arches)?;
        steps::fetch_submodules(context, &fetched, settings.wants_submodules()).await?;
        let help = steps::read_help(&fetched.tree.root)?.is_some();
        // Fetched where the image is built; what is wrong with the list is known before.
        steps::read_sources(&fetched.tree.root, &context.settings.lookaside)?;
        let time = steps::BuildTime::new(began, settings.buildtime_limit());
        let mut plans = Vec::new();
        for arch in &settings.arches {
            let optional = settings.is_optional(arch) || context.settings.policy.optional_arches.contains(arch);
            plans.push((PinnedArch { arch: arch.clone(), optional }, plan_for(arch, &fetched)?));
        }
        if let Some((_, read)) = plans.first() {
            for warning in &read.plan.warnings {
                let place = format!("{}:{}", read.dockerfile_name, warning.span.first_line);
                context.log.step(&format!("{place}: warning: {}", warning.message));
            }
        }
        let parents =
            time.within(steps::pin_parents(context, &self.registry, &self.store, &plans, params, &target_name.0)).await?;
        let named = steps::name_build(&plans, &parents, params)?;
        let namespaces = &context.settings.scm.namespaces;
        let rpm_builds = steps::check_namespace(namespaces, &fetched.source, &named.labels.component)?;
        let (mut reserved, mut foreseen) = (None, None);
        let request = steps::NameRequest::of_labels(&named.labels, rpm_builds);
        if params.dry_run && !params.scratch {
            foreseen = Some(steps::foresee_name(context, &target, &request, info.owner).await?);
        } else if !params.scratch {
            match steps::reserve_build(context, &target, &request).await? {
                Claim::Reserved(name) => reserved = Some(name),
                Claim::AlreadyImported(build) => {
                    return Ok(Decided::AlreadyImported(Box::new(target), build, settings.warnings));
                }
            }
        }
        let labels = &named.labels;
        let release = match (&reserved, &foreseen) {
            (Some(reserved), _) => reserved.nvr.release.clone(),
            (None, Some(foreseen)) => foreseen.release.clone(),
            (None, None) => format!("scratch.{}", context.task),
        };
        let floating = settings.floating_tags(&labels.version);
        let unique = context.task.to_string();
        let floating = floating.as_deref();
        let tags = ImageTagSet::new(params.kind(), &target_name.0, &unique, &labels.version, &release, floating)?;
        for arch in &settings.arches {
            arch_tag(&tags.unique, arch)?; // too long a name is known before anything is built
        }
        let claim = steps::RepositoryClaim {
            target: target_name,
            component: &labels.component,
            repository: &labels.name,
            moved: tags.primary.iter().chain(&tags.floating).collect(),
        };
        let mut warnings = settings.warnings.clone();
        warnings.extend(time.within(steps::check_repository(context, &self.registry, &self.store, &claim)).await?);
        let mut content = time.within(steps::pin_content(context, &target, &settings.arches)).await?;
        time.within(steps::add_repo_urls(context, &params.yum_repourls, &mut content.sources)).await?;
        let base = plans.first().and_then(|(_, read)| read.base_reference()).map(str::to_owned);
        let described = base.as_ref().and_then(|name| settings.arches.iter().find_map(|a| parents.description(a, name)));
        let inherited = described.map(|image| image.config.config.labels.clone()).unwrap_or_default();
        let mut set = automatic_labels(labels, &release, &fetched);
        steps::add_site_labels(&context.settings.labels, &named.own, &inherited, &mut set)?;
        let pinned = PinnedBuild {
            source: fetched.source.to_string(),
            git_branch: params.git_branch.clone(),
            target: target.target.name.clone(),
            dest_tag: target.target.dest_tag_name.clone(),
            event: target.event,
            owner: target.owner.clone(),
            owner_id: info.owner,
            scratch: params.scratch,
            nvr: Nvr { name: labels.component.clone(), version: labels.version.clone(), release },
            build_id: reserved.as_ref().map(|r| r.build_id),
            repository: labels.name.clone(),
            arches: plans.iter().map(|(arch, _)| arch.clone()).collect(),
            parents: parents.parents,
            base,
            content: content.sources,
            koji_repos: content.koji_repos,
            labels: set,
            tags,
            help,
            start_time,
            warnings,
        };
        let refusals = foreseen.map(|foreseen| foreseen.refusals).unwrap_or_default();
        Ok(Decided::Build(Box::new(Prepared { pinned, reserved, fetched, settings, time, refusals })))
    }

    /// The end of a dry run.
    fn tell(&self, prepared: &Prepared) -> Result<Handled, BoxedDiagnose> {
        let plan = steps::tell_plan(self.context, &prepared.pinned);
        if !prepared.refusals.is_empty() {
            return Err(steps::WouldBeRefused::new(&prepared.refusals).into());
        }
        let user_warnings = prepared.pinned.warnings.clone();
        Ok(Handled::Done(BuildContainerResult {
            user_warnings,
            dry_run: Some(Box::new(plan)),
            ..BuildContainerResult::default()
        }))
    }

    /// The build of the host's own architecture alone.
    async fn build_here(&self, prepared: Prepared, arch: &Arch) -> Result<Handled, BoxedDiagnose> {
        let Prepared { pinned, reserved, fetched, settings, time, refusals: _ } = &prepared;
        let dir = reserved.as_ref().map(|reserved| steps::upload_dir(self.context, reserved));
        let fixed: Vec<_> = std::iter::once(&pinned.tags.unique).chain(&pinned.tags.primary).cloned().collect();
        let destination = Destination { tags: &fixed, archive_dir: dir.as_deref() };
        let (context, registry, store) = (&*self.context, &self.registry, &self.store);
        let (mut result, reports) =
            one_arch::build(context, registry, store, pinned, arch, fetched, settings, time, &destination).await?;
        // The reports in the task's output stay there; the build gets copies, like those of the logs.
        result.logs.clear();
        self.finish(pinned, vec![result], &reports, reserved.as_ref(), dir.as_deref()).await.map(Handled::Done)
    }

    /// The build of other architectures, by subtasks.
    async fn have_built(
        &self,
        pinned: &PinnedBuild,
        generation: u32,
        reserved: Option<Reserved>,
    ) -> Result<Handled, BoxedDiagnose> {
        let tasks = steps::request_arches(self.context, pinned, generation).await?;
        match steps::collect_arches(self.context, pinned, &tasks).await? {
            Collected::Waiting => {
                let list: Vec<_> = tasks.iter().map(|(arch, task)| format!("{arch} (task {task})")).collect();
                self.context.log.step(&format!("waiting for {}", list.join(", ")));
                Ok(Handled::Waiting)
            }
            Collected::Results(results, remarks) => {
                let dir = reserved.as_ref().map(|reserved| steps::upload_dir(self.context, reserved));
                let mut done = self.finish(pinned, results, &[], reserved.as_ref(), dir.as_deref()).await?;
                done.user_warnings.extend(remarks);
                Ok(Handled::Done(done))
            }
        }
    }

    /// From the images of all architectures to one Koji build. `upload_dir` goes with the reservation.
    async fn finish(
        &self,
        pinned: &PinnedBuild,
        results: Vec<ArchResult>,
        reports: &[(String, String)],
        reserved: Option<&Reserved>,
        upload_dir: Option<&str>,
    ) -> Result<BuildContainerResult, BoxedDiagnose> {
        let (context, registry) = (&*self.context, &self.registry);
        // Hours may have passed, and another build may have been first.
        let claim = steps::RepositoryClaim {
            target: &pinned.target,
            component: &pinned.nvr.name,
            repository: &pinned.repository,
            moved: pinned.tags.primary.iter().chain(&pinned.tags.floating).collect(),
        };
        if !pinned.scratch {
            steps::check_repository(context, registry, &self.store, &claim).await?;
        }
        let differences = steps::compare_arches(&results, &context.settings.policy.rules(), &pinned.target)?;
        let published = steps::publish_index(context, registry, pinned, &results).await?;
        let mut repositories = published.pull_specs.clone();
        let mut user_warnings = pinned.warnings.clone();
        user_warnings.extend(results.iter().flat_map(|r| r.warnings.iter().cloned()).chain(differences));
        let (Some(reserved), Some(upload_dir)) = (reserved, upload_dir) else {
            return Ok(BuildContainerResult { user_warnings, ..BuildContainerResult::scratch(repositories) });
        };
        let request = steps::ImportRequest {
            pinned,
            params: &self.params,
            results: &results,
            published: &published,
            reports,
            reserved,
            upload_dir,
        };
        let build = steps::import_build(context, &request).await?;
        steps::tag_build(context, &pinned.dest_tag, build).await?;
        let floating = steps::FloatingTags {
            registry: &context.settings.registry.push,
            repository: &pinned.repository,
            digest: &published.digest,
            tags: &pinned.tags.floating,
        };
        let (tag, package) = (&pinned.dest_tag, &pinned.nvr.name);
        repositories.extend(steps::move_floating_tags(context, registry, tag, package, build, &floating).await?);
        Ok(BuildContainerResult { user_warnings, ..BuildContainerResult::imported(repositories, build) })
    }

    async fn finish_imported(
        &self,
        tag: &build_model::KojiTag,
        build: Box<Build>,
        user_warnings: Vec<String>,
    ) -> Result<Handled, BoxedDiagnose> {
        let result = steps::finish_imported(self.context, &self.registry, tag, *build).await?;
        Ok(Handled::Done(BuildContainerResult { user_warnings, ..result }))
    }
}

/// `[src, target, opts]`, checked again: a task can also be made by `koji make-task`.
fn parse_request(request: &[Value]) -> Result<(String, TargetName, BuildContainerParams), BoxedDiagnose> {
    let [src, target, rest @ ..] = request else { return Err(BadTask("fewer than two arguments").into()) };
    let src = src.as_str().ok_or(BadTask("src is not a string"))?;
    // Before it is told to anybody: a source may not hold a password.
    src.parse::<ScmUrl>()?;
    let target = target.as_str().ok_or(BadTask("target is not a string"))?;
    let opts = rest.first().map_or(serde_json::Value::Null, |v| v.to_json());
    Ok((src.to_owned(), TargetName(target.to_owned()), BuildContainerParams::from_opts(&opts)?))
}

/// Labels the service adds (compat §3.2), besides the architecture. The Dockerfile is not edited: they are set on the
/// image's configuration.
fn automatic_labels(labels: &ImageLabels, release: &str, fetched: &steps::Fetched) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("com.redhat.component".into(), labels.component.clone()),
        ("name".into(), labels.name.clone()),
        ("version".into(), labels.version.clone()),
        ("release".into(), release.to_owned()),
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
        let source = value("git+https://h/container/web.git#1".into());
        assert!(message(&[source, value("t".into())]).contains("git_branch"));
        let secret = message(&[value("git+https://u:hunter2@h/web.git#1".into()), value("t".into())]);
        assert!(secret.contains("password") && !secret.contains("hunter2"), "{secret}");
    }
}
