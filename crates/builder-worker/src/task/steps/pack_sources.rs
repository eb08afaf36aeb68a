//! The image of source packages: `FROM scratch`, a layer each, in the layout of BuildSourceImage that tools of the field
//! read: the file as `blobs/sha256/HEX`, its name as a link in `rpm_dir/`. The same packages give the same layers wherever
//! and whenever they are packed, so registries and people's disks keep each package once for all images.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use build_model::{Arch, BoxedDiagnose};
use image_layers::{
    ContainerConfig, History, ImageConfig, LocalImage, PackOptions, PackedLayer, Store, assemble_image, pack_layer,
};

use super::fetch_source_rpms::FetchedSource;
use super::rfc3339;
use crate::config::ImageSettings;
use crate::task::run::WorkFileError;

/// Layers of one image that clients still take: overlay mounts and Docker stop at 127.
const MAX_LAYERS: usize = 120;

/// Packs the sources and makes the image. `dir` is emptied as the files go into layers.
///
/// # Errors
/// The disk's or the store's.
pub fn pack_sources(
    store: &Store,
    image: &ImageSettings,
    arch: &Arch,
    sources: &[FetchedSource],
    labels: BTreeMap<String, String>,
    created: i64,
    dir: &Path,
) -> Result<LocalImage, BoxedDiagnose> {
    let mut layers: Vec<PackedLayer> = Vec::new();
    let mut history = Vec::new();
    for (number, group) in groups(sources, MAX_LAYERS).into_iter().enumerate() {
        let root = dir.join(format!("layer{number}"));
        lay_out(&root, &group)?;
        let newest = group.iter().map(|source| source.build_time).max().unwrap_or_default();
        let options = PackOptions { compression: image.compression, clamp_mtime: Some(newest), ..PackOptions::default() };
        layers.push(pack_layer(store, &root, &[], &options)?);
        std::fs::remove_dir_all(&root).map_err(|source| WorkFileError { path: root.clone(), source })?;
        let names: Vec<&str> = group.iter().map(|source| source.name.as_str()).collect();
        history.push(History {
            created: Some(rfc3339(newest)),
            created_by: Some(format!("source packages {}", names.join(" "))),
            ..History::default()
        });
    }
    let config = ImageConfig {
        created: Some(rfc3339(created)),
        architecture: arch.oci().to_owned(),
        os: "linux".to_owned(),
        config: ContainerConfig { labels, ..ContainerConfig::default() },
        history,
        ..ImageConfig::default()
    };
    Ok(assemble_image(store, None, &layers, config, image.format)?)
}

/// One package a layer, by name; where that would be too many, the small ones share the last layer.
fn groups(sources: &[FetchedSource], limit: usize) -> Vec<Vec<&FetchedSource>> {
    let mut by_size: Vec<&FetchedSource> = sources.iter().collect();
    by_size.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.name.cmp(&b.name)));
    let alone = if sources.len() <= limit { sources.len() } else { limit.saturating_sub(1) };
    let (large, small) = by_size.split_at(alone);
    let mut groups: Vec<Vec<&FetchedSource>> = large.iter().map(|source| vec![*source]).collect();
    groups.sort_by(|a, b| a.iter().map(|s| &s.name).cmp(b.iter().map(|s| &s.name)));
    if !small.is_empty() {
        groups.push(small.to_vec());
    }
    groups
}

/// The tree of one layer.
fn lay_out(root: &Path, group: &[&FetchedSource]) -> Result<(), WorkFileError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| WorkFileError { path, source }
    };
    let set = |path: &Path, mode| std::fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed(path));
    let (blobs, names) = (root.join("blobs/sha256"), root.join("rpm_dir"));
    for dir in [&blobs, &names] {
        std::fs::create_dir_all(dir).map_err(failed(dir))?;
    }
    for dir in [root, &root.join("blobs"), &blobs, &names] {
        set(dir, 0o755)?; // whatever the umask
    }
    for source in group {
        let blob = blobs.join(&source.sha256);
        std::fs::rename(&source.path, &blob).map_err(failed(&source.path))?;
        set(&blob, 0o644)?;
        let link = names.join(&source.name);
        symlink(format!("../blobs/sha256/{}", source.sha256), &link).map_err(failed(&link))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use image_layers::{Compression, ManifestFormat};

    use super::*;

    fn source(dir: &Path, name: &str, content: &str, build_time: i64) -> FetchedSource {
        let path = dir.join(name);
        std::fs::write(&path, content).expect("written");
        let file = crate::task::steps::output_file(&path, name, None).expect("read");
        FetchedSource {
            name: name.to_owned(),
            sha256: file.checksum.hex().to_owned(),
            size: file.size,
            payloadhash: "aa".into(),
            sigkey: None,
            build: "web-1-1".into(),
            build_time,
            path,
        }
    }

    fn packed(umask_mode: u32) -> (Vec<String>, LocalImage) {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::open(&dir.path().join("store")).expect("a store");
        let sources = [
            source(dir.path(), "b-1-1.src.rpm", "second", 1_700_000_000),
            source(dir.path(), "a-1-1.src.rpm", "one", 1_600_000_000),
        ];
        for source in &sources {
            std::fs::set_permissions(&source.path, Permissions::from_mode(umask_mode)).expect("a mode");
        }
        let settings = ImageSettings { format: ManifestFormat::DockerV2s2, compression: Compression::default() };
        let arch = Arch::canonical("x86_64").expect("an arch");
        let labels = BTreeMap::from([("name".to_owned(), "web-source".to_owned())]);
        let image = pack_sources(&store, &settings, &arch, &sources, labels, 1_700_000_001, dir.path()).expect("an image");
        (image.layers().iter().map(|l| l.digest.to_string()).collect(), image)
    }

    #[test]
    fn the_same_packages_give_the_same_image_whatever_their_files_looked_like() {
        let ((first, image), (second, again)) = (packed(0o600), packed(0o666));
        assert_eq!((first, &image.manifest_digest), (second, &again.manifest_digest));
        let told: Vec<_> = image.config.history.iter().filter_map(|h| h.created_by.as_deref()).collect();
        assert_eq!(told, ["source packages a-1-1.src.rpm", "source packages b-1-1.src.rpm"]);
        assert_eq!(image.config.created.as_deref(), Some("2023-11-14T22:13:21Z"));
    }

    #[test]
    fn more_packages_than_layers_share_the_last_one() {
        let dir = tempfile::tempdir().expect("a directory");
        let sources: Vec<_> =
            ["d", "cc", "bbb", "aaaa"].iter().map(|text| source(dir.path(), &format!("{text}.src.rpm"), text, 0)).collect();
        let names = |limit| -> Vec<Vec<String>> {
            groups(&sources, limit).iter().map(|g| g.iter().map(|s| s.name.replace(".src.rpm", "")).collect()).collect()
        };
        assert_eq!(names(4), [["aaaa"], ["bbb"], ["cc"], ["d"]]);
        assert_eq!(names(3), [vec!["aaaa"], vec!["bbb"], vec!["cc", "d"]]);
        assert_eq!(names(1), [["aaaa", "bbb", "cc", "d"]]);
    }
}
