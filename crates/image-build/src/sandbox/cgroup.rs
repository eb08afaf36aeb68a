//! Control groups (cgroups(7)) as far as the engine itself looks at them: which controllers the runtime will find, and what
//! became of a container that was limited. Limits are set by the runtime, which knows both versions. On unified trees the
//! engine switches the controllers on before, since the runtime is at a loss where processes are in the way.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{StatVfsMountFlags, statfs, statvfs};
use rustix::io::Errno;

use super::run_dir;

const ROOT: &str = "/sys/fs/cgroup";
const CGROUP2_MAGIC: u64 = 0x6367_7270;
const TMPFS_MAGIC: u64 = 0x0102_1994;
/// Every cgroup of ours is directly below the root and has this prefix, so that nothing of it stays when it is removed.
pub(super) const PREFIX: &str = "containerbuild-";

const SWITCHED_ON: &str = "cgroup.subtree_control";
/// The controllers that limits of a RUN need. `memory` is first: once one of the others is on for a group with processes, the
/// kernel takes that for a thread root, and lets neither `memory` nor another process below it.
const LIMITING: [&str; 3] = ["memory", "pids", "cpu"];
/// The group that the processes in a container's root are moved to. Not one of a build's: it stays.
const PROCESSES: &str = "processes";

/// The hierarchies that an OCI runtime uses on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CgroupHost {
    /// One tree, with these controllers switched on for the groups below its root.
    Unified { root: PathBuf, controllers: Vec<String> },
    /// One tree for each group of controllers (also on hosts that have an unused unified tree beside them). `trees` are
    /// all of them, those without a controller too.
    Split { controllers: Vec<(String, PathBuf)>, trees: Vec<PathBuf> },
    /// None is mounted, or none that can be written to.
    Absent,
}

/// What the kernel counted for one container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CgroupEvents {
    /// Processes killed because the memory limit was reached.
    pub(crate) oom_kills: u64,
    /// New processes refused because the limit on processes was reached.
    pub(crate) forks_refused: u64,
    /// How long its processes were kept waiting because the share of the processors was used up.
    pub(crate) held_back: Duration,
}

impl CgroupHost {
    /// Looks at this machine, or at what of it this mount namespace shows.
    pub(crate) fn detect() -> Self {
        let root = Path::new(ROOT);
        if statfs(root).is_ok_and(|s| s.f_type as u64 & 0xffff_ffff == CGROUP2_MAGIC) {
            // As a container of another service may see it.
            if statvfs(root).is_ok_and(|s| s.f_flag.contains(StatVfsMountFlags::RDONLY)) {
                return Self::Absent;
            }
            return Self::unified(root, &fs::read_to_string(root.join(SWITCHED_ON)).unwrap_or_default());
        }
        Self::split(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default())
    }

    /// Switches on what limits need, where the tree is unified and nobody did. What cannot be is left out, and [`Self::has`]
    /// tells.
    ///
    /// Only the tree's real root may have both processes and controllers for the groups below it (cgroups(7), "no internal
    /// processes"). In a container the root is some group, with the container's processes in it: they are moved one down.
    pub(super) fn switch_on_controllers() {
        let root = Path::new(ROOT);
        let Self::Unified { controllers: on, .. } = Self::detect() else { return };
        let known = fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
        for name in
            LIMITING.into_iter().filter(|name| known.split_whitespace().any(|k| k == *name) && !on.iter().any(|o| o == name))
        {
            let switch_on = || fs::write(root.join(SWITCHED_ON), format!("+{name}"));
            let result = switch_on().or_else(|error| match Errno::from_io_error(&error) {
                Some(Errno::BUSY) => move_processes(root).and_then(|()| switch_on()),
                _ => Err(error),
            });
            if let Err(error) = result {
                tracing::warn!(controller = name, %error, "cannot switch on a cgroup controller");
            }
        }
    }

    fn unified(root: &Path, controllers: &str) -> Self {
        Self::Unified { root: root.to_owned(), controllers: controllers.split_whitespace().map(str::to_owned).collect() }
    }

    /// Parses mountinfo: the controllers are among the last field's options.
    fn split(mountinfo: &str) -> Self {
        let (mut controllers, mut trees) = (Vec::new(), Vec::new());
        for line in mountinfo.lines() {
            let Some((mount, filesystem)) = line.split_once(" - ") else { continue };
            let mut filesystem = filesystem.split(' ');
            let (kind, options) = (filesystem.next(), filesystem.nth(1).unwrap_or_default());
            let (Some("cgroup"), Some(point)) = (kind, mount.split(' ').nth(4)) else { continue };
            let known = options.split(',').filter(|o| !matches!(*o, "rw" | "ro") && !o.contains('='));
            controllers.extend(known.map(|name| (name.to_owned(), PathBuf::from(point))));
            trees.push(PathBuf::from(point));
        }
        if controllers.is_empty() { Self::Absent } else { Self::Split { controllers, trees } }
    }

