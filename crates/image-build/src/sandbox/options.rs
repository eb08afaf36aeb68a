//! How RUN steps are confined: runtime, network, extra mounts, limits. Set by the caller for a whole build.

use std::collections::BTreeMap;
use std::path::PathBuf;

use build_model::Digest;

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

/// Limits of one RUN; `None` is no limit of ours.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory of all its processes.
    pub memory_bytes: Option<u64>,
    /// Number of its processes.
    pub pids: Option<i64>,
    /// Seconds until it is killed.
    pub run_seconds: Option<u64>,
}
