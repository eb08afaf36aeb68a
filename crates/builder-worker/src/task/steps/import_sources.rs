//! The import of a source container: as atomic-reactor did it, the build is `NAME-source` with `extra.image.sources_for_nvr`,
//! and its image has no RPM components, because source packages are files in it and not installed.

use std::collections::BTreeMap;

use build_model::{BoxedDiagnose, BuildId, ImageTagSet, SourceContainerParams};
use content_generator::{ArchOutput, ContentGenerator, ImageIndex, ImageInfo, ImportInput, LogFile, OsbsBuild, OutputFile};
use image_layers::LocalImage;
use koji_session::Build;

use super::fetch_source_rpms::FetchedSource;
use super::import_files::output_file;
use super::publish_arch::{buildroot, docker_info};
use super::upload_and_import::upload_and_import;
use super::{ResolvedTarget, now};
use crate::task::run::{TaskContext, WorkFileError};
use crate::worker::Reserved;

/// Name of the list of source packages among the build's logs.
const LIST: &str = "source-packages.json";

/// What is imported.
pub struct SourceImport<'a> {
    /// The task's options.
    pub params: &'a SourceContainerParams,
    /// Where the build goes.
    pub target: &'a ResolvedTarget,
    /// The image build the sources belong to.
    pub of: &'a Build,
    /// The packages.
    pub sources: &'a [FetchedSource],
    /// The image.
    pub image: &'a LocalImage,
    /// Architecture it is filed under.
    pub arch: &'a build_model::Arch,
    /// The image as a file, uploaded.
    pub archive: OutputFile,
    /// Its tags in the registry.
    pub tags: &'a ImageTagSet,
    /// Where it can be pulled.
    pub pull_specs: &'a [String],
    /// When the build began.
    pub start_time: i64,
    /// The reservation.
    pub reserved: &'a Reserved,
    /// Where this task's files go, below the hub's work directory.
    pub upload_dir: &'a str,
}

/// Uploads the files and imports the build.
///
/// # Errors
/// The disk's, the hub's, or that the task is not this builder's any more.
pub async fn import_sources(context: &TaskContext<'_>, import: SourceImport<'_>) -> Result<BuildId, BoxedDiagnose> {
    let dir = context.work_dir.join("import");
    std::fs::create_dir_all(&dir).map_err(|source| WorkFileError { path: dir.clone(), source })?;
    let (mut uploads, mut logs) = (Vec::new(), Vec::new());
    let list = dir.join(LIST);
    std::fs::write(&list, source_list(import.of, import.sources))
        .map_err(|source| WorkFileError { path: list.clone(), source })?;
    let mut files = vec![(LIST.to_owned(), list)];
    for (name, path) in context.log.files() {
        let copy = dir.join(&name);
        std::fs::copy(&path, &copy).map_err(|source| WorkFileError { path: copy.clone(), source })?;
        files.push((name, copy));
    }
    for (name, path) in files {
        logs.push(LogFile { file: output_file(&path, &name, Some(import.upload_dir))?, arch: None });
        uploads.push((path, name));
    }
    let input = import_input(context, &import, logs);
    upload_and_import(context, import.reserved, import.upload_dir, &dir, uploads, &input).await
}

/// The packages with their digests, as JSON.
pub fn source_list(of: &Build, sources: &[FetchedSource]) -> String {
    let document = serde_json::json!({"version": 1, "sources_for_nvr": of.nvr.to_string(), "source_packages": sources});
    format!("{document:#}\n")
}

fn import_input(context: &TaskContext<'_>, import: &SourceImport<'_>, logs: Vec<LogFile>) -> ImportInput {
    let (host, tools) = buildroot(context);
    let (image, owner) = (import.image, &import.target.owner);
    let primary: Vec<_> = import.tags.primary.iter().cloned().collect();
    let mut docker = docker_info(image, None, import.pull_specs.to_vec());
    docker.tags.clone_from(&primary);
    ImportInput {
        generator: ContentGenerator { name: context.settings.content_generator.name.clone(), ..ContentGenerator::default() },
        nvr: import.reserved.nvr.clone(),
        source: import.of.source.clone(),
        start_time: import.start_time,
        end_time: now(),
        owner: owner.clone(),
        submitter: owner.clone(),
        build_id: Some(import.reserved.build_id),
        task_id: Some(context.task),
        image: ImageInfo {
            media_types: vec![image.manifest_media_type.clone()],
            index: Some(ImageIndex {
                tags: primary,
                floating_tags: Vec::new(),
                unique_tags: vec![import.tags.unique.clone()],
                pull: import.pull_specs.to_vec(),
                digests: BTreeMap::from([(image.manifest_media_type.clone(), image.manifest_digest.clone())]),
            }),
            sources_for_nvr: Some(import.of.nvr.clone()),
            ..ImageInfo::default()
        },
        osbs_build: OsbsBuild { kind: "source_container_build".to_owned(), ..OsbsBuild::default() },
        userdata: import.params.userdata.clone(),
        extra: serde_json::Map::from_iter([(
            "containerbuild".to_owned(),
            serde_json::json!({"target": import.target.target.name, "sources_for_build_id": import.of.id}),
        )]),
        arches: vec![ArchOutput {
            arch: import.arch.clone(),
            host,
            tools,
            host_components: Vec::new(),
            archive: import.archive.clone(),
            docker,
            components: Vec::new(),
        }],
        logs,
        files: Vec::new(),
        site_extensions: Vec::new(),
    }
}
