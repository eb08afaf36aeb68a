//! The builder host: one exclusive hub session, a check-in loop that builds never block, one child process per task.
//!
//! ```text
//! startup  → log in, take the exclusive session, sweep what a killed worker left
//! poll     → report load, drop cancelled jobs, take assigned tasks      (every few seconds)
//! job      → the child process of one task and how it ended
//! settle   → outcome → closeTask | failTask | freeTasks, refund, clean up (the only place that decides)
//! ```

mod job;
mod journal;
mod poll;
mod settle;
mod startup;

pub use journal::{Journal, Reserved};
pub use poll::run;
pub use startup::hub_config;
