//! The handler of `buildSourceContainer(target, opts)`: an image of the source packages of everything in a container image.
//!
//! The packages come from Koji by build, are compared with what the hub records, and are laid out as BuildSourceImage does
//! (`steps/pack_sources.rs`). Nothing is run and no repository is read, so one host does it, whatever its architecture.

use std::collections::BTreeMap;

use build_model::{
    Arch, Blame, BoxedDiagnose, BuildContainerResult, BuildKind, Diagnose, ImageTagSet, SourceBuildRow, SourceContainerParams,
    TargetName,
};
use image_layers::Store;
use koji_session::{Archive, Build, Value};
use registry::{ImageReference, PushEvent, Registry};
use rpm_provenance::files::Decision;

use super::run::{BadTask, TaskContext};
use super::steps::{self, Claim, NameRequest, ReleaseRequest};

/// What the image's name and labels come from cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("nothing that Koji records of {0} says which repository its image is in")]
struct NoRepository(build_model::Nvr);

impl Diagnose for NoRepository {
    fn blame(&self) -> Blame {
        Blame::Packager
    }
    fn kind(&self) -> &'static str {
        "source-no-repository"
    }
    fn hint(&self) -> Option<String> {
        Some("the image needs a label `name`, or a pull specification in its build".into())
    }
}

/// Builds one source container and imports it.
///
/// # Errors
/// Of the step that failed; its blame says whose move it is.
pub async fn handle(context: &mut TaskContext<'_>) -> Result<BuildContainerResult, BoxedDiagnose> {
    let start_time = steps::now();
    let info = context.session.get_task_info(context.task, true).await?.ok_or(BadTask("the hub does not know the task"))?;
    let (target_name, params) = parse_request(info.request.as_deref().unwrap_or_default())?;
    let store = Store::open(&context.settings.store_dir())?;
    let registry = Registry::new(context.settings.registry.client_config())?;
    let of = source_build(context, &params).await?;
    context.log.step(&format!("task {}: the sources of {} for {target_name}", info.id, of.nvr));
    let wanted = steps::TargetUse { scratch: params.scratch, ..steps::TargetUse::default() };
    let target = steps::resolve_target(context, &target_name, wanted, info.owner).await?;
    let unknown_source = steps::check_lookaside_use(context, &of).await?;
    let images = context.session.list_archives(of.id, Some("image")).await?;
    let repository = format!("{}-source", repository_of(&of, &images).ok_or_else(|| NoRepository(of.nvr.clone()))?);
    let listed = steps::list_source_rpms(context, &of, &images).await?;
    let mut name = of.nvr.clone();
    name.name.push_str("-source");
    let reserved = if params.scratch {
        name.release.push_str(".scratch");
        None
    } else {
        let release = ReleaseRequest::Beside(of.nvr.release.clone());
        let request =
            NameRequest { component: name.name.clone(), version: name.version.clone(), release, rpm_builds: Decision::Refuse };
        match steps::reserve_build(context, &target, &request).await? {
            Claim::Reserved(reserved) => {
                name = reserved.nvr.clone();
                Some(reserved)
            }
            Claim::AlreadyImported(build) => {
                return steps::finish_imported(context, &registry, &target.target.dest_tag_name, *build).await;
            }
        }
    };
    let kind = if params.scratch { BuildKind::Scratch } else { BuildKind::Normal };
    let unique = context.task.to_string();
    // None of them floats: what a source container belongs to is in its name.
    let tags = ImageTagSet::new(kind, &target_name.0, &unique, &name.version, &name.release, Some(&[]))?;
    let claim = steps::RepositoryClaim {
        target: &target_name,
        component: &name.name,
        repository: &repository,
        moved: tags.primary.iter().collect(),
    };
    let told = steps::check_repository(context, &registry, &store, &claim).await?;
    let dir = context.work_dir.join("sources");
    let (sources, mut warnings) = steps::fetch_source_rpms(context, &target_name.0, &listed, &dir).await?;
    warnings.extend(told.into_iter().chain(unknown_source));
    let arch = arch_of(&images);
    let labels = BTreeMap::from([
        ("com.redhat.component".to_owned(), name.name.clone()),
        ("name".to_owned(), repository.clone()),
        ("version".to_owned(), name.version.clone()),
        ("release".to_owned(), name.release.clone()),
        ("architecture".to_owned(), arch.to_string()),
    ]);
    // Of the image and not of today: the same sources make the same image.
    let created = of.completion_ts.map_or(start_time, |seconds| seconds as i64);
    let settings = &context.settings.image;
    let image = tokio::task::block_in_place(|| steps::pack_sources(&store, settings, &arch, &sources, labels, created, &dir))?;
    context.log.step(&format!("packed {} source packages in {} layers", sources.len(), image.layers().len()));

    steps::still_ours(context).await?;
    let host = &context.settings.registry.push;
    let fixed: Vec<_> = std::iter::once(&tags.unique).chain(&tags.primary).cloned().collect();
    let log = context.log.clone();
    let told = move |event: PushEvent| {
        if let PushEvent::Blob { digest, size, sent: true } = event {
            log.step(&format!("sent {} ({} kB)", digest.short(), size >> 10));
        }
    };
    let pushed = registry.push(&store, &image, host, &repository, &fixed, &told).await?;
    for spec in &pushed.pull_specs {
        context.log.step(&format!("pushed {spec}"));
    }
    let Some(reserved) = reserved else {
        return Ok(BuildContainerResult { user_warnings: warnings, ..BuildContainerResult::scratch(pushed.pull_specs) });
    };
    let upload_dir = steps::upload_dir(context, &reserved);
    let inside = format!("{repository}:{}-{}", name.version, name.release);
    let archive = steps::ImageArchive::begin(context, &store, &image, &arch, inside).upload(context, &upload_dir).await?;
    let import = steps::SourceImport {
        params: &params,
        target: &target,
        of: &of,
        sources: &sources,
        image: &image,
        arch: &arch,
        archive,
        tags: &tags,
        pull_specs: &pushed.pull_specs,
        start_time,
        reserved: &reserved,
        upload_dir: &upload_dir,
    };
    let build = steps::import_sources(context, import).await?;
    steps::tag_build(context, &target.target.dest_tag_name, build).await?;
    Ok(BuildContainerResult { user_warnings: warnings, ..BuildContainerResult::imported(pushed.pull_specs, build) })
}

