//! Builds whose process is killed in the middle of a RUN: what they leave is swept at the next start, and nothing else.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use image_build::{OutputStream, Progress, ProgressEvent, sweep};
use tempfile::TempDir;

use crate::run::{process, running};
use crate::world::{Options, World, cgroups, run_dir};

pub const TESTS: &[crate::Test] = &[
    ("killed::containers_that_outlive_their_build_are_swept", container),
    ("killed::what_the_kernel_leaves_of_a_pid_namespace_is_swept", pid_namespace),
];

/// The argument that makes this program a victim.
pub const VICTIM: &str = "--victim";

/// Builds in `dir` until somebody kills this process.
pub fn be_killed(dir: &Path, seconds: &str) {
    struct Tell;
    impl Progress for Tell {
        fn event(&self, event: ProgressEvent) {
            if let ProgressEvent::OutputLine { stream: OutputStream::Stdout, line } = event {
                println!("{line}");
            }
        }
    }
    let text = format!("FROM BASE\nRUN echo started; exec sleep {seconds}\n");
    let ended = World::new().build_at(dir, &text, &Options::default(), &Tell);
    panic!("the build ended by itself: {ended:?}");
}

/// A build in a RUN, ended with its container also when the test fails.
struct Victim {
    child: Child,
    root: TempDir,
    seconds: &'static str,
    /// Its name among the builds of this machine.
    name: String,
}

impl Victim {
    /// Starts one whose RUN sleeps for `seconds`, as the first process of a PID namespace or as any.
    fn start(seconds: &'static str, own_namespace: bool) -> Self {
        let root = tempfile::tempdir().expect("tempdir");
        let work_dir = root.path().join("task-7/x86_64");
        fs::create_dir_all(&work_dir).expect("mkdir");
        let program = std::env::current_exe().expect("program");
        let mut command = if own_namespace {
            // As the worker's tasks run.
            let mut command = Command::new("unshare");
            command.args(["--pid", "--fork", "--mount-proc", "--kill-child=KILL", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        // Its store goes away with the directory, which it cannot see to itself.
        command.arg(VICTIM).arg(&work_dir).arg(seconds).env("TMPDIR", root.path()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("spawn");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
        assert_eq!(lines.next().expect("a line").expect("text"), "started");
        // The line comes right before the shell becomes the program.
        let begun = Instant::now();
        let pid = loop {
            match process(seconds) {
                Some(pid) => break pid,
                None if begun.elapsed() > Duration::from_secs(30) => panic!("the RUN does not go on"),
                None => std::thread::yield_now(),
            }
        };
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("cgroups");
        let group = groups.split("/containerbuild-").nth(1).expect("a cgroup of ours");
        let name = group.split("-run-").next().expect("a name").to_owned();
        Self { child, root, seconds, name }
    }

    fn work_dir(&self) -> PathBuf {
        self.root.path().join("task-7/x86_64")
    }

    fn kill(&mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
    }

    fn cgroups(&self) -> Vec<PathBuf> {
        cgroups().into_iter().filter(|(_, build)| *build == self.name).map(|(path, _)| path).collect()
    }

    fn assert_untouched(&self) {
        assert!(running(self.seconds), "a living build is left alone");
        assert!(run_dir(&self.name).join("containers").exists() && !self.cgroups().is_empty());
        assert!(self.work_dir().join("engine").exists());
    }

    fn assert_swept(&self) {
        assert!(!running(self.seconds), "the container is left");
        assert!(!run_dir(&self.name).exists(), "{} is left", self.name);
        assert_eq!(self.cgroups(), Vec::<PathBuf>::new(), "cgroups are left");
        assert!(!self.work_dir().join("engine").exists(), "the engine's directory is left");
        assert!(self.work_dir().exists(), "the work directory itself is the caller's");
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        sweep(self.root.path());
        // Its container became a child of this process, which adopts; a worker would not.
        use rustix::process::{WaitId, WaitIdOptions, waitid};
        while let Ok(Some(_)) = waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {}
    }
}

fn container() {
    let mut victim = Victim::start("4714", false);
    let bystander = Victim::start("4715", false);
    sweep(victim.root.path());
    victim.assert_untouched();
    victim.kill();
    assert!(running("4714"), "the container outlives its builder, or this test proves nothing");
    // Whoever sweeps, and whatever its own work directory: the machine is one.
    sweep(bystander.root.path());
    assert!(!running("4714") && !run_dir(&victim.name).exists());
    bystander.assert_untouched();
    sweep(victim.root.path());
    victim.assert_swept();
    bystander.assert_untouched();
}

fn pid_namespace() {
    let mut victim = Victim::start("4716", true);
    let bystander = Victim::start("4717", true);
    sweep(victim.root.path());
    victim.assert_untouched();
    victim.kill();
    let begun = Instant::now();
    while running("4716") {
        assert!(begun.elapsed() < Duration::from_secs(30), "the kernel ends what was in the namespace");
        std::thread::yield_now();
    }
    assert!(!victim.cgroups().is_empty() && run_dir(&victim.name).exists(), "there is nothing to sweep");
    sweep(victim.root.path());
    victim.assert_swept();
    bystander.assert_untouched();
}
