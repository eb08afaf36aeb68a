//! A small file system in memory, for what must never be on a disk.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::CWD;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount,
    fsopen, move_mount,
};

use super::Mounted;

/// Mounts a tmpfs of at most `size` bytes at `target`; others may pass through its root.
pub(crate) fn memory(target: &Path, size: u64) -> io::Result<Mounted> {
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(context.as_fd(), "size", size.to_string())?;
    fsconfig_set_string(context.as_fd(), "mode", "0711")?;
    // Linux 6.4. Before it, what is here may be swapped out like any other memory.
    let _ = fsconfig_set_flag(context.as_fd(), "noswap");
    fsconfig_create(context.as_fd())?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let mount = fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
    move_mount(mount.as_fd(), "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
    Ok(Mounted::at(target))
}
