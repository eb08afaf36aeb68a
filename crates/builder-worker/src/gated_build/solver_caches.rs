//! Warm caches for dnf and its relatives: the metadata, and the `.solv` files they are turned into, made once for a base
//! image and a state of the repositories, by the package manager of that very image in a step of its own
//! (docs/adr/0007-solver-caches.md). RUN steps get them as an underlay: what they write to it stays theirs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use build_model::BoxedDiagnose;
use dockerfile::PlanOptions;
use image_build::{BuildRequest, InjectedKind, InjectedMount, NoHooks, ProgressEvent, SandboxOptions, Silent, Underlay};
use image_layers::{Compression, ManifestFormat};
use rpm_provenance::{BuildStep, Gate};
use sha2::{Digest as _, Sha256};

use super::bases::BaseOfRuns;
use super::{GATE_PORT, GatedBuild};
use crate::build_context::platform;

/// Where package managers keep caches: dnf 4; dnf 5; yum 3 and microdnf.
const CACHE_DIRS: [&str; 3] = ["dnf", "libdnf5", "yum"];
const CACHE_ROOT: &str = "var/cache";
/// Part of the key: what a cache holds and how it is made. Raised when either changes.
const FORMAT: u32 = 1;

/// The underlays of one base image, made when there are none yet. Without them a build is slower and nothing else, so
/// failing to make them is only a remark.
pub(super) fn underlays(gate: &Gate, build: &GatedBuild<'_>, base: &BaseOfRuns, sandbox: &SandboxOptions) -> Vec<Underlay> {
    if base.tools.is_empty() {
        return Vec::new();
    }
    let key = key(gate, base);
    let tree = match gate.solver_cache(&key) {
        Some(tree) => Some(tree),
        None => {
            let begun = Instant::now();
            let made = make(gate, build, base, sandbox, &key);
            let text = match &made {
                Ok(Some(_)) => format!("made the caches of {} in {:.1} s", names(base), begun.elapsed().as_secs_f64()),
                Ok(None) => format!("{} made no caches that can be kept", names(base)),
                Err(error) => format!("the caches of {} could not be made beforehand: {error}", names(base)),
            };
            build.progress.event(ProgressEvent::Note { text });
            made.ok().flatten()
        }
    };
    let Some(tree) = tree else { return Vec::new() };
    // Each as a tree of its own: what is shown must hold nothing else.
    let there = |name: &&str| tree.join(name).is_dir();
    let underlay = |name: &str| Underlay { tree: tree.join(name), path: format!("/{CACHE_ROOT}/{name}") };
    CACHE_DIRS.iter().copied().filter(there).map(underlay).collect()
}

fn names(base: &BaseOfRuns) -> String {
    let tools: Vec<&str> = base.tools.iter().copied().collect();
    format!("{} of {}", tools.join(", "), base.reference)
}

/// Everything that decides what is in a cache: who writes it, and what it is made of.
fn key(gate: &Gate, base: &BaseOfRuns) -> String {
    let mut text = format!("{FORMAT} {} {GATE_PORT} {:?}", base.image.manifest_digest, base.tools);
    for pin in gate.pins() {
        text.push_str(&format!(" {} {}", pin.name, pin.repomd_sha256));
    }
    build_model::hex(&Sha256::digest(text.as_bytes()))
}

/// Runs the package managers of the base image, with a directory of ours for their caches.
fn make(
    gate: &Gate,
    build: &GatedBuild<'_>,
    base: &BaseOfRuns,
    sandbox: &SandboxOptions,
    key: &str,
) -> Result<Option<PathBuf>, BoxedDiagnose> {
    let failed = |source| super::GatedBuildError::SolverCache { source };
    let scratch = gate.solver_scratch().map_err(failed)?;
    let (caches, kept) = (scratch.path().join("cache"), scratch.path().join("kept"));
    let (context, work_dir) = (scratch.path().join("context"), scratch.path().join("work"));
    for dir in [&caches, &kept, &context, &work_dir] {
        std::fs::create_dir(dir).map_err(failed)?;
    }
    let mut text = format!("FROM {}\nUSER 0:0\n", base.reference);
    for tool in &base.tools {
        text.push_str(&format!("RUN [\"{tool}\", \"-y\", \"makecache\"]\n"));
    }
    let file = dockerfile::parse(text.as_bytes(), "caches")?;
    let options = PlanOptions { target: None, build_args: BTreeMap::new(), platform: platform(build.arch) };
    let plan = dockerfile::plan(&file, &options)?;
    let mut sandbox = sandbox.clone();
    sandbox.injected.push(InjectedMount {
        source: caches.clone(),
        target: format!("/{CACHE_ROOT}"),
        kind: InjectedKind::Writable,
    });
    gate.set_step(Some(BuildStep { line: 0, instruction: format!("(caches of {})", names(base)) }));
    let made = image_build::build(&BuildRequest {
        arch: build.arch,
        plan: &plan,
        context: &context,
        ignore: None,
        dockerfile_name: "caches",
        store: build.store,
        work_dir: &work_dir,
        images: build.images,
        remote: None,
        labels: &BTreeMap::new(),
        source_date_epoch: build.source_date_epoch,
        squash: false,
        use_cache: false,
        compression: Compression::None,
        format: ManifestFormat::DockerV2s2,
        file_digests: &[],
        layer_follower: None,
        sandbox: &sandbox,
        run_hooks: &NoHooks,
        progress: &Silent,
        cancel: build.cancel,
        cache_salt: "",
    });
    gate.set_step(None);
    made?;
    for name in CACHE_DIRS {
        move_below(&caches.join(name), &kept.join(name).join(CACHE_ROOT).join(name)).map_err(failed)?;
    }
    Ok(gate.keep_solver_cache(key, &kept).map_err(failed)?)
}

fn move_below(from: &Path, to: &Path) -> std::io::Result<()> {
    if !std::fs::symlink_metadata(from).is_ok_and(|m| m.is_dir()) {
        return Ok(());
    }
    std::fs::create_dir_all(to.parent().unwrap_or(to))?;
    std::fs::rename(from, to)
}
