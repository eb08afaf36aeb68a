//! The steps of a container build, one verb a file. Each takes what the steps before it returned and returns a typed
//! result of its own, so that a wrong order does not compile. `task/build_container.rs` and `task/create_container.rs`
//! are the lists.

mod account_files;
mod arch_tasks;
mod archive_logs;
mod build_arch;
mod build_time;
mod check_repository;
mod clock;
mod compare_arches;
mod fetch_source;
mod finish_imported;
mod floating_tags;
mod import_build;
mod import_files;
mod name_build;
mod pin_content;
mod pin_parents;
mod publish_arch;
mod publish_index;
mod pull_parents;
mod read_container_yaml;
mod repo_urls;
mod reserve_build;
mod resolve_target;
mod site_labels;
mod still_ours;
mod tag_build;

pub use account_files::{config_texts, layer_source};
pub use arch_tasks::{Collected, collect_arches, earlier_run, request_arches};
pub use archive_logs::archive_logs;
pub use build_arch::{AboutBuild, BuiltArch, build_arch};
pub use build_time::BuildTime;
pub use check_repository::{RepositoryClaim, check_repository};
pub use clock::{now, rfc3339, today};
pub use compare_arches::compare_arches;
pub use fetch_source::{Fetched, SourceRequest, fetch_source};
pub use finish_imported::finish_imported;
pub use floating_tags::{FloatingTags, move_floating_tags};
pub use import_build::{ImportRequest, import_build, upload_dir};
pub use import_files::output_file;
pub use name_build::{Named, name_build};
pub use pin_content::pin_content;
pub use pin_parents::{PinnedParents, pin_parents};
pub use publish_arch::publish_arch;
pub use publish_index::{Published, publish_index};
pub use pull_parents::{Parents, pull_parents};
pub use read_container_yaml::{RepositorySettings, read_container_yaml};
pub use repo_urls::add_repo_urls;
pub use reserve_build::{Claim, Held, held_reservation, reserve_build};
pub use resolve_target::{ResolvedTarget, resolve_target};
pub use site_labels::add_site_labels;
pub use still_ours::still_ours;
pub use tag_build::tag_build;
