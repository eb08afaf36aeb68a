//! Layers put on top of each other with overlayfs: read-only views, and snapshots whose changes become a layer.

mod merge;
mod metadata;
mod overlay;
mod stubs;
mod upper;

pub(crate) use merge::merge_uppers;
pub(crate) use metadata::{copy_metadata, copy_xattrs};
pub(crate) use overlay::{Writable, mount_overlay, mount_overlay_as};
pub(crate) use stubs::Stubs;
pub(crate) use upper::{FrozenUpper, Snapshot, View, try_shifted};

use std::io;
use std::path::PathBuf;

use build_model::{Blame, Diagnose};
use image_layers::StoreError;

use crate::sandbox::SandboxError;

/// A snapshot could not be made, merged or taken down.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// overlayfs refused.
    #[error("cannot mount {layers} layers at {target}")]
    Mount {
        /// How many directories.
        layers: usize,
        /// Where.
        target: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file operation on a layer's directory.
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
    /// The image has something else where a RUN is to have a mount.
    #[error("cannot mount on {target}: {problem}")]
    MountPoint {
        /// Where.
        target: String,
        /// What is there.
        problem: &'static str,
    },
    /// The store gave no directory.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The engine's own directory gave none.
    #[error(transparent)]
    Engine(#[from] SandboxError),
}

impl SnapshotError {
    pub(crate) fn path(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| SnapshotError::Path { action, path, source }
    }
}

impl Diagnose for SnapshotError {
    fn blame(&self) -> Blame {
        match self {
            SnapshotError::MountPoint { .. } => Blame::Packager,
            _ => Blame::Site,
        }
    }
    fn kind(&self) -> &'static str {
        match self {
            SnapshotError::Mount { .. } => "snapshot-mount",
            SnapshotError::Path { .. } => "snapshot-path",
            SnapshotError::MountPoint { .. } => "mount-point",
            SnapshotError::Store(source) => source.kind(),
            SnapshotError::Engine(source) => source.kind(),
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            SnapshotError::Mount { .. } => {
                Some("layers need a file system that overlayfs can write to (XFS or ext4), and CAP_SYS_ADMIN".to_owned())
            }
            SnapshotError::Path { .. } => None,
            SnapshotError::MountPoint { .. } => {
                Some("give the mount another target, or remove what the image has there first".to_owned())
            }
            SnapshotError::Store(source) => source.hint(),
            SnapshotError::Engine(source) => source.hint(),
        }
    }
}
