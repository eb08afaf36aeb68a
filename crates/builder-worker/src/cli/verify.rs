//! `containerbuild verify IMAGE --hub URL`: the whole proof again, for any image against any hub, on any machine.
//!
//! Exit 0: everything is proven and nothing refused. 1: something is not. 2: it could not be told, and what is named.

use std::path::PathBuf;
use std::process::ExitCode;

use build_model::{Arch, BoxedDiagnose};
use dist_git::LookasideUrl;
use image_layers::Store;
use registry::{Registry, RegistryConfig};
use rpm_provenance::Provenance;
use rpm_provenance::report::{Outcome, text};

use super::hub_args::HubArgs;
use super::image_source::ImageLocation;
use crate::config::{LookasideSettings, Settings, VerifySettings};
use crate::verify::{SourcePlaces, Verification, verify};

/// Arguments of `containerbuild verify`.
#[derive(clap::Args)]
pub struct Args {
    /// The image: oci:DIR, oci-archive:FILE, docker-archive:FILE or a registry reference.
    image: ImageLocation,
    #[command(flatten)]
    hub: HubArgs,
    /// The site's rules: a worker's configuration, which also says where sources are, or a file with [policy] alone
    /// [default: the built-in ones].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the lookaside cache has its files, as `lookaside.url` of a worker's configuration. Without it, files that came
    /// from there are not told.
    #[arg(long, value_name = "URL", value_parser = LookasideUrl::parse)]
    lookaside: Option<LookasideUrl>,
    /// Prove the RPMs alone, and leave the files.
    #[arg(long)]
    rpms_only: bool,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    /// Architecture to choose from an image index.
    #[arg(long, default_value_t = Arch::host().to_string())]
    arch: String,
    /// Where layers are unpacked and kept.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/containerbuild/store")]
    store: PathBuf,
    /// Speak plain http with this registry (HOST:PORT); may be repeated.
    #[arg(long, value_name = "HOST")]
    insecure_registry: Vec<String>,
}

/// Runs the subcommand.
pub fn main(args: &Args) -> ExitCode {
    let done = match super::block_on(run(args)) {
        Ok(done) => done,
        Err(code) => return code,
    };
    match done {
        Ok(document) => {
            if args.json {
                println!("{:#}", document.to_json());
            } else {
                print!("{}", text(&document));
            }
            match document.outcome {
                Outcome::Passed | Outcome::Warned => ExitCode::SUCCESS,
                Outcome::NotTold => ExitCode::from(super::NOT_TOLD),
                Outcome::Refused => ExitCode::from(super::NOT_RIGHT),
            }
        }
        Err(error) => super::fail(&error, super::NOT_TOLD),
    }
}

async fn run(args: &Args) -> Result<Provenance, BoxedDiagnose> {
    let arch = Arch::canonical(&args.arch)?;
    let VerifySettings { policy, scm, lookaside } = match &args.config {
        Some(file) => Settings::load_for_verify(file)?,
        None => VerifySettings::default(),
    };
    let lookaside = match &args.lookaside {
        Some(url) => LookasideSettings { url: Some(url.clone()), ..lookaside },
        None => lookaside,
    };
    let sources = SourcePlaces { scm, lookaside };
    let store = Store::open(&args.store)?.hashing_files();
    let registry = Registry::new(RegistryConfig { insecure: args.insecure_registry.clone(), ..RegistryConfig::default() })?;
    let image = args.image.load(&store, &registry, &arch).await?;
    let (session, files) = (args.hub.session().await?, args.hub.files()?);
    verify(&Verification {
        name: &args.image.to_string(),
        image: &image,
        arch: &arch,
        store: &store,
        registry: &registry,
        session: &session,
        files: &files,
        sources: &sources,
        policy: policy.rules(),
        with_files: !args.rpms_only,
    })
    .await
}
