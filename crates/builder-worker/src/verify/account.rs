//! The file accounting of a verification: the commit from dist-git, RPMs of other stages from Koji, parents from the
//! registry. Each of them that cannot be had is named, with the classes that cannot be told without it.

use std::sync::Arc;

use build_model::{Arch, BoxedDiagnose, BuildId, Nvra};
use dockerfile::PlanOptions;
use image_layers::{LocalImage, MergedView, UnpackLimits, UnpackedLayer};
use rpm_provenance::files::{self, Accounting, FileAccount, LayerDigests, LayerSource, NewLayer, PackageFiles};
use rpm_provenance::{KojiRpms, Provenance, RpmDb, Rule, package_file, rpmdb};

use super::koji_image::{KojiImage, pull_spec};
use super::{Verification, contents, sources};
use crate::build_context::{BuildContext, platform, read_build_context};
use crate::layer_digests;
use crate::task::{chain, config_texts, layer_source};

/// How lines begin that leave files unexplained which may be explained after all.
pub(super) const FILES_UNKNOWN: &str = "whose some files are";

/// What the image itself tells.
pub(super) struct Parts<'a> {
    /// All layers, the lowest first.
    pub layers: &'a [UnpackedLayer],
    /// What made the others, the lowest first.
    pub instructions: &'a [String],
    /// The image's rpmdb.
    pub db: &'a RpmDb,
    /// The files of its packages.
    pub files: &'a [PackageFiles],
    /// The base image's.
    pub parent: Option<&'a (RpmDb, Vec<PackageFiles>)>,
}

/// The instructions that made the topmost `count` layers, the lowest first; empty texts where the history does not fit.
pub(super) fn instructions(image: &LocalImage, count: usize) -> Vec<String> {
    let lines: Vec<String> = image
        .config
        .history
        .iter()
        .filter(|line| !line.empty_layer)
        .map(|line| line.created_by.clone().unwrap_or_default())
        .collect();
    match lines.len().checked_sub(count) {
        Some(below) if lines.len() == image.config.rootfs.diff_ids.len() => lines.into_iter().skip(below).collect(),
        _ => vec![String::new(); count],
    }
}

/// Accounts for the files of the new layers; and what could not be told.
pub(super) async fn account(
    what: &Verification<'_>,
    koji: &KojiImage,
    archived: Option<&Provenance>,
    parts: &Parts<'_>,
    lookup: &dyn KojiRpms,
) -> Result<(FileAccount, Vec<String>), BoxedDiagnose> {
    let mut unknown = Vec::new();
    let work = what.store.temp_dir()?;
    let commit = match sources::fetch(what.sources, koji, work.path()).await {
        Ok(fetched) => {
            let missing = fetched.missing.iter();
            unknown.extend(missing.map(|why| format!("{FILES_UNKNOWN} (classes commit and unexplained): {why}")));
            Some(fetched.root)
        }
        Err(why) => {
            unknown.push(format!("{FILES_UNKNOWN} (classes commit, stage and unexplained): {why}"));
            None
        }
    };
    let read = match &commit {
        Some(root) => match plan(root, what.arch) {
            Ok(read) => Some(read),
            Err(error) => {
                unknown.push(format!("{FILES_UNKNOWN} (classes stage and unexplained): {}", chain(&*error)));
                None
            }
        },
        None => None,
    };
    let mut elsewhere = Vec::new();
    match other_stages(what, archived, parts.db, lookup).await {
        Ok(packages) => elsewhere.push(("another stage".to_owned(), packages)),
        Err(why) => unknown.push(format!("{FILES_UNKNOWN} (classes elsewhere and unexplained): {why}")),
    }
    for parent in koji.parents().into_iter().filter(|parent| !parent.base) {
        match parent_packages(what, parent.build.as_ref().map(|b| BuildId(b.id))).await {
            Ok(packages) => elsewhere.push((parent.reference, packages)),
            Err(why) => {
                unknown.push(format!("{FILES_UNKNOWN} (classes elsewhere and unexplained): parent {}: {why}", parent.reference));
            }
        }
    }
    let (contents, unread) = match (&commit, &read) {
        (Some(root), Some(read)) => tokio::task::block_in_place(|| contents::of_commit(root, read)),
        _ => Default::default(),
    };
    unknown.extend(unread.into_iter().map(|why| format!("{FILES_UNKNOWN} (classes commit and unexplained): {why}")));
    let contents = Arc::new(contents);
    // Without the Dockerfile nothing is claimed either.
    let source = |text: &str| match layer_source(text, read.as_ref()) {
        LayerSource::Commit => LayerSource::ClaimedCommit(contents.clone()),
        other => other,
    };
    let new_layers: Vec<NewLayer> =
        parts.instructions.iter().rev().map(|text| NewLayer { instruction: text.clone(), source: source(text) }).collect();
    let account = tokio::task::block_in_place(|| {
        let digests: Vec<LayerDigests> =
            parts.layers.iter().rev().map(|layer| layer_digests::of_unpacked(what.store, layer)).collect();
        files::account(&Accounting {
            layers: parts.layers.iter().rev().map(|layer| layer.dir.clone()).collect(),
            new_layers: &new_layers,
            digests: &digests,
            packages: parts.files,
            parent: parts.parent.map(|(_, files)| files.as_slice()).unwrap_or_default(),
            elsewhere: &elsewhere,
            commit: commit.as_deref(),
            config: &config_texts(&what.image.config.config),
            working_dir: &what.image.config.config.working_dir,
        })
    })?;
    Ok((account, unknown))
}

