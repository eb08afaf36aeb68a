//! Steps 8 to 11, for one architecture: gate up, stages run, and the proof from the finished image. Nothing is pushed
//! before every RPM in the result is shown to be Koji's.

use std::collections::BTreeMap;
use std::sync::Arc;

use build_model::{Arch, Blame, BoxedDiagnose, Diagnose, KojiTag, Nvr};
use image_build::{BuiltImage, CancelFlag, Progress, ProgressEvent};
use image_layers::{FileDigestAlgorithm, MergedView, Store};
use rpm_provenance::policy::{ReleaseRules, RuleOutcome, Ruling};
use rpm_provenance::report::{Difference, FilesSection, ParentImage};
use rpm_provenance::{ContentSource, Proof, Provenance, Report, files, report, rpmdb};

use super::account_files::{Databases, account_files, new_layers};
use super::add_record::{Record, add_record};
use super::image_archive::ImageArchive;
use super::{Fetched, Parents, archive_logs, today};
use crate::build_context::BuildContext;
use crate::download::read_authority;
use crate::file_digests::FileDigests;
use crate::gated_build::{self, GatedBuild, GatedResult, Reach};
use crate::koji_rpms::HubRpms;
use crate::pinned_images::PinnedImages;
use crate::provenance::{self, KojiFiles};
use crate::task::chain;
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
    /// The image as Koji keeps it, where there is an import.
    pub archive: Option<ImageArchive>,
}

/// What the report says of a build besides what is in the image.
pub struct AboutBuild {
    /// Name-version-release.
    pub nvr: Nvr,
    /// Repository path in the registry.
    pub repository: String,
    /// The Koji package.
    pub component: String,
    /// The build target.
    pub target: String,
    /// The tag that the build before is looked for in.
    pub dest_tag: KojiTag,
    /// The SCM URL with its commit.
    pub source: String,
    /// The images it is made from.
    pub parents: Vec<ParentImage>,
    /// Whether it is imported, so that Koji keeps the image.
    pub imported: bool,
}

/// The result may not be pushed.
#[derive(Debug, thiserror::Error)]
pub enum ArchError {
    /// The proof found something.
    #[error("the image holds what this Koji did not build:\n{0}")]
    NotProven(String),
    /// The site's policy refuses it.
    #[error("the site's policy refuses this image:\n{lines}")]
    Policy {
        /// One line a rule.
        lines: String,
        /// What to do, one sentence a rule.
        remedies: String,
    },
}

impl ArchError {
    /// What stands against pushing the image.
    fn of(document: &Provenance) -> Option<Self> {
        if !document.problems.is_empty() {
            let lines: Vec<String> = document.problems.iter().map(|problem| format!("  {problem}")).collect();
            return Some(ArchError::NotProven(lines.join("\n")));
        }
        // A rule that cannot be told does not let an image pass: a build has asked the hub everything there is.
        let broken: Vec<&RuleOutcome> = document.ruled(Ruling::Refused).chain(document.ruled(Ruling::NotTold)).collect();
        let lines: Vec<String> = broken.iter().map(|outcome| format!("  {}", outcome.line())).collect();
        let mut remedies: Vec<&str> = broken.iter().map(|outcome| outcome.remedy.as_str()).collect();
        remedies.dedup();
        (!broken.is_empty()).then(|| ArchError::Policy { lines: lines.join("\n"), remedies: remedies.join("; ") })
    }
}

