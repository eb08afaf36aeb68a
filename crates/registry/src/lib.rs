//! OCI registries: resolve, pull and push images by digest (distribution-spec v1.1; Docker's v2s2 formats as well).
//!
//! [`Registry`] is what the worker uses: base images in, finished images and indexes out. Blobs stream between the
//! registry and an `image_layers::Store`, verified on the way. The HTTP part is `oci-client`; this crate adds aliases,
//! credentials of container tools, retries, resumed downloads, and errors that say whose move it is.

mod alias;
mod auth_file;
mod certificates;
mod classify;
mod config;
mod document;
mod download;
mod endpoint;
mod error;
mod image_reference;
mod index;
mod plain_question;
mod pull;
mod push;
mod registry;
mod resolve;
mod retry;
mod tagged;
mod upload;
mod upload_followed;

pub use config::{RegistryAlias, RegistryConfig};
pub use error::{Action, RegistryError};
pub use image_reference::{ImageReference, ReferenceError};
pub use index::IndexMember;
pub use pull::PullEvent;
pub use push::{PushEvent, PushedImage};
pub use registry::Registry;
pub use resolve::ResolvedImage;
pub use retry::RetryPolicy;
