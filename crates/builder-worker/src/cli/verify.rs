//! `containerbuild verify IMAGE --hub URL`: the proof alone, for any image against any hub.
//!
//! Exit 0: every RPM is built in that Koji. 1: something is not. 2: it could not be told.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use build_model::{Arch, BoxedDiagnose};
use image_layers::{LocalImage, MergedView, Store, UnpackLimits};
use koji_session::{Credentials, HubConfig, RetryPolicy, Session};
use registry::{Registry, RegistryConfig};
use rpm_provenance::{Proof, Report, report, rpmdb};

use super::image_source::ImageLocation;
use crate::koji_rpms::HubRpms;

/// Arguments of `containerbuild verify`.
#[derive(clap::Args)]
pub struct Args {
    /// The image: oci:DIR, oci-archive:FILE, docker-archive:FILE or a registry reference.
    image: ImageLocation,
    /// The hub's XML-RPC address, https://…/kojihub. Nothing but reading is done there, without login.
    #[arg(long, value_name = "URL")]
    hub: String,
    /// Certificate authority of the hub.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Print the report as JSON instead of a table.
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
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("containerbuild: cannot start: {error}");
            return ExitCode::from(super::NOT_TOLD);
        }
    };
    match runtime.block_on(run(args)) {
        Ok((image, proof)) => {
            let digest = image.manifest_digest.to_string();
            let report = Report {
                image: &args.image.to_string(),
                arch: &args.arch,
                manifest_digest: Some(&digest),
                pins: &[],
                verdicts: &[],
                proof: &proof,
            };
            if args.json {
                println!("{:#}", report::json(&report));
            } else {
                print!("{}", report::text(&report));
            }
            if proof.all_proven() { ExitCode::SUCCESS } else { ExitCode::from(super::NOT_RIGHT) }
        }
        Err(error) => super::fail(&error, super::NOT_TOLD),
    }
}

async fn run(args: &Args) -> Result<(LocalImage, Proof), BoxedDiagnose> {
    let arch = Arch::canonical(&args.arch)?;
    let store = Store::open(&args.store)?;
    let registry = Registry::new(RegistryConfig { insecure: args.insecure_registry.clone(), ..RegistryConfig::default() })?;
    let image = args.image.load(&store, &registry, &arch).await?;
    let layers = store.unpack_image(&image, &UnpackLimits::default())?;
    let db = match rpmdb::read_view(&MergedView::new(layers.into_iter().rev().map(|l| l.dir).collect())) {
        Ok(db) => db,
        Err(error) => return Ok((image, Proof::of_unreadable(&error))),
    };
    let hub = HubConfig {
        url: args.hub.clone(),
        credentials: Credentials::Anonymous,
        ca: args.ca.clone(),
        // A person waits: no minutes between tries.
        retry: RetryPolicy { attempts: 3, interval: Duration::from_secs(2), ..RetryPolicy::default() },
    };
    let lookup = HubRpms::new(Session::anonymous(&hub).await?);
    let mut proof = rpm_provenance::prove(&db, None, &[], &lookup).await?;
    proof.check_architecture(&arch);
    Ok((image, proof))
}
