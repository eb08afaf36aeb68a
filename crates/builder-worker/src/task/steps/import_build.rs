//! `CGImport`. What this task writes goes into a fresh upload directory: the hub moves the files away and, on an error
//! after that, deletes them (koji-facts §6), so a directory is never used twice, and never the one the logs stream to.
//! What other tasks built (image archives, their logs) is imported from those tasks' output, where only the host that
//! built it could write, and only while it did.

use std::collections::BTreeMap;
use std::path::Path;

use build_model::{Blame, BoxedDiagnose, BuildContainerParams, BuildId, Diagnose};
use content_generator::{
    ArchOutput, ContentGenerator, ImageIndex, ImageInfo, ImportInput, LogFile, OsbsBuild, ParentBuild, ParentImage,
};
use koji_session::HubError;

use super::import_files::output_file;
use super::{Published, now, still_ours};
use crate::task::arch_result::ArchResult;
use crate::task::pinned_build::PinnedBuild;
use crate::task::run::{TaskContext, WorkFileError};
use crate::worker::Reserved;

/// The directory of an import: the hub's whole work directory, because its files come from several tasks.
const WORK: &str = ".";

/// What is imported.
pub struct ImportRequest<'a> {
    /// The build.
    pub pinned: &'a PinnedBuild,
    /// The task's options.
    pub params: &'a BuildContainerParams,
    /// Its images.
    pub results: &'a [ArchResult],
    /// Where they can be pulled.
    pub published: &'a Published,
    /// Reports of what was built here: file name and content.
    pub reports: &'a [(String, String)],
    /// The reservation.
    pub reserved: &'a Reserved,
    /// Where this task's own files go, below the hub's work directory.
    pub upload_dir: &'a str,
}

/// A plugin of the hub refused the import: ours (`koji-plugin/hub/containerbuild.py`), or one of the site's.
#[derive(Debug, thiserror::Error)]
#[error("the hub refused the import: {text}")]
pub struct ImportRefused {
    text: String,
    plugin: String,
}

impl ImportRefused {
    /// Tells a plugin's refusal from other faults.
    fn of(error: HubError) -> BoxedDiagnose {
        let HubError::Fault(fault) = &error else { return error.into() };
        let Some(refusal) = fault.callback_refusal() else { return error.into() };
        tracing::warn!(%fault, "the hub refused the import");
        let text = match refusal.exception {
            "koji.ParameterError" => refusal.text.to_owned(),
            // No refusal but a failure: its class is part of what happened.
            exception => format!("its {} callback failed with {exception}: {}", refusal.callback, refusal.text),
        };
        ImportRefused { text, plugin: refusal.plugin.to_owned() }.into()
    }
}

impl Diagnose for ImportRefused {
    fn blame(&self) -> Blame {
        Blame::Hub
    }
    fn kind(&self) -> &'static str {
        "import-refused"
    }
    fn hint(&self) -> Option<String> {
        Some(format!(
            "the hub's plugin {} says so; its configuration and the hub's log tell its administrators more",
            self.plugin
        ))
    }
}

/// A directory below the hub's work directory that no other run of this task has used: the reservation's token is new, or
/// the time is.
pub fn upload_dir(context: &TaskContext<'_>, reserved: &Reserved) -> String {
    let mark: String = reserved.token.chars().take(8).collect();
    format!("koji-upload/containerbuild-{}-{}-{mark}", context.task, now())
}

/// Uploads the files and imports the build.
///
/// # Errors
/// The disk's, the hub's, or `TaskGone`.
pub async fn import_build(context: &TaskContext<'_>, request: &ImportRequest<'_>) -> Result<BuildId, BoxedDiagnose> {
    let dir = context.work_dir.join("import");
    std::fs::create_dir_all(&dir).map_err(|source| WorkFileError { path: dir.clone(), source })?;
    let mut uploads = Vec::new();
    let mut logs: Vec<LogFile> = request.results.iter().flat_map(|r| r.logs.iter().cloned()).collect();
    for (name, path) in context.log.files() {
        let copy = dir.join(&name);
        std::fs::copy(&path, &copy).map_err(|source| WorkFileError { path: copy.clone(), source })?;
        logs.push(own_log(request, &copy, &name)?);
        uploads.push((copy, name));
    }
    for (name, text) in request.reports {
        let path = dir.join(name);
        std::fs::write(&path, text).map_err(|source| WorkFileError { path: path.clone(), source })?;
        // Beside the logs and not as an archive: pungi and others take every archive of type `image` for an image.
        logs.push(own_log(request, &path, name)?);
        uploads.push((path, name.clone()));
    }
    let metadata = content_generator::metadata(&import_input(context, request, logs))?;
    let metadata_path = dir.join("metadata.json");
    std::fs::write(&metadata_path, metadata.to_string())
        .map_err(|source| WorkFileError { path: metadata_path.clone(), source })?;
    uploads.push((metadata_path, "metadata.json".into()));
    for (path, name) in &uploads {
        context.session.upload_file(path, request.upload_dir, name, &|_, _| {}).await?;
    }
    // CGImport itself is not tied to the task, so ask last thing before it.
    still_ours(context).await?;
    let build = import_once(context, request).await?;
    context.log.step(&format!("imported {} as build {build}", request.reserved.nvr));
    Ok(build)
}

