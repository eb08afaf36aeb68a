//! By using up the machine: processes, memory, disk, processors. The limit is named where it was reached.

use std::fs;
use std::sync::Mutex;

use build_model::{Blame, Diagnose};
use image_build::{BuildError, LimitHit, Limits, Progress, ProgressEvent, StepError};

use crate::world::{Options, Recorder, World, cgroups};

pub const TESTS: &[crate::Test] = &[
    ("escape::a_fork_bomb_ends_at_the_limit", fork_bomb),
    ("escape::a_memory_bomb_ends_at_the_limit", memory_bomb),
    ("escape::files_in_memory_count_as_memory", memory_files),
    ("escape::a_disk_is_not_filled", disk_fill),
    ("escape::nameless_files_fill_no_disk", nameless_files),
    ("escape::processor_time_is_shared_out", processors),
    ("limits::memory_is_not_made_up_for_by_swap", swap),
    ("limits::a_limit_that_cost_nothing_is_only_told", survived),
    ("limits::a_share_of_the_processors_that_was_too_small_is_told", held_back),
    ("limits::what_the_machine_lacks_is_told_and_the_build_goes_on", no_cgroups),
];

fn hit(world: &World, text: &str, limits: Limits) -> (LimitHit, BuildError) {
    let err = world.build_with(text, &Options { limits, ..Options::default() }).expect_err("a limit");
    let BuildError::Step { cause, .. } = &err else { panic!("{err}") };
    let StepError::LimitHit { hit, .. } = &**cause else { panic!("{err:?}\n{err}") };
    let hit = *hit;
    assert_eq!(err.blame(), Blame::Packager);
    assert!(err.hint().is_some_and(|h| h.contains(hit.setting())), "{:?}", err.hint());
    (hit, err)
}

fn fork_bomb() {
    let world = World::new();
    // On an emulated processor a bomb takes minutes to get that far.
    let limits = Limits { pids: Some(48), run_seconds: Some(600), ..Limits::default() };
    let (hit, err) = hit(
        &world,
        "FROM BASE\nRUN true\nRUN bomb() { bomb | bomb & }; bomb; for n in $(seq 100); do sleep 4751 & done; exit 3\n",
        limits,
    );
    assert_eq!(hit, LimitHit::Pids { limit: 48 });
    let message = err.to_string();
    assert!(
        message
            .starts_with("Dockerfile:3: the command reached the limit of 48 processes for one RUN (pids = 48)\n    RUN bomb()"),
        "{message}"
    );
    assert!(!crate::run::running("4751"));
}

fn memory_bomb() {
    let world = World::new();
    let limits = Limits { memory_bytes: Some(64 << 20), ..Limits::default() };
    let (hit, err) = hit(&world, "FROM BASE\nRUN echo begun && tail /dev/zero\n", limits);
    assert!(matches!(hit, LimitHit::Memory { bytes, killed: 1.. } if bytes == 64 << 20), "{hit:?}");
    assert!(err.to_string().contains("at the memory limit of 64 MiB for one RUN (memory_mb = 64)"), "{err}");
    assert!(err.to_string().contains("\n    begun"), "{err}");
}

fn memory_files() {
    let world = World::new();
    let limits = Limits { memory_bytes: Some(48 << 20), ..Limits::default() };
    let text = "FROM BASE\nRUN --mount=type=tmpfs,target=/t dd if=/dev/zero of=/t/x bs=1M count=200 2>/dev/null\n";
    assert!(matches!(hit(&world, text, limits).0, LimitHit::Memory { .. }));
    // Docker's size, whatever the limit.
    let recorder = Recorder::default();
    let text = "FROM BASE\nRUN ! dd if=/dev/zero of=/dev/shm/x bs=1M count=100 2>/dev/null\n";
    world.build_watched(text, &Options::default(), &recorder).expect("build");
}

