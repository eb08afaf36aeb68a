//! The record of a build inside its image (compat §3.4): the Dockerfile, what the image is made of with digests, and the help
//! file as a manual page. The engine adds it as one more layer; the Dockerfile is not edited.
//!
//! - `/root/buildinfo/Dockerfile-NAME-VERSION-RELEASE` (slashes of the name become dashes)
//! - `/root/buildinfo/content_manifests/COMPONENT-VERSION-RELEASE.json`: the earlier service's content manifest, and beyond it
//!   every RPM with its digests and Koji build
//! - `/help.1`, when the repository has `help.md`

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use build_model::{Arch, BoxedDiagnose, Nvr};
use image_build::BuiltImage;
use image_layers::{FileDigestAlgorithm, History, MergedView, PackOptions, Store, assemble_image, pack_layer};
use rpm_provenance::{ContentSource, ProvenPackage};
use serde_json::{Value, json};

use super::commit_file::{CommitFileError, text_of};
use crate::config::ImageSettings;
use crate::man_page::man_page;
use crate::task::run::WorkFileError;

/// The help file of a repository.
pub const HELP: &str = "help.md";
/// Where the earlier service's schema of the manifest is.
const ICM_SPEC: &str =
    "https://raw.githubusercontent.com/containerbuildsystem/atomic-reactor/master/atomic_reactor/schemas/content_manifest.json";
/// A help file larger than this is something else.
const MAX_HELP: u64 = 1 << 20;
/// How the layer is called in the image's history.
pub const INSTRUCTION: &str = "containerbuild: the record of the build";

/// What is recorded.
pub struct Record<'a> {
    /// Name of the build.
    pub nvr: &'a Nvr,
    /// Repository path in the registry: the label `name`.
    pub repository: &'a str,
    /// Architecture of the image.
    pub arch: &'a Arch,
    /// Top of the build context.
    pub root: &'a Path,
    /// The Dockerfile.
    pub dockerfile: &'a Path,
    /// What RUN steps were offered.
    pub content: &'a [ContentSource],
    /// What is in the image.
    pub packages: &'a [ProvenPackage],
    /// Latest time of the layer's files.
    pub source_date_epoch: i64,
}

/// The repository's help file; `None` when there is none.
///
/// # Errors
/// It is no text file of the commit.
pub fn read_help(root: &Path) -> Result<Option<String>, CommitFileError> {
    text_of(root, HELP, MAX_HELP)
}

/// Adds the layer to `built`. `dir` is an absent directory.
///
/// # Errors
/// The store's, the disk's, or those of [`read_help`].
pub fn add_record(
    store: &Store,
    settings: &ImageSettings,
    built: &mut BuiltImage,
    record: &Record<'_>,
    dir: &Path,
) -> Result<(), BoxedDiagnose> {
    let lowers: Vec<PathBuf> = built.layer_dirs.iter().rev().cloned().collect();
    let view = MergedView::new(lowers.clone());
    let upper = Upper { dir, view: &view };
    upper.make_dir("")?;
    let home = home_of_root(&lowers);
    let info = format!("{home}/buildinfo");
    let nvr = record.nvr;
    let name = record.repository.replace('/', "-");
    let dockerfile =
        std::fs::read(record.dockerfile).map_err(|source| WorkFileError { path: record.dockerfile.to_owned(), source })?;
    upper.write(&format!("{info}/Dockerfile-{name}-{}-{}", nvr.version, nvr.release), &dockerfile)?;
    let manifest = format!("{:#}\n", content_manifest(record, built.layer_dirs.len()));
    upper.write(&format!("{info}/content_manifests/{nvr}.json"), manifest.as_bytes())?;
    if let Some(help) = read_help(record.root)? {
        upper.write("help.1", man_page(&help, &nvr.name).as_bytes())?;
    }
    let options = PackOptions {
        compression: settings.compression,
        clamp_mtime: Some(record.source_date_epoch),
        file_digests: vec![FileDigestAlgorithm::Sha256],
        ..PackOptions::default()
    };
    let layer = pack_layer(store, dir, &lowers, &options)?;
    let mut config = built.image.config.clone();
    config.history.push(History {
        created: config.created.clone(),
        created_by: Some(INSTRUCTION.to_owned()),
        ..History::default()
    });
    let below = built.image.chain_ids().pop();
    let diff_id = layer.diff_id.clone();
    built.image = assemble_image(store, Some(&built.image), &[layer], config, settings.format)?;
    built.layer_dirs.push(store.adopt_layer(dir, &diff_id, below.as_ref())?.dir);
    built.new_layers += 1;
    Ok(())
}

/// The layer's tree.
struct Upper<'a> {
    dir: &'a Path,
    view: &'a MergedView,
}

