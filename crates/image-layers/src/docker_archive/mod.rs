//! Docker archives: what `docker save` writes and `docker load`, `podman load` and skopeo's `docker-archive:` read.
//! Koji builds carry their images in this form.
//!
//! ```text
//! CONFIG-DIGEST.json   the image config
//! DIFF-ID.tar          a layer, not compressed
//! manifest.json        [{"Config": …, "RepoTags": […], "Layers": […]}]
//! ```
//!
//! Older and newer versions of Docker use other names (`ID/layer.tar`, `blobs/sha256/…`) and links between them;
//! manifest.json tells, so all are read.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufReader, Read};
use std::path::Path;

use build_model::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Map;
use sha2::{Digest as _, Sha256};

use crate::archive::{self, NewArchive, normal_name};
use crate::codec::{Compression, decoder};
use crate::descriptor::Descriptor;
use crate::image::{CONFIG_LIMIT, ImageError, LocalImage, MANIFEST_LIMIT};
use crate::image_config::ImageConfig;
use crate::layout_error::LayoutError;
use crate::manifest::{Manifest, null_is_default};
use crate::media_types::{
    DOCKER_CONFIG, DOCKER_LAYER, DOCKER_LAYER_GZIP, DOCKER_MANIFEST, OCI_CONFIG, OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD,
    OCI_MANIFEST,
};
use crate::store::Store;
use crate::tar_format::TarKind;

const MANIFEST_FILE: &str = "manifest.json";
/// More entries than any image has layers; each costs a file in the store.
const ENTRIES_MAX: usize = 20_000;

/// One image in `manifest.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SavedImage {
    config: String,
    #[serde(default, deserialize_with = "null_is_default")]
    repo_tags: Vec<String>,
    #[serde(default, deserialize_with = "null_is_default")]
    layers: Vec<String>,
}

/// Writes `image` as `docker save` does, under the names `repo_tags` (`registry/repository:tag`); with `gzip`, the whole
/// archive is compressed. The same image gives the same bytes.
///
/// # Errors
/// A blob is missing or is not the layer the config names, or `file` cannot be written. A file that was there before
/// stays then.
pub fn write(store: &Store, image: &LocalImage, file: &Path, repo_tags: &[String], gzip: bool) -> Result<(), LayoutError> {
    let compression = if gzip { Compression::Gzip { level: 6 } } else { Compression::None };
    let mut archive = NewArchive::create(file, compression)?;
    let config = format!("{}.json", image.manifest.config.digest.hex());
    archive.file(&config, image.config_bytes.len() as u64, image.config_bytes.as_slice())?;
    let mut layers: Vec<String> = Vec::with_capacity(image.layers().len());
    for (layer, diff_id) in image.layers().iter().zip(&image.config.rootfs.diff_ids) {
        let name = format!("{}.tar", diff_id.hex());
        if !layers.contains(&name) {
            let blob = LayerBlob { store, layer, diff_id };
            if gzip && blob.is_gzip()? {
                // A gzip stream is members one after another: the layer's own are taken as they are.
                let size = blob.size(file)?;
                let mut hashed = Hashed { inner: store.open_blob(&layer.digest)?, sum: Sha256::new() };
                archive.compressed_file(&name, size, &mut hashed)?;
                blob.check(file, &layer.digest, hashed)?;
            } else {
                write_layer(&blob, &mut archive, file, &name)?;
            }
        }
        layers.push(name);
    }
    let saved = [SavedImage { config, repo_tags: repo_tags.to_vec(), layers }];
    let manifest = serde_json::to_vec(&saved)
        .map_err(|source| ImageError::Json { what: MANIFEST_FILE, source })
        .map_err(LayoutError::image(file))?;
    archive.file(MANIFEST_FILE, manifest.len() as u64, manifest.as_slice())?;
    archive.publish()
}

/// A layer that goes into an archive.
struct LayerBlob<'a> {
    store: &'a Store,
    layer: &'a Descriptor,
    diff_id: &'a Digest,
}

