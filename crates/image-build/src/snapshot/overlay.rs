//! Mounting overlayfs with the options that make an upper directory a self-contained layer (engine: D1):
//! no redirects, no metadata-only copies, no index; `volatile`, because a build that dies is started again.
//!
//! The new mount API takes any number of layers of any path length (`lowerdir+`, Linux 6.8). Older kernels get one
//! mount(2) call with paths shortened to `/proc/self/fd/N`, enough for some 200 layers.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, mount, move_mount,
};

use super::SnapshotError;
use crate::mounts::Mounted;
use crate::sandbox::IdShift;

const OPTIONS: [(&str, &str); 4] = [("redirect_dir", "off"), ("metacopy", "off"), ("index", "off"), ("xino", "off")];

/// The directory that takes the changes, and the one overlayfs works in; both on one file system.
pub(crate) struct Writable<'a> {
    pub(crate) upper: &'a Path,
    pub(crate) work: &'a Path,
}

/// Mounts `lowers` (top first, at least two when there is no upper) at the directory `target`. Device nodes in it can be
/// made and looked at, and not opened: images from strangers may hold the host's disks. (Without a user namespace crun
/// takes that flag off its root again; then the devices cgroup keeps them shut.)
pub(crate) fn mount_overlay(
    lowers: &[PathBuf],
    writable: Option<&Writable<'_>>,
    target: &Path,
) -> Result<Mounted, SnapshotError> {
    mount_either_way(lowers, writable, target).map_err(failed(lowers, target))
}

/// As [`mount_overlay`], with owners as the containers of `shift` see them. All directories are in the store.
pub(crate) fn mount_shifted_overlay(
    lowers: &[PathBuf],
    writable: Option<&Writable<'_>>,
    target: &Path,
    shift: &IdShift,
) -> Result<Mounted, SnapshotError> {
    let shifted = |path: &Path| shift.shifted(path).map_err(SnapshotError::path("mount something outside the store,", path));
    let lowers: Vec<PathBuf> = lowers.iter().map(|lower| shifted(lower)).collect::<Result<_, _>>()?;
    let Some(writable) = writable else { return mount_overlay_as(shift, &lowers, None, target) };
    let (upper, work) = (shifted(writable.upper)?, shifted(writable.work)?);
    mount_overlay_as(shift, &lowers, Some(&Writable { upper: &upper, work: &work }), target)
}

/// Mounts directories that are reached through mounts with the ids of `shift`.
pub(crate) fn mount_overlay_as(
    shift: &IdShift,
    lowers: &[PathBuf],
    writable: Option<&Writable<'_>>,
    target: &Path,
) -> Result<Mounted, SnapshotError> {
    shift.as_container_root(|| mount_either_way(lowers, writable, target)).map_err(failed(lowers, target))
}

fn failed(lowers: &[PathBuf], target: &Path) -> impl FnOnce(io::Error) -> SnapshotError {
    move |source| SnapshotError::Mount { layers: lowers.len(), target: target.to_owned(), source }
}

/// Whether this kernel was found not to know `lowerdir+`. It writes a line to its log for every try.
static OLD_API_ONLY: AtomicBool = AtomicBool::new(false);

fn mount_either_way(lowers: &[PathBuf], writable: Option<&Writable<'_>>, target: &Path) -> io::Result<Mounted> {
    if OLD_API_ONLY.load(Ordering::Relaxed) {
        mount_old_api(lowers, writable, target)?;
        return Ok(Mounted::at(target));
    }
    match mount_new_api(lowers, writable, target) {
        // ENOSYS: no new API; EINVAL: overlayfs does not know `lowerdir+` (or the mount is wrong, and fails again below).
        Err(Errno::NOSYS | Errno::INVAL) => mount_old_api(lowers, writable, target)?,
        other => other?,
    }
    Ok(Mounted::at(target))
}

