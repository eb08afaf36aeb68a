//! What one child process does for one Koji task.
//!
//! The worker opens the task and hands over a [`TaskTicket`] on standard input; this process resumes the sub-session,
//! runs the handler of the task's method and leaves an [`Outcome`] in the task's directory. It never closes or fails
//! the task: that is the worker's, in one place (`worker/settle.rs`).

mod arch_result;
mod build_container;
mod build_source_container;
mod create_container;
mod log;
mod one_arch;
mod outcome;
mod pinned_build;
mod run;
mod steps;
mod ticket;

pub use log::send_all;
pub use outcome::{Failure, Outcome, chain};
pub use pinned_build::CREATE_CONTAINER;
pub use run::run;
pub use steps::{config_texts, fetch_lookaside_files, layer_source, now, today};
pub use ticket::TaskTicket;

/// Method of the task that builds an image of source packages.
const BUILD_SOURCE_CONTAINER: &str = "buildSourceContainer";

/// The methods this builder handles, that of coordinators first; reported to the hub with every check-in.
pub const METHODS: [&str; 3] = ["buildContainer", CREATE_CONTAINER, BUILD_SOURCE_CONTAINER];

/// The weight of a task while it runs (koji-containerbuild's `_taskWeight`).
pub const TASK_WEIGHT: f64 = 2.0;