impl Diagnose for ArchError {
    fn blame(&self) -> Blame {
        Blame::Packager
    }
    fn kind(&self) -> &'static str {
        match self {
            ArchError::NotProven(_) => "not-proven",
            ArchError::Policy { .. } => "policy-refused",
        }
    }
    fn hint(&self) -> Option<String> {
        Some(match self {
            ArchError::NotProven(_) => {
                "install RPMs with dnf from the offered repositories only; provenance.txt of this task lists every RPM".into()
            }
            ArchError::Policy { remedies, .. } => {
                format!("{remedies}; provenance.txt of this task lists every RPM, path and rule")
            }
        })
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
    content: &[ContentSource],
    labels: &BTreeMap<String, String>,
    about: &AboutBuild,
    cancel: &CancelFlag,
) -> Result<BuiltArch, BoxedDiagnose> {
    let settings = context.settings;
    let digests = FileDigests::in_dir(&settings.worker.state_dir, &settings.hub.url);
    // Koji lists the RPMs of its own repositories beside their metadata (hub ≥ 1.34).
    let own = format!("{}/repos/", settings.hub.topurl.trim_end_matches('/'));
    let koji_repos = content.iter().map(|source| source.base_url.as_str()).filter(|url| url.starts_with(&own));
    let lists = koji_repos.map(|url| format!("{}/rpmlist.jsonl", url.trim_end_matches('/'))).collect();
    let lookup = HubRpms::new(context.session.clone()).with_lists(lists).with_digests(digests);
    let files = match koji_files(context) {
        Ok(files) => Some(files),
        Err(error) => {
            context
                .log
                .step(&format!("no look at Koji's own files, and no comparison with the build before: {}", chain(&*error)));
            None
        }
    };
    let lookup = match files.clone() {
        Some(files) => lookup.with_files(files),
        None => lookup,
    };
    let lookup: Arc<dyn rpm_provenance::KojiRpms> = Arc::new(lookup);
    let images = PinnedImages(parents.clone());
    let work_dir = context.work_dir.join(arch.as_str());
    std::fs::create_dir_all(&work_dir)
        .map_err(|source| gated_build::GatedBuildError::RepoFiles { path: work_dir.clone(), source })?;
    let progress = LogProgress { log: context.log.clone(), file: format!("{arch}.log") };
    let request = GatedBuild {
        arch,
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
        sandbox: settings.sandbox.options(&about.target)?,
        user_namespaces: settings.sandbox.user_namespaces(),
        progress: &progress,
        cancel,
    };
    let reach = Reach::Gate {
        sources: content.to_vec(),
        lookup: Some(Arc::clone(&lookup)),
        rules: ReleaseRules::of(&settings.policy.rules(), Some(&about.target)),
        cache_dir: settings.gate_cache_dir(),
        cache_limit: settings.gate.cache_limit(),
    };
    let mut result = gated_build::build(&request, reach).await?;
    let (proof, databases) = prove(context, store, arch, &result.built, &result.verdicts, lookup.as_ref()).await?;
    let dockerfile = dist_git::find_dockerfile(&fetched.tree.root)?;
    let record = Record {
        nvr: &about.nvr,
        repository: &about.repository,
        arch,
        root: &fetched.tree.root,
        dockerfile: &dockerfile,
        content,
        packages: &proof.packages,
        source_date_epoch: fetched.tree.commit_time,
    };
    let record_dir = work_dir.join("record");
    tokio::task::block_in_place(|| add_record(store, &settings.image, &mut result.built, &record, &record_dir))?;
    let archive = about.imported.then(|| {
        let inside = format!("{}:{}-{}", about.repository, about.nvr.version, about.nvr.release);
        ImageArchive::begin(context, store, &result.built.image, arch, inside)
    });
    let mut document = describe(arch, read, about, &result, &proof, databases.as_ref());
    // Whose files they are means something only once the packages are proven.
    if let Some(databases) = databases.filter(|_| proof.problems.is_empty()) {
        context.log.step(&format!("proven: {} RPMs, all built in this Koji", proof.packages.len()));
        let account = tokio::task::block_in_place(|| {
            account_files(context, store, fetched, read, parents, &result.built, &result.verdicts, &databases)
        })?;
        context.log.step(&files::report::summary(&account));
        document.files = Some(FilesSection::new(account));
    }
    let policy = settings.policy.rules();
    provenance::add_hub_facts(&context.session, &policy, &mut document).await?;
    document.previous = previous(context, about, files.as_ref(), &document).await;
    document.set_policy(policy.judge(&document, &today()));
    let reports = vec![
        (format!("provenance-{arch}.json"), format!("{:#}\n", document.to_json())),
        (format!("provenance-{arch}.txt"), report::text(&document)),
    ];
    if let Some(error) = ArchError::of(&document) {
        context.log.step(&error.to_string());
        // The packager needs the report most of all now.
        archive_logs(context, &reports).await?;
        return Err(error.into());
    }
    let warnings = document.ruled(Ruling::Warned).map(RuleOutcome::line).collect();
    Ok(BuiltArch { arch: arch.clone(), built: result.built, proof, reports, warnings, archive })
}

