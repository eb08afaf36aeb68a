//! What containers are shown of the host, put where the runtime can reach it: the runtime looks names up as the container's
//! root, who may enter nothing of the builder's. Files and directories of others are bind-mounted there with the ids of
//! the user namespace; small files of our own are simply written there.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use image_layers::Store;
use rustix::fs::OFlags;
use tempfile::TempDir;

use crate::error::StepError;
use crate::mounts::{Mounted, bind, bind_with_ids, memory};
use crate::rootfs::RootDir;
use crate::sandbox::{EngineDir, IdShift, SandboxError};
use crate::snapshot::{SnapshotError, Writable, copy_metadata, mount_overlay, mount_overlay_as};

/// All secrets of one RUN fit into this.
const MEMORY: u64 = 64 << 20;

/// Everything one RUN is shown, taken down on drop.
pub(super) struct Shown<'a> {
    engine: Rc<EngineDir>,
    store: &'a Store,
    shift: Option<Rc<IdShift>>,
    count: usize,
    /// Directories on disk that the RUN can write to.
    pub(super) writable: Vec<PathBuf>,
    /// What could not be done as it should.
    pub(super) notes: Vec<String>,
    // Mounts first, those made last first of all, then the directories they are on and made of.
    mounts: Vec<Mounted>,
    memory: Option<Mounted>,
    scratch: Vec<TempDir>,
    /// Mount points and small files.
    dir: Option<TempDir>,
}

/// Something of the host to be shown.
pub(super) struct Original<'a> {
    /// Below what, and what: symlinks are followed already.
    pub(super) root: &'a RootDir,
    pub(super) path: &'a Path,
    /// The same behind a mount that has the ids of the user namespace already.
    pub(super) shifted_root: Option<&'a RootDir>,
}

impl Original<'_> {
    /// For showing it: nothing is read through it.
    fn open(&self, root: &RootDir) -> io::Result<OwnedFd> {
        root.open_at(self.path, OFlags::PATH | OFlags::NOFOLLOW)
    }

    fn read(&self) -> io::Result<File> {
        self.root.open_at(self.path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK).map(File::from)
    }

    fn is_dir(&self) -> io::Result<bool> {
        self.root
            .lstat(self.path)
            .map(|stat| stat.is_some_and(|s| crate::rootfs::file_type(&s) == rustix::fs::FileType::Directory))
    }
}

impl<'a> Shown<'a> {
    pub(super) fn new(engine: Rc<EngineDir>, store: &'a Store, shift: Option<Rc<IdShift>>) -> Self {
        Self {
            engine,
            store,
            shift,
            count: 0,
            writable: Vec::new(),
            notes: Vec::new(),
            mounts: Vec::new(),
            memory: None,
            scratch: Vec::new(),
            dir: None,
        }
    }

    /// Shows `original` as it is. Returns where it is for the runtime, and whether it is a directory.
    pub(super) fn bind(&mut self, original: &Original<'_>) -> Result<(PathBuf, bool), StepError> {
        let failed = |action| StepError::path(action, original.path);
        let is_dir = original.is_dir().map_err(failed("look at"))?;
        let target = self.point(is_dir)?;
        let source = original.open(original.shifted_root.unwrap_or(original.root)).map_err(failed("open"))?;
        let mounted = self.mount(&source, original.shifted_root.is_some(), &target, original.path);
        self.mounts.push(mounted.map_err(SandboxError::path("mount", original.path))?);
        Ok((target, is_dir))
    }

