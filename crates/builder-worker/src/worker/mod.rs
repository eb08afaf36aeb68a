//! The builder host: one exclusive hub session, a check-in loop that builds never block, one child process per task.
//!
//! ```text
//! startup  → log in, take the exclusive session, sweep what a killed worker left
//! poll     → the loop: report load, find out what is ours               (every few seconds)
//! held     → tasks the hub says are ours: lost, adopted, gone on with
//! room     → whether the machine has disk and processors left for more
//! take     → tasks the hub offers: opened, refused, answered (restart)
//! job      → the child process of one task and how it ended
//! wake     → the hub says that there is a task, where a site wants that
//! drain    → how it ends: at once, or when what runs has ended
//! settle   → outcome → closeTask | failTask | freeTasks, refund, clean up (the only place that decides)
//! ```

mod drain;
mod held;
mod job;
mod journal;
mod poll;
mod restart;
mod room;
mod settle;
mod startup;
mod take;
mod wake;

pub use drain::{Drain, DrainError, Ending, ask as ask_to_drain, wait_until_gone};
pub use journal::{Journal, Reserved};
pub use poll::run;
pub use restart::again;
pub use startup::hub_config;
