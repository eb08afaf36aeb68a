//! The image of one architecture goes out: pushed by its digest, its archive uploaded for the import. Nothing gets here
//! before it is proven (`build_arch.rs`). Called by `createContainer`, and by `buildContainer` where it builds itself.

use std::collections::BTreeMap;
use std::path::PathBuf;

use build_model::{Arch, BoxedDiagnose, Digest};
use content_generator::{BuildrootHost, DockerInfo, LayerSize, OutputFile, RpmComponent, Tool};
use image_layers::{LocalImage, Store, docker_archive};
use registry::{IndexMember, PushEvent, Registry};

use super::import_files::output_file;
use super::{BuiltArch, Parents, still_ours};
use crate::task::arch_result::ArchResult;
use crate::task::one_arch::Destination;
use crate::task::pinned_build::PinnedBuild;
use crate::task::run::{TaskContext, WorkFileError};

/// Pushes the image under its digest and the tags of `destination`, and uploads its archive there. The result lacks the
/// task's logs, which still grow.
///
/// # Errors
/// The registry's, the disk's, the hub's, or that the task is not this builder's any more.
pub async fn publish_arch(
    context: &TaskContext<'_>,
    registry: &Registry,
    store: &Store,
    pinned: &PinnedBuild,
    parents: &Parents,
    built: &BuiltArch,
    destination: &Destination<'_>,
) -> Result<ArchResult, BoxedDiagnose> {
    still_ours(context).await?;
    let registry_host = &context.settings.registry.push;
    let log = context.log.clone();
    let image = &built.built.image;
    let pushed = registry
        .push(store, image, registry_host, &pinned.repository, destination.tags, &move |event| {
            if let PushEvent::Blob { digest, size, sent: true } = event {
                log.step(&format!("sent {} ({} kB)", digest.short(), size >> 10));
            }
        })
        .await?;
    for spec in &pushed.pull_specs {
        context.log.step(&format!("pushed {spec}"));
    }
    let archive = match destination.archive_dir {
        Some(dir) => {
            let inside = format!("{}:{}-{}", pinned.repository, pinned.nvr.version, pinned.nvr.release);
            Some(upload_archive(context, store, image, &built.arch, inside, dir).await?)
        }
        None => None,
    };
    let parent = pinned.base.as_ref().and_then(|name| parents.get(name));
    let (host, tools) = buildroot(context);
    Ok(ArchResult {
        arch: built.arch.clone(),
        repositories: pushed.pull_specs.clone(),
        member: IndexMember::of(&built.arch, image),
        host,
        tools,
        docker: docker_info(image, parent.map(|p| &p.manifest.config.digest), pushed.pull_specs),
        components: components(built),
        archive,
        logs: Vec::new(),
        warnings: built.warnings.clone(),
    })
}

/// What Koji records of an image that was pushed under `repositories`.
pub fn docker_info(image: &LocalImage, parent: Option<&Digest>, repositories: Vec<String>) -> DockerInfo {
    let layers = image.layers().iter();
    DockerInfo {
        id: image.manifest.config.digest.clone(),
        parent_id: parent.cloned(),
        layer_sizes: layers.map(|l| LayerSize::Compressed { digest: l.digest.clone(), size: l.size }).collect(),
        repositories,
        tags: Vec::new(),
        digests: BTreeMap::from([(image.manifest_media_type.clone(), image.manifest_digest.clone())]),
        config: serde_json::from_slice(&image.config_bytes).unwrap_or(serde_json::Value::Null),
    }
}

/// The machine and the program, as a buildroot's.
pub fn buildroot(context: &TaskContext<'_>) -> (BuildrootHost, Vec<Tool>) {
    let host = BuildrootHost { os: os_name(), arch: context.settings.worker.arch() };
    (host, vec![Tool { name: "containerbuild".into(), version: env!("CARGO_PKG_VERSION").into() }])
}

/// Uploads an image as `docker-archive` into `dir`; `inside` is the name in it, `REPOSITORY:TAG`.
///
/// # Errors
/// The disk's or the hub's.
pub async fn upload_archive(
    context: &TaskContext<'_>,
    store: &Store,
    image: &LocalImage,
    arch: &Arch,
    inside: String,
    dir: &str,
) -> Result<OutputFile, BoxedDiagnose> {
    let name = format!("docker-image-{}.{arch}.tar.gz", image.manifest.config.digest.hex());
    let path: PathBuf = context.work_dir.join(&name);
    tokio::task::block_in_place(|| docker_archive::write(store, image, &path, &[inside], true))?;
    let file = output_file(&path, &name, Some(dir))?;
    context.session.upload_file(&path, dir, &name, &|_, _| {}).await?;
    std::fs::remove_file(&path).map_err(|source| WorkFileError { path, source })?;
    Ok(file)
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

/// `PRETTY_NAME` of os-release, as the buildroot's host.os.
fn os_name() -> String {
    let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = text.lines().find_map(|l| l.strip_prefix("PRETTY_NAME=")).unwrap_or("Linux");
    name.trim_matches('"').to_owned()
}
