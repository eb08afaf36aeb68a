//! What killed builds leave behind: containers, cgroups, mounts and directories. The worker calls it at its start, and
//! `containerbuild build` before it builds; living builds are recognised by their locks and left alone.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::mount::{UnmountFlags, unmount};

use super::engine_dir::{ENGINE_DIR, LOCK_FILE};
use super::run_dir::{self, DeadRunDir};
use super::{CgroupHost, removal};

/// How deep below the root work directories may be (task, architecture, arbitrary third).
const DEPTH: usize = 3;

/// Kills containers, takes down mounts and removes the cgroups and directories that killed builds left on this machine, and
/// their work directories below `work_root`.
///
/// Never fails: what cannot be removed is logged, and tried again next time. Work directories are `work_root` itself or
/// up to three levels below it. Containers come first: the store or work directory is theirs as long as they run.
pub fn sweep(work_root: &Path) {
    match DeadRunDir::find(&run_dir::root()) {
        Ok((dead, alive)) => {
            for dir in &dead {
                remove_containers(dir);
            }
            CgroupHost::detect().remove_orphans(&alive);
            dead.iter().for_each(|dir| remove_run_dir(&dir.path));
        }
        Err(error) => tracing::warn!(%error, "cannot look for killed builds"),
    }
    sweep_work_dirs(work_root);
}

fn sweep_work_dirs(work_root: &Path) {
    let Ok(work_root) = fs::canonicalize(work_root) else { return };
    let mut dead = Vec::new();
    let mut alive = Vec::new();
    find_engine_dirs(&work_root, DEPTH, &mut |dir| match try_lock(&dir) {
        Ok(Some(lock)) => dead.push((dir, lock)),
        Ok(None) => alive.push(dir),
        Err(error) => tracing::warn!(dir = %dir.display(), %error, "cannot tell whether a build is alive"),
    });
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

fn remove_containers(dir: &DeadRunDir) {
    let Some(runtime) = dir.runtime() else { return };
    let state = dir.containers();
    for entry in fs::read_dir(&state).into_iter().flatten().flatten() {
        let id = entry.file_name().to_string_lossy().into_owned();
        match removal::delete(&runtime, &state, &id) {
            Ok(()) => tracing::info!(id, "removed a container that a killed build left"),
            Err(error) => tracing::warn!(id, %error, "cannot remove a container that a killed build left"),
        }
    }
}

/// Mounts in it went with the build's mount namespace: only empty directories and the engine's own small files are left.
fn remove_run_dir(dir: &Path) {
    unmount_below(dir, &[]);
    match fs::remove_dir_all(dir) {
        Ok(()) => tracing::info!(dir = %dir.display(), "removed what a killed build left"),
        Err(error) => tracing::warn!(dir = %dir.display(), %error, "cannot remove what a killed build left"),
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
    use super::super::EngineDir;
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
        fs::write(dead.join("engine/lock"), "").expect("write");
        fs::create_dir_all(&alive).expect("mkdir");
        let living = EngineDir::create(&alive, Path::new("crun")).expect("engine dir");
        sweep_work_dirs(root.path());
        assert!(!dead.join("engine").exists() && dead.exists());
        assert!(living.path().exists());
        drop(living);
        assert!(!alive.join("engine").exists());
    }
}
