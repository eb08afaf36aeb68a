//! `containerbuild build CONTEXT`: the worker's engine without a hub. Standard output is the image's digest.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use build_model::{Arch, BoxedDiagnose};
use dockerfile::PlanOptions;
use image_build::{CancelFlag, LayerFollower};
use image_layers::{Compression, LocalImage, ManifestFormat, Store, docker_archive, oci_archive, oci_layout};
use registry::{ImageReference, Registry, RegistryConfig};
use rpm_provenance::ContentSource;
use rpm_provenance::policy::ReleaseRules;

use super::image_source::ImageLocation;
use super::progress::{ProgressMode, TerminalProgress};
use super::sandbox_args::SandboxArgs;
use super::upload_ahead::UploadAhead;
use crate::build_context::{platform, read_build_context};
use crate::gated_build::{self, GatedBuild, Reach};
use crate::named_image::NamedImageError;
use crate::pinned_images::PinnedImages;

/// Bytes of packages kept between builds; a worker's configuration has `gate.cache_gb`.
const GATE_CACHE_LIMIT: u64 = 20 << 30;

/// Arguments of `containerbuild build`.
#[derive(clap::Args)]
pub struct Args {
    /// Directory that COPY and ADD read from, with a Dockerfile or Containerfile in it.
    context: PathBuf,
    /// The Dockerfile, when it is not CONTEXT/Dockerfile.
    #[arg(long, short = 'f')]
    file: Option<PathBuf>,
    /// Stop at this stage.
    #[arg(long)]
    target: Option<String>,
    /// Value of an ARG; may be repeated.
    #[arg(long, value_name = "K=V", value_parser = pair)]
    build_arg: Vec<(String, String)>,
    /// Label set on the image; may be repeated.
    #[arg(long, value_name = "K=V", value_parser = pair)]
    label: Vec<(String, String)>,
    /// Take an image from a layout instead of a registry; may be repeated.
    #[arg(long, value_name = "REF=oci:DIR", value_parser = base)]
    base: Vec<(String, ImageLocation)>,
    /// What RUN steps may reach: the repositories given with --repo, nothing, or the whole network of this machine. Only with
    /// the last does ADD fetch URLs and git repositories.
    #[arg(long, value_enum, default_value = "gate")]
    network: Network,
    /// A package repository offered to RUN steps (http, https or file URL); may be repeated.
    #[arg(long, value_name = "NAME=URL", value_parser = pair)]
    repo: Vec<(String, String)>,
    /// A public key of the repository NAME, so that package managers check signatures; may be repeated.
    #[arg(long, value_name = "NAME=FILE", value_parser = pair)]
    repo_key: Vec<(String, String)>,
    /// Where images and layers are kept between builds.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/containerbuild/store")]
    store: PathBuf,
    /// Where to write the image: oci:DIR, oci-archive:FILE or docker-archive:FILE; may be repeated.
    #[arg(long, short = 'o', value_name = "TRANSPORT:PATH", value_parser = output)]
    output: Vec<ImageLocation>,
    /// Push the image to a registry; may be repeated.
    #[arg(long, value_name = "REF")]
    push: Vec<String>,
    /// Speak plain http with this registry (HOST:PORT); may be repeated.
    #[arg(long, value_name = "HOST")]
    insecure_registry: Vec<String>,
    /// How progress is shown.
    #[arg(long, value_enum, default_value = "auto")]
    progress: ProgressMode,
    /// Run every step, whatever earlier builds left.
    #[arg(long)]
    no_cache: bool,
    /// One layer for all new layers of the image.
    #[arg(long)]
    squash: bool,
    /// Format of the manifest (docker; oci where --compression needs it).
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Compression of new layers: gzip, zstd or none, with a level if wanted (zstd:7).
    #[arg(long, value_name = "NAME[:LEVEL]", default_value_t = Compression::default())]
    compression: Compression,
    #[command(flatten)]
    sandbox: SandboxArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Network {
    Gate,
    None,
    Host,
}

/// As buildah and podman name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Docker,
    Oci,
}