impl LayerBlob<'_> {
    fn is_gzip(&self) -> Result<bool, LayoutError> {
        let (path, mut start) = (self.store.blob_path(&self.layer.digest), Vec::new());
        let blob = self.store.open_blob(&self.layer.digest)?;
        blob.take(2).read_to_end(&mut start).map_err(LayoutError::io("read", &path))?;
        Ok(start == [0x1f, 0x8b])
    }

    fn inflated(&self) -> Result<Hashed<Box<dyn Read>>, LayoutError> {
        let blob = BufReader::with_capacity(1 << 20, self.store.open_blob(&self.layer.digest)?);
        let inner = decoder(blob).map_err(LayoutError::io("inflate", &self.store.blob_path(&self.layer.digest)))?;
        Ok(Hashed { inner, sum: Sha256::new() })
    }

    /// The size of the layer's tar: as it was noted by who made or unpacked the layer, else counted.
    fn size(&self, file: &Path) -> Result<u64, LayoutError> {
        if let Some(size) = self.store.noted_uncompressed_size(&self.layer.digest) {
            return Ok(size);
        }
        let mut inflated = self.inflated()?;
        let path = self.store.blob_path(&self.layer.digest);
        let size = io::copy(&mut inflated, &mut io::sink()).map_err(LayoutError::io("inflate", &path))?;
        self.check(file, self.diff_id, inflated)?;
        self.store.note_uncompressed_size(&self.layer.digest, size);
        Ok(size)
    }

    /// Whether what was read is what it should be.
    fn check<R>(&self, file: &Path, expected: &Digest, read: Hashed<R>) -> Result<(), LayoutError> {
        let found = Digest::from_sha256(&read.sum.finalize().into());
        if found == *expected {
            return Ok(());
        }
        let (layer, expected) = (self.layer.digest.clone(), expected.clone());
        Err(LayoutError::DiffId { path: file.to_owned(), layer, expected, found })
    }
}

fn write_layer(blob: &LayerBlob<'_>, archive: &mut NewArchive, file: &Path, name: &str) -> Result<(), LayoutError> {
    let size = blob.size(file)?;
    let mut hashed = blob.inflated()?;
    let written = archive.file(name, size, &mut hashed);
    if written.is_err() {
        // If the note was wrong, the next attempt counts for itself.
        blob.store.forget_uncompressed_size(&blob.layer.digest);
    }
    written?;
    blob.check(file, blob.diff_id, hashed)?;
    blob.store.note_uncompressed_size(&blob.layer.digest, size);
    Ok(())
}

struct Hashed<R> {
    inner: R,
    sum: Sha256,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.sum.update(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}

/// Reads the image named `reference` (one of its tags), or the only image, from the archive `file` into the store.
/// The archive may be compressed, and so may be the layers in it.
///
/// Docker archives have no manifest with digests; one is made, with the layers as they are.
///
/// # Errors
/// The archive is damaged or incomplete, a layer is not what the config says, there is no such image or there are
/// several, or the store cannot be written.
pub fn read(store: &Store, file: &Path, reference: Option<&str>) -> Result<LocalImage, LayoutError> {
    let contents = Contents::read(store, file)?;
    let bytes = store.read_blob(&contents.blob(MANIFEST_FILE, file)?.0, MANIFEST_LIMIT)?;
    let saved: Vec<SavedImage> = serde_json::from_slice(&bytes)
        .map_err(|source| ImageError::Json { what: MANIFEST_FILE, source })
        .map_err(LayoutError::image(file))?;
    let saved = choose(&saved, reference, file)?;

    let (config_digest, config_size) = contents.blob(&saved.config, file)?;
    let config_bytes = store.read_blob(&config_digest, CONFIG_LIMIT)?;
    let config: ImageConfig = serde_json::from_slice(&config_bytes)
        .map_err(|source| ImageError::Json { what: "image config", source })
        .map_err(LayoutError::image(file))?;
    if saved.layers.len() != config.rootfs.diff_ids.len() {
        let source = ImageError::LayerCount { layers: saved.layers.len(), diff_ids: config.rootfs.diff_ids.len() };
        return Err(LayoutError::Image { path: file.to_owned(), source });
    }
    let mut layers = Vec::with_capacity(saved.layers.len());
    for (name, diff_id) in saved.layers.iter().zip(&config.rootfs.diff_ids) {
        layers.push(layer(store, file, contents.blob(name, file)?, diff_id)?);
    }
    // Docker's format has no zstd.
    let oci = layers.iter().any(|l: &Descriptor| l.media_type == OCI_LAYER_ZSTD);
    for layer in &mut layers {
        layer.media_type = match layer.media_type.as_str() {
            DOCKER_LAYER if oci => OCI_LAYER.to_owned(),
            DOCKER_LAYER_GZIP if oci => OCI_LAYER_GZIP.to_owned(),
            other => other.to_owned(),
        };
    }
    let (manifest_type, config_type) = if oci { (OCI_MANIFEST, OCI_CONFIG) } else { (DOCKER_MANIFEST, DOCKER_CONFIG) };
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(manifest_type.to_owned()),
        config: Descriptor::new(config_type, config_digest, config_size),
        layers,
        annotations: BTreeMap::new(),
        other: Map::new(),
    };
    let json = serde_json::to_vec(&manifest)
        .map_err(|source| ImageError::Json { what: "manifest", source })
        .map_err(LayoutError::image(file))?;
    let digest = store.put_blob(&json)?;
    LocalImage::load(store, &digest, manifest_type).map_err(LayoutError::image(file))
}

