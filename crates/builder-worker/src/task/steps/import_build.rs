//! Step 13: `CGImport`. Everything goes into a fresh upload directory: the hub moves the files away and, on an error
//! after that, deletes them (koji-facts §6), so a directory is never used twice, and never the one the logs stream to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use build_model::{Blame, BoxedDiagnose, BuildContainerParams, BuildId, Diagnose, ImageTagSet};
use content_generator::{
    ArchOutput, BuildrootHost, Checksum, ContentGenerator, DockerInfo, ImageIndex, ImageInfo, ImportInput, LayerSize, LogFile,
    OsbsBuild, OutputFile, ParentBuild, ParentImage, RpmComponent, Tool,
};
use image_layers::{Store, docker_archive};
use koji_session::TaskState;
use sha2::{Digest as _, Sha256};

use super::{BuiltArch, Fetched, Parents, PinnedContent, Pushed, ResolvedTarget, now};
use crate::task::run::{TaskContext, WorkFileError};
use crate::worker::Reserved;

/// What is imported.
pub struct ImportRequest<'a> {
    /// Target and owner.
    pub target: &'a ResolvedTarget,
    /// The task's options.
    pub params: &'a BuildContainerParams,
    /// Source at its commit.
    pub fetched: &'a Fetched,
    /// Parents with their builds.
    pub parents: &'a Parents,
    /// Reference of the last stage's base in `parents`.
    pub base: Option<&'a str>,
    /// What was offered.
    pub content: &'a PinnedContent,
    /// The image.
    pub built: &'a BuiltArch,
    /// Where it was pushed.
    pub pushed: &'a Pushed,
    /// Its tags.
    pub tags: &'a ImageTagSet,
    /// The reservation.
    pub reserved: &'a Reserved,
    /// When the task started, seconds since 1970.
    pub start_time: i64,
}

