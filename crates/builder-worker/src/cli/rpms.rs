//! `containerbuild rpms DIR|IMAGE`: the RPMs of an unpacked root or an image, read from the layers in this process.
//!
//! What it prints equals `rpm -qa --root … --qf FORMAT` on the same database (in the database's order, a line end added),
//! without an `rpm` program and without running anything of the image. Exit 0 printed, 1 the database is damaged or absent, 2 the image cannot be read.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use build_model::{Arch, BoxedDiagnose};
use image_layers::{MergedView, Store, UnpackLimits};
use registry::{Registry, RegistryConfig};
use rpm_provenance::query::{FormatError, QueryFormat};
use rpm_provenance::rpmdb::{self, LocateOptions};
use rpm_provenance::{RpmDb, RpmDbFormat, RpmIdent};

use super::image_source::ImageLocation;

/// Arguments of `containerbuild rpms`.
#[derive(clap::Args)]
pub struct Args {
    /// A directory with an unpacked root, or an image: oci:DIR, oci-archive:FILE, docker-archive:FILE, registry reference.
    image: String,
    /// What to print for each RPM, as in `rpm --queryformat`: tags, widths, [arrays], conditions, :formatters.
    /// A line end is added.
    #[arg(long, default_value = "%{nvra}")]
    format: String,
    /// Print a JSON list instead.
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Directory of the rpmdb in the image, where it is none that distributions use (rpm's macro %_dbpath).
    #[arg(long, value_name = "DIR")]
    dbpath: Option<String>,
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
    let format = match QueryFormat::parse(&args.format) {
        Ok(format) => format,
        Err(error) => {
            eprintln!("containerbuild: --format: {error}");
            return ExitCode::from(super::NOT_TOLD);
        }
    };
    let (db, lines) = match read(args, &format) {
        Ok(found) => found,
        Err(error) => return super::fail(&error, super::NOT_TOLD),
    };
    let mut whole = db.unreadable.is_empty() && db.format != RpmDbFormat::Absent;
    // Whoever reads the list may have seen enough: a closed pipe is no error.
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    if args.json {
        let list: Vec<_> = db.packages.iter().map(json).collect();
        let _ = writeln!(out, "{:#}", serde_json::Value::Array(list));
    } else {
        for (rpm, line) in db.packages.iter().zip(lines) {
            match line {
                Ok(line) => {
                    let _ = out.write_all(&line).and_then(|()| out.write_all(b"\n"));
                }
                Err(error) => {
                    eprintln!("containerbuild: {}: {error}", rpm.nvra);
                    whole = false;
                }
            }
        }
    }
    let _ = out.flush();
    for row in &db.unreadable {
        eprintln!("containerbuild: row {} of {} cannot be read: {}", row.number, db.path, row.reason);
    }
    for contradiction in &db.contradictions {
        eprintln!("containerbuild: {}: {contradiction}", db.path);
    }
    if db.format == RpmDbFormat::Absent {
        eprintln!("containerbuild: there is no rpmdb");
    }
    if whole { ExitCode::SUCCESS } else { ExitCode::from(super::NOT_RIGHT) }
}

type Lines = Vec<Result<Vec<u8>, FormatError>>;

fn read(args: &Args, format: &QueryFormat) -> Result<(RpmDb, Lines), BoxedDiagnose> {
    let options = LocateOptions { also: args.dbpath.clone() };
    if Path::new(&args.image).is_dir() {
        return Ok(rpmdb::query_view(&rpmdb::view_of(Path::new(&args.image))?, &options, format)?);
    }
    let location: ImageLocation = args.image.parse().map_err(NotAnImage)?;
    let arch = Arch::canonical(&args.arch)?;
    let store = Store::open(&args.store)?;
    let registry = Registry::new(RegistryConfig { insecure: args.insecure_registry.clone(), ..RegistryConfig::default() })?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(NoRuntime)?;
    let image = runtime.block_on(location.load(&store, &registry, &arch))?;
    let layers = store.unpack_image(&image, &UnpackLimits::default())?;
    let view = MergedView::new(layers.into_iter().rev().map(|l| l.dir).collect());
    Ok(rpmdb::query_view(&view, &options, format)?)
}

/// The argument is neither a directory nor an image.
#[derive(Debug, thiserror::Error)]
#[error("neither a directory nor an image: {0}")]
struct NotAnImage(String);

impl build_model::Diagnose for NotAnImage {
    fn blame(&self) -> build_model::Blame {
        build_model::Blame::Packager
    }
    fn kind(&self) -> &'static str {
        "image-argument"
    }
}

/// The process cannot start its runtime.
#[derive(Debug, thiserror::Error)]
#[error("cannot start")]
struct NoRuntime(#[source] std::io::Error);

impl build_model::Diagnose for NoRuntime {
    fn blame(&self) -> build_model::Blame {
        build_model::Blame::Site
    }
    fn kind(&self) -> &'static str {
        "runtime"
    }
}

fn json(rpm: &RpmIdent) -> serde_json::Value {
    serde_json::json!({
        "name": rpm.nvra.nvr.name, "epoch": rpm.epoch, "version": rpm.nvra.nvr.version, "release": rpm.nvra.nvr.release,
        "arch": rpm.nvra.arch, "sigmd5": rpm.sigmd5, "sha1header": rpm.sha1header, "sha256header": rpm.sha256header,
        "sha3_256header": rpm.sha3_256header, "computed_sha256header": rpm.computed.sha256,
        "payload_digests": rpm.payload_digests, "vendor": rpm.vendor, "source_rpm": rpm.source_rpm, "size": rpm.size,
        "build_time": rpm.build_time, "signing_key": rpm.signing_key, "modularity_label": rpm.modularity_label,
        "fault": rpm.fault,
    })
}
