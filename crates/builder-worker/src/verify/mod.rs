//! The whole proof of an image, made again on any machine: its RPMs, the files of its layers, the site's rules.
//!
//! Nothing is taken from the builder but the image, and the image's word counts for nothing that can be looked at: its history
//! says which instruction made which layer, but files of COPY and ADD are the commit's by their content (`contents`). Only of
//! data that another stage made there is no more than the history's word. The hub says which build it is, which commit it was made from and which
//! layers are its parent's; dist-git has the commit. What the build reported itself serves for origins and for comparison
//! only. What cannot be had makes the answer [`rpm_provenance::report::Outcome::NotTold`] and is named.

mod account;
mod compare;
mod contents;
mod koji_image;
mod sources;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use build_model::{Arch, BoxedDiagnose, Nvr};
use image_layers::{LocalImage, MergedView, Store, UnpackLimits};
use koji_session::Session;
use registry::Registry;
use rpm_provenance::policy::{Policy, Ruling};
use rpm_provenance::report::FilesSection;
use rpm_provenance::{KojiRpms, Proof, Provenance, Report, report, rpmdb};

use crate::koji_rpms::HubRpms;
use crate::provenance::{self, KojiFiles};
use crate::task::{chain, today};
use koji_image::KojiImage;

pub use koji_image::nvr_of;
pub use sources::SourcePlaces;

/// What an image is verified with.
pub struct Verification<'a> {
    /// What the image is called.
    pub name: &'a str,
    /// The image, in the store.
    pub image: &'a LocalImage,
    /// Its architecture.
    pub arch: &'a Arch,
    /// The store.
    pub store: &'a Store,
    /// For parents that content was copied from.
    pub registry: &'a Registry,
    /// The hub.
    pub session: &'a Session,
    /// The hub's files.
    pub files: &'a KojiFiles,
    /// Where the sources of builds are.
    pub sources: &'a SourcePlaces,
    /// The rules.
    pub policy: Policy<'a>,
    /// Whether the files are to be accounted for.
    pub with_files: bool,
}

/// Makes the proof again.
///
/// # Errors
/// When the hub does not answer or a layer cannot be read. What is wrong with the image, and what cannot be told of it, is
/// in the document.
pub async fn verify(what: &Verification<'_>) -> Result<Provenance, BoxedDiagnose> {
    let unpacked = tokio::task::block_in_place(|| what.store.unpack_image(what.image, &UnpackLimits::default()))?;
    let layers: Vec<PathBuf> = unpacked.iter().map(|layer| layer.dir.clone()).collect();
    let found = KojiImage::find(what).await?;
    let (build, mut not_told) = (found.as_ref().ok(), Vec::new());
    if let (Err(why), true) = (&found, what.with_files) {
        not_told.push(format!("which build of this Koji the image is: {why}"));
    }
    let archived = match build {
        Some(koji) => match what.files.report(&koji.build, what.arch).await {
            Ok(report) => Some(report),
            Err(error) => {
                tracing::info!("the build's own report is not there: {}", chain(&error));
                None
            }
        },
        None => None,
    };
    let base_layers = match build {
        Some(koji) => koji.base_layers(what).await?,
        None => Err("the image names no build of this Koji".to_owned()),
    };
    let inherited = base_layers.as_ref().copied().unwrap_or_default();
    let whole = MergedView::new(layers.iter().rev().cloned().collect());
    let (db, files, dependencies) = match rpmdb::read_view_whole(&whole) {
        Ok(read) => read,
        Err(error) => {
            let proof = Proof::of_unreadable(&error);
            return Ok(finish(what, what_is_known(what, build, archived.as_ref(), &proof, &[]), not_told));
        }
    };
    let parent = match layers.get(..inherited).filter(|below| !below.is_empty()) {
        Some(below) => Some(rpmdb::read_view_with_files(&MergedView::new(below.iter().rev().cloned().collect()))?),
        None => None,
    };
    let lookup: Arc<dyn KojiRpms> = Arc::new(HubRpms::new(what.session.clone()).with_files(what.files.clone()));
    let verdicts = compare::verdicts(archived.as_ref());
    let mut proof = rpm_provenance::prove_again(&db, parent.as_ref().map(|(db, _)| db), &verdicts, lookup.as_ref()).await?;
    proof.check_architecture(what.arch);
    let instructions = account::instructions(what.image, layers.len() - inherited.min(layers.len()));
    let why = match &base_layers {
        Ok(_) => report::explain_packages(&proof, &provenance::layer_packages(&layers, &instructions), &dependencies),
        Err(_) => Vec::new(),
    };
    let mut document = what_is_known(what, build, archived.as_ref(), &proof, &why);
    if what.with_files && proof.problems.is_empty() {
        match (build, &base_layers) {
            (Some(koji), Ok(_)) => {
                let parts = account::Parts {
                    layers: &unpacked,
                    instructions: &instructions,
                    db: &db,
                    files: &files,
                    parent: parent.as_ref(),
                };
                let (account, unknown) = account::account(what, koji, archived.as_ref(), &parts, lookup.as_ref()).await?;
                document.files = Some(FilesSection::new(account));
                not_told.extend(unknown);
            }
            (_, Err(why)) => not_told.push(format!("whose the files are: {why}")),
            (None, Ok(_)) => {}
        }
    }
    provenance::add_hub_facts(what.session, &what.policy, &mut document).await?;
    let mut document = finish(what, document, not_told);
    if let Some(archived) = &archived {
        document.not_told.extend(compare::disagreements(archived, &document));
        document.settle();
    }
    Ok(document)
}

/// The document before policy and files.
fn what_is_known(
    what: &Verification<'_>,
    build: Option<&KojiImage>,
    archived: Option<&Provenance>,
    proof: &Proof,
    why: &[Option<report::Why>],
) -> Provenance {
    let digest = what.image.manifest_digest.to_string();
    let nvr: Option<Nvr> = build.map(|koji| koji.build.nvr.clone());
    let name = nvr.map_or_else(|| what.name.to_owned(), |nvr| nvr.to_string());
    let parents = build.map(KojiImage::parents).unwrap_or_default();
    let labels: &BTreeMap<String, String> = &what.image.config.config.labels;
    let verdicts = compare::verdicts(archived);
    let mut document = report::provenance(&Report {
        target: archived.and_then(|a| a.target.as_deref()),
        source: build.and_then(|koji| koji.build.source.as_deref()),
        manifest_digest: Some(&digest),
        size: Some(what.image.total_size()),
        labels: Some(labels),
        parents: &parents,
        pins: archived.map(|a| a.sources.as_slice()).unwrap_or_default(),
        verdicts: &verdicts,
        why,
        ..Report::of(&name, what.arch.as_str(), proof)
    });
    document.previous = archived.and_then(|a| a.previous.clone());
    document
}

/// Lets the policy judge, and settles the outcome.
fn finish(what: &Verification<'_>, mut document: Provenance, not_told: Vec<String>) -> Provenance {
    let mut outcomes = what.policy.judge(&document, &today());
    let files_unknown = not_told.iter().any(|line| line.starts_with(account::FILES_UNKNOWN));
    if files_unknown {
        // Without the commit or another stage a file may be explained after all: nobody is accused of it.
        for outcome in
            outcomes.iter_mut().filter(|o| o.check == "files" && o.name.starts_with("unexplained") && o.ruling == Ruling::Refused)
        {
            outcome.ruling = Ruling::NotTold;
        }
    }
    document.not_told = not_told;
    document.set_policy(outcomes);
    document
}
