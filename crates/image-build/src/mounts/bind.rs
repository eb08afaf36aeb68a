//! Bind mounts of something that is already open, so that no name is looked up twice: what was checked is what is shown.
//! With a user namespace the mount shows the ids on disk as that namespace's (mount_setattr(2), Linux 5.12).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;

use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{MoveMountFlags, OpenTreeFlags, mount_bind, move_mount, open_tree};

use super::Mounted;

/// Mounts `source`, a file or directory, at `target`, which is of the same kind. Mounts below it are not taken along.
pub(crate) fn bind(source: BorrowedFd<'_>, target: &Path) -> io::Result<Mounted> {
    match clone_tree(source, target, None) {
        // Before Linux 5.2. A descriptor's link leads to the very file it holds.
        Err(Errno::NOSYS) => mount_bind(format!("/proc/self/fd/{}", source.as_raw_fd()), target)?,
        other => other?,
    }
    Ok(Mounted::at(target))
}

/// As [`bind`], with owners as `user_namespace` maps them: what root owns on disk belongs to that namespace's root.
///
/// # Errors
/// EINVAL or ENOSYS where the kernel or the file system cannot do it.
pub(crate) fn bind_with_ids(source: BorrowedFd<'_>, target: &Path, user_namespace: BorrowedFd<'_>) -> io::Result<Mounted> {
    clone_tree(source, target, Some(user_namespace))?;
    Ok(Mounted::at(target))
}

fn clone_tree(source: BorrowedFd<'_>, target: &Path, user_namespace: Option<BorrowedFd<'_>>) -> Result<(), Errno> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let tree = open_tree(source, "", flags)?;
    if let Some(user_namespace) = user_namespace {
        set_id_map(tree.as_fd(), user_namespace)?;
    }
    move_mount(&tree, "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

#[allow(unsafe_code)]
fn set_id_map(mount: BorrowedFd<'_>, user_namespace: BorrowedFd<'_>) -> Result<(), Errno> {
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_IDMAP,
        attr_clr: 0,
        propagation: 0,
        userns_fd: u64::from(user_namespace.as_raw_fd().unsigned_abs()),
    };
    // SAFETY: mount_setattr reads an empty C string and a `struct mount_attr` of the size given, both alive during the
    // call, and changes nothing but the detached mount behind the first descriptor.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)) }
}