fn disk_fill() {
    let world = World::new();
    let limits = Limits { disk_bytes: Some(32 << 20), ..Limits::default() };
    let (reached, err) = hit(&world, "FROM BASE\nRUN dd if=/dev/zero of=/big bs=1M count=4000; sleep 4752\n", limits.clone());
    assert_eq!(reached, LimitHit::Disk { bytes: 32 << 20 });
    assert!(err.to_string().contains("at the disk limit of 32 MiB for one RUN (disk_mb = 32)"), "{err}");
    assert!(!crate::run::running("4752"));
    // Also one that is done before anybody looks, and one that goes elsewhere.
    let quick = "FROM BASE\nRUN dd if=/dev/zero of=/big bs=1M count=40 2>/dev/null\n";
    assert_eq!(hit(&world, quick, limits.clone()).0, reached);
    let cache = "FROM BASE\nRUN --mount=type=cache,target=/c dd if=/dev/zero of=/c/big bs=1M count=4000; sleep 4752\n";
    assert_eq!(hit(&world, cache, limits.clone()).0, reached);
    let scratch = "FROM BASE\nRUN --mount=type=bind,target=/c,rw dd if=/dev/zero of=/c/big bs=1M count=4000; sleep 4752\n";
    assert_eq!(hit(&world, scratch, limits.clone()).0, reached);
    let below = "FROM BASE\nRUN dd if=/dev/zero of=/big bs=1M count=20 2>/dev/null\nRUN dd if=/dev/zero of=/too bs=1M count=20 2>/dev/null\n";
    world.build_with(below, &Options { limits, ..Options::default() }).expect("the limit is one RUN's");
}

fn nameless_files() {
    let world = World::new();
    let limits = Limits { disk_bytes: Some(32 << 20), run_seconds: Some(120), ..Limits::default() };
    let text = "FROM BASE\nRUN exec 3>/big && rm /big && dd if=/dev/zero bs=1M count=4000 >&3; sleep 4753\n";
    assert_eq!(hit(&world, text, limits).0, LimitHit::Disk { bytes: 32 << 20 });
    assert!(!crate::run::running("4753"));
}

/// Reads what the cgroups of builds are set to while the container runs; no other build of this machine has the numbers.
struct ReadSettings(&'static [&'static str], Mutex<Vec<String>>);

impl Progress for ReadSettings {
    fn event(&self, event: ProgressEvent) {
        if !matches!(&event, ProgressEvent::OutputLine { line, .. } if line == "started") {
            return;
        }
        for (group, _) in cgroups() {
            let read = |name: &str| fs::read_to_string(group.join(name)).ok();
            let found = self.0.iter().filter_map(|name| Some((name, read(name)?)));
            self.1.lock().expect("lock").extend(found.map(|(name, value)| format!("{name} {}", value.trim())));
        }
    }
}

fn processors() {
    let world = World::new();
    let limits = Limits { cpus: Some(0.4713), ..Limits::default() };
    let values = settings(&world, limits, &["cpu.cfs_quota_us", "cpu.max"]);
    assert!(values.iter().any(|v| matches!(v.as_str(), "cpu.cfs_quota_us 47130" | "cpu.max 47130 100000")), "{values:?}");
}

/// What `files` of the cgroups of builds say while a RUN with `limits` runs.
fn settings(world: &World, limits: Limits, files: &'static [&'static str]) -> Vec<String> {
    let seen = ReadSettings(files, Mutex::default());
    let options = Options { limits, ..Options::default() };
    world.build_at(&world.dir.path().join("work"), "FROM BASE\nRUN echo started; sleep 1\n", &options, &seen).expect("build");
    world.assert_nothing_left();
    seen.1.into_inner().expect("lock")
}