    /// Whether the runtime can set limits of this kind.
    pub(crate) fn has(&self, controller: &str) -> bool {
        match self {
            Self::Unified { controllers, .. } => controllers.iter().any(|c| c == controller),
            Self::Split { controllers, .. } => controllers.iter().any(|(name, _)| name == controller),
            Self::Absent => false,
        }
    }

    /// Whether device nodes are kept shut: by a controller of its own, or by a program that every unified tree can have.
    pub(crate) fn guards_devices(&self) -> bool {
        matches!(self, Self::Unified { .. }) || self.has("devices")
    }

    /// Whether a limit on memory can hold swap too. Kernels can be told not to count it (`swapaccount=0`); the files of the
    /// limit are missing then.
    pub(crate) fn limits_swap(&self) -> bool {
        match self {
            // The root has no limits; the groups in it have.
            Self::Unified { root, .. } => {
                let mut groups = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
                let first = groups.find(|group| group.join("memory.max").exists());
                first.is_none_or(|group| group.join("memory.swap.max").exists())
            }
            Self::Split { .. } => self.tree("memory").is_some_and(|tree| tree.join("memory.memsw.limit_in_bytes").exists()),
            Self::Absent => false,
        }
    }

    /// The directory of a controller's tree.
    fn tree(&self, controller: &str) -> Option<&Path> {
        match self {
            Self::Unified { root, .. } => Some(root),
            Self::Split { controllers, .. } => {
                controllers.iter().find(|(name, _)| name == controller).map(|(_, path)| path.as_path())
            }
            Self::Absent => None,
        }
    }

    /// What happened in the cgroup `name`. Only until the runtime removes it.
    pub(crate) fn events(&self, name: &str) -> CgroupEvents {
        let count = |controller: &str, file: &str, key: &str| {
            let path = self.tree(controller)?.join(name).join(file);
            counter(&fs::read_to_string(path).ok()?, key)
        };
        let held_back = match self {
            Self::Unified { .. } => count("cpu", "cpu.stat", "throttled_usec").map(Duration::from_micros),
            _ => count("cpu", "cpu.stat", "throttled_time").map(Duration::from_nanos),
        };
        let memory_file = if matches!(self, Self::Unified { .. }) { "memory.events" } else { "memory.oom_control" };
        CgroupEvents {
            oom_kills: count("memory", memory_file, "oom_kill").unwrap_or(0),
            forks_refused: count("pids", "pids.events", "max").unwrap_or(0),
            held_back: held_back.unwrap_or_default(),
        }
    }

    /// Removes what is left of the cgroup `name` after the runtime removed it, or failed to make it whole.
    pub(super) fn remove(&self, name: &str) {
        for tree in self.trees() {
            // Most often it is not there; with a process in it, it stays, and rightly so.
            let _ = fs::remove_dir(tree.join(name));
        }
        // crun's bookkeeping in the memory that stands in for the unified tree (see `prepare_process`).
        let unified = Path::new(ROOT).join("unified");
        if matches!(self, Self::Split { .. }) && statfs(&unified).is_ok_and(|s| s.f_type as u64 & 0xffff_ffff == TMPFS_MAGIC) {
            let _ = fs::remove_dir_all(unified.join(name));
        }
    }

    /// Removes cgroups of ours that are empty and belong to no build of `alive`.
    pub(super) fn remove_orphans(&self, alive: &[String]) {
        for entry in self.trees().iter().flat_map(|tree| fs::read_dir(tree).into_iter().flatten().flatten()) {
            let name = entry.file_name().to_string_lossy().into_owned();
            let build = name.strip_prefix(PREFIX).and_then(run_dir::id_in);
            if build.is_some_and(|build| alive.iter().all(|living| living != build)) {
                // Fails, and rightly so, while there is a process in it.
                match fs::remove_dir(entry.path()) {
                    Ok(()) => tracing::info!(cgroup = name, "removed a cgroup that a killed build left"),
                    Err(error) => tracing::warn!(cgroup = name, %error, "cannot remove a cgroup that a killed build left"),
                }
            }
        }
    }

    fn trees(&self) -> &[PathBuf] {
        match self {
            Self::Unified { root, .. } => std::slice::from_ref(root),
            Self::Split { trees, .. } => trees,
            Self::Absent => &[],
        }
    }
}

