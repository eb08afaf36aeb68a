//! Image layers at rest: a content store, unpacking and packing of layers, OCI and Docker images as files.
//!
//! Implements the file formats of the OCI image-spec (layer.md, config.md, manifest.md, image-layout.md) and
//! Docker's image manifest v2 schema 2. Blocking `std` I/O only; callers in async code use a blocking thread.
//! Used by `registry` (blobs in and out of the [`Store`]), `image-build` (unpacked layers as overlay lowers,
//! [`pack_layer`], [`assemble_image`]), `rpm-provenance` ([`MergedView`]) and the worker (archives).

mod archive;
mod assemble;
mod codec;
mod descriptor;
pub mod docker_archive;
mod fillers;
mod image;
mod image_config;
mod layout_error;
mod manifest;
pub mod media_types;
mod merged_view;
pub mod oci_archive;
pub mod oci_layout;
mod overlay;
mod pack;
mod store;
pub mod tar_format;
#[cfg(test)]
mod testing;
mod unpack;

pub use assemble::{ManifestFormat, assemble_image};
pub use codec::{Compression, CompressionError, decoder};
pub use descriptor::{Descriptor, Platform};
pub use fillers::Fillers;
pub use image::{ImageError, LocalImage, chain_id};
pub use image_config::{ContainerConfig, Healthcheck, History, ImageConfig, RootFs};
pub use layout_error::LayoutError;
pub use manifest::{Index, IndexEntry, Manifest};
pub use merged_view::MergedView;
pub use pack::{
    FileDigest, FileDigestAlgorithm, LAYER_WRITER, PackError, PackOptions, PackedLayer, pack_layer, pack_layer_followed,
};
pub use store::{BlobWriter, ExpectedBlob, FileDigests, FollowedBlob, Store, StoreError, SweepReport, UnpackedLayer};
pub use unpack::{EntryProblem, UnpackError, UnpackLimits, UnpackedDigests};