/// It ends no command, but is why one took so long.
fn held_back() {
    let world = World::new();
    // Busy for three seconds by the clock, however little it gets done.
    let busy =
        "now() { read -r up _ < /proc/uptime; echo ${up%.*}; }; end=$(($(now) + 3)); while [ $(now) -lt $end ]; do :; done";
    let notes = |cpus: f64, command: &str| {
        let recorder = Recorder::default();
        let options = Options { limits: Limits { cpus: Some(cpus), ..Limits::default() }, ..Options::default() };
        world.build_watched(&format!("FROM BASE\nRUN {command}\n"), &options, &recorder).expect("build");
        recorder.notes().into_iter().filter(|note| note.contains("processors")).collect::<Vec<_>>()
    };
    let told = notes(0.1, busy);
    let [note] = told.as_slice() else { panic!("{told:?}") };
    assert!(note.starts_with("the command was kept waiting for ") && note.contains("limit of 0.1 processors"), "{note}");
    assert!(note.ends_with("(cpus = 0.1)"), "{note}");
    assert_eq!(notes(64.0, busy), Vec::<String>::new());
    assert_eq!(notes(0.1, "true"), Vec::<String>::new());
}

/// Else a command goes on in the machine's swap when its memory is full, and takes it from everybody.
fn swap() {
    let world = World::new();
    let limits = Limits { memory_bytes: Some(43 << 20), ..Limits::default() };
    let values = settings(&world, limits, &["memory.max", "memory.swap.max", "memory.memsw.limit_in_bytes"]);
    let both = format!("memory.memsw.limit_in_bytes {}", 43 << 20);
    let unified = [format!("memory.max {}", 43 << 20), "memory.swap.max 0".to_owned()];
    let bounded = values.contains(&both) || values.windows(2).any(|pair| pair == unified);
    assert!(bounded || !counts_swap(), "{values:?}");
}

/// Whether the kernel counts swap by cgroup: not with `swapaccount=0`, and not without the memory controller.
fn counts_swap() -> bool {
    let controllers = fs::read_to_string("/proc/cgroups").unwrap_or_default();
    let memory = controllers.lines().any(|line| line.starts_with("memory\t") && line.ends_with("\t1"));
    memory && !fs::read_to_string("/proc/cmdline").unwrap_or_default().contains("swapaccount=0")
}

fn survived() {
    let world = World::new();
    let limits = Limits { memory_bytes: Some(64 << 20), ..Limits::default() };
    let recorder = Recorder::default();
    let options = Options { limits, ..Options::default() };
    world.build_watched("FROM BASE\nRUN tail /dev/zero || true\n", &options, &recorder).expect("the command ended well");
    let notes = recorder.notes();
    assert!(notes.iter().any(|n| n.contains("memory limit of 64 MiB") && n.contains("ended well")), "{notes:?}");
}

/// A process of its own that sees no cgroup at all: the limits cannot be kept, and that is said.
fn no_cgroups() {
    let program = std::env::current_exe().expect("program");
    let output = std::process::Command::new(program).arg(crate::NO_CGROUPS).output().expect("run");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    for controller in ["memory", "pids", "cpu"] {
        let line = format!("this machine has no `{controller}` cgroup controller");
        assert_eq!(text.matches(&line).count(), 1, "once, for two RUNs: {text}");
    }
}

/// In the process of [`no_cgroups`], before it has threads.
#[allow(unsafe_code)]
pub fn build_without_cgroups() {
    use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount};
    // SAFETY: NEWNS changes no file descriptors, and there is one thread.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS) }.expect("unshare");
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).expect("private");
    unmount("/sys/fs/cgroup", UnmountFlags::DETACH).expect("unmount");
    image_build::prepare_process().expect("prepare_process");
    let world = World::new();
    let recorder = Recorder::default();
    let limits =
        Limits { memory_bytes: Some(64 << 20), pids: Some(64), cpus: Some(1.0), run_seconds: Some(60), ..Limits::default() };
    let options = Options { limits, ..Options::default() };
    world.build_watched("FROM BASE\nRUN echo one\nRUN echo two\n", &options, &recorder).expect("build");
    assert_eq!(recorder.output(), ["one", "two"]);
    recorder.notes().iter().for_each(|note| println!("{note}"));
    // Nothing would keep root from the host's disks then.
    let options = Options { user_namespace: false, ..Options::default() };
    let err = world.build_with("FROM BASE\nRUN true\n", &options).expect_err("neither of both");
    assert_eq!((err.blame(), err.kind()), (Blame::Site, "sandbox-devices"), "{err}");
}
