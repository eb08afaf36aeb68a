//! stub
use std::path::Path;

use crate::image::LocalImage;
use crate::layout_error::LayoutError;
use crate::store::Store;

/// Reads the image `reference` for `arch` (OCI spelling) from the layout in `dir`.
///
/// # Errors
/// stub
pub fn read(_store: &Store, dir: &Path, _reference: Option<&str>, _arch: &str) -> Result<LocalImage, LayoutError> {
    Err(LayoutError::malformed(dir, "not yet"))
}

/// Writes `image` into the layout in `dir`, under the name `reference`.
///
/// # Errors
/// stub
pub fn write(_store: &Store, _image: &LocalImage, dir: &Path, _reference: Option<&str>) -> Result<(), LayoutError> {
    Err(LayoutError::malformed(dir, "not yet"))
}
