//! How RUN steps are confined: runtime, network, extra mounts, limits. Set by the caller for a whole build.

use std::path::PathBuf;

/// How containers of RUN steps are set up.
#[derive(Debug, Clone)]
pub struct SandboxOptions {
    /// The OCI runtime, a program that understands crun's command line.
    pub runtime: PathBuf,
    /// What RUN can reach.
    pub network: SandboxNetwork,
    /// Mounted into every RUN.
    pub injected: Vec<InjectedMount>,
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

/// How an [`InjectedMount`] is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InjectedKind {
    /// Edits fail.
    ReadOnly,
    /// Edits work and are thrown away after the RUN: the next one sees the source again.
    OverlayScratch,
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
