//! What the report of an image needs besides the proof: instructions and rpmdbs of its layers, what Koji knows of its
//! RPMs, and the report of an earlier build. Used by a build (`task/steps/build_arch.rs`) and by `verify` and `explain`.

mod archived;
mod hub_facts;
mod layer_packages;

pub use archived::{ArchivedError, KojiFiles, previous_build};
pub use hub_facts::add_hub_facts;
pub use layer_packages::layer_packages;