/// A file of this task; `ARCH.log` and the like belong to their architecture.
fn own_log(request: &ImportRequest<'_>, path: &Path, name: &str) -> Result<LogFile, WorkFileError> {
    let of_arch = |result: &&ArchResult| {
        let arch = result.arch.as_str();
        name.strip_suffix(".log").is_some_and(|stem| stem == arch) || name.contains(&format!("-{arch}."))
    };
    let arch = request.results.iter().find(of_arch).map(|r| r.arch.clone());
    Ok(LogFile { file: output_file(path, name, Some(request.upload_dir))?, arch })
}

/// Imports; when the answer was lost, looks whether the hub did it (hubs before 1.36 do not notice a repeated call).
async fn import_once(context: &TaskContext<'_>, request: &ImportRequest<'_>) -> Result<BuildId, BoxedDiagnose> {
    let metadata = format!("{}/metadata.json", request.upload_dir);
    match context.session.import(&metadata, WORK, &request.reserved.token).await {
        Ok(build) => Ok(build),
        Err(error) => match context.session.get_build(&request.reserved.nvr).await {
            Ok(Some(build)) if build.state == koji_session::BuildState::Complete && build.task_id == Some(context.task) => {
                Ok(build.id)
            }
            _ => Err(ImportRefused::of(error)),
        },
    }
}

fn import_input(context: &TaskContext<'_>, request: &ImportRequest<'_>, logs: Vec<LogFile>) -> ImportInput {
    let (pinned, published) = (request.pinned, request.published);
    let primary: Vec<_> = pinned.tags.primary.iter().cloned().collect();
    ImportInput {
        generator: ContentGenerator { name: context.settings.content_generator.name.clone(), ..ContentGenerator::default() },
        nvr: request.reserved.nvr.clone(),
        source: Some(pinned.source.clone()),
        start_time: pinned.start_time,
        end_time: now(),
        owner: pinned.owner.clone(),
        submitter: pinned.owner.clone(),
        build_id: Some(request.reserved.build_id),
        task_id: Some(context.task),
        image: ImageInfo {
            isolated: request.params.isolated,
            parents: pinned
                .parents
                .iter()
                .map(|(name, parent)| ParentImage {
                    pull_spec: name.clone(),
                    build: parent.build.clone().map(|(id, nvr)| ParentBuild { id, nvr }),
                })
                .collect(),
            parent_build_id: pinned
                .base
                .as_ref()
                .and_then(|name| pinned.parents.get(name))
                .and_then(|p| p.build.as_ref())
                .map(|(id, _)| *id),
            yum_repourls: request.params.yum_repourls.clone(),
            media_types: media_types(request),
            index: Some(ImageIndex {
                tags: primary.clone(),
                floating_tags: pinned.tags.floating.clone(),
                unique_tags: vec![pinned.tags.unique.clone()],
                pull: published.pull_specs.clone(),
                digests: BTreeMap::from([(published.media_type.clone(), published.digest.clone())]),
            }),
        },
        osbs_build: OsbsBuild::default(),
        userdata: request.params.userdata.clone(),
        extra: own_extra(pinned, request.results),
        arches: request.results.iter().filter_map(|result| output(pinned, published, result)).collect(),
        logs,
        files: Vec::new(),
        site_extensions: Vec::new(),
    }
}

/// An architecture's image. The only image of a build has the build's own tags.
fn output(pinned: &PinnedBuild, published: &Published, result: &ArchResult) -> Option<ArchOutput> {
    let mut output = result.output()?;
    if published.digest == result.member.digest {
        output.docker.repositories.clone_from(&published.pull_specs);
        output.docker.tags = pinned.tags.primary.iter().cloned().collect();
    }
    Some(output)
}

/// The media types of everything that was pushed, the index's first.
fn media_types(request: &ImportRequest<'_>) -> Vec<String> {
    let mut types = vec![request.published.media_type.clone()];
    for result in request.results {
        if !types.contains(&result.member.media_type) {
            types.push(result.member.media_type.clone());
        }
    }
    types
}

/// `extra.containerbuild`: what the build was pinned to, and which architectures it lacks.
fn own_extra(pinned: &PinnedBuild, results: &[ArchResult]) -> serde_json::Map<String, serde_json::Value> {
    let repos: Vec<_> = pinned
        .koji_repos
        .iter()
        .map(|repo| serde_json::json!({"tag": repo.tag, "repo_id": repo.repo_id, "event": pinned.event}))
        .collect();
    let mut content: Vec<serde_json::Value> = Vec::new();
    for source in results.iter().filter_map(|r| pinned.content.get(&r.arch)).flatten() {
        let entry = serde_json::json!({"name": source.name, "url": source.base_url});
        if !content.contains(&entry) {
            content.push(entry);
        }
    }
    let parents: BTreeMap<_, _> = pinned.parents.iter().map(|(name, parent)| (name, &parent.pinned)).collect();
    let missing: Vec<_> = pinned.arches.iter().map(|a| &a.arch).filter(|a| results.iter().all(|r| r.arch != **a)).collect();
    let mut own = serde_json::json!({
        "target": pinned.target, "koji_repos": repos, "content": content, "pinned_parents": parents,
    });
    if let Some(map) = own.as_object_mut().filter(|_| !missing.is_empty()) {
        map.insert("missing_arches".into(), serde_json::json!(missing));
    }
    serde_json::Map::from_iter([("containerbuild".to_owned(), own)])
}