/// Runs the subcommand.
pub fn main(args: &Args) -> ExitCode {
    if !manifest_format(args).knows(args.compression) {
        eprintln!("containerbuild: Docker's manifest format has no name for {} layers: use --format oci", args.compression);
        return ExitCode::from(super::NOT_TOLD);
    }
    if let Some((name, _)) = args.repo_key.iter().find(|(name, _)| !args.repo.iter().any(|(repo, _)| repo == name)) {
        eprintln!("containerbuild: --repo-key is for the repository `{name}`, but there is no --repo of that name");
        return ExitCode::from(super::NOT_TOLD);
    }
    let epoch = match source_date_epoch(&args.build_arg, std::env::var("SOURCE_DATE_EPOCH").ok().as_deref()) {
        Ok(epoch) => epoch,
        Err(problem) => {
            eprintln!("containerbuild: {problem}");
            return ExitCode::from(super::NOT_TOLD);
        }
    };
    // While there is one thread: the mount namespace (engine.md T2).
    if let Err(error) = image_build::prepare_process() {
        return super::fail(&error.into(), super::NOT_TOLD);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("containerbuild: cannot start: {error}");
            return ExitCode::from(super::NOT_TOLD);
        }
    };
    match runtime.block_on(run(args, epoch)) {
        Ok(image) => {
            println!("{}", image.manifest_digest);
            ExitCode::SUCCESS
        }
        Err(error) => super::fail(&error, super::NOT_RIGHT),
    }
}

async fn run(args: &Args, epoch: i64) -> Result<LocalImage, BoxedDiagnose> {
    let arch = Arch::host();
    let options = PlanOptions {
        target: args.target.clone(),
        build_args: args.build_arg.iter().cloned().collect(),
        platform: platform(&arch),
    };
    let file = match &args.file {
        Some(file) => file.clone(),
        None => dist_git::find_dockerfile(&args.context)?,
    };
    let context = read_build_context(&args.context, &file, &options)?;
    for warning in &context.plan.warnings {
        eprintln!("{}:{}: warning: {}", context.dockerfile_name, warning.span.first_line, warning.message);
    }
    let store = Store::open(&args.store)?;
    // What builds that were killed left on this machine; living ones are seen to be alive.
    image_build::sweep(&args.store.join("tmp"));
    let registry = Registry::new(RegistryConfig { insecure: args.insecure_registry.clone(), ..RegistryConfig::default() })?;
    let bases: BTreeMap<&str, &ImageLocation> = args.base.iter().map(|(name, location)| (name.as_str(), location)).collect();
    let mut images = PinnedImages::default();
    for (reference, span) in context.plan.image_references() {
        let image = match bases.get(reference.as_str()) {
            Some(location) => location.load(&store, &registry, &arch).await?,
            None => {
                let place = format!("{}:{}", context.dockerfile_name, span.first_line);
                let image = ImageLocation::Registry(reference.clone()).load(&store, &registry, &arch).await;
                image.map_err(NamedImageError::at(&place))?
            }
        };
        images.0.insert(reference, image);
    }
    let work = store.temp_dir()?;
    let cancel = CancelFlag::default();
    let ahead = UploadAhead::to(&args.push, &registry)?;
    let labels: BTreeMap<String, String> = args.label.iter().cloned().collect();
    let request = GatedBuild {
        arch: &arch,
        context: &context,
        root: &args.context,
        store: &store,
        work_dir: work.path(),
        images: &images,
        labels: &labels,
        source_date_epoch: epoch,
        squash: args.squash,
        use_cache: !args.no_cache,
        compression: args.compression,
        format: manifest_format(args),
        file_digests: &[],
        layer_follower: ahead.as_ref().map(|ahead| ahead as &dyn LayerFollower),
        sandbox: args.sandbox.options()?,
        user_namespaces: args.sandbox.user_namespaces(),
        progress: &TerminalProgress::new(args.progress),
        cancel: &cancel,
    };
    let stop = cancel.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            stop.cancel();
        }
    });
    let result = gated_build::build(&request, reach(args)).await?;
    let image = result.built.image;
    for output in &args.output {
        write_output(&store, &image, output)?;
    }
    if let Some(ahead) = ahead {
        ahead.finish().await;
    }
    for reference in &args.push {
        push(&registry, &store, &image, reference).await?;
    }
    Ok(image)
}

