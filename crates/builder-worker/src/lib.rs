//! The containerbuild program as a library: Koji builder worker, task handlers and command line.
//!
//! `worker` is the long-running host (check-in, supervision), `task` is what one child process does for one Koji task,
//! `cli` is everything a person can call. `config` is the site's configuration; `koji_rpms` answers the provenance
//! crate's questions with hub calls; `gated_build` runs the engine behind the gate, for tasks and for the command line;
//! `remote_fetcher` is what ADD of URLs gets where there is a network;
//! `settle` makes what a RUN leaves the same every time; `provenance` gathers what the report of an image needs, `verify`
//! makes the proof again; `policy_cases` tries a policy on recorded and described images.

mod build_context;
pub mod cli;
pub mod config;
mod download;
pub mod file_digests;
mod gated_build;
pub mod koji_rpms;
pub mod layer_digests;
mod man_page;
mod named_image;
mod pinned_images;
mod policy_cases;
mod provenance;
mod remote_fetcher;
mod rpm_list;
mod settle;
mod task;
mod verify;
mod worker;
