//! Steps 8 to 11, for one architecture: gate up, stages run, and the proof from the finished image. Nothing is pushed
//! before every RPM in the result is shown to be Koji's.

use std::collections::BTreeMap;
use std::sync::Arc;

use build_model::{Arch, Blame, BoxedDiagnose, Diagnose};
use image_build::{BuiltImage, CancelFlag, Limits, Progress, ProgressEvent};
use image_layers::{FileDigestAlgorithm, MergedView, Store};
use rpm_provenance::files::{self, FileJudgement};
use rpm_provenance::{Proof, Report, report, rpmdb};

use super::account_files::{Databases, account_files};
use super::{Fetched, Parents, PinnedContent, archive_logs};
use crate::build_context::BuildContext;
use crate::gated_build::{self, GatedBuild, Reach};
use crate::koji_rpms::HubRpms;
use crate::pinned_images::PinnedImages;
use crate::task::log::TaskLog;
use crate::task::run::TaskContext;

/// A built and proven image.
pub struct BuiltArch {
    /// The architecture.
    pub arch: Arch,
    /// The image, in the store.
    pub built: BuiltImage,
    /// Why each RPM may be in it.
    pub proof: Proof,
    /// The report in both forms: file name and content.
    pub reports: Vec<(String, String)>,
    /// What the packager is told besides.
    pub warnings: Vec<String>,
}

/// The result may not be pushed.
#[derive(Debug, thiserror::Error)]
pub enum ArchError {
    /// The proof found something.
    #[error("the image holds what this Koji did not build:\n{0}")]
    NotProven(String),
    /// The site's policy refuses files that nothing accounts for.
    #[error("the image holds files that may not be in it:\n{0}")]
    Files(String),
    /// It is larger than the site allows.
    #[error("the image has {megabytes} MB, the site allows {limit} MB")]
    TooLarge {
        /// Compressed size.
        megabytes: u64,
        /// The limit.
        limit: u64,
    },
}

impl Diagnose for ArchError {
    fn blame(&self) -> Blame {
        Blame::Packager
    }
    fn kind(&self) -> &'static str {
        match self {
            ArchError::NotProven(_) => "not-proven",
            ArchError::Files(_) => "files-not-accounted-for",
            ArchError::TooLarge { .. } => "image-too-large",
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            ArchError::NotProven(_) => Some(
                "install RPMs with dnf from the offered repositories only; provenance.txt of this task lists every RPM".into(),
            ),
            ArchError::Files(_) => Some(
                "install programs as RPMs with dnf in the last stage, or commit them to dist-git and COPY them; \
                 provenance.txt of this task lists every path"
                    .into(),
            ),
            ArchError::TooLarge { .. } => None,
        }
    }
}