fn plan(root: &std::path::Path, arch: &Arch) -> Result<BuildContext, BoxedDiagnose> {
    let options = PlanOptions { target: None, build_args: Default::default(), platform: platform(arch) };
    read_build_context(root, &dist_git::find_dockerfile(root)?, &options)
}

/// The file lists of RPMs that the build's gate released and the image does not list: what other stages installed. The
/// build's own report names them; Koji has them, and their headers are compared with its digests.
async fn other_stages(
    what: &Verification<'_>,
    archived: Option<&Provenance>,
    db: &RpmDb,
    lookup: &dyn KojiRpms,
) -> Result<Vec<PackageFiles>, String> {
    let Some(archived) = archived else {
        return Err("the build has left no report, so the RPMs of other stages are not known".into());
    };
    let installed: std::collections::BTreeSet<&str> = db.packages.iter().map(|p| p.computed.sha256.as_str()).collect();
    let mut wanted: Vec<(Nvra, String)> = archived
        .requests
        .iter()
        .filter(|r| r.released && r.rule == Rule::KojiRpm)
        .filter_map(|r| Some((r.nvra.as_ref()?.parse().ok()?, r.sha256header.clone()?)))
        .filter(|(_, sum)| !installed.contains(sum.as_str()))
        .collect();
    wanted.sort();
    wanted.dedup();
    let names: Vec<Nvra> = wanted.iter().map(|(nvra, _)| nvra.clone()).collect();
    let known = lookup.lookup(&names).await.map_err(|error| chain(&error))?;
    let ids: Vec<BuildId> = known.iter().map(|k| BuildId(k.as_ref().map_or(0, |k| k.build_id))).collect();
    let builds = what.session.get_builds(&ids).await.map_err(|error| chain(&error))?;
    let mut found = Vec::new();
    for ((nvra, sum), build) in wanted.iter().zip(builds) {
        let build = build.ok_or_else(|| format!("Koji does not know {nvra} any more"))?;
        let head = what.files.rpm_head(&build, nvra).await.map_err(|error| chain(&error))?;
        let files = package_file::read_files(&mut head.as_slice()).map_err(|error| format!("{nvra}: {error}"))?;
        if files.sha256header != *sum {
            return Err(format!("{nvra} in Koji is another one than the build was given"));
        }
        found.push(files);
    }
    Ok(found)
}

/// The files of another parent's packages, pulled by the digest its build records.
async fn parent_packages(what: &Verification<'_>, build: Option<BuildId>) -> Result<Vec<PackageFiles>, String> {
    let build = build.ok_or("it is no build of this Koji")?;
    let build = what.session.get_build(build).await.map_err(|e| chain(&e))?.ok_or("its build is gone")?;
    let spec = pull_spec(&build).ok_or_else(|| format!("{} records nothing that can be pulled", build.nvr))?;
    let reference: registry::ImageReference = spec.parse().map_err(|e: registry::ReferenceError| chain(&e))?;
    let resolved = what.registry.resolve(&reference, what.arch).await.map_err(|e| chain(&e))?;
    let image = what.registry.pull(&resolved.reference, what.arch, what.store, &|_| {}).await.map_err(|e| chain(&e))?;
    let layers = what.store.unpack_image(&image, &UnpackLimits::default()).map_err(|e| chain(&e))?;
    let view = MergedView::new(layers.into_iter().rev().map(|layer| layer.dir).collect());
    // A rpmdb that cannot be read explains nothing, as in the build.
    Ok(rpmdb::read_view_with_files(&view).map(|(_, files)| files).unwrap_or_default())
}