fn choose<'a>(saved: &'a [SavedImage], reference: Option<&str>, file: &Path) -> Result<&'a SavedImage, LayoutError> {
    let present = || {
        let tags: Vec<String> = saved.iter().flat_map(|s| &s.repo_tags).map(|t| crate::tar_format::shown(t.as_bytes())).collect();
        if tags.is_empty() { "none with a name".to_owned() } else { tags.join(", ") }
    };
    match (reference, saved) {
        (Some(name), _) => saved
            .iter()
            .find(|s| s.repo_tags.iter().any(|tag| tag == name))
            .ok_or_else(|| LayoutError::NoSuchImage { path: file.to_owned(), wanted: format!("`{name}`"), present: present() }),
        (None, [one]) => Ok(one),
        (None, []) => Err(LayoutError::malformed(file, "it holds no image")),
        (None, _) => Err(LayoutError::malformed(file, format!("it holds several images, one must be named: {}", present()))),
    }
}

/// The descriptor of a layer file. What it is compressed with is told from its content.
fn layer(store: &Store, file: &Path, (digest, size): (Digest, u64), diff_id: &Digest) -> Result<Descriptor, LayoutError> {
    let mut start = Vec::new();
    let path = store.blob_path(&digest);
    store.open_blob(&digest)?.take(4).read_to_end(&mut start).map_err(LayoutError::io("read", &path))?;
    let media_type = match start.as_slice() {
        [0x1f, 0x8b, ..] => DOCKER_LAYER_GZIP,
        [0x28, 0xb5, 0x2f, 0xfd] => OCI_LAYER_ZSTD,
        _ => DOCKER_LAYER,
    };
    if media_type == DOCKER_LAYER && digest != *diff_id {
        let (layer, found) = (digest.clone(), digest);
        return Err(LayoutError::DiffId { path: file.to_owned(), layer, expected: diff_id.clone(), found });
    }
    Ok(Descriptor::new(media_type, digest, size))
}

/// The files of an archive, all of them put into the store.
struct Contents {
    files: HashMap<String, (Digest, u64)>,
    /// Other names of files: symbolic and hard links.
    links: HashMap<String, String>,
}

impl Contents {
    fn read(store: &Store, file: &Path) -> Result<Self, LayoutError> {
        let mut tar = archive::open(file)?;
        let mut contents = Self { files: HashMap::new(), links: HashMap::new() };
        while let Some(entry) = tar.next_entry().map_err(|source| LayoutError::Archive { path: file.to_owned(), source })? {
            let Some(name) = normal_name(&entry.path) else {
                return Err(LayoutError::malformed(file, format!("the name `{}` leads out of the archive", entry.shown_path())));
            };
            if contents.files.len() + contents.links.len() >= ENTRIES_MAX {
                return Err(LayoutError::malformed(file, format!("it has more than {ENTRIES_MAX} entries")));
            }
            match entry.kind {
                TarKind::File => {
                    let blob = archive::put(store, &mut tar, file, &name, None)?;
                    contents.files.insert(name, blob);
                }
                TarKind::HardLink => {
                    contents.links.extend(normal_name(&entry.link).map(|target| (name, target)));
                }
                TarKind::Symlink => {
                    contents.links.extend(beside(&name, &entry.link).map(|target| (name, target)));
                }
                _ => {}
            }
        }
        Ok(contents)
    }

    /// The blob of the file `name`, through at most a few links.
    fn blob(&self, name: &str, file: &Path) -> Result<(Digest, u64), LayoutError> {
        let mut current = normal_name(name.as_bytes()).unwrap_or_default();
        for _ in 0..8 {
            if let Some(blob) = self.files.get(&current) {
                return Ok(blob.clone());
            }
            match self.links.get(&current) {
                Some(target) => current.clone_from(target),
                None => break,
            }
        }
        Err(LayoutError::malformed(file, format!("it has no file `{}`", crate::tar_format::shown(name.as_bytes()))))
    }
}

/// What the symbolic link `name` with the text `target` leads to; `None` when it leaves the archive.
fn beside(name: &str, target: &[u8]) -> Option<String> {
    let target = std::str::from_utf8(target).ok().filter(|t| !t.starts_with('/'))?;
    let mut parts: Vec<&str> = name.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests;