/// Moves all processes that are in the group `root` to one below it.
fn move_processes(root: &Path) -> io::Result<()> {
    let below = root.join(PROCESSES);
    match fs::create_dir(&below) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    for process in fs::read_to_string(root.join("cgroup.procs"))?.lines() {
        match fs::write(below.join("cgroup.procs"), process) {
            // It has ended.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::SRCH) => {}
            other => other?,
        }
    }
    tracing::info!(group = %below.display(), "moved the processes of this cgroup namespace's root, so that RUN steps can be limited");
    Ok(())
}

/// Whether this machine has swap.
pub(crate) fn swap_is_on() -> bool {
    // One line a device below the titles.
    fs::read_to_string("/proc/swaps").is_ok_and(|text| text.lines().count() > 1)
}

/// The number behind `key` in a file of lines `key number`.
fn counter(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separate_trees_are_found_by_their_controllers() {
        let host = CgroupHost::split(
            "30 24 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct\n\
             31 24 0:27 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n\
             32 24 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
             33 24 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
        );
        assert!(host.has("cpu") && host.has("cpuacct") && host.has("memory"));
        assert!(!host.has("pids") && !host.has("name=systemd") && !host.has("rw"));
        assert_eq!(host.tree("cpu"), Some(Path::new("/sys/fs/cgroup/cpu,cpuacct")));
        assert_eq!(CgroupHost::split("33 24 0:29 / /x rw - tmpfs tmpfs rw\n"), CgroupHost::Absent);
    }

    #[test]
    fn events_of_both_versions_are_read() {
        let dir = tempfile::tempdir().expect("tempdir");
        let group = dir.path().join("containerbuild-1-x");
        fs::create_dir(&group).expect("mkdir");
        fs::write(group.join("memory.events"), "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n").expect("write");
        fs::write(group.join("memory.oom_control"), "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n").expect("write");
        fs::write(group.join("pids.events"), "max 7\n").expect("write");
        fs::write(group.join("cpu.stat"), "nr_throttled 3\nthrottled_usec 4000000\nthrottled_time 5000000000\n").expect("write");
        let unified = CgroupHost::unified(dir.path(), "cpu memory pids\n");
        let held_back = Duration::from_secs(4);
        assert_eq!(unified.events("containerbuild-1-x"), CgroupEvents { oom_kills: 2, forks_refused: 7, held_back });
        let trees = ["memory", "pids", "cpu"].map(|name| (name.to_owned(), dir.path().to_owned()));
        let split = CgroupHost::Split { controllers: trees.into(), trees: Vec::new() };
        let held_back = Duration::from_secs(5);
        assert_eq!(split.events("containerbuild-1-x"), CgroupEvents { oom_kills: 5, forks_refused: 7, held_back });
        assert_eq!(split.events("gone"), CgroupEvents::default());
        assert!(unified.has("pids") && !unified.has("io"));
    }

    #[test]
    fn swap_is_limited_where_the_kernel_counts_it() {
        let dir = tempfile::tempdir().expect("tempdir");
        let unified = CgroupHost::unified(dir.path(), "memory\n");
        let split = CgroupHost::Split { controllers: vec![("memory".to_owned(), dir.path().to_owned())], trees: Vec::new() };
        assert!(unified.limits_swap() && !split.limits_swap() && !CgroupHost::Absent.limits_swap());
        let group = dir.path().join("system.slice");
        fs::create_dir(&group).expect("mkdir");
        fs::write(group.join("memory.max"), "max\n").expect("write");
        assert!(!unified.limits_swap());
        fs::write(group.join("memory.swap.max"), "max\n").expect("write");
        fs::write(dir.path().join("memory.memsw.limit_in_bytes"), "9223372036854771712\n").expect("write");
        assert!(unified.limits_swap() && split.limits_swap());
    }

    #[test]
    fn only_groups_of_dead_builds_are_removed() {
        let dir = tempfile::tempdir().expect("tempdir");
        let (dead, alive) = ("containerbuild-build-AAAAAA-run-1", "containerbuild-build-BBBBBB-run-1");
        for name in [dead, alive, "containerbuild-x", "other-build-AAAAAA-run-1"] {
            fs::create_dir(dir.path().join(name)).expect("mkdir");
        }
        CgroupHost::unified(dir.path(), "").remove_orphans(&["build-BBBBBB".to_owned()]);
        assert!(!dir.path().join(dead).exists());
        assert!([alive, "containerbuild-x", "other-build-AAAAAA-run-1"].iter().all(|name| dir.path().join(name).exists()));
    }
}
