//! OCI image layouts: a directory with `oci-layout`, `index.json` and `blobs/sha256/` (image-spec image-layout.md).
//! skopeo, buildah and podman call it `oci:DIR[:REFERENCE]`.

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use build_model::Digest;
use rustix::fs::{Mode, OFlags, ResolveFlags};

use crate::descriptor::{Descriptor, Platform};
use crate::image::{ImageError, LocalImage, MANIFEST_LIMIT};
use crate::layout_error::LayoutError;
use crate::manifest::{Index, IndexEntry, Manifest};
use crate::media_types::{self, OCI_INDEX};
use crate::store::{Store, StoreError};

/// The annotation that names an image in a layout.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
pub(crate) const LAYOUT_FILE: &str = "oci-layout";
pub(crate) const LAYOUT_TEXT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;
pub(crate) const INDEX_FILE: &str = "index.json";
/// Indexes in indexes in indexes: more than anyone writes.
const NESTING_MAX: usize = 4;

/// Reads the image named `reference` for `arch` (OCI spelling, `amd64`) from the layout in `dir` into the store.
/// Without a reference, the layout must hold one image for that architecture.
///
/// Only what belongs to the image is copied, and every digest is verified. Nothing outside `dir` is read, whatever
/// symbolic links it holds.
///
/// # Errors
/// The layout is malformed or incomplete, holds no such image or several, or the store cannot be written.
pub fn read(store: &Store, dir: &Path, reference: Option<&str>, arch: &str) -> Result<LocalImage, LayoutError> {
    let source = Directory::open(dir)?;
    let layout = source.small_file(LAYOUT_FILE)?;
    let index = source.small_file(INDEX_FILE)?;
    load(store, dir, &layout, &index, reference, arch, &|digest| source.bring(store, digest))
}

/// Writes `image` into the layout in `dir`, making it where needed. An image of the same `reference` is replaced in the
/// index; its blobs stay. The manifest is written as it is: of images with Docker's manifest, skopeo finds only one
/// without a reference.
///
/// # Errors
/// A blob is missing or damaged, or `dir` cannot be written.
pub fn write(store: &Store, image: &LocalImage, dir: &Path, reference: Option<&str>) -> Result<(), LayoutError> {
    let blobs = dir.join("blobs/sha256");
    fs::create_dir_all(&blobs).map_err(LayoutError::io("make the directory", &blobs))?;
    for blob in blobs_of(image) {
        let path = blobs.join(blob.digest.hex());
        if !path.exists() {
            put_file(&path, &mut content(store, image, &blob.digest)?)?;
        }
    }
    let index_path = dir.join(INDEX_FILE);
    let mut index = match fs::read(&index_path) {
        Ok(bytes) => Index::parse(&bytes, OCI_INDEX).map_err(LayoutError::image(&index_path))?.0,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Index::oci(Vec::new()),
        Err(source) => return Err(LayoutError::Io { action: "read", path: index_path, source }),
    };
    let entry = index_entry(image, reference);
    index.manifests.retain(|e| match reference {
        Some(name) => e.annotations.get(REF_NAME).map(String::as_str) != Some(name),
        None => e.digest != entry.digest || e.annotations.contains_key(REF_NAME),
    });
    index.manifests.push(entry);
    put_file(&index_path, &mut json(&index, dir)?.as_slice())?;
    put_file(&dir.join(LAYOUT_FILE), &mut LAYOUT_TEXT.as_bytes())
}

/// Manifest, config and layers of an image, each once.
pub(crate) fn blobs_of(image: &LocalImage) -> Vec<Descriptor> {
    let size = image.manifest_bytes.len() as u64;
    let manifest = Descriptor::new(image.manifest_media_type.clone(), image.manifest_digest.clone(), size);
    let mut blobs = vec![manifest, image.manifest.config.clone()];
    for layer in image.layers() {
        if !blobs.iter().any(|b| b.digest == layer.digest) {
            blobs.push(layer.clone());
        }
    }
    blobs
}

/// The content of a blob of `image`, verified while it is read.
pub(crate) fn content<'a>(store: &Store, image: &'a LocalImage, digest: &Digest) -> Result<Box<dyn Read + 'a>, LayoutError> {
    if *digest == image.manifest_digest {
        return Ok(Box::new(image.manifest_bytes.as_slice()));
    }
    if *digest == image.manifest.config.digest {
        return Ok(Box::new(image.config_bytes.as_slice()));
    }
    Ok(Box::new(store.open_verified(digest)?))
}

