//! stub
use std::path::Path;

use crate::image::LocalImage;
use crate::layout_error::LayoutError;
use crate::store::Store;

/// Reads an image from the archive `file`; `reference` chooses among several.
///
/// # Errors
/// stub
pub fn read(_store: &Store, file: &Path, _reference: Option<&str>) -> Result<LocalImage, LayoutError> {
    Err(LayoutError::malformed(file, "not yet"))
}

/// Writes `image` as `docker save` does.
///
/// # Errors
/// stub
pub fn write(_store: &Store, _image: &LocalImage, file: &Path, _repo_tags: &[String], _gzip: bool) -> Result<(), LayoutError> {
    Err(LayoutError::malformed(file, "not yet"))
}
