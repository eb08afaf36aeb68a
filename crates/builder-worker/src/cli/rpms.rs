//! `containerbuild rpms DIR|IMAGE`: the RPMs of an unpacked root or an image, read from the layers in this process.
//!
//! What it prints equals `rpm -qa --root … --qf FORMAT` on the same database, without an `rpm` program and without
//! running anything of the image. Exit 0 printed, 1 the database is damaged or absent, 2 the image cannot be read.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use build_model::{Arch, BoxedDiagnose, nearest};
use image_layers::{MergedView, Store, UnpackLimits};
use registry::{Registry, RegistryConfig};
use rpm_provenance::{RpmDb, RpmDbFormat, RpmIdent, rpmdb};

use super::image_source::ImageLocation;

/// Arguments of `containerbuild rpms`.
#[derive(clap::Args)]
pub struct Args {
    /// A directory with an unpacked root, or an image: oci:DIR, oci-archive:FILE, docker-archive:FILE, registry reference.
    image: String,
    /// What to print for each RPM, as in `rpm --queryformat`: %{name}, %{epoch}, …, \n and \t. A line end is added.
    #[arg(long, default_value = "%{nvra}")]
    format: String,
    /// Print a JSON list instead.
    #[arg(long, conflicts_with = "format")]
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

/// The tags a format may name.
const TAGS: [&str; 16] = [
    "name",
    "epoch",
    "epochnum",
    "version",
    "release",
    "arch",
    "nvr",
    "nvra",
    "nevra",
    "evr",
    "sigmd5",
    "sha1header",
    "sha256header",
    "vendor",
    "sourcerpm",
    "buildtime",
];

/// Runs the subcommand.
pub fn main(args: &Args) -> ExitCode {
    let format = match Format::parse(&args.format) {
        Ok(format) => format,
        Err(message) => {
            eprintln!("containerbuild: --format: {message}");
            return ExitCode::from(super::NOT_TOLD);
        }
    };
    let db = match read(args) {
        Ok(db) => db,
        Err(error) => return super::fail(&error, super::NOT_TOLD),
    };
    if args.json {
        let list: Vec<_> = db.packages.iter().map(json).collect();
        println!("{:#}", serde_json::Value::Array(list));
    } else {
        for rpm in &db.packages {
            println!("{}", format.of(rpm));
        }
    }
    for row in &db.unreadable {
        eprintln!("containerbuild: row {} of {} cannot be read: {}", row.number, db.path, row.reason);
    }
    if db.format == RpmDbFormat::Absent {
        eprintln!("containerbuild: there is no rpmdb");
    }
    let whole = db.unreadable.is_empty() && db.format != RpmDbFormat::Absent;
    if whole { ExitCode::SUCCESS } else { ExitCode::from(super::NOT_RIGHT) }
}

fn read(args: &Args) -> Result<RpmDb, BoxedDiagnose> {
    if Path::new(&args.image).is_dir() {
        return Ok(rpmdb::read_dir(Path::new(&args.image))?);
    }
    let location: ImageLocation = args.image.parse().map_err(NotAnImage)?;
    let arch = Arch::canonical(&args.arch)?;
    let store = Store::open(&args.store)?;
    let registry = Registry::new(RegistryConfig { insecure: args.insecure_registry.clone(), ..RegistryConfig::default() })?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(NoRuntime)?;
    let image = runtime.block_on(location.load(&store, &registry, &arch))?;
    let layers = store.unpack_image(&image, &UnpackLimits::default())?;
    Ok(rpmdb::read_view(&MergedView::new(layers.into_iter().rev().map(|l| l.dir).collect()))?)
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

/// A parsed query format.
struct Format(Vec<Piece>);

enum Piece {
    Text(String),
    Tag(&'static str),
}

impl Format {
    /// Parses `%{tag}`, `%%`, `\n`, `\t` and `\\`; tag names in any case.
    fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            match c {
                '\\' => match chars.next() {
                    Some('n') => plain.push('\n'),
                    Some('t') => plain.push('\t'),
                    Some(other) => plain.push(other),
                    None => return Err("it ends with a backslash".into()),
                },
                '%' => match chars.next() {
                    Some('%') => plain.push('%'),
                    Some('{') => {
                        let name: String = chars.by_ref().take_while(|c| *c != '}').collect();
                        let lower = name.to_ascii_lowercase();
                        let tag = TAGS.into_iter().find(|t| *t == lower).ok_or_else(|| unknown(&name))?;
                        pieces.push(Piece::Text(std::mem::take(&mut plain)));
                        pieces.push(Piece::Tag(tag));
                    }
                    _ => return Err("after % comes {TAG} or another %".into()),
                },
                other => plain.push(other),
            }
        }
        pieces.push(Piece::Text(plain));
        Ok(Self(pieces))
    }

    fn of(&self, rpm: &RpmIdent) -> String {
        self.0
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.clone(),
                Piece::Tag(tag) => value(rpm, tag),
            })
            .collect()
    }
}

