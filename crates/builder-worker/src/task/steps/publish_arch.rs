//! The image of one architecture goes out: pushed by its digest, its archive uploaded for the import. Nothing gets here
//! before it is proven (`build_arch.rs`). Called by `createContainer`, and by `buildContainer` where it builds itself.

use std::collections::BTreeMap;

use build_model::{BoxedDiagnose, Digest};
use content_generator::{BuildrootHost, DockerInfo, LayerSize, RpmComponent, Tool};
use futures_util::TryFutureExt as _;
use image_layers::{LocalImage, Store};
use registry::{IndexMember, PushEvent, Registry};

use super::{BuiltArch, Parents, still_ours};
use crate::task::arch_result::ArchResult;
use crate::task::one_arch::Destination;
use crate::task::pinned_build::PinnedBuild;
use crate::task::run::TaskContext;

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
    built: &mut BuiltArch,
    destination: &Destination<'_>,
) -> Result<ArchResult, BoxedDiagnose> {
    still_ours(context).await?;
    let registry_host = &context.settings.registry.push;
    let log = context.log.clone();
    let image = &built.built.image;
    let told = move |event: PushEvent| {
        if let PushEvent::Blob { digest, size, sent: true } = event {
            log.step(&format!("sent {} ({} kB)", digest.short(), size >> 10));
        }
    };
    let push = registry.push(store, image, registry_host, &pinned.repository, destination.tags, &told);
    // The registry and the hub do not wait for each other. Of a build that fails here, both keep what they have got so far.
    let (pushed, archive) = match (built.archive.take(), destination.archive_dir) {
        (Some(archive), Some(dir)) => {
            let (pushed, archive) = tokio::try_join!(push.map_err(BoxedDiagnose::from), archive.upload(context, dir))?;
            (pushed, Some(archive))
        }
        _ => (push.await?, None),
    };
    for spec in &pushed.pull_specs {
        context.log.step(&format!("pushed {spec}"));
    }
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