/// The line of `image` in the index of a layout.
pub(crate) fn index_entry(image: &LocalImage, reference: Option<&str>) -> IndexEntry {
    let config = &image.config;
    let mut platform = Platform::linux(&config.architecture);
    config.os.clone_into(&mut platform.os);
    platform.variant.clone_from(&config.variant);
    let size = image.manifest_bytes.len() as u64;
    let mut entry = IndexEntry::new(image.manifest_media_type.clone(), image.manifest_digest.clone(), size, Some(platform));
    if let Some(name) = reference {
        entry.annotations.insert(REF_NAME.to_owned(), name.to_owned());
    }
    entry
}

pub(crate) fn json(index: &Index, path: &Path) -> Result<Vec<u8>, LayoutError> {
    let image_error = |source| ImageError::Json { what: "image index", source };
    serde_json::to_vec(index).map_err(image_error).map_err(LayoutError::image(path))
}

/// Finds the image in a layout and brings its blobs. `bring` must leave the blob in the store, verified.
pub(crate) fn load(
    store: &Store,
    path: &Path,
    layout: &[u8],
    index: &[u8],
    reference: Option<&str>,
    arch: &str,
    bring: &dyn Fn(&Digest) -> Result<(), LayoutError>,
) -> Result<LocalImage, LayoutError> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Layout {
        image_layout_version: String,
    }
    let layout: Layout = serde_json::from_slice(layout)
        .map_err(|e| LayoutError::malformed(path, format!("the file oci-layout is malformed: {e}")))?;
    if !layout.image_layout_version.starts_with("1.") {
        let problem = format!("the layout has version `{}`, only 1.x is supported", shortened(&layout.image_layout_version));
        return Err(LayoutError::malformed(path, problem));
    }
    let (index, _) = Index::parse(index, "").map_err(LayoutError::image(path))?;
    let named = |e: &&IndexEntry| reference.is_none_or(|name| e.annotations.get(REF_NAME).map(String::as_str) == Some(name));
    let mut choice = Choice { store, path, arch, bring, found: Vec::new(), seen: Vec::new() };
    choice.collect(index.manifests.iter().filter(named), 0)?;
    let Some(chosen) = choice.found.first().cloned() else {
        let wanted = reference.map_or_else(|| format!("for {arch}"), |name| format!("`{name}` for {arch}"));
        let names: Vec<String> =
            index.manifests.iter().filter_map(|e| e.annotations.get(REF_NAME)).map(|n| shortened(n)).collect();
        let mut present = if names.is_empty() { "none with a name".to_owned() } else { names.join(", ") };
        if !choice.seen.is_empty() {
            present = format!("{present} (for {})", choice.seen.join(", "));
        }
        return Err(LayoutError::NoSuchImage { path: path.to_owned(), wanted, present });
    };
    if choice.found.iter().any(|e| e.digest != chosen.digest) {
        return Err(LayoutError::malformed(
            path,
            format!("it holds several images for {arch}; one must be named by its reference"),
        ));
    }
    bring(&chosen.digest)?;
    let bytes = store.read_blob(&chosen.digest, MANIFEST_LIMIT)?;
    let (manifest, _) = Manifest::parse(&bytes, &chosen.media_type).map_err(LayoutError::image(path))?;
    bring(&manifest.config.digest)?;
    for layer in &manifest.layers {
        bring(&layer.digest)?;
    }
    LocalImage::load(store, &chosen.digest, &chosen.media_type).map_err(LayoutError::image(path))
}

/// The search for the image of one architecture through nested indexes.
struct Choice<'a> {
    store: &'a Store,
    path: &'a Path,
    arch: &'a str,
    bring: &'a dyn Fn(&Digest) -> Result<(), LayoutError>,
    found: Vec<IndexEntry>,
    /// Architectures that were there instead.
    seen: Vec<String>,
}

