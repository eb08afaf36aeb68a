//! Errors of a build: [`BuildError`] says where, [`StepError`] what.

mod build_error;
mod step_error;

pub use build_error::{BuildError, StepPlace};
pub use step_error::{Foreign, StepError};
