//! Snapshots: an empty upper directory over the layers so far. When the step is done the upper directory is frozen:
//! it is the layer, no comparison of trees is needed (engine: §1 on kaniko and stacker).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use image_layers::Store;
use tempfile::TempDir;

use super::overlay::{Mounted, Writable, mount_overlay};
use super::{SnapshotError, copy_metadata};
use crate::rootfs::{RootDir, modification_time};
use crate::sandbox::EngineDir;

/// Layers mounted for reading.
#[derive(Debug)]
pub(crate) struct View {
    root: RootDir,
    // Dropped in this order: mount, then the directories it was made of.
    _mounted: Mounted,
    _point: TempDir,
    _empty: TempDir,
}

impl View {
    /// Mounts `lowers` (top first; may be none).
    pub(crate) fn mount(lowers: &[PathBuf], engine: &EngineDir, store: &Store) -> Result<Self, SnapshotError> {
        let point = mount_point(engine)?;
        // overlayfs wants two directories at least when nothing is writable.
        let empty = store.temp_dir()?;
        let mut pads = Vec::new();
        for name in ["a", "b"] {
            let pad = empty.path().join(name);
            fs::create_dir(&pad).map_err(SnapshotError::path("make the directory", &pad))?;
            fs::set_permissions(&pad, fs::Permissions::from_mode(0o755)).map_err(SnapshotError::path("open up", &pad))?;
            pads.push(pad);
        }
        let dirs: Vec<PathBuf> =
            lowers.iter().cloned().chain(pads.into_iter().take(2_usize.saturating_sub(lowers.len()))).collect();
        let mounted = mount_overlay(&dirs, None, point.path())?;
        let root = RootDir::open(point.path()).map_err(SnapshotError::path("open", point.path()))?;
        Ok(Self { root, _mounted: mounted, _point: point, _empty: empty })
    }

    pub(crate) fn root(&self) -> &RootDir {
        &self.root
    }
}

/// Layers mounted with a new upper directory on top.
#[derive(Debug)]
pub(crate) struct Snapshot {
    root: RootDir,
    mounted: Mounted,
    point: TempDir,
    upper: FrozenUpper,
}

impl Snapshot {
    /// Mounts `lowers` (top first; may be none), with the layers `between` on them, which are no part of the image.
    pub(crate) fn mount(
        lowers: &[PathBuf],
        between: &[PathBuf],
        engine: &EngineDir,
        store: &Store,
        epoch: i64,
    ) -> Result<Self, SnapshotError> {
        let upper = FrozenUpper::create(lowers.first(), store, epoch)?;
        let work = upper.dir.path().join("work");
        fs::create_dir(&work).map_err(SnapshotError::path("make the directory", &work))?;
        let mut dirs: Vec<PathBuf> = between.iter().chain(lowers).cloned().collect();
        if dirs.is_empty() {
            // A writable overlay wants one lower directory.
            let empty = upper.dir.path().join("empty");
            fs::create_dir(&empty).map_err(SnapshotError::path("make the directory", &empty))?;
            dirs.push(empty);
        }
        let point = mount_point(engine)?;
        let writable = Writable { upper: &upper.path(), work: &work };
        let mounted = mount_overlay(&dirs, Some(&writable), point.path())?;
        let root = RootDir::open(point.path()).map_err(SnapshotError::path("open", point.path()))?;
        Ok(Self { root, mounted, point, upper })
    }

    /// The merged tree.
    pub(crate) fn root(&self) -> &RootDir {
        &self.root
    }

    /// Unmounts; what was changed is in the result.
    pub(crate) fn freeze(self) -> Result<FrozenUpper, SnapshotError> {
        let Snapshot { root, mounted, point, upper } = self;
        // The descriptor would keep the mount busy.
        drop(root);
        mounted.unmount()?;
        drop(point);
        Ok(upper)
    }
}

/// An upper directory that nothing writes to any more. Removed on drop unless the store adopted it.
#[derive(Debug)]
pub(crate) struct FrozenUpper {
    dir: TempDir,
}

impl FrozenUpper {
    /// An empty one whose root looks like `below` (the directory under it), or like a new root directory.
    pub(crate) fn create(below: Option<&PathBuf>, store: &Store, epoch: i64) -> Result<Self, SnapshotError> {
        let dir = store.temp_dir()?;
        let upper = dir.path().join("fs");
        fs::create_dir(&upper).map_err(SnapshotError::path("make the directory", &upper))?;
        let made = fs::File::open(&upper).map_err(SnapshotError::path("open", &upper))?;
        match below {
            Some(below) => {
                let from = fs::File::open(below).map_err(SnapshotError::path("open", below))?;
                copy_metadata(&from, &made).map_err(SnapshotError::path("set owner, mode and times of", &upper))?;
            }
            None => {
                made.set_permissions(fs::Permissions::from_mode(0o755)).map_err(SnapshotError::path("open up", &upper))?;
                rustix::fs::futimens(&made, &modification_time(epoch, 0))
                    .map_err(|e| SnapshotError::path("set the time of", &upper)(e.into()))?;
            }
        }
        Ok(Self { dir })
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("fs")
    }

    /// Whether nothing at all was changed. A `false` may still pack to nothing.
    pub(crate) fn is_untouched(&self) -> Result<bool, SnapshotError> {
        let path = self.path();
        let mut entries = fs::read_dir(&path).map_err(SnapshotError::path("list", &path))?;
        Ok(entries.next().is_none())
    }
}

fn mount_point(engine: &EngineDir) -> Result<TempDir, SnapshotError> {
    let made = tempfile::Builder::new().prefix("root-").tempdir_in(engine.path());
    made.map_err(SnapshotError::path("make a mount point in", engine.path()))
}
