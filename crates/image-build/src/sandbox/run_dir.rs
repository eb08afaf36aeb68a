//! `/run/containerbuild/build-ID`: what one build shows its containers, their bundles, and the runtime's state of them.
//! ID is also in the name of every cgroup of the build, so that whoever finds one can tell whether its build is alive:
//!
//! ```text
//! /run/containerbuild/turn        held while a directory is made, and while the dead ones are looked for
//!                     build-ID/lock        held while the build lives; what it says is the OCI runtime's name
//!                              containers/ the runtime's state, closed to others
//! ```
//!
//! A build is mostly the first process of its own PID namespace, so that a process number would say nothing.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

use super::SandboxError;

/// The first that exists has our directory. In memory on most machines: the state of containers holds their environment.
const ROOTS: [&str; 2] = ["/run", "/tmp"];
const DIR: &str = "containerbuild";
/// How the directory of a build is called.
const PREFIX: &str = "build-";
const TURN: &str = "turn";
const LOCK: &str = "lock";
const CONTAINERS: &str = "containers";

/// The directory of a living build, removed on drop.
#[derive(Debug)]
pub(super) struct RunDir {
    // Removed before the lock is released.
    dir: TempDir,
    _lock: File,
}

/// The directory of a dead build; nobody else takes it for dead while this exists.
#[derive(Debug)]
pub(super) struct DeadRunDir {
    pub(super) path: PathBuf,
    _lock: File,
}

/// Where builds of this machine have their directories.
pub(super) fn root() -> PathBuf {
    ROOTS.into_iter().map(Path::new).find(|root| root.is_dir()).unwrap_or(Path::new("/tmp")).join(DIR)
}

impl RunDir {
    /// Makes one below `root` for a build that uses `runtime`.
    pub(super) fn create(root: &Path, runtime: &Path) -> Result<Self, SandboxError> {
        DirBuilder::new().recursive(true).mode(0o711).create(root).map_err(SandboxError::path("make the directory", root))?;
        // Else a sweep could see it between its making and its locking.
        let _turn = take_turn(root).map_err(SandboxError::path("lock", root))?;
        let dir = passable_dir(root, PREFIX)?;
        let made = || {
            let lock = OpenOptions::new().create_new(true).write(true).open(dir.path().join(LOCK))?;
            flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
            fs::write(dir.path().join(LOCK), runtime.as_os_str().as_bytes())?;
            DirBuilder::new().mode(0o700).create(dir.path().join(CONTAINERS))?;
            Ok(lock)
        };
        let lock = made().map_err(SandboxError::path("set up", dir.path()))?;
        Ok(Self { dir, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// What the build is called among those of this machine: the directory's name.
    pub(super) fn id(&self) -> String {
        self.path().file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    pub(super) fn containers(&self) -> PathBuf {
        self.path().join(CONTAINERS)
    }
}

impl DeadRunDir {
    /// Those below `root`, and who is alive.
    pub(super) fn find(root: &Path) -> io::Result<(Vec<Self>, Vec<String>)> {
        let (mut dead, mut alive) = (Vec::new(), Vec::new());
        if !root.is_dir() {
            return Ok((dead, alive));
        }
        let _turn = take_turn(root)?;
        for entry in fs::read_dir(root)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !name.starts_with(PREFIX) || !entry.file_type()?.is_dir() {
                continue;
            }
            match File::open(entry.path().join(LOCK)).and_then(|lock| Ok((flock_now(&lock)?, lock))) {
                Ok((true, lock)) => dead.push(Self { path: entry.path(), _lock: lock }),
                Ok((false, _)) => alive.push(name),
                // Gone meanwhile, or not ours.
                Err(error) => {
                    tracing::debug!(path = %entry.path().display(), %error, "cannot tell whether a build is alive");
                    alive.push(name);
                }
            }
        }
        Ok((dead, alive))
    }

    /// The OCI runtime that its containers know; `None` when the build did not come so far.
    pub(super) fn runtime(&self) -> Option<PathBuf> {
        let name = fs::read(self.path.join(LOCK)).ok().filter(|name| !name.is_empty())?;
        Some(std::ffi::OsString::from_vec(name).into())
    }

    pub(super) fn containers(&self) -> PathBuf {
        self.path.join(CONTAINERS)
    }
}

/// A build's name in `text`, with what follows a dash after it.
pub(super) fn id_in(text: &str) -> Option<&str> {
    let rest = text.strip_prefix(PREFIX)?;
    let end = rest.find('-')?;
    text.get(..PREFIX.len() + end)
}

/// A new directory in `parent` that others may pass through, and not look what is there.
pub(super) fn passable_dir(parent: &Path, prefix: &str) -> Result<TempDir, SandboxError> {
    let made = tempfile::Builder::new().prefix(prefix).tempdir_in(parent);
    let made = made.map_err(SandboxError::path("make a directory in", parent))?;
    fs::set_permissions(made.path(), fs::Permissions::from_mode(0o711)).map_err(SandboxError::path("open up", made.path()))?;
    Ok(made)
}

fn take_turn(root: &Path) -> io::Result<File> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(root.join(TURN))?;
    flock(&file, FlockOperation::LockExclusive)?;
    Ok(file)
}

/// Whether the lock was free, and is ours now.
fn flock_now(file: &File) -> io::Result<bool> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_is_dead_when_nobody_holds_its_lock() {
        let root = tempfile::tempdir().expect("tempdir");
        let living = RunDir::create(root.path(), Path::new("crun")).expect("a build");
        let killed = RunDir::create(root.path(), Path::new("/opt/bin/run me")).expect("another");
        // As the kernel does it: the lock goes, the directory stays.
        let RunDir { dir, _lock } = killed;
        drop(_lock);
        fs::create_dir(root.path().join("ids")).expect("mkdir");
        let (dead, alive) = DeadRunDir::find(root.path()).expect("found");
        assert_eq!(alive, [living.id()]);
        let found: Vec<_> = dead.iter().map(|dead| (dead.path.clone(), dead.runtime())).collect();
        assert_eq!(found, [(dir.path().to_owned(), Some("/opt/bin/run me".into()))]);
        // Who sweeps it has it alone.
        assert!(DeadRunDir::find(root.path()).expect("found").0.is_empty());
    }

    #[test]
    fn names_are_found_in_those_of_cgroups() {
        assert_eq!(id_in("build-AbC123-run-x"), Some("build-AbC123"));
        assert!(["build-AbC123", "4711-run-x", "build"].iter().all(|text| id_in(text).is_none()));
    }
}
