//! What killed builds leave behind: containers, mounts and directories below a directory of work directories.
//! The worker calls it at its start; living builds are recognised by their lock and left alone.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::mount::{UnmountFlags, unmount};
use tempfile::TempDir;

use super::{SandboxError, runtime};

/// Everything the engine makes in a work directory is below this name.
const ENGINE_DIR: &str = "engine";
/// Locked while the build lives; names the runtime and the reachable directory, a line each, for [`sweep`].
const LOCK_FILE: &str = "lock";
/// Where reachable directories are made, the first that exists.
const REACHABLE_ROOTS: [&str; 2] = ["/run", "/tmp"];
const REACHABLE_DIR: &str = "containerbuild";
/// State of containers, in the reachable directory and closed to others.
const CONTAINERS: &str = "containers";
/// How deep below the root work directories may be (task, architecture, arbitrary third).
const DEPTH: usize = 3;

/// The engine's directory in a work directory, owned by one build and removed on drop.
#[derive(Debug)]
pub(crate) struct EngineDir {
    path: PathBuf,
    // Removed before the lock is released.
    reachable: TempDir,
    _lock: File,
}

impl EngineDir {
    /// Makes it in `work_dir`, which must exist.
    pub(crate) fn create(work_dir: &Path, runtime: &Path) -> Result<Self, SandboxError> {
        let work_dir = std::path::absolute(work_dir).map_err(SandboxError::path("find", work_dir))?;
        let path = work_dir.join(ENGINE_DIR);
        fs::create_dir_all(&path).map_err(SandboxError::path("make the directory", &path))?;
        let lock_path = path.join(LOCK_FILE);
        let lock = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&lock_path);
        let lock = lock.map_err(SandboxError::path("open", &lock_path))?;
        let taken =
            |e: rustix::io::Errno| SandboxError::path("lock (is another build using this directory?)", &lock_path)(e.into());
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(taken)?;
        let reachable = reachable_dir()?;
        let containers = reachable.path().join(CONTAINERS);
        DirBuilder::new().mode(0o700).create(&containers).map_err(SandboxError::path("make the directory", &containers))?;
        let text = [runtime.as_os_str().as_encoded_bytes(), b"\n", reachable.path().as_os_str().as_encoded_bytes()].concat();
        fs::write(&lock_path, text).map_err(SandboxError::path("write", &lock_path))?;
        Ok(Self { path, reachable, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the runtime keeps the state of containers. In memory on most machines: it holds their environment.
    pub(crate) fn containers(&self) -> PathBuf {
        self.reachable().join(CONTAINERS)
    }

    /// A new directory beside it for a container's bundle, closed to others, removed on drop.
    pub(crate) fn bundle_dir(&self) -> Result<TempDir, SandboxError> {
        let made = tempfile::Builder::new().prefix("run-").tempdir_in(self.reachable());
        made.map_err(SandboxError::path("make a directory in", self.reachable()))
    }

    /// A directory that everybody may pass through, for what containers in a user namespace mount: the runtime looks
    /// names up as the container's root, who may not enter the work directory. What is in it is in this process's
    /// mount namespace alone, or empty.
    pub(crate) fn reachable(&self) -> &Path {
        self.reachable.path()
    }

    /// A new directory in [`EngineDir::reachable`], removed on drop.
    pub(crate) fn reachable_temp_dir(&self, prefix: &str) -> Result<TempDir, SandboxError> {
        passable_dir(self.reachable(), prefix)
    }

    /// A new directory below it, removed on drop.
    pub(crate) fn temp_dir(&self, prefix: &str) -> Result<TempDir, SandboxError> {
        let made = tempfile::Builder::new().prefix(prefix).tempdir_in(&self.path);
        made.map_err(SandboxError::path("make a directory in", &self.path))
    }
}

/// A new directory in `parent` that others may pass through, and not look what is there.
fn passable_dir(parent: &Path, prefix: &str) -> Result<TempDir, SandboxError> {
    let made = tempfile::Builder::new().prefix(prefix).tempdir_in(parent);
    let made = made.map_err(SandboxError::path("make a directory in", parent))?;
    fs::set_permissions(made.path(), fs::Permissions::from_mode(0o711)).map_err(SandboxError::path("open up", made.path()))?;
    Ok(made)
}

fn reachable_dir() -> Result<TempDir, SandboxError> {
    let root = REACHABLE_ROOTS.into_iter().map(Path::new).find(|root| root.is_dir()).unwrap_or(Path::new("/tmp"));
    let dir = root.join(REACHABLE_DIR);
    DirBuilder::new().recursive(true).mode(0o711).create(&dir).map_err(SandboxError::path("make the directory", &dir))?;
    passable_dir(&dir, "build-")
}

impl Drop for EngineDir {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the engine's directory");
        }
    }
}