/// `[target, opts]`, checked again: a task can also be made by `koji make-task`.
fn parse_request(request: &[Value]) -> Result<(TargetName, SourceContainerParams), BoxedDiagnose> {
    let [target, rest @ ..] = request else { return Err(BadTask("no arguments").into()) };
    let target = target.as_str().ok_or(BadTask("target is not a string"))?;
    let opts = rest.first().map_or(serde_json::Value::Null, |v| v.to_json());
    Ok((TargetName(target.to_owned()), SourceContainerParams::from_opts(&opts)?))
}

/// The build whose sources are wanted. The hub has checked it when the task was made; it may have been deleted since.
async fn source_build(context: &TaskContext<'_>, params: &SourceContainerParams) -> Result<Build, BoxedDiagnose> {
    let session = &context.session;
    let by_id = match params.koji_build_id {
        Some(id) => session.get_build(id).await?,
        None => None,
    };
    let by_nvr = match &params.koji_build_nvr {
        Some(nvr) => session.get_build(nvr).await?,
        None => None,
    };
    let row = |build: &Option<Build>| {
        build.as_ref().map(|build| SourceBuildRow {
            id: build.id,
            nvr: build.nvr.clone(),
            state: build.state.number(),
            extra: build.extra.to_json(),
        })
    };
    let found = params.source_build(row(&by_id), row(&by_nvr))?;
    let build = by_id.or(by_nvr).filter(|build| build.id == found.id);
    Ok(build.ok_or(BadTask("the build it names is gone"))?)
}