/// The import was stopped on this side.
#[derive(Debug, thiserror::Error)]
#[error("task {task} is not open any more ({state:?}); nothing was imported")]
pub struct TaskGone {
    task: build_model::TaskId,
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

/// Uploads the files and imports the build.
///
/// # Errors
/// The disk's, the hub's, or [`TaskGone`].
pub async fn import_build(
    context: &TaskContext<'_>,
    store: &Store,
    request: &ImportRequest<'_>,
) -> Result<BuildId, BoxedDiagnose> {
    let remote = format!("koji-upload/containerbuild-{}-{}", context.task, unique_suffix(request.reserved));
    let dir = context.work_dir.join("import");
    make_dir(&dir)?;
    let nvr = &request.reserved.nvr;
    let arch = &request.built.arch;
    let archive_name = format!("docker-image-{}.{arch}.tar.gz", request.built.built.image.manifest.config.digest.hex());
    let archive = dir.join(&archive_name);
    let name_in_archive = format!("{}:{}-{}", request.pushed.repository, nvr.version, nvr.release);
    tokio::task::block_in_place(|| docker_archive::write(store, &request.built.built.image, &archive, &[name_in_archive], true))?;
    let archive_file = output_file(&archive, &archive_name)?;

    let mut uploads = vec![(archive, archive_name)];
    let mut logs = Vec::new();
    for (name, path) in context.log.files() {
        let copy = dir.join(&name);
        std::fs::copy(&path, &copy).map_err(|source| WorkFileError { path: copy.clone(), source })?;
        let log_arch = (name == format!("{arch}.log")).then(|| arch.clone());
        logs.push(LogFile { file: output_file(&copy, &name)?, arch: log_arch });
        uploads.push((copy, name));
    }
    for (name, text) in &request.built.reports {
        let path = dir.join(name);
        std::fs::write(&path, text).map_err(|source| WorkFileError { path: path.clone(), source })?;
        // Beside the logs and not as an archive: pungi and others take every archive of type `image` for an image.
        logs.push(LogFile { file: output_file(&path, name)?, arch: Some(arch.clone()) });
        uploads.push((path, name.clone()));
    }
    let input = import_input(context, request, archive_file, logs);
    let metadata = content_generator::metadata(&input)?;
    let metadata_path = dir.join("metadata.json");
    let text = metadata.to_string();
    std::fs::write(&metadata_path, text).map_err(|source| WorkFileError { path: metadata_path.clone(), source })?;
    uploads.push((metadata_path, "metadata.json".into()));
    for (path, name) in &uploads {
        context.session.upload_file(path, &remote, name, &|_, _| {}).await?;
    }
    // CGImport itself is not tied to the task, so ask last thing before it.
    let info = context.session.get_task_info(context.task, false).await?;
    if info.as_ref().is_none_or(|i| i.state != TaskState::Open) {
        return Err(TaskGone { task: context.task, state: info.map(|i| i.state) }.into());
    }
    let build = import_once(context, request, &remote).await?;
    context.log.step(&format!("imported {nvr} as build {build}"));
    Ok(build)
}

/// Imports; when the answer was lost, looks whether the hub did it (hubs before 1.36 do not notice a repeated call).
async fn import_once(context: &TaskContext<'_>, request: &ImportRequest<'_>, remote: &str) -> Result<BuildId, BoxedDiagnose> {
    match context.session.import("metadata.json", remote, &request.reserved.token).await {
        Ok(build) => Ok(build),
        Err(error) => match context.session.get_build(&request.reserved.nvr).await {
            Ok(Some(build)) if build.state == koji_session::BuildState::Complete && build.task_id == Some(context.task) => {
                Ok(build.id)
            }
            _ => Err(error.into()),
        },
    }
}

fn import_input(context: &TaskContext<'_>, request: &ImportRequest<'_>, archive: OutputFile, logs: Vec<LogFile>) -> ImportInput {
    let image = &request.built.built.image;
    let digests = BTreeMap::from([(image.manifest_media_type.clone(), request.pushed.image.digest.clone())]);
    let primary: Vec<_> = request.tags.primary.iter().cloned().collect();
    let base = request.base.and_then(|name| request.parents.get(name));
    let mut extra = serde_json::Map::new();
    let repos: Vec<_> = request
        .content
        .koji_repos
        .iter()
        .map(|(tag, id)| serde_json::json!({"tag": tag, "repo_id": id, "event": request.target.event}))
        .collect();
    let content: Vec<_> =
        request.content.sources.iter().map(|s| serde_json::json!({"name": s.name, "url": s.base_url})).collect();
    let parents: BTreeMap<_, _> = request.parents.iter().map(|(name, parent)| (name, &parent.pinned)).collect();
    extra.insert(
        "containerbuild".into(),
        serde_json::json!({
            "target": request.target.target.name, "koji_repos": repos, "content": content, "pinned_parents": parents,
        }),
    );
    ImportInput {
        generator: ContentGenerator { name: context.settings.content_generator.name.clone(), ..ContentGenerator::default() },
        nvr: request.reserved.nvr.clone(),
        source: Some(request.fetched.source.to_string()),
        start_time: request.start_time,
        end_time: now(),
        owner: request.target.owner.clone(),
        submitter: request.target.owner.clone(),
        build_id: Some(request.reserved.build_id),
        task_id: Some(context.task),
        image: ImageInfo {
            isolated: request.params.isolated,
            parents: request
                .parents
                .iter()
                .map(|(name, parent)| ParentImage {
                    pull_spec: name.clone(),
                    build: parent.build.clone().map(|(id, nvr)| ParentBuild { id, nvr }),
                })
                .collect(),
            parent_build_id: base.and_then(|p| p.build.as_ref()).map(|(id, _)| *id),
            yum_repourls: request.params.yum_repourls.clone(),
            media_types: vec![image.manifest_media_type.clone()],
            index: Some(ImageIndex {
                tags: primary.clone(),
                floating_tags: request.tags.floating.clone(),
                unique_tags: vec![request.tags.unique.clone()],
                pull: request.pushed.image.pull_specs.clone(),
                digests: digests.clone(),
            }),
        },
        osbs_build: OsbsBuild::default(),
        userdata: request.params.userdata.clone(),
        extra,
        arches: vec![ArchOutput {
            arch: request.built.arch.clone(),
            host: BuildrootHost { os: os_name(), arch: build_model::Arch::host() },
            tools: vec![Tool { name: "containerbuild".into(), version: env!("CARGO_PKG_VERSION").into() }],
            host_components: Vec::new(),
            archive,
            docker: DockerInfo {
                id: image.manifest.config.digest.clone(),
                parent_id: base.map(|p| p.image.manifest.config.digest.clone()),
                layer_sizes: image
                    .layers()
                    .iter()
                    .map(|l| LayerSize::Compressed { digest: l.digest.clone(), size: l.size })
                    .collect(),
                repositories: request.pushed.image.pull_specs.clone(),
                tags: primary,
                digests,
                config: serde_json::from_slice(&image.config_bytes).unwrap_or(serde_json::Value::Null),
            },
            components: components(request.built),
        }],
        logs,
        files: Vec::new(),
        site_extensions: Vec::new(),
    }
}

fn components(built: &BuiltArch) -> Vec<RpmComponent> {
    built
        .proof
        .packages
        .iter()
        .map(|p| &p.ident)
        .filter(|rpm| rpm.nvra.nvr.name != "gpg-pubkey")
        .map(|rpm| RpmComponent {
            nvra: rpm.nvra.clone(),
            epoch: rpm.epoch,
            sigmd5: rpm.sigmd5.clone(),
            sha256header: rpm.sha256header.clone(),
            signature: rpm.sigkey().map(str::to_owned),
        })
        .collect()
}

fn output_file(path: &Path, name: &str) -> Result<OutputFile, WorkFileError> {
    let failed = |source| WorkFileError { path: path.to_owned(), source };
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let mut sum = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut size = 0_u64;
    loop {
        let n = std::io::Read::read(&mut file, &mut buffer).map_err(failed)?;
        if n == 0 {
            break;
        }
        sum.update(&buffer[..n]);
        size += n as u64;
    }
    let digest = build_model::Digest::from_sha256(&sum.finalize().into());
    Ok(OutputFile { name: name.to_owned(), size, checksum: Checksum::Sha256(digest.hex().to_owned()) })
}

fn make_dir(dir: &PathBuf) -> Result<(), WorkFileError> {
    std::fs::create_dir_all(dir).map_err(|source| WorkFileError { path: dir.clone(), source })
}

/// Differs between two runs of one task: the reservation's token is new, or the time is.
fn unique_suffix(reserved: &Reserved) -> String {
    format!("{}-{}", now(), &reserved.token.chars().take(8).collect::<String>())
}

/// `PRETTY_NAME` of os-release, as the buildroot's host.os.
fn os_name() -> String {
    let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = text.lines().find_map(|l| l.strip_prefix("PRETTY_NAME=")).unwrap_or("Linux");
    name.trim_matches('"').to_owned()
}