impl Upper<'_> {
    /// Makes a directory with those above it. One that the image has keeps owner and mode.
    fn make_dir(&self, path: &str) -> Result<PathBuf, WorkFileError> {
        let own = self.dir.join(path);
        let failed = |source| WorkFileError { path: own.clone(), source };
        if own.is_dir() && !path.is_empty() {
            return Ok(own);
        }
        if let Some((above, _)) = path.rsplit_once('/') {
            self.make_dir(above)?;
        }
        std::fs::create_dir_all(&own).map_err(failed)?;
        let below = self.view.symlink_metadata(&format!("/{path}")).map_err(failed)?.filter(|meta| meta.is_dir());
        let (mode, uid, gid) = below.map_or((0o755, 0, 0), |meta| (meta.mode() & 0o7777, meta.uid(), meta.gid()));
        chown(&own, Some(uid), Some(gid)).map_err(failed)?;
        std::fs::set_permissions(&own, Permissions::from_mode(mode)).map_err(failed)?;
        Ok(own)
    }

    fn write(&self, path: &str, content: &[u8]) -> Result<(), WorkFileError> {
        if let Some((above, _)) = path.rsplit_once('/') {
            self.make_dir(above)?;
        }
        let own = self.dir.join(path);
        let failed = |source| WorkFileError { path: own.clone(), source };
        std::fs::write(&own, content).map_err(failed)?;
        std::fs::set_permissions(&own, Permissions::from_mode(0o644)).map_err(failed)
    }
}

/// root's home without a leading slash. In images made for ostree `/root` is a link to `var/roothome`; a layer with a
/// directory of that name would take its place.
fn home_of_root(lowers: &[PathBuf]) -> String {
    const HOME: &str = "root";
    let topmost = lowers.iter().map(|dir| dir.join(HOME)).find(|path| path.symlink_metadata().is_ok());
    let target = topmost.and_then(|path| std::fs::read_link(path).ok());
    let target = target.and_then(|target| target.to_str().map(|text| text.trim_matches('/').to_owned()));
    let plain = |text: &String| !text.is_empty() && text.split('/').all(|part| !part.is_empty() && part != ".." && part != ".");
    target.filter(plain).unwrap_or_else(|| HOME.to_owned())
}

/// The content manifest. `layer` is the index of the layer that holds it.
fn content_manifest(record: &Record<'_>, layer: usize) -> Value {
    let mut packages: Vec<&ProvenPackage> =
        record.packages.iter().filter(|package| package.ident.nvra.nvr.name != "gpg-pubkey").collect();
    packages.sort_by_key(|package| package.ident.nvra.to_string());
    let rpm = |package: &&ProvenPackage| {
        let (ident, nvra) = (&package.ident, &package.ident.nvra);
        let epoch = ident.epoch.map(|epoch| format!("&epoch={epoch}")).unwrap_or_default();
        json!({
            "purl": format!("pkg:rpm/{}@{}-{}?arch={}{epoch}", nvra.nvr.name, nvra.nvr.version, nvra.nvr.release, nvra.arch),
            "sigmd5": ident.sigmd5,
            "sha256header": ident.computed.sha256,
            "signature": ident.sigkey(),
            "koji_build": package.koji.as_ref().and_then(|koji| koji.build_nvr.clone()),
        })
    };
    json!({
        "metadata": {"icm_version": 1, "icm_spec": ICM_SPEC, "image_layer_index": layer},
        "content_sets": record.content.iter().map(|source| &source.name).collect::<Vec<_>>(),
        "image_contents": [],
        "architecture": record.arch,
        "rpms": packages.iter().map(rpm).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_home_is_found_where_it_really_is() {
        let dir = tempfile::tempdir().expect("a directory");
        let (top, bottom) = (dir.path().join("top"), dir.path().join("bottom"));
        for path in [&top, &bottom] {
            std::fs::create_dir(path).expect("made");
        }
        let lowers = [top.clone(), bottom.clone()];
        assert_eq!(home_of_root(&lowers), "root", "an image without one");
        std::os::unix::fs::symlink("/var/roothome", bottom.join("root")).expect("a link");
        assert_eq!(home_of_root(&lowers), "var/roothome");
        std::fs::create_dir(top.join("root")).expect("made");
        assert_eq!(home_of_root(&lowers), "root", "the topmost layer counts");
        std::fs::remove_dir(top.join("root")).expect("removed");
        std::os::unix::fs::symlink("../../etc", top.join("root")).expect("a link");
        assert_eq!(home_of_root(&lowers), "root", "a link that leads out is replaced");
    }

    #[test]
    fn a_directory_of_the_image_keeps_its_mode() {
        let dir = tempfile::tempdir().expect("a directory");
        let (lower, upper) = (dir.path().join("lower"), dir.path().join("upper"));
        std::fs::create_dir_all(lower.join("root")).expect("made");
        std::fs::set_permissions(lower.join("root"), Permissions::from_mode(0o550)).expect("a mode");
        let view = MergedView::new(vec![lower]);
        let made = Upper { dir: &upper, view: &view };
        made.make_dir("").expect("made");
        made.write("root/buildinfo/x", b"x").expect("written");
        let mode = |path: &str| upper.join(path).metadata().expect("there").mode() & 0o7777;
        assert_eq!((mode("root"), mode("root/buildinfo"), mode("root/buildinfo/x")), (0o550, 0o755, 0o644));
    }
}