fn mount_new_api(lowers: &[PathBuf], writable: Option<&Writable<'_>>, target: &Path) -> Result<(), Errno> {
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (n, lower) in lowers.iter().enumerate() {
        fsconfig_set_string(context.as_fd(), "lowerdir+", lower.as_path()).inspect_err(|error| {
            // Of a directory that is wrong it says something else.
            if n == 0 && *error == Errno::INVAL {
                OLD_API_ONLY.store(true, Ordering::Relaxed);
            }
        })?;
    }
    for (key, value) in OPTIONS {
        fsconfig_set_string(context.as_fd(), key, value)?;
    }
    if let Some(writable) = writable {
        fsconfig_set_string(context.as_fd(), "upperdir", writable.upper)?;
        fsconfig_set_string(context.as_fd(), "workdir", writable.work)?;
        fsconfig_set_flag(context.as_fd(), "volatile")?;
    }
    fsconfig_create(context.as_fd())?;
    let access = if writable.is_some() { MountAttrFlags::empty() } else { MountAttrFlags::MOUNT_ATTR_RDONLY };
    let attributes = access | MountAttrFlags::MOUNT_ATTR_NODEV;
    let mount = fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
    move_mount(mount.as_fd(), "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

fn mount_old_api(lowers: &[PathBuf], writable: Option<&Writable<'_>>, target: &Path) -> io::Result<()> {
    // Kept open until the mount is there: their numbers stand in for the paths.
    let mut open: Vec<OwnedFd> = Vec::with_capacity(lowers.len() + 2);
    let mut short = |path: &Path| -> io::Result<String> {
        let fd = rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let name = format!("/proc/self/fd/{}", fd.as_raw_fd());
        open.push(fd);
        Ok(name)
    };
    let lowers: Vec<String> = lowers.iter().map(|l| short(l)).collect::<io::Result<_>>()?;
    let mut options = format!("lowerdir={}", lowers.join(":"));
    for (key, value) in OPTIONS {
        options.push_str(&format!(",{key}={value}"));
    }
    if let Some(writable) = writable {
        options.push_str(&format!(",upperdir={},workdir={},volatile", short(writable.upper)?, short(writable.work)?));
    }
    let options = std::ffi::CString::new(options).map_err(io::Error::other)?;
    let access = if writable.is_some() { MountFlags::empty() } else { MountFlags::RDONLY };
    mount("overlay", target, "overlay", access | MountFlags::NODEV, options.as_c_str()).map_err(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::mount::{MountPropagationFlags, mount_change};
    use std::fs;

    type Api = fn(&[PathBuf], Option<&Writable<'_>>, &Path) -> io::Result<()>;

    #[allow(unsafe_code)]
    fn own_mount_namespace() -> bool {
        // SAFETY: NEWNS moves this thread alone; the test runs in a thread of its own.
        let moved = unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS) };
        moved.and_then(|()| mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)).is_ok()
    }

    /// `lowerdir+` is known since Linux 6.8.
    fn takes_single_layers() -> bool {
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        let mut numbers = release.split('.').map_while(|n| n.parse::<u32>().ok());
        (numbers.next(), numbers.next()) >= (Some(6), Some(8))
    }

    fn layers_are_merged(api: Api) {
        let dir = tempfile::tempdir().expect("tempdir");
        // More layers than fit into one page of options by their full paths.
        let lowers: Vec<PathBuf> =
            (0..150).map(|n| dir.path().join(format!("a rather long name for a layer, number {n}"))).collect();
        for (n, lower) in lowers.iter().enumerate() {
            fs::create_dir(lower).expect("mkdir");
            fs::write(lower.join("top"), n.to_string()).expect("write");
            fs::write(lower.join(format!("own-{n}")), "").expect("write");
        }
        let [upper, work, target] = ["upper", "work", "target"].map(|name| dir.path().join(name));
        [&upper, &work, &target].into_iter().for_each(|d| fs::create_dir(d).expect("mkdir"));
        api(&lowers, Some(&Writable { upper: &upper, work: &work }), &target).expect("mount");
        let mounted = Mounted::at(&target);
        assert_eq!(fs::read_to_string(target.join("top")).expect("top"), "0");
        assert!(target.join("own-149").exists());
        fs::remove_file(target.join("own-149")).expect("remove");
        mounted.unmount().expect("unmount");
        assert!(upper.join("own-149").symlink_metadata().is_ok() && !target.join("top").exists());
    }

    #[test]
    fn both_kernel_interfaces_mount_many_layers() {
        let in_thread = || {
            if !own_mount_namespace() {
                eprintln!("skipped: mounting needs root");
                return;
            }
            layers_are_merged(mount_old_api);
            if takes_single_layers() {
                layers_are_merged(|lowers, writable, target| mount_new_api(lowers, writable, target).map_err(Into::into));
            } else {
                eprintln!("skipped: the new mount interface of this kernel does not know `lowerdir+`");
            }
        };
        std::thread::spawn(in_thread).join().expect("the thread");
    }
}
