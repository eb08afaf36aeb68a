//! The user namespace that the containers of one build share: root in it is nobody on the host (user_namespaces(7)).
//!
//! Ids are taken from a pool by a lock, so that two builds of a machine never have the same: what breaks out of one is
//! as much a stranger to the other as to the host. Nothing on disk is owned by them; see [`super::IdShift`].
//!
//! A process cannot enter a user namespace once it has threads, and the engine's callers have. So a child makes it, and
//! is gone as soon as the namespace is held by a descriptor.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::thread::UnshareFlags;

use super::SandboxError;

/// Locks of id ranges that are in use, one file each. Gone with the machine's uptime, as the locks are.
const LOCK_DIR: &str = "/run/containerbuild/ids";

/// Where builds take the host ids of their containers from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubordinateIds {
    /// The first id.
    pub first: u32,
    /// How many ids one build gets; ids of an image from this number on cannot be used by its RUN steps.
    pub per_build: u32,
    /// How many builds can run at once.
    pub builds: u32,
}

impl Default for SubordinateIds {
    /// What systemd's table of ids calls unused (1879048192 to 2147483647): 256 builds with a million ids each.
    fn default() -> Self {
        Self { first: 0x7000_0000, per_build: 1 << 20, builds: 256 }
    }
}

impl SubordinateIds {
    /// What is wrong with it, if anything.
    ///
    /// # Errors
    /// The pool is empty, holds ids of the machine's own users, or ends beyond 32 bits.
    pub fn check(&self) -> Result<(), &'static str> {
        let end = u64::from(self.first) + u64::from(self.per_build) * u64::from(self.builds);
        match self {
            Self { builds: 0, .. } => Err("there is no room for a single build"),
            // Fewer, and `nobody` (65534) would not exist in containers.
            Self { per_build: ..65536, .. } => Err("a build needs at least 65536 ids"),
            Self { first: ..65536, .. } => Err("ids below 65536 belong to the machine's own users"),
            // The last id means "none" to the kernel.
            _ if end > u64::from(u32::MAX) => Err("it ends beyond 4294967295, the highest id"),
            _ => Ok(()),
        }
    }
}

/// A user namespace and, owned by it, a network namespace.
#[derive(Debug)]
pub struct UserNamespace {
    host_root: u32,
    size: u32,
    user: OwnedFd,
    network: OwnedFd,
    _lock: File,
}

impl UserNamespace {
    /// Takes a free range of ids and makes a namespace with it. The ids are free again when it is dropped.
    ///
    /// # Errors
    /// All ranges are taken, or the kernel allows no user namespaces.
    pub fn new(ids: &SubordinateIds) -> Result<Self, SandboxError> {
        ids.check().map_err(|problem| SandboxError::SubordinateIds { problem })?;
        let (host_root, lock) = take_range(Path::new(LOCK_DIR), ids)?;
        let failed = |action| move |source| SandboxError::UserNamespace { action, source };
        let mut child = spawn_in_new_namespaces().map_err(failed("unshare"))?;
        let made = hold(&child, host_root, ids.per_build);
        // It only waits for the end of its input.
        let _ = child.kill();
        child.wait().map_err(failed("wait for the process that made it"))?;
        let (user, network) = made.map_err(failed("set its ids"))?;
        Ok(Self { host_root, size: ids.per_build, user, network, _lock: lock })
    }

    /// What root of the namespace is on the host.
    pub fn host_root(&self) -> u32 {
        self.host_root
    }

    /// How many ids there are in the namespace, from 0 on.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// The host's number of an id in the namespace; `None` for one that it does not have.
    pub fn host_id(&self, id: u32) -> Option<u32> {
        (id < self.size).then(|| self.host_root + id)
    }

    /// A network namespace that belongs to the user namespace, so that containers may mount its `/sys`. It is for
    /// [`crate::netns::IsolatedNetwork`].
    pub(crate) fn network(&self) -> BorrowedFd<'_> {
        self.network.as_fd()
    }
}

impl AsFd for UserNamespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.user.as_fd()
    }
}

/// The first id of a range that nobody has, and the lock on it.
fn take_range(dir: &Path, ids: &SubordinateIds) -> Result<(u32, File), SandboxError> {
    DirBuilder::new().recursive(true).mode(0o711).create(dir).map_err(SandboxError::path("make the directory", dir))?;
    for n in 0..ids.builds {
        let first = ids.first + n * ids.per_build;
        // The number of ids is not part of the name: pools that overlap are one administrator's, and are kept apart by
        // their first ids as well as can be.
        let path = dir.join(first.to_string());
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(SandboxError::path("open", &path))?;
        match file.try_lock() {
            Ok(()) => return Ok((first, file)),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(source)) => return Err(SandboxError::path("lock", &path)(source)),
        }
    }
    Err(SandboxError::SubordinateIdsTaken { builds: ids.builds })
}

#[allow(unsafe_code)]
fn spawn_in_new_namespaces() -> io::Result<Child> {
    let mut command = Command::new("cat");
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    // SAFETY: between fork and exec the child makes one system call, which touches no memory, lock or descriptor it
    // shares with this process; it has one thread, as NEWUSER demands.
    unsafe {
        command
            .pre_exec(|| rustix::thread::unshare_unsafe(UnshareFlags::NEWUSER | UnshareFlags::NEWNET).map_err(io::Error::from));
    }
    command.spawn()
}

fn hold(child: &Child, first: u32, size: u32) -> io::Result<(OwnedFd, OwnedFd)> {
    let process = format!("/proc/{}", child.id());
    let map = format!("0 {first} {size}\n");
    fs::write(format!("{process}/uid_map"), &map)?;
    fs::write(format!("{process}/gid_map"), &map)?;
    let namespace = |name: &str| File::open(format!("{process}/ns/{name}")).map(OwnedFd::from);
    Ok((namespace("user")?, namespace("net")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_that_cannot_work_are_refused() {
        let pool = |first, per_build, builds| SubordinateIds { first, per_build, builds }.check();
        assert_eq!(SubordinateIds::default().check(), Ok(()));
        assert_eq!(pool(100_000, 65536, 1), Ok(()));
        assert_eq!(pool(u32::MAX - 65536, 65536, 1), Ok(()));
        for (first, per_build, builds) in
            [(0, 65536, 1), (65535, 65536, 1), (100_000, 65535, 1), (100_000, 65536, 0), (u32::MAX - 65535, 65536, 1)]
        {
            assert!(pool(first, per_build, builds).is_err(), "{first} {per_build} {builds}");
        }
    }

    #[test]
    fn no_range_is_taken_twice_and_all_come_back() {
        let dir = tempfile::tempdir().expect("tempdir");
        let ids = SubordinateIds { first: 100_000, per_build: 65536, builds: 2 };
        let first = take_range(dir.path(), &ids).expect("one");
        let second = take_range(dir.path(), &ids).expect("two");
        assert_eq!((first.0, second.0), (100_000, 165_536));
        assert!(matches!(take_range(dir.path(), &ids), Err(SandboxError::SubordinateIdsTaken { builds: 2 })));
        drop(first);
        assert_eq!(take_range(dir.path(), &ids).expect("free again").0, 100_000);
    }
}
