//! OCI archives: the tar of an OCI layout, `oci-archive:FILE[:REFERENCE]` to skopeo and podman.

use std::path::Path;

use build_model::Digest;

use crate::archive::{self, NewArchive, normal_name};
use crate::codec::Compression;
use crate::image::{LocalImage, MANIFEST_LIMIT};
use crate::layout_error::LayoutError;
use crate::manifest::Index;
use crate::oci_layout::{INDEX_FILE, LAYOUT_FILE, LAYOUT_TEXT, blobs_of, content, index_entry, json, load};
use crate::store::Store;
use crate::tar_format::TarKind;

/// Reads the image `reference` for `arch` (OCI spelling) from the archive `file`, which may be compressed, into the store.
///
/// The archive is read once, in whatever order it is; all its blobs go into the store, each verified.
///
/// # Errors
/// The archive is damaged or incomplete, holds no such image or several, or the store cannot be written.
pub fn read(store: &Store, file: &Path, reference: Option<&str>, arch: &str) -> Result<LocalImage, LayoutError> {
    let mut tar = archive::open(file)?;
    let (mut layout, mut index) = (None, None);
    while let Some(entry) = tar.next_entry().map_err(|source| LayoutError::Archive { path: file.to_owned(), source })? {
        let Some(name) = normal_name(&entry.path) else {
            return Err(LayoutError::malformed(file, format!("the name `{}` leads out of the layout", entry.shown_path())));
        };
        let small = match name.as_str() {
            LAYOUT_FILE => &mut layout,
            INDEX_FILE => &mut index,
            other => {
                let hex = other.strip_prefix("blobs/sha256/");
                if let (Some(digest), TarKind::File) =
                    (hex.and_then(|hex| format!("sha256:{hex}").parse::<Digest>().ok()), entry.kind)
                {
                    archive::put(store, &mut tar, file, other, Some(&digest))?;
                }
                continue;
            }
        };
        if entry.kind != TarKind::File || entry.size > MANIFEST_LIMIT {
            return Err(LayoutError::malformed(file, format!("{name} is no file of at most {MANIFEST_LIMIT} bytes")));
        }
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut tar, &mut bytes).map_err(LayoutError::io("read", file))?;
        *small = Some(bytes);
    }
    let missing = |name: &str| LayoutError::malformed(file, format!("it has no file {name}"));
    let layout = layout.ok_or_else(|| missing(LAYOUT_FILE))?;
    let index = index.ok_or_else(|| missing(INDEX_FILE))?;
    load(store, file, &layout, &index, reference, arch, &|digest| {
        if store.has_blob(digest) { Ok(()) } else { Err(missing(&format!("blobs/sha256/{}", digest.hex()))) }
    })
}

/// Writes `image` as an archive with one image, named `reference`. The same image gives the same bytes.
///
/// # Errors
/// A blob is missing or damaged, or `file` cannot be written. A file that was there before stays then.
pub fn write(store: &Store, image: &LocalImage, file: &Path, reference: Option<&str>) -> Result<(), LayoutError> {
    let index = json(&Index::oci(vec![index_entry(image, reference)]), file)?;
    let mut archive = NewArchive::create(file, Compression::None)?;
    archive.file(LAYOUT_FILE, LAYOUT_TEXT.len() as u64, LAYOUT_TEXT.as_bytes())?;
    archive.file(INDEX_FILE, index.len() as u64, index.as_slice())?;
    archive.directory("blobs")?;
    archive.directory("blobs/sha256")?;
    for blob in blobs_of(image) {
        let name = format!("blobs/sha256/{}", blob.digest.hex());
        archive.file(&name, blob.size, content(store, image, &blob.digest)?)?;
    }
    archive.publish()
}
