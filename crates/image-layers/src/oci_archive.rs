//! stub
use std::path::Path;

use crate::image::LocalImage;
use crate::layout_error::LayoutError;
use crate::store::Store;

/// Reads the image `reference` for `arch` (OCI spelling) from the archive `file`.
///
/// # Errors
/// stub
pub fn read(_store: &Store, file: &Path, _reference: Option<&str>, _arch: &str) -> Result<LocalImage, LayoutError> {
    Err(LayoutError::malformed(file, "not yet"))
}

/// Writes `image` into the archive `file`, under the name `reference`.
///
/// # Errors
/// stub
pub fn write(_store: &Store, _image: &LocalImage, file: &Path, _reference: Option<&str>) -> Result<(), LayoutError> {
    Err(LayoutError::malformed(file, "not yet"))
}
