//! The build of one architecture, from a checkout to a pushed and proven image: what a `createContainer` task does, and a
//! `buildContainer` task whose only architecture is its own host's.

use std::collections::BTreeMap;

use build_model::{Arch, BoxedDiagnose, ImageTag};
use content_generator::LogFile;
use image_layers::Store;
use registry::Registry;

use super::arch_result::ArchResult;
use super::pinned_build::PinnedBuild;
use super::run::TaskContext;
use super::steps;
use crate::build_context::{BuildContext, platform, read_build_context};

/// Where the result goes.
pub struct Destination<'a> {
    /// Tags in the registry, besides the digest.
    pub tags: &'a [ImageTag],
    /// Directory for the archive, below the hub's work directory; none when there is no import.
    pub archive_dir: Option<&'a str>,
}

/// A result and the reports about it: file name and content.
pub type Built = (ArchResult, Vec<(String, String)>);

/// Reads the Dockerfile of a checkout as it is for one architecture.
///
/// # Errors
/// Every problem of the Dockerfile.
pub fn plan_for(arch: &Arch, fetched: &steps::Fetched) -> Result<BuildContext, BoxedDiagnose> {
    let dockerfile = dist_git::find_dockerfile(&fetched.tree.root)?;
    let options = dockerfile::PlanOptions { target: None, build_args: BTreeMap::new(), platform: platform(arch) };
    read_build_context(&fetched.tree.root, &dockerfile, &options)
}

/// Builds, proves and publishes. The logs in the result are the reports alone: the others still grow.
///
/// # Errors
/// Of the step that failed.
#[allow(clippy::too_many_arguments)] // this is where everything known about one architecture comes together
pub async fn build(
    context: &TaskContext<'_>,
    registry: &Registry,
    store: &Store,
    pinned: &PinnedBuild,
    arch: &Arch,
    fetched: &steps::Fetched,
    settings: &steps::RepositorySettings,
    time: &steps::BuildTime,
    destination: &Destination<'_>,
) -> Result<Built, BoxedDiagnose> {
    time.within(steps::fetch_lookaside(context, fetched)).await?;
    let mut read = plan_for(arch, fetched)?;
    settings.set_release_env(&mut read.plan, &pinned.nvr.release);
    let parents = time.within(steps::pull_parents(context, registry, store, &pinned.parents, arch)).await?;
    let mut labels = pinned.labels.clone();
    labels.insert("architecture".into(), arch.to_string());
    let content = pinned.content.get(arch).map(Vec::as_slice).unwrap_or_default();
    let about = steps::AboutBuild {
        nvr: pinned.nvr.clone(),
        repository: pinned.repository.clone(),
        component: pinned.nvr.name.clone(),
        target: pinned.target.0.clone(),
        dest_tag: pinned.dest_tag.clone(),
        source: pinned.source.clone(),
        imported: destination.archive_dir.is_some(),
        parents: pinned.parents.iter().map(|(name, parent)| parent.report(name, pinned.base.as_deref())).collect(),
    };
    let building = steps::build_arch(context, store, arch, fetched, &read, &parents, content, &labels, &about, time.cancel());
    let mut built = time.within(building).await?;
    let reports = steps::archive_logs(context, &built.reports).await?;
    let mut result = steps::publish_arch(context, registry, store, pinned, &parents, &mut built, destination).await?;
    result.logs.extend(reports.into_iter().map(|file| LogFile { file, arch: Some(arch.clone()) }));
    Ok((result, built.reports))
}