/// Kills containers, takes down mounts and removes the directories that killed builds left below `work_root`.
///
/// Never fails: what cannot be removed is logged, and tried again next time. Work directories are `work_root` itself or
/// up to three levels below it.
pub fn sweep(work_root: &Path) {
    let Ok(work_root) = fs::canonicalize(work_root) else { return };
    let mut dead = Vec::new();
    let mut alive = Vec::new();
    find_engine_dirs(&work_root, DEPTH, &mut |dir| match try_lock(&dir) {
        Ok(Some(lock)) => dead.push((dir, lock)),
        Ok(None) => alive.push(dir),
        Err(error) => tracing::warn!(dir = %dir.display(), %error, "cannot tell whether a build is alive"),
    });
    for (dir, _lock) in &dead {
        if let Some((runtime, reachable)) = read_lock(dir) {
            remove_containers(&runtime, &reachable);
            remove_reachable(&reachable);
        }
    }
    super::CgroupHost::detect().remove_orphans();
    unmount_below(&work_root, &alive);
    for (dir, _lock) in &dead {
        if let Err(error) = fs::remove_dir_all(dir) {
            tracing::warn!(dir = %dir.display(), %error, "cannot remove what a killed build left");
        }
    }
}

fn find_engine_dirs(dir: &Path, depth: usize, found: &mut dyn FnMut(PathBuf)) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if !entry.file_type().is_ok_and(|t| t.is_dir()) {
            continue;
        }
        let path = entry.path();
        if entry.file_name() == ENGINE_DIR && path.join(LOCK_FILE).is_file() {
            found(path);
        } else if depth > 0 {
            find_engine_dirs(&path, depth - 1, found);
        }
    }
}

/// The lock, or `None` when a living build has it.
fn try_lock(engine_dir: &Path) -> io::Result<Option<File>> {
    let file = File::open(engine_dir.join(LOCK_FILE))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What a dead build wrote into its lock: the runtime and its reachable directory. `None` when it did not come so far.
fn read_lock(engine_dir: &Path) -> Option<(PathBuf, PathBuf)> {
    let text = fs::read_to_string(engine_dir.join(LOCK_FILE)).ok()?;
    let (runtime, reachable) = text.split_once('\n')?;
    let reachable = PathBuf::from(reachable);
    // A torn or foreign file must not decide what is removed.
    let ours = |root: &str| reachable.parent() == Some(&Path::new(root).join(REACHABLE_DIR));
    (REACHABLE_ROOTS.into_iter().any(ours) && reachable.is_dir()).then(|| (runtime.into(), reachable))
}

fn remove_containers(runtime: &Path, reachable: &Path) {
    let state = reachable.join(CONTAINERS);
    for entry in fs::read_dir(&state).into_iter().flatten().flatten() {
        let id = entry.file_name().to_string_lossy().into_owned();
        match runtime::delete(runtime, &state, &id) {
            Ok(()) => tracing::info!(id, "removed a container that a killed build left"),
            Err(error) => tracing::warn!(id, %error, "cannot remove a container that a killed build left"),
        }
    }
}

/// Mounts in it went with the build's mount namespace: only empty directories and the engine's own small files are left.
fn remove_reachable(dir: &Path) {
    unmount_below(dir, &[]);
    if let Err(error) = fs::remove_dir_all(dir) {
        tracing::warn!(dir = %dir.display(), %error, "cannot remove what a killed build left");
    }
}

/// Unmounts what is mounted below `root`, except next to living builds, innermost first.
fn unmount_below(root: &Path, alive: &[PathBuf]) {
    let Ok(mountinfo) = fs::read_to_string("/proc/self/mountinfo") else { return };
    let mut points: Vec<PathBuf> =
        mountinfo.lines().filter_map(mount_point).filter(|p| p.starts_with(root) && p != root).collect();
    points.retain(|p| !alive.iter().filter_map(|dir| dir.parent()).any(|work_dir| p.starts_with(work_dir)));
    for point in points.iter().rev() {
        if let Err(error) = unmount(point, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            tracing::warn!(point = %point.display(), %error, "cannot unmount what a killed build left");
        }
    }
}

/// The fifth field of a mountinfo line, octal escapes undone (proc_pid_mountinfo(5)).
fn mount_point(line: &str) -> Option<PathBuf> {
    let field = line.split(' ').nth(4)?;
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let octal = tail.get(..3).filter(|_| first == b'\\').and_then(|d| std::str::from_utf8(d).ok());
        match octal.and_then(|d| u8::from_str_radix(d, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    Some(std::os::unix::ffi::OsStringExt::from_vec(bytes)).map(|s: std::ffi::OsString| s.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_unescaped() {
        let line = r"37 24 0:32 / /tmp/a\040b\134c rw,relatime - overlay overlay rw";
        assert_eq!(mount_point(line), Some(PathBuf::from(r"/tmp/a b\c")));
        assert_eq!(mount_point("too short"), None);
    }

    #[test]
    fn the_directory_of_a_dead_build_goes_and_that_of_a_living_one_stays() {
        let root = tempfile::tempdir().expect("tempdir");
        let (dead, alive) = (root.path().join("7/x86_64"), root.path().join("8"));
        fs::create_dir_all(dead.join("engine")).expect("mkdir");
        fs::write(dead.join("engine/lock"), "crun").expect("write");
        fs::create_dir_all(&alive).expect("mkdir");
        let living = EngineDir::create(&alive, Path::new("crun")).expect("engine dir");
        sweep(root.path());
        assert!(!dead.join("engine").exists() && dead.exists());
        assert!(living.path().exists());
        drop(living);
        assert!(!alive.join("engine").exists());
    }
}
