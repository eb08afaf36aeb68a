//! COPY and ADD (engine: C1–C11): sources are found below a root, filtered, and put into the image tree by descriptors, so
//! that no symlink on either side leads outside. BuildKit's copy is the reference.

mod archive;
mod contents;
mod digest;
mod error;
mod file;
mod filling;
mod open_dir;
mod place;
mod selection;
mod source;
mod tree;
mod whiteouts;

pub use contents::{FileContent, archive_contents};
pub(crate) use digest::digest_sources;
pub use error::CopyError;
pub(crate) use place::{CopyJob, Item, Unpack, place};
pub(crate) use selection::Selection;
pub(crate) use source::{FoundSource, find, find_with_parents};
pub(crate) use tree::Rewrite;
pub(crate) use whiteouts::write_whiteouts;
