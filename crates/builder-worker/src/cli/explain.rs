//! `containerbuild explain NVR|IMAGE|FILE`: prints the report that a build has left in Koji: why each RPM is there, what the
//! rules said, what changed.
//!
//! Exit 0: printed. 1: there is no such build, report or package, or the image is another than that build made. 2: the hub,
//! the registry or a file cannot be read.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use build_model::{Arch, Blame, BoxedDiagnose, Diagnose, Nvr};
use image_layers::Store;
use koji_session::{Build, BuildState, Session};
use registry::{Registry, RegistryConfig};
use rpm_provenance::Provenance;
use rpm_provenance::report::{Difference, explain_package, text};

use super::hub_args::HubArgs;
use super::image_source::ImageLocation;
use crate::provenance::{ArchivedError, KojiFiles};
use crate::verify::nvr_of;

/// Arguments of `containerbuild explain`.
#[derive(clap::Args)]
pub struct Args {
    /// A Koji build (name-version-release), an image (oci:DIR, oci-archive:FILE, docker-archive:FILE or a registry
    /// reference), or a recorded provenance.json.
    what: String,
    #[command(flatten)]
    hub: HubArgs,
    /// Architecture of the report.
    #[arg(long, default_value_t = Arch::host().to_string())]
    arch: String,
    /// Only why this package is there: a name or N-V-R, from it to what somebody asked for.
    #[arg(long, value_name = "NAME")]
    package: Option<String>,
    /// Show what changed since this build instead of the one before.
    #[arg(long, value_name = "NVR")]
    since: Option<String>,
    /// Print the report as JSON.
    #[arg(long, conflicts_with = "package")]
    json: bool,
    /// Where layers of images are unpacked and kept.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/containerbuild/store")]
    store: PathBuf,
    /// Speak plain http with this registry (HOST:PORT); may be repeated.
    #[arg(long, value_name = "HOST")]
    insecure_registry: Vec<String>,
}

/// Why there is nothing to explain.
#[derive(Debug, thiserror::Error)]
enum ExplainError {
    #[error("{0} is neither a file, nor a build (name-version-release), nor an image")]
    What(String),
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path} is no provenance report")]
    Parse { path: PathBuf, source: serde_json::Error },
    #[error("{0} is not a complete build in this Koji")]
    NoBuild(Nvr),
    #[error("the image does not say which Koji build it is: {0}")]
    Unlabelled(String),
    #[error("the image says it is {nvr}, but that build made {built} and this is {found}")]
    OtherImage { nvr: Nvr, built: String, found: String },
    #[error("{image} has no package {package}")]
    NoPackage { image: String, package: String },
}

impl Diagnose for ExplainError {
    fn blame(&self) -> Blame {
        Blame::Packager
    }
    fn kind(&self) -> &'static str {
        match self {
            ExplainError::What(_) => "usage",
            ExplainError::Read { .. } | ExplainError::Parse { .. } => "report-unreadable",
            ExplainError::NoBuild(_) => "no-such-build",
            ExplainError::Unlabelled(_) => "image-unlabelled",
            ExplainError::OtherImage { .. } => "image-differs",
            ExplainError::NoPackage { .. } => "no-such-package",
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            ExplainError::OtherImage { .. } | ExplainError::Unlabelled(_) => {
                Some("`containerbuild verify IMAGE --hub URL` proves what is really in it".into())
            }
            _ => None,
        }
    }
}

/// Runs the subcommand.
pub fn main(args: &Args) -> ExitCode {
    let done = match super::block_on(run(args)) {
        Ok(done) => done,
        Err(code) => return code,
    };
    match done {
        Ok(output) => {
            print!("{output}");
            ExitCode::SUCCESS
        }
        Err(error) => super::fail(&error, code_of(error.kind())),
    }
}

/// What was asked about is not right, or it could not be told.
fn code_of(kind: &str) -> u8 {
    let answered = ["no-such-build", "report-absent", "image-unlabelled", "image-differs", "no-such-package"];
    if answered.contains(&kind) { super::NOT_RIGHT } else { super::NOT_TOLD }
}

async fn run(args: &Args) -> Result<String, BoxedDiagnose> {
    let arch = Arch::canonical(&args.arch)?;
    let mut document =
        if Path::new(&args.what).is_file() { recorded(Path::new(&args.what))? } else { archived(args, &arch).await? };
    if let Some(since) = &args.since {
        let hub = &args.hub;
        let build = complete_build(&hub.session().await?, since.parse().map_err(|_| ExplainError::What(since.clone()))?).await?;
        let earlier = hub.files()?.report(&build, &arch).await?;
        document.previous = Some(Difference::between(&earlier, &document));
    }
    if args.json {
        return Ok(format!("{:#}\n", document.to_json()));
    }
    let Some(package) = &args.package else { return Ok(text(&document)) };
    let none = || ExplainError::NoPackage { image: document.image.clone(), package: package.clone() };
    Ok(explain_package(&document, package).ok_or_else(none)?)
}

fn recorded(path: &Path) -> Result<Provenance, ExplainError> {
    let text = std::fs::read(path).map_err(|source| ExplainError::Read { path: path.to_owned(), source })?;
    serde_json::from_slice(&text).map_err(|source| ExplainError::Parse { path: path.to_owned(), source })
}

async fn archived(args: &Args, arch: &Arch) -> Result<Provenance, BoxedDiagnose> {
    let hub = &args.hub;
    let (session, files) = (hub.session().await?, hub.files()?);
    let is_image = args.what.contains([':', '/', '@']);
    if let (false, Ok(nvr)) = (is_image, args.what.parse::<Nvr>()) {
        return Ok(report_of(&session, &files, nvr, arch).await?.1);
    }
    let location: ImageLocation = args.what.parse().map_err(|_| ExplainError::What(args.what.clone()))?;
    let store = Store::open(&args.store)?;
    let registry = Registry::new(RegistryConfig { insecure: args.insecure_registry.clone(), ..RegistryConfig::default() })?;
    let image = location.load(&store, &registry, arch).await?;
    let nvr = nvr_of(&image).map_err(ExplainError::Unlabelled)?;
    let (nvr, document) = report_of(&session, &files, nvr, arch).await?;
    let found = image.manifest_digest.to_string();
    match document.manifest_digest.clone() {
        Some(built) if built != found => Err(ExplainError::OtherImage { nvr, built, found }.into()),
        _ => Ok(document),
    }
}

async fn report_of(session: &Session, files: &KojiFiles, nvr: Nvr, arch: &Arch) -> Result<(Nvr, Provenance), BoxedDiagnose> {
    let build = complete_build(session, nvr.clone()).await?;
    let report: Result<Provenance, ArchivedError> = files.report(&build, arch).await;
    Ok((nvr, report?))
}

async fn complete_build(session: &Session, nvr: Nvr) -> Result<Build, BoxedDiagnose> {
    let build = session.get_build(&nvr).await?.filter(|build| build.state == BuildState::Complete);
    Ok(build.ok_or(ExplainError::NoBuild(nvr))?)
}