    fn mount(&mut self, source: &OwnedFd, is_shifted: bool, target: &Path, name: &Path) -> io::Result<Mounted> {
        let Some(shift) = self.shift.as_deref().filter(|_| !is_shifted) else { return bind(source.as_fd(), target) };
        match bind_with_ids(source.as_fd(), target, shift.namespace().as_fd()) {
            // The file system cannot do it (network file systems, overlays).
            Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
                self.notes.push(format!(
                    "the file system of {} cannot show other owners: in the RUN everything there belongs to `nobody`",
                    name.display()
                ));
                bind(source.as_fd(), target)
            }
            other => other,
        }
    }

    /// Shows `original` so that it can be edited; edits are thrown away. An overlay for directories, a copy for a file.
    pub(super) fn scratch(&mut self, original: &Original<'_>) -> Result<(PathBuf, bool), StepError> {
        let scratch = self.store.temp_dir().map_err(SnapshotError::from)?;
        let shown = if original.is_dir().map_err(StepError::path("look at", original.path))? {
            (self.overlay(original, None, Some(scratch.path()))?, true)
        } else {
            (self.editable_copy(original, scratch.path())?, false)
        };
        self.writable.push(scratch.path().to_owned());
        self.scratch.push(scratch);
        Ok(shown)
    }

    /// Shows the directory `original` without what the layer `whiteouts` in the store hides; to be edited, as
    /// [`Shown::scratch`] has it, or not.
    pub(super) fn without(
        &mut self,
        original: &Original<'_>,
        whiteouts: TempDir,
        editable: bool,
    ) -> Result<(PathBuf, bool), StepError> {
        let scratch = editable.then(|| self.store.temp_dir()).transpose().map_err(SnapshotError::from)?;
        let shown = self.overlay(original, Some(whiteouts.path()), scratch.as_ref().map(TempDir::path))?;
        self.writable.extend(scratch.as_ref().map(|dir| dir.path().to_owned()));
        self.scratch.extend(scratch);
        self.scratch.push(whiteouts);
        Ok((shown, true))
    }

    /// An overlay over `original`, with a layer in the store over it, or a directory there that takes the changes.
    fn overlay(&mut self, original: &Original<'_>, layer: Option<&Path>, scratch: Option<&Path>) -> Result<PathBuf, StepError> {
        let (lower, _) = self.bind(original)?;
        let upper_and_work = scratch.map(|scratch| ["upper", "work"].map(|name| scratch.join(name)));
        for dir in upper_and_work.iter().flatten() {
            fs::create_dir(dir).map_err(SnapshotError::path("make the directory", dir))?;
        }
        if let Some([upper, _]) = &upper_and_work {
            let like = || copy_metadata(original.read()?, File::open(upper)?);
            like().map_err(SnapshotError::path("set owner, mode and times of", upper))?;
        }
        let target = self.point(true)?;
        let shift = self.shift.as_deref();
        let in_store = |path: &Path| match shift {
            None => Ok(path.to_owned()),
            Some(shift) => shift.shifted(path).map_err(SnapshotError::path("find in the store", path)),
        };
        let mut lowers = Vec::new();
        if let Some(layer) = layer {
            lowers.push(in_store(layer)?);
        }
        lowers.push(lower);
        let writable = match &upper_and_work {
            Some([upper, work]) => Some((in_store(upper)?, in_store(work)?)),
            None => None,
        };
        let writable = writable.as_ref().map(|(upper, work)| Writable { upper, work });
        let mounted = match shift {
            None => mount_overlay(&lowers, writable.as_ref(), &target)?,
            Some(shift) => mount_overlay_as(shift, &lowers, writable.as_ref(), &target)?,
        };
        self.mounts.push(mounted);
        Ok(target)
    }

    fn editable_copy(&mut self, original: &Original<'_>, scratch: &Path) -> Result<PathBuf, StepError> {
        let copied = || -> io::Result<RootDir> {
            let mut from = original.read()?;
            let meta = from.metadata()?;
            let path = scratch.join("file");
            let mut to = File::create(&path)?;
            io::copy(&mut from, &mut to)?;
            chown(&path, Some(meta.uid()), Some(meta.gid()))?;
            fs::set_permissions(&path, fs::Permissions::from_mode(meta.mode() & 0o7777))?;
            RootDir::open(scratch)
        };
        let root = copied().map_err(SandboxError::path("copy", original.path))?;
        self.bind(&Original { root: &root, path: Path::new("file"), shifted_root: None }).map(|(path, _)| path)
    }

    /// Shows a file with this content; `owner` are ids in the container.
    pub(super) fn file(&mut self, name: &str, content: &[u8], mode: u32, owner: (u32, u32)) -> Result<PathBuf, StepError> {
        let path = self.dir()?.join(name);
        self.write(&path, content, mode, owner)?;
        Ok(path)
    }

    /// As [`Shown::file`], and never on a disk.
    pub(super) fn secret_file(&mut self, content: &[u8], mode: u32, owner: (u32, u32)) -> Result<PathBuf, StepError> {
        if self.memory.is_none() {
            let point = self.point(true)?;
            self.memory = Some(memory(&point, MEMORY).map_err(SandboxError::path("mount a file system in memory at", &point))?);
        }
        self.count += 1;
        let dir = self.memory.as_ref().map(|m| m.target().to_owned()).unwrap_or_default();
        let path = dir.join(self.count.to_string());
        self.write(&path, content, mode, owner)?;
        Ok(path)
    }

    /// A name in the directory of small files, for what somebody else makes there.
    pub(super) fn name(&mut self, name: &str) -> Result<PathBuf, StepError> {
        Ok(self.dir()?.join(name))
    }

    fn write(&self, path: &Path, content: &[u8], mode: u32, owner: (u32, u32)) -> Result<(), StepError> {
        let written = || {
            let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
            io::Write::write_all(&mut file, content)
        };
        written().map_err(SandboxError::path("write", path))?;
        self.give(path, mode, owner)
    }

    /// Sets who owns something in the directory of small files; `owner` are ids in the container.
    pub(super) fn give(&self, path: &Path, mode: u32, owner: (u32, u32)) -> Result<(), StepError> {
        let (uid, gid) = (self.host_id(owner.0)?, self.host_id(owner.1)?);
        let given = chown(path, Some(uid), Some(gid)).and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)));
        given.map_err(|source| SandboxError::path("set owner and mode of", path)(source).into())
    }

    fn host_id(&self, id: u32) -> Result<u32, StepError> {
        let Some(shift) = &self.shift else { return Ok(id) };
        shift.namespace().host_id(id).ok_or_else(|| StepError::IdBeyond { id, size: shift.namespace().size() })
    }

    /// The directory of this RUN's small files and mount points.
    fn dir(&mut self) -> Result<PathBuf, StepError> {
        match &self.dir {
            Some(dir) => Ok(dir.path().to_owned()),
            None => {
                let dir = self.engine.reachable_temp_dir("shown-")?;
                let path = dir.path().to_owned();
                self.dir = Some(dir);
                Ok(path)
            }
        }
    }

    fn point(&mut self, is_dir: bool) -> Result<PathBuf, StepError> {
        self.count += 1;
        let path = self.dir()?.join(format!("{}.mount", self.count));
        let made = if is_dir { fs::create_dir(&path) } else { File::create(&path).map(drop) };
        made.map_err(SandboxError::path("make a mount point", &path))?;
        Ok(path)
    }
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        // An overlay before what it lies on.
        while let Some(mounted) = self.mounts.pop() {
            drop(mounted);
        }
    }
}