fn unknown(name: &str) -> String {
    let hint = nearest(name, TAGS).map(|t| format!("; did you mean %{{{t}}}?")).unwrap_or_default();
    format!("there is no tag %{{{name}}}{hint}")
}

/// The value as rpm prints it; what is absent is `(none)`.
fn value(rpm: &RpmIdent, tag: &str) -> String {
    let none = || "(none)".to_owned();
    let nvr = &rpm.nvra.nvr;
    let epoch = rpm.epoch.map(|e| format!("{e}:")).unwrap_or_default();
    match tag {
        "name" => nvr.name.clone(),
        "epoch" => rpm.epoch.map_or_else(none, |e| e.to_string()),
        "epochnum" => rpm.epoch.unwrap_or(0).to_string(),
        "version" => nvr.version.clone(),
        "release" => nvr.release.clone(),
        "arch" => rpm.nvra.arch.clone(),
        "nvr" => nvr.to_string(),
        // rpm leaves the dot and the arch out for public keys, which have none.
        "nvra" if rpm.is_public_key() => nvr.to_string(),
        "nvra" => rpm.nvra.to_string(),
        "nevra" if rpm.is_public_key() => nvr.to_string(),
        "nevra" => rpm.nevra(),
        "evr" => format!("{epoch}{}-{}", nvr.version, nvr.release),
        "sigmd5" => rpm.sigmd5.clone().unwrap_or_else(none),
        "sha1header" => rpm.sha1header.clone().unwrap_or_else(none),
        "sha256header" => rpm.sha256header.clone().unwrap_or_else(none),
        "vendor" => rpm.vendor.clone().unwrap_or_else(none),
        "sourcerpm" => rpm.source_rpm.clone().unwrap_or_else(none),
        "buildtime" => rpm.build_time.map_or_else(none, |t| t.to_string()),
        _ => none(),
    }
}

fn json(rpm: &RpmIdent) -> serde_json::Value {
    serde_json::json!({
        "name": rpm.nvra.nvr.name, "epoch": rpm.epoch, "version": rpm.nvra.nvr.version, "release": rpm.nvra.nvr.release,
        "arch": rpm.nvra.arch, "sigmd5": rpm.sigmd5, "sha1header": rpm.sha1header, "sha256header": rpm.sha256header,
        "vendor": rpm.vendor, "source_rpm": rpm.source_rpm, "size": rpm.size, "build_time": rpm.build_time,
        "signing_key": rpm.signing_key,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        Format::parse(text).err().expect("must be refused")
    }

    #[test]
    fn formats_name_known_tags_or_are_refused_with_the_nearest() {
        assert!(Format::parse(r"%{NAME} %{epoch}\t%%\n").is_ok());
        assert_eq!(message("%{sigmd}"), "there is no tag %{sigmd}; did you mean %{sigmd5}?");
        assert!(message("%name").contains("{TAG}"));
        assert!(message("x\\").contains("backslash"));
    }
}
