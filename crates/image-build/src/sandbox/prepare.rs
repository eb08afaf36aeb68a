//! The build process's own mount namespace. Called once at the start of a process that builds, before any thread:
//! when the process dies, however it dies, the kernel takes its mounts down.

use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::statfs;
use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount};
use rustix::process::{getpid, set_child_subreaper};
use rustix::thread::UnshareFlags;

use super::{CgroupHost, SandboxError};

const CGROUP2_MAGIC: u64 = 0x6367_7270;
const TMPFS_MAGIC: u64 = 0x0102_1994;

/// Gives this process a private mount namespace, in which no mount comes in or goes out, switches on the cgroup controllers
/// that limits need, and cures hosts with both cgroup versions: crun refuses them ("hybrid mode"), so the unused v2 tree is
/// unmounted here and nowhere else.
/// Containers become children of this process when the runtime that started them is done (PR_SET_CHILD_SUBREAPER), so
/// that their exit codes are told to it.
///
/// # Errors
/// When the process has several threads (only the calling one would move), or lacks CAP_SYS_ADMIN.
pub fn prepare_process() -> Result<(), SandboxError> {
    let threads = fs::read_dir("/proc/self/task").map_err(SandboxError::path("list", "/proc/self/task"))?.count();
    if threads != 1 {
        return Err(SandboxError::Threads { threads });
    }
    enter_mount_namespace().map_err(SandboxError::MountNamespace)?;
    let flags = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", flags).map_err(|e| SandboxError::MountNamespace(e.into()))?;
    set_child_subreaper(Some(getpid())).map_err(|e| SandboxError::Wait(e.into()))?;
    CgroupHost::switch_on_controllers();
    let cgroup = Path::new("/sys/fs/cgroup");
    if CgroupHost::detect() == CgroupHost::Absent && cgroup.is_dir() {
        // crun looks at the file system there even when told to use no cgroups.
        crate::mounts::memory(cgroup, 1 << 20).map_err(SandboxError::path("mount a file system in memory at", cgroup))?.keep();
    }
    let unified = Path::new("/sys/fs/cgroup/unified");
    if is_hybrid(unified) {
        unmount(unified, UnmountFlags::DETACH).map_err(|e| SandboxError::path("unmount", unified)(e.into()))?;
        // crun makes its directories there all the same and leaves them; now they are in memory of this process's own.
        crate::mounts::memory(unified, 1 << 20).map_err(SandboxError::path("mount a file system in memory at", unified))?.keep();
        tracing::debug!("unmounted /sys/fs/cgroup/unified in the build process");
    }
    Ok(())
}

#[allow(unsafe_code)]
fn enter_mount_namespace() -> io::Result<()> {
    // SAFETY: NEWNS changes no file descriptors; the process has one thread, so no other thread relies on the file
    // system context that is unshared with it.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }.map_err(Into::into)
}

/// The test crun itself makes: v1 below a tmpfs, and a v2 tree at `unified`.
fn is_hybrid(unified: &Path) -> bool {
    let magic = |path: &Path| statfs(path).map(|s| s.f_type as u64 & 0xffff_ffff).ok();
    unified.parent().and_then(magic) == Some(TMPFS_MAGIC) && magic(unified) == Some(CGROUP2_MAGIC)
}
