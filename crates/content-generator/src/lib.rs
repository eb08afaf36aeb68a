//! The metadata of a content generator import (Koji's `CGImport`, metadata version 0) as a pure function of what was built.
//!
//! [`metadata`] turns an [`ImportInput`] into the JSON document the worker uploads as `metadata.json`; [`check`] makes,
//! beforehand, those checks of the hub's `CG_Importer` that need no database. No I/O here: the files named in
//! the document are written and uploaded by the worker.

mod archive_types;
mod check;
mod component;
mod error;
mod input;
mod metadata;
mod output_file;
mod printable;

pub use archive_types::has_known_extension;
pub use check::{HubRules, check};
pub use component::{RpmComponent, components_json};
pub use error::MetadataError;
pub use input::{
    ArchOutput, BuildrootHost, ContentGenerator, DockerInfo, ExtraFile, ImageIndex, ImageInfo, ImportInput, LayerSize, LogFile,
    OsbsBuild, ParentBuild, ParentImage, Tool,
};
pub use metadata::metadata;
pub use output_file::{Checksum, OutputFile};
pub use printable::printable;
