//! Snapshots: an empty upper directory over the layers so far. When the step is done the upper directory is frozen:
//! it is the layer, no comparison of trees is needed (engine: §1 on kaniko and stacker).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use image_layers::Store;
use tempfile::TempDir;

use super::overlay::{Writable, mount_overlay, mount_shifted_overlay};
use super::{SnapshotError, copy_metadata};
use crate::mounts::Mounted;
use crate::rootfs::{RootDir, modification_time};
use crate::sandbox::{EngineDir, IdShift};

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
    /// Mounts `lowers` (top first; may be none) for the builder itself.
    pub(crate) fn mount(lowers: &[PathBuf], engine: &EngineDir, store: &Store) -> Result<Self, SnapshotError> {
        Self::at(mount_point(engine)?, lowers, store, None)
    }

    /// Mounts `lowers` for containers to see.
    pub(crate) fn mount_for_containers(
        lowers: &[PathBuf],
        engine: &EngineDir,
        store: &Store,
        shift: Option<&IdShift>,
    ) -> Result<Self, SnapshotError> {
        Self::at(engine.reachable_temp_dir("view-")?, lowers, store, shift)
    }

    fn at(point: TempDir, lowers: &[PathBuf], store: &Store, shift: Option<&IdShift>) -> Result<Self, SnapshotError> {
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
        let mounted = mount_either(&dirs, None, point.path(), shift)?;
        let root = RootDir::open(point.path()).map_err(SnapshotError::path("open", point.path()))?;
        Ok(Self { root, _mounted: mounted, _point: point, _empty: empty })
    }

    pub(crate) fn root(&self) -> &RootDir {
        &self.root
    }
}

/// Layers mounted with an upper directory on top.
#[derive(Debug)]
pub(crate) struct Snapshot {
    root: RootDir,
    mounted: Mounted,
    point: TempDir,
    upper: FrozenUpper,
}

impl Snapshot {
    /// Mounts `lowers` (top first; may be none) and `upper` for the builder itself.
    pub(crate) fn mount(lowers: &[PathBuf], upper: FrozenUpper, engine: &EngineDir) -> Result<Self, SnapshotError> {
        Self::at(mount_point(engine)?, lowers.to_vec(), upper, None)
    }

    /// Mounts `lowers` and `upper` as the root of a container, with the layers `between` them, which are no part of the image.
    pub(crate) fn mount_for_container(
        lowers: &[PathBuf],
        between: &[PathBuf],
        upper: FrozenUpper,
        engine: &EngineDir,
        shift: Option<&IdShift>,
    ) -> Result<Self, SnapshotError> {
        let dirs = between.iter().chain(lowers).cloned().collect();
        Self::at(engine.reachable_temp_dir("root-")?, dirs, upper, shift)
    }

    fn at(point: TempDir, mut dirs: Vec<PathBuf>, upper: FrozenUpper, shift: Option<&IdShift>) -> Result<Self, SnapshotError> {
        // One of its own for every mount: overlayfs takes none again that a volatile mount used.
        let work = tempfile::Builder::new().prefix("work-").tempdir_in(upper.dir.path());
        let work = work.map_err(SnapshotError::path("make a directory in", upper.dir.path()))?.keep();
        if dirs.is_empty() {
            // A writable overlay wants one lower directory.
            let empty = work.join("empty");
            fs::create_dir(&empty).map_err(SnapshotError::path("make the directory", &empty))?;
            dirs.push(empty);
        }
        let work = work.join("work");
        fs::create_dir(&work).map_err(SnapshotError::path("make the directory", &work))?;
        let mounted = mount_either(&dirs, Some(&Writable { upper: &upper.path(), work: &work }), point.path(), shift)?;
        let root = RootDir::open(point.path()).map_err(SnapshotError::path("open", point.path()))?;
        Ok(Self { root, mounted, point, upper })
    }

    /// The merged tree. Of a container's, owners are as on the host.
    pub(crate) fn root(&self) -> &RootDir {
        &self.root
    }

    /// Where what is changed comes to be.
    pub(crate) fn upper(&self) -> &FrozenUpper {
        &self.upper
    }

    /// Unmounts; what was changed is in the result.
    pub(crate) fn freeze(self) -> Result<FrozenUpper, SnapshotError> {
        let Snapshot { root, mounted, point, upper } = self;
        // The descriptor would keep the mount busy.
        drop(root);
        let target = mounted.target().to_owned();
        mounted.unmount().map_err(SnapshotError::path("unmount", target))?;
        drop(point);
        Ok(upper)
    }
}

fn mount_either(
    dirs: &[PathBuf],
    writable: Option<&Writable<'_>>,
    target: &Path,
    shift: Option<&IdShift>,
) -> Result<Mounted, SnapshotError> {
    match shift {
        Some(shift) => mount_shifted_overlay(dirs, writable, target, shift),
        None => mount_overlay(dirs, writable, target),
    }
}

/// Whether an overlay on the shifted store can be mounted and written to: an older kernel mounts none, or a read-only one.
pub(crate) fn try_shifted(shift: &IdShift, engine: &EngineDir, store: &Store) -> Result<(), SnapshotError> {
    let upper = FrozenUpper::create(None, store, 0)?;
    let snapshot = Snapshot::mount_for_container(&[], &[], upper, engine, Some(shift))?;
    let probe = snapshot.root().host_path().join("probe");
    shift.as_container_root(|| fs::create_dir(&probe)).map_err(SnapshotError::path("write to", &probe))?;
    snapshot.freeze().map(drop)
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
    engine.temp_dir("root-").map_err(SnapshotError::from)
}