/// The document, as far as the build itself tells.
fn describe(
    arch: &Arch,
    read: &BuildContext,
    about: &AboutBuild,
    result: &GatedResult,
    proof: &Proof,
    databases: Option<&Databases>,
) -> Provenance {
    let image = &result.built.image;
    let why = databases.map(|databases| {
        let instructions: Vec<String> =
            new_layers(&result.built, read).into_iter().rev().map(|layer| layer.instruction).collect();
        let layers = provenance::layer_packages(&result.built.layer_dirs, &instructions);
        report::explain_packages(proof, &layers, &databases.dependencies)
    });
    report::provenance(&Report {
        target: Some(&about.target),
        source: Some(&about.source),
        manifest_digest: Some(image.manifest_digest.as_str()),
        size: Some(image.total_size()),
        labels: Some(&image.config.config.labels),
        parents: &about.parents,
        pins: &result.pins,
        verdicts: &result.verdicts,
        why: &why.unwrap_or_default(),
        ..Report::of(&about.nvr.to_string(), arch.as_str(), proof)
    })
}

fn koji_files(context: &TaskContext<'_>) -> Result<KojiFiles, BoxedDiagnose> {
    let hub = &context.settings.hub;
    let ca = read_authority(hub.ca.as_deref())?;
    Ok(KojiFiles::new(&hub.topurl, ca.as_deref())?)
}

/// What changed since the newest build in the destination tag. Not knowing it stops no build.
async fn previous(
    context: &TaskContext<'_>,
    about: &AboutBuild,
    files: Option<&KojiFiles>,
    document: &Provenance,
) -> Option<Difference> {
    let files = files?;
    let found = provenance::previous_build(&context.session, files, &about.dest_tag, &about.component, document).await;
    if let Some(why) = found.as_ref().and_then(|previous| previous.unavailable.as_ref()) {
        context.log.step(&format!("no comparison with the build before: {why}"));
    }
    found
}

async fn prove(
    context: &TaskContext<'_>,
    store: &Store,
    arch: &Arch,
    built: &BuiltImage,
    verdicts: &[rpm_provenance::Verdict],
    lookup: &dyn rpm_provenance::KojiRpms,
) -> Result<(Proof, Option<Databases>), BoxedDiagnose> {
    let whole = MergedView::new(built.layer_dirs.iter().rev().cloned().collect());
    let (db, files, dependencies) = match rpmdb::read_view_whole(&whole) {
        Ok(found) => found,
        Err(error) => return Ok((Proof::of_unreadable(&error), None)),
    };
    let parent = match &built.base {
        Some(base) => {
            let layers = store.unpack_image(base, &image_layers::UnpackLimits::default())?;
            Some(rpmdb::read_view_with_files(&MergedView::new(layers.into_iter().rev().map(|l| l.dir).collect()))?)
        }
        None => None,
    };
    context.log.step(&format!("result has {} RPMs in {}", db.packages.len(), db.path));
    let mut proof = rpm_provenance::prove(&db, parent.as_ref().map(|(db, _)| db), verdicts, lookup).await?;
    proof.check_architecture(arch);
    Ok((proof, Some(Databases { db, files, parent, dependencies })))
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
