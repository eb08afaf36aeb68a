//! `container.yaml`, the file beside a Dockerfile that tells the service about the build (compat §3.1; the earlier
//! service's schema is osbs-client's `container.json`).
//!
//! Text in, typed settings or every problem out: no I/O. One table ([`keys`]) says what is kept, ignored and refused;
//! the checks, the typed values and the published JSON Schema all come from it. Called by the worker after the checkout.

mod additional_tags;
mod check;
mod keys;
mod problem;
mod scalar;
mod schema;
mod settings;
mod yaml_tree;

pub use additional_tags::AdditionalTags;
pub use problem::{ContainerYamlError, Remark};
pub use schema::container_yaml_schema;
pub use settings::{Autorebuild, Compose, ContainerYaml, Platforms};

#[cfg(test)]
mod tests;
