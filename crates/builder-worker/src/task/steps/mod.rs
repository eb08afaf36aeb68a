//! The steps of a container build, one verb a file. Each takes what the steps before it returned and returns a typed
//! result of its own, so that a wrong order does not compile. `task/build_container.rs` is the list.

mod account_files;
mod archive_logs;
mod build_arch;
mod build_time;
mod clock;
mod fetch_source;
mod finish_imported;
mod import_build;
mod name_build;
mod pin_content;
mod push_image;
mod read_container_yaml;
mod repo_urls;
mod reserve_build;
mod resolve_parents;
mod resolve_target;
mod site_labels;
mod tag_build;

pub use account_files::{config_texts, layer_source};
pub use archive_logs::archive_logs;
pub use build_arch::{AboutBuild, BuiltArch, build_arch};
pub use build_time::BuildTime;
pub use clock::{now, rfc3339, today};
pub use fetch_source::{Fetched, fetch_source};
pub use finish_imported::finish_imported;
pub use import_build::{ImportRequest, import_build};
pub use name_build::{Named, name_build};
pub use pin_content::{PinnedContent, pin_content};
pub use push_image::{Pushed, move_floating_tags, push_image};
pub use read_container_yaml::read_container_yaml;
pub use repo_urls::repo_url_sources;
pub use reserve_build::{Claim, reserve_build};
pub use resolve_parents::{Parents, resolve_parents};
pub use resolve_target::{ResolvedTarget, arch_built_here, resolve_target};
pub use site_labels::add_site_labels;
pub use tag_build::tag_build;