/// Repository path of an image build: what its index or images were pushed as, else the label `name`.
fn repository_of(of: &Build, images: &[Archive]) -> Option<String> {
    let extra = of.extra.to_json();
    let archives: Vec<serde_json::Value> = images.iter().map(|archive| archive.extra.to_json()).collect();
    let pulled = [extra.pointer("/image/index/pull"), extra.pointer("/typeinfo/image/index/pull")]
        .into_iter()
        .chain(archives.iter().map(|extra| extra.pointer("/docker/repositories")))
        .flatten()
        .filter_map(|specs| specs.as_array()?.first()?.as_str())
        .find_map(|spec| spec.parse::<ImageReference>().ok())
        .map(|reference| reference.repository);
    let labelled = || archives.iter().find_map(|extra| extra.pointer("/docker/config/config/Labels/name")?.as_str());
    pulled.or_else(|| labelled().map(str::to_owned))
}

/// The architecture the image is filed under: it is the same for all, and Koji wants one. That of the image it belongs to,
/// x86_64 first as the earlier service had it.
fn arch_of(images: &[Archive]) -> Arch {
    let arches = images.iter().filter_map(|archive| {
        let extra = archive.extra.to_json();
        Arch::canonical(extra.pointer("/image/arch")?.as_str()?).ok()
    });
    let mut arches: Vec<Arch> = arches.collect();
    arches.sort_by_key(|arch| (arch.as_str() != "x86_64", arch.to_string()));
    arches.into_iter().next().unwrap_or_else(Arch::host)
}

#[cfg(test)]
mod tests {
    use build_model::BuildId;
    use koji_session::BuildState;

    use super::*;

    fn build(extra: serde_json::Value) -> Build {
        Build {
            id: BuildId(7),
            nvr: "web-1.0-3".parse().expect("an nvr"),
            state: BuildState::Complete,
            task_id: None,
            owner_name: None,
            cg_name: None,
            source: None,
            completion_ts: None,
            extra: Value::from_json(&extra),
            volume_name: None,
        }
    }

    fn image(arch: &str, extra: serde_json::Value) -> Archive {
        let mut all = serde_json::json!({"image": {"arch": arch}});
        all["docker"] = extra;
        Archive {
            id: 1,
            build_id: BuildId(7),
            filename: "i.tar.gz".into(),
            size: 1,
            checksum: String::new(),
            checksum_type: 2,
            btype: Some("image".into()),
            type_name: None,
            extra: Value::from_json(&all),
        }
    }

    #[test]
    fn the_repository_is_the_one_the_image_was_pushed_to() {
        let indexed = build(serde_json::json!({"image": {"index": {"pull": ["r.example.org:5000/f40/web@sha256:%"]}}}));
        let indexed_spec = format!("r.example.org:5000/f40/web@sha256:{}", "a".repeat(64));
        let indexed =
            Build { extra: Value::from_json(&serde_json::json!({"image": {"index": {"pull": [indexed_spec]}}})), ..indexed };
        assert_eq!(repository_of(&indexed, &[]).as_deref(), Some("f40/web"));
        let old = build(serde_json::json!({"image": {}}));
        let pushed = image("x86_64", serde_json::json!({"repositories": ["r.example.org/f39/web:1.0-3"]}));
        assert_eq!(repository_of(&old, &[pushed]).as_deref(), Some("f39/web"));
        let labelled = image("x86_64", serde_json::json!({"config": {"config": {"Labels": {"name": "ns/web"}}}}));
        assert_eq!(repository_of(&old, &[labelled]).as_deref(), Some("ns/web"));
        assert_eq!(repository_of(&old, &[image("x86_64", serde_json::json!({}))]), None);
    }

    #[test]
    fn the_image_is_filed_under_an_architecture_of_the_build() {
        let of = |names: &[&str]| {
            let images: Vec<_> = names.iter().map(|name| image(name, serde_json::json!({}))).collect();
            arch_of(&images).to_string()
        };
        assert_eq!(of(&["s390x", "x86_64", "aarch64"]), "x86_64");
        assert_eq!(of(&["s390x", "aarch64"]), "aarch64");
        assert_eq!(of(&[]), Arch::host().to_string());
    }

    #[test]
    fn a_request_of_another_form_is_refused_in_words() {
        let message = |request: &[Value]| parse_request(request).expect_err("refused").to_string();
        assert!(message(&[]).contains("no arguments"));
        assert!(message(&[Value::Int(1)]).contains("target is not a string"));
        assert!(message(&["t".into()]).contains("koji_build_id"));
    }
}