/// Builds and proves one architecture.
///
/// # Errors
/// The engine's, the gate's, or [`ArchError`].
#[allow(clippy::too_many_arguments)] // one argument a step: this is where they come together
pub async fn build_arch(
    context: &TaskContext<'_>,
    store: &Store,
    arch: &Arch,
    fetched: &Fetched,
    read: &BuildContext,
    parents: &Parents,
    content: &PinnedContent,
    labels: &BTreeMap<String, String>,
    nvr: &str,
    cancel: &CancelFlag,
) -> Result<BuiltArch, BoxedDiagnose> {
    let settings = context.settings;
    let lookup: Arc<dyn rpm_provenance::KojiRpms> = Arc::new(HubRpms::new(context.session.clone()));
    let images = PinnedImages(parents.iter().map(|(name, parent)| (name.clone(), parent.image.clone())).collect());
    let work_dir = context.work_dir.join(arch.as_str());
    std::fs::create_dir_all(&work_dir)
        .map_err(|source| gated_build::GatedBuildError::RepoFiles { path: work_dir.clone(), source })?;
    let progress = LogProgress { log: context.log.clone(), file: format!("{arch}.log") };
    let request = GatedBuild {
        context: read,
        root: &fetched.tree.root,
        store,
        work_dir: &work_dir,
        images: &images,
        labels,
        source_date_epoch: fetched.tree.commit_time,
        squash: false,
        use_cache: false, // a Koji build runs its steps; what may be reused is a later decision with its own record
        compression: settings.image.compression,
        format: settings.image.format,
        file_digests: &[FileDigestAlgorithm::Sha256], // what packages have used since 2009
        layer_follower: None,                         // nothing leaves this machine before the proof
        runtime: settings.sandbox.runtime.clone(),
        limits: Limits {
            memory_bytes: settings.sandbox.memory_mb.map(|mb| mb << 20),
            pids: settings.sandbox.pids,
            run_seconds: Some(settings.sandbox.run_seconds),
        },
        progress: &progress,
        cancel,
    };
    let reach = Reach::Gate {
        sources: content.sources.clone(),
        lookup: Some(Arc::clone(&lookup)),
        policy: settings.policy.rpms.clone(),
        cache_dir: settings.gate_cache_dir(),
        cache_limit: settings.gate.cache_limit(),
    };
    let result = gated_build::build(&request, reach).await?;
    check_size(settings.policy.max_image_mb, &result.built)?;
    let (proof, databases) = prove(context, store, arch, &result.built, &result.verdicts, lookup.as_ref()).await?;
    let digest = result.built.image.manifest_digest.to_string();
    let report = Report {
        image: nvr,
        arch: arch.as_str(),
        manifest_digest: Some(&digest),
        pins: &result.pins,
        verdicts: &result.verdicts,
        proof: &proof,
    };
    let (mut json, mut text) = (report::json(&report), report::text(&report));
    let problems = against(&proof);
    // Whose files they are means something only once the packages are proven.
    let mut judgement = FileJudgement::default();
    if let Some(databases) = databases.filter(|_| problems.is_empty()) {
        context.log.step(&format!("proven: {} RPMs, all built in this Koji", proof.packages.len()));
        let (account, judged) = tokio::task::block_in_place(|| {
            account_files(context, store, fetched, read, parents, &result.built, &result.verdicts, &databases)
        })?;
        judgement = judged;
        json["files"] = files::report::json(&account, &judgement);
        text.push_str(&files::report::text(&account, &judgement));
        context.log.step(&files::report::summary(&account));
    }
    let reports = vec![(format!("provenance-{arch}.json"), format!("{json:#}\n")), (format!("provenance-{arch}.txt"), text)];
    let refused = if !problems.is_empty() {
        Some(ArchError::NotProven(problems.join("\n")))
    } else if !judgement.refused.is_empty() {
        Some(ArchError::Files(judgement.refused.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")))
    } else {
        None
    };
    if let Some(error) = refused {
        context.log.step(&error.to_string());
        // The packager needs the report most of all now.
        archive_logs(context, &reports).await?;
        return Err(error.into());
    }
    Ok(BuiltArch { arch: arch.clone(), built: result.built, proof, reports, warnings: judgement.warnings })
}

/// What stands against pushing the image, one line each.
///
/// Besides what the proof itself found: an RPM that the gate did not release and that only its SIGMD5 speaks for. A rpmdb
/// merely claims that digest, and hubs before Koji 1.36 record no other; inherited RPMs were proven with their parent.
fn against(proof: &Proof) -> Vec<String> {
    let claimed = proof.claimed_only().map(|p| {
        format!(
            "  {}: came from neither the gate nor the parent image, and nothing but the image itself says what it is",
            p.ident.nevra()
        )
    });
    proof.problems.iter().map(|p| format!("  {p}")).chain(claimed).collect()
}

fn check_size(limit: Option<u64>, built: &BuiltImage) -> Result<(), ArchError> {
    let megabytes = built.image.total_size() >> 20;
    match limit {
        Some(limit) if megabytes > limit => Err(ArchError::TooLarge { megabytes, limit }),
        _ => Ok(()),
    }
}

async fn prove(
    context: &TaskContext<'_>,
    store: &Store,
    arch: &Arch,
    built: &BuiltImage,
    verdicts: &[rpm_provenance::Verdict],
    lookup: &dyn rpm_provenance::KojiRpms,
) -> Result<(Proof, Option<Databases>), BoxedDiagnose> {
    let read = |layers: Vec<std::path::PathBuf>| rpmdb::read_view_with_files(&MergedView::new(layers));
    let (db, files) = match read(built.layer_dirs.iter().rev().cloned().collect()) {
        Ok(found) => found,
        Err(error) => return Ok((Proof::of_unreadable(&error), None)),
    };
    let parent = match &built.base {
        Some(base) => {
            let layers = store.unpack_image(base, &image_layers::UnpackLimits::default())?;
            Some(read(layers.into_iter().rev().map(|l| l.dir).collect())?)
        }
        None => None,
    };
    context.log.step(&format!("result has {} RPMs in {}", db.packages.len(), db.path));
    let mut proof = rpm_provenance::prove(&db, parent.as_ref().map(|(db, _)| db), verdicts, lookup).await?;
    proof.check_architecture(arch);
    Ok((proof, Some(Databases { db, files, parent })))
}

/// Engine progress to the task's logs.
struct LogProgress {
    log: TaskLog,
    file: String,
}

impl Progress for LogProgress {
    fn event(&self, event: ProgressEvent) {
        match event {
            ProgressEvent::OutputLine { line, .. } => self.log.line(&self.file, &line),
            ProgressEvent::StepStarted { step } => {
                let text = format!("[{}/{}] {}", step.number, step.total, step.text.lines().next().unwrap_or_default());
                self.log.line(&self.file, &format!("==> {text}"));
                self.log.step(&text);
            }
            ProgressEvent::StepFinished { seconds, cached, .. } => {
                let how = if cached { ", from the cache" } else { "" };
                self.log.line(&self.file, &format!("<== {seconds:.2} s{how}"));
            }
            ProgressEvent::LayerPacked { entries: 0, .. } => {}
            ProgressEvent::LayerPacked { size, uncompressed_size, seconds, .. } => {
                self.log.step(&format!(
                    "         layer of {} kB ({} kB unpacked) in {seconds:.2} s",
                    size >> 10,
                    uncompressed_size >> 10
                ));
            }
            // One line a package: for the arch's log, beside what dnf says.
            ProgressEvent::Note { text } if text.starts_with("gate: ") => self.log.line(&self.file, &text),
            ProgressEvent::Note { text } => self.log.step(&format!("note: {text}")),
        }
    }
}