impl Choice<'_> {
    fn collect<'e>(&mut self, entries: impl Iterator<Item = &'e IndexEntry>, depth: usize) -> Result<(), LayoutError> {
        if depth > NESTING_MAX {
            return Err(LayoutError::malformed(self.path, "its indexes are nested too deeply"));
        }
        for entry in entries {
            if media_types::is_index(&entry.media_type) {
                (self.bring)(&entry.digest)?;
                let bytes = self.store.read_blob(&entry.digest, MANIFEST_LIMIT)?;
                let (nested, _) = Index::parse(&bytes, &entry.media_type).map_err(LayoutError::image(self.path))?;
                self.collect(nested.manifests.iter(), depth + 1)?;
            } else if media_types::is_manifest(&entry.media_type) {
                let (os, architecture) = match &entry.platform {
                    Some(platform) => (platform.os.clone(), platform.architecture.clone()),
                    None => self.platform_of_config(entry)?,
                };
                if architecture == self.arch && os == "linux" {
                    self.found.push(entry.clone());
                } else {
                    self.seen.push(shortened(&architecture));
                }
            }
        }
        Ok(())
    }

    /// Where the index is silent, the image's config says what it is for.
    fn platform_of_config(&self, entry: &IndexEntry) -> Result<(String, String), LayoutError> {
        (self.bring)(&entry.digest)?;
        let bytes = self.store.read_blob(&entry.digest, MANIFEST_LIMIT)?;
        let (manifest, _) = Manifest::parse(&bytes, &entry.media_type).map_err(LayoutError::image(self.path))?;
        (self.bring)(&manifest.config.digest)?;
        let image = LocalImage::load(self.store, &entry.digest, &entry.media_type).map_err(LayoutError::image(self.path))?;
        Ok((image.config.os, image.config.architecture))
    }
}

/// A stranger's word for a message.
fn shortened(text: &str) -> String {
    crate::tar_format::shown(text.as_bytes())
}

/// A layout's directory; nothing outside it can be opened.
struct Directory<'a> {
    fd: OwnedFd,
    path: &'a Path,
}

impl<'a> Directory<'a> {
    fn open(path: &'a Path) -> Result<Self, LayoutError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(|e| LayoutError::io("open", path)(e.into()))?;
        Ok(Self { fd, path })
    }

    fn file(&self, name: &str) -> Result<fs::File, LayoutError> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let bound = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let path = || self.path.join(name);
        let fd = rustix::fs::openat2(&self.fd, name, flags, Mode::empty(), bound)
            .map_err(|e| LayoutError::io("open", &path())(e.into()))?;
        let file = fs::File::from(fd);
        if !file.metadata().map_err(LayoutError::io("read", &path()))?.is_file() {
            return Err(LayoutError::malformed(self.path, format!("{name} is no regular file")));
        }
        Ok(file)
    }

    fn small_file(&self, name: &str) -> Result<Vec<u8>, LayoutError> {
        let mut bytes = Vec::new();
        let read = self.file(name)?.take(MANIFEST_LIMIT + 1).read_to_end(&mut bytes);
        if read.map_err(LayoutError::io("read", &self.path.join(name)))? as u64 > MANIFEST_LIMIT {
            return Err(LayoutError::malformed(self.path, format!("{name} is larger than {MANIFEST_LIMIT} bytes")));
        }
        Ok(bytes)
    }

    fn bring(&self, store: &Store, digest: &Digest) -> Result<(), LayoutError> {
        if store.has_blob(digest) {
            return Ok(());
        }
        let name = format!("blobs/sha256/{}", digest.hex());
        let file = self.file(&name)?;
        match store.put_blob_from(file, &self.path.join(&name), Some(digest)) {
            Err(StoreError::DigestMismatch { found, .. }) => {
                Err(LayoutError::malformed(self.path, format!("the file {name} is damaged: its content has the digest {found}")))
            }
            other => other.map(|_| ()).map_err(LayoutError::from),
        }
    }
}

/// Writes a file so that it appears only whole.
fn put_file(path: &Path, content: &mut dyn Read) -> Result<(), LayoutError> {
    let failed = |source| LayoutError::Io { action: "write", path: path.to_owned(), source };
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut temp = tempfile::Builder::new().prefix(".new-").tempfile_in(dir).map_err(failed)?;
    io::copy(&mut io::BufReader::with_capacity(1 << 20, content), &mut temp).map_err(failed)?;
    temp.flush().map_err(failed)?;
    fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o644)).map_err(failed)?;
    temp.persist(path).map_err(|e| failed(e.error))?;
    Ok(())
}

#[cfg(test)]
mod tests;
