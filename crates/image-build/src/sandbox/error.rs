//! What can go wrong around containers, namespaces and mounts. Nearly all of it is the builder's fault, not the packager's.

use std::io;
use std::path::PathBuf;

use build_model::{Blame, Diagnose};

/// A namespace, mount or container could not be set up or taken down.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The process cannot have its own mount namespace.
    #[error("cannot make a private mount namespace")]
    MountNamespace(#[source] io::Error),
    /// The process has threads already.
    #[error("the mount namespace must be made before the first thread starts; there are {threads} threads")]
    Threads {
        /// How many there are.
        threads: usize,
    },
    /// [`crate::prepare_process`] was not called.
    #[error("the build process was not prepared for containers")]
    NotPrepared,
    /// No network namespace.
    #[error("cannot make a network namespace: {action}")]
    NetworkNamespace {
        /// What was attempted.
        action: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The configured ids for containers cannot work.
    #[error("the subordinate ids for containers cannot be used: {problem}")]
    SubordinateIds {
        /// What is wrong.
        problem: &'static str,
    },
    /// Too many builds at once.
    #[error("all {builds} ranges of ids for containers are taken by running builds")]
    SubordinateIdsTaken {
        /// How many there are.
        builds: u32,
    },
    /// No user namespace.
    #[error("cannot make a user namespace: {action}")]
    UserNamespace {
        /// What was attempted.
        action: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The user namespace cannot see the store.
    #[error("RUN steps must have a user namespace of their own here, and layers cannot be shown in one: {reason}")]
    UserNamespaceUnusable {
        /// Why.
        reason: String,
    },
    /// Nothing keeps root in a RUN from the host's disks.
    #[error("this machine has neither a user namespace for RUN steps nor a cgroup controller for devices")]
    DevicesUnguarded,
    /// A file or directory around the container.
    #[error("cannot {action} {path}")]
    Path {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The runtime cannot be started.
    #[error("cannot start the OCI runtime {runtime}")]
    RuntimeMissing {
        /// The program.
        runtime: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The runtime gave up before or instead of running the command.
    #[error("the OCI runtime {runtime} failed: {message}")]
    Runtime {
        /// The program.
        runtime: PathBuf,
        /// What it logged.
        message: String,
    },
    /// A container that should be gone is not.
    #[error("cannot remove the container {id}: {message}")]
    NotRemoved {
        /// Its id.
        id: String,
        /// What the runtime said.
        message: String,
    },
    /// Waiting for the container failed.
    #[error("cannot wait for the container")]
    Wait(#[source] io::Error),
    /// Somebody else waited for the container.
    #[error("the exit code of the container was lost")]
    ExitCodeLost,
    /// The runtime ended well and left no container.
    #[error("the OCI runtime {runtime} did not say which process it started")]
    NoProcess {
        /// The program.
        runtime: PathBuf,
    },
}

impl SandboxError {
    pub(crate) fn path(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| SandboxError::Path { action, path, source }
    }
}

impl Diagnose for SandboxError {
    fn blame(&self) -> Blame {
        Blame::Site
    }
    fn kind(&self) -> &'static str {
        match self {
            SandboxError::MountNamespace(_) | SandboxError::Threads { .. } | SandboxError::NotPrepared => {
                "sandbox-mount-namespace"
            }
            SandboxError::NetworkNamespace { .. } => "sandbox-network",
            SandboxError::SubordinateIds { .. } | SandboxError::SubordinateIdsTaken { .. } => "sandbox-subordinate-ids",
            SandboxError::UserNamespace { .. } | SandboxError::UserNamespaceUnusable { .. } => "sandbox-user-namespace",
            SandboxError::DevicesUnguarded => "sandbox-devices",
            SandboxError::Path { .. } => "sandbox-path",
            SandboxError::RuntimeMissing { .. } => "sandbox-runtime-missing",
            SandboxError::Runtime { .. } | SandboxError::NoProcess { .. } => "sandbox-runtime",
            SandboxError::NotRemoved { .. } => "sandbox-container-stuck",
            SandboxError::Wait(_) | SandboxError::ExitCodeLost => "sandbox-wait",
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            SandboxError::MountNamespace(_) | SandboxError::NetworkNamespace { .. } => {
                Some("builds need root with CAP_SYS_ADMIN".to_owned())
            }
            SandboxError::SubordinateIdsTaken { .. } => Some(
                "wait for another build to end, or give the pool more ids ([sandbox.subordinate_ids] in the configuration)"
                    .to_owned(),
            ),
            SandboxError::UserNamespace { .. } => Some(
                "the sysctl user.max_user_namespaces must not be 0; `user_namespace = \"off\"` in [sandbox] does without"
                    .to_owned(),
            ),
            SandboxError::UserNamespaceUnusable { .. } => Some(
                "keep the state directory on XFS, ext4 or btrfs with Linux 5.19 or later, or set `user_namespace` to \"auto\""
                    .to_owned(),
            ),
            SandboxError::DevicesUnguarded => Some(
                "a RUN could open the host's disks: mount the cgroup trees, or let RUN steps have a user namespace".to_owned(),
            ),
            SandboxError::RuntimeMissing { .. } => {
                Some("install crun, or name another OCI runtime in the configuration".to_owned())
            }
            SandboxError::Runtime { message, .. } if message.contains("hybrid") => {
                Some("/sys/fs/cgroup/unified must be unmounted in the build process: call prepare_process() first".to_owned())
            }
            _ => None,
        }
    }
}
