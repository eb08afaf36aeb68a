//! The import of an image build: what is told to Koji, and the files that belong to it. What other tasks built (image
//! archives, their logs) is imported from those tasks' output, where only the host that built it could write, and only
//! while it did.

use std::collections::BTreeMap;
use std::path::Path;

use build_model::{BoxedDiagnose, BuildContainerParams, BuildId};
use content_generator::{
    ArchOutput, ContentGenerator, ImageIndex, ImageInfo, ImportInput, LogFile, OsbsBuild, ParentBuild, ParentImage,
};

use super::add_record::HELP;
use super::import_files::output_file;
use super::upload_and_import::upload_and_import;
use super::{Published, now};
use crate::task::arch_result::ArchResult;
use crate::task::pinned_build::PinnedBuild;
use crate::task::run::{TaskContext, WorkFileError};
use crate::worker::Reserved;

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
    let input = import_input(context, request, logs);
    upload_and_import(context, request.reserved, request.upload_dir, &dir, uploads, &input).await
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
            help: pinned.help.then(|| HELP.to_owned()),
            sources_for_nvr: None,
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