/// What was asked for; else Docker's, unless it has no name for the layers.
fn manifest_format(args: &Args) -> ManifestFormat {
    match args.format {
        Some(Format::Oci) => ManifestFormat::Oci,
        Some(Format::Docker) => ManifestFormat::DockerV2s2,
        None if ManifestFormat::DockerV2s2.knows(args.compression) => ManifestFormat::DockerV2s2,
        None => ManifestFormat::Oci,
    }
}

fn reach(args: &Args) -> Reach {
    match args.network {
        Network::None => Reach::Nothing,
        Network::Host => Reach::Host,
        Network::Gate if args.repo.is_empty() => Reach::Nothing,
        Network::Gate => Reach::Gate {
            sources: args
                .repo
                .iter()
                .map(|(name, url)| ContentSource {
                    name: name.clone(),
                    base_url: url.clone(),
                    repomd_sha256: None,
                    gpgkeys: args.repo_key.iter().filter(|(of, _)| of == name).map(|(_, file)| file.into()).collect(),
                    of_request: false,
                })
                .collect(),
            lookup: None,
            rules: ReleaseRules::default(),
            cache_dir: args.store.with_file_name("gate"),
            cache_limit: Some(GATE_CACHE_LIMIT),
        },
    }
}

fn write_output(store: &Store, image: &LocalImage, output: &ImageLocation) -> Result<(), BoxedDiagnose> {
    match output {
        ImageLocation::Oci(dir, name) => oci_layout::write(store, image, dir, name.as_deref())?,
        ImageLocation::OciArchive(file) => oci_archive::write(store, image, file, None)?,
        ImageLocation::DockerArchive(file) => docker_archive::write(store, image, file, &[], is_gzip_name(file))?,
        ImageLocation::Registry(_) => {} // refused when the argument was parsed
    }
    Ok(())
}

fn is_gzip_name(file: &Path) -> bool {
    file.extension().is_some_and(|e| e == "gz" || e == "tgz")
}

async fn push(registry: &Registry, store: &Store, image: &LocalImage, reference: &str) -> Result<(), BoxedDiagnose> {
    let reference: ImageReference = reference.parse()?;
    let tag = build_model::ImageTag::new(reference.tag.clone().unwrap_or_else(|| "latest".into()))?;
    let pushed = registry.push(store, image, &reference.registry, &reference.repository, &[tag], &|_| {}).await?;
    for spec in pushed.pull_specs {
        eprintln!("pushed {spec}");
    }
    Ok(())
}

/// `SOURCE_DATE_EPOCH` as a build argument, which is how BuildKit has it, or in the environment (reproducible-builds.org);
/// else now.
///
/// # Errors
/// The argument is no number.
fn source_date_epoch(build_args: &[(String, String)], environment: Option<&str>) -> Result<i64, String> {
    match build_args.iter().rfind(|(name, _)| name == "SOURCE_DATE_EPOCH") {
        Some((_, value)) => value.parse().map_err(|_| format!("--build-arg SOURCE_DATE_EPOCH={value}: it is seconds since 1970")),
        None => Ok(environment.and_then(|value| value.parse().ok()).unwrap_or_else(crate::task::now)),
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is not of the form KEY=VALUE")),
    }
}

fn base(text: &str) -> Result<(String, ImageLocation), String> {
    let (reference, location) = pair(text)?;
    Ok((reference, location.parse()?))
}

fn output(text: &str) -> Result<ImageLocation, String> {
    match text.parse()? {
        ImageLocation::Registry(_) => {
            Err("use --push for registries; --output takes oci:, oci-archive: and docker-archive:".into())
        }
        location => Ok(location),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_a_build_is_its_argument_before_the_environment() {
        let given = |value: &str| vec![("SOURCE_DATE_EPOCH".to_owned(), value.to_owned())];
        assert_eq!(source_date_epoch(&given("7"), Some("8")), Ok(7));
        assert_eq!(source_date_epoch(&[], Some("8")), Ok(8));
        assert!(source_date_epoch(&given("yesterday"), Some("8")).is_err());
        assert!(source_date_epoch(&[], None).is_ok_and(|now| now > 1_700_000_000));
    }
}
