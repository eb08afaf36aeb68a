//! Dist-git: SCM policy and checkout at a commit; nothing from the repository is ever executed.
//!
//! The worker checks the URL against [`ScmAllowList`], calls [`checkout`] and [`find_dockerfile`], and hands the
//! resulting directory to the build as its context. Only the `git` program is used (docs/adr/0004-git-program-only.md).
//! [`fetch_tree`] does the same for repositories that an ADD names, where a build may have them.

mod allow_list;
mod authorization;
mod checkout;
mod checkout_dir;
mod dockerfile;
mod error;
mod fetched_tree;
mod git;
mod git_messages;
mod glob;
mod lookaside;
mod remote_refs;
mod submodules;
mod tidy;
mod tree_submodules;

pub use allow_list::{ScmAllowList, ScmRefused};
pub use authorization::Authorization;
pub use checkout::{SourceTree, checkout, checkout_with_branches};
pub use dockerfile::{DockerfileError, find_dockerfile};
pub use error::DistGitError;
pub use fetched_tree::{FetchedFiles, TreeRequest, fetch_tree};
pub use lookaside::{HashType, LookasideFile, LookasideUrl, SOURCES, SourcesError, parse_sources};
pub use submodules::{Submodule, SubmoduleRequest, fetch_submodules};
