//! How RUN steps are confined: runtime, network, extra mounts, limits. Set by the caller for a whole build.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use build_model::Digest;

use super::{Limits, Secrets, UserNamespace};

/// How containers of RUN steps are set up.
#[derive(Debug, Clone)]
pub struct SandboxOptions {
    /// The OCI runtime, a program that understands crun's command line.
    pub runtime: PathBuf,
    /// What RUN can reach.
    pub network: SandboxNetwork,
    /// Mounted into every RUN.
    pub injected: Vec<InjectedMount>,
    /// What RUN steps get besides, by the chain id of the image their stage begins with.
    pub for_base: BTreeMap<Digest, BaseExtras>,
    /// Variables every RUN gets, over ENV and ARG. They exist at run time only: not in the config, history or cache key.
    pub run_env: Vec<(String, String)>,
    /// Limits of one RUN.
    pub limits: Limits,
    /// The user namespace of RUN steps. `None`: root in a RUN is root on this machine, confined by the rest alone.
    pub user_namespace: Option<Arc<UserNamespace>>,
    /// Fail where `user_namespace` cannot be used (file systems and kernels without idmapped mounts), instead of saying so
    /// and going on without.
    pub require_user_namespace: bool,
    /// What `RUN --mount=type=secret` can have.
    pub secrets: Secrets,
    /// Agents that `RUN --mount=type=ssh` can have: id (`default` where a mount names none) to the agent's socket.
    pub ssh_agents: BTreeMap<String, PathBuf>,
    /// Where `RUN --mount=type=cache` keeps its directories between builds. `None`: each build begins with empty ones, so
    /// that no build decides what another one installs.
    pub cache_dir: Option<PathBuf>,
}

impl SandboxOptions {
    /// Nothing but the runtime: no network, no mounts, no limits, no user namespace.
    pub fn new(runtime: impl Into<PathBuf>) -> Self {
        Self {
            runtime: runtime.into(),
            network: SandboxNetwork::None,
            injected: Vec::new(),
            for_base: BTreeMap::new(),
            run_env: Vec::new(),
            limits: Limits::default(),
            user_namespace: None,
            require_user_namespace: false,
            secrets: Secrets::default(),
            ssh_agents: BTreeMap::new(),
            cache_dir: None,
        }
    }
}

/// The network of RUN steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SandboxNetwork {
    /// A fresh namespace with a loopback interface.
    None,
    /// The builder's own network. Allows `RUN --network=host`.
    Host,
    /// An existing namespace: a bind-mounted file or `/proc/…/ns/net`, see [`crate::netns`].
    Namespace(PathBuf),
}

/// A file or directory shown to every RUN at a fixed place. Nothing of it reaches a layer, not even its mount point.
#[derive(Debug, Clone)]
pub struct InjectedMount {
    /// What is shown.
    pub source: PathBuf,
    /// Absolute path in the image; symlinks on the way are followed inside the image.
    pub target: String,
    /// Whether RUN may edit it.
    pub kind: InjectedKind,
}

/// What RUN steps get on one base image.
#[derive(Debug, Clone, Default)]
pub struct BaseExtras {
    /// Mounted into every RUN, over [`SandboxOptions::injected`].
    pub injected: Vec<InjectedMount>,
    /// Shown below what RUN writes.
    pub underlays: Vec<Underlay>,
}

/// A directory's content, put between the image and what RUN writes. Unlike a mount it can be changed and removed like any
/// directory of the image; like a mount, nothing of it is in the layer that was not written by the RUN itself.
#[derive(Debug, Clone)]
pub struct Underlay {
    /// A tree that holds `path` and nothing else, such as `DIR/var/cache/dnf`. Nobody may write to it.
    pub tree: PathBuf,
    /// Absolute path of the directory in the image. Where one of its parents is no directory, nothing is shown.
    pub path: String,
}

/// How an [`InjectedMount`] is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InjectedKind {
    /// Edits fail.
    ReadOnly,
    /// Edits work and are thrown away after the RUN: the next one sees the source again.
    OverlayScratch,
    /// Edits are made in the source.
    Writable,
}
