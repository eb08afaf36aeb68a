//! What the instructions of a stage do: those that change the config are pure ([`metadata`]), the others make layers.

mod cache_mounts;
mod copy;
mod history;
mod metadata;
mod program;
mod run;
mod run_mounts;
mod shown;
mod state;
mod workdir;

pub(crate) use history::{HistoryLine, rfc3339};
pub(crate) use metadata::apply;
pub(crate) use state::{BaseImage, StageState};
