//! RUN: what commands see, what stays in the layer, what does not.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use build_model::BoxedDiagnose;
use image_build::{BuildError, InjectedKind, InjectedMount, Limits, ProgressEvent, RunHooks, StepError, StepInfo, Underlay};

use crate::world::{Options, Recorder, World, paths, text, view};

pub const TESTS: &[crate::Test] = &[
    ("run::a_command_sees_its_environment", environment),
    ("run::the_layer_holds_what_changed_and_nothing_else", layer_content),
    ("run::stand_ins_for_mount_points_do_not_leak", stubs),
    ("run::edits_of_injected_directories_are_thrown_away", injected_edits),
    ("run::underlays_can_be_changed_and_removed_and_do_not_leak", underlays),
    ("run::users_are_those_of_the_image", users),
    ("run::heredocs_are_scripts", heredocs),
    ("run::mounts_of_the_dockerfile_leave_nothing", mounts),
    ("run::the_sandbox_holds", sandbox),
    ("run::device_nodes_are_made_without_a_user_namespace_and_opened_never", device_nodes),
    ("run::processes_left_behind_are_killed", background),
    ("run::hooks_see_every_run_and_may_fail_it", hooks),
    ("run::memory_is_limited", memory),
];

fn environment() {
    let world = World::new();
    let options = Options {
        run_env: vec![("http_proxy".into(), "http://127.0.0.1:3128".into()), ("PLAIN".into(), "secret".into())],
        build_args: [("HTTPS_PROXY".to_owned(), "p".to_owned())].into(),
        ..Options::default()
    };
    let built = world.build_with(
        "FROM BASE\nARG given=a1\nENV PLAIN=env OTHER=$given\nWORKDIR /srv/deep\n\
         RUN env | sort > /env && pwd > /pwd && hostname > /host && cat /etc/hosts >> /host && ls -l /proc/self/fd/0 > /stdin && echo \"a  b\"  'c' > /quoted\n",
        &options,
    );
    let built = built.expect("build");
    let env = text(&built, "/env");
    for line in ["given=a1", "PLAIN=secret", "OTHER=a1", "HOME=/root", "http_proxy=http://127.0.0.1:3128", "HTTPS_PROXY=p"] {
        assert!(env.lines().any(|l| l == line), "{line} is not in\n{env}");
    }
    assert_eq!(text(&built, "/pwd"), "/srv/deep\n");
    assert!(text(&built, "/host").starts_with("containerbuild\n127.0.0.1 localhost"));
    assert!(text(&built, "/stdin").contains("/dev/null"));
    assert_eq!(text(&built, "/quoted"), "a  b c\n");
    assert_eq!(built.image.config.config.env, ["PLAIN=env", "OTHER=a1"]);
    let config = String::from_utf8(built.image.config_bytes.clone()).expect("utf-8");
    assert!(!config.contains("3128") && !config.contains("secret"), "{config}");
}

fn layer_content() {
    let world = World::new();
    let built = world.build("FROM BASE\nRUN echo new > /etc/new && rm /etc/motd && mkdir -p /opt/a && touch /etc/group\n");
    assert_eq!(built.new_layers, 1);
    let packed = paths(&built, 0);
    for path in ["etc/new", "wh:etc/motd", "opt/a"] {
        assert!(packed.iter().any(|p| p == path), "{path} is not in {packed:?}");
    }
    assert!(!packed.iter().any(|p| p.contains("resolv.conf") || p.contains("hosts") || p.contains("hostname")), "{packed:?}");
}

/// The base has neither `/etc/yum.repos.d` nor `/etc/hosts`, and `/lib` is a symlink.
fn stubs() {
    let world = World::new();
    let repos = world.dir.path().join("repos");
    fs::create_dir(&repos).expect("mkdir");
    fs::write(repos.join("koji.repo"), "[koji]\n").expect("write");
    let mount = |target: &str, kind| InjectedMount { source: repos.clone(), target: target.into(), kind };
    let file =
        InjectedMount { source: repos.join("koji.repo"), target: "/etc/dnf/dnf.conf".into(), kind: InjectedKind::ReadOnly };
    let options = Options {
        injected: vec![
            mount("/etc/yum.repos.d", InjectedKind::OverlayScratch),
            mount("/var/cache/deep/dnf", InjectedKind::OverlayScratch),
            mount("/lib/inside", InjectedKind::ReadOnly),
            file,
        ],
        ..Options::default()
    };
    let text_of = "FROM BASE\nRUN cat /etc/yum.repos.d/koji.repo /etc/dnf/dnf.conf /usr/lib/inside/koji.repo /var/cache/deep/dnf/koji.repo && echo 1 > /made\n";
    let recorder = Recorder::default();
    let built = world.build_watched(text_of, &options, &recorder).expect("build");
    assert_eq!(recorder.output(), ["[koji]"; 4]);
    assert_eq!(paths(&built, 0), ["made"]);

    // Into a directory that only exists as a stand-in a RUN may write; then it is the RUN's.
    let built = world.build_with("FROM BASE\nRUN echo 1 > /var/cache/mine\n", &options).expect("build");
    assert_eq!(paths(&built, 0), ["var", "var/cache", "var/cache/mine"]);

    // An image without anything gets the empty directories that BuildKit and buildah leave there too.
    let built = world
        .build_with("FROM BASE AS b\nFROM scratch\nCOPY --from=b /bin/busybox /bin/sh\nRUN echo 1 > /made\n", &options)
        .expect("build");
    assert_eq!(paths(&built, 1), ["dev", "made", "proc", "sys"]);
}

fn injected_edits() {
    let world = World::new();
    let repos = world.dir.path().join("repos");
    fs::create_dir(&repos).expect("mkdir");
    fs::write(repos.join("koji.repo"), "[koji]\n").expect("write");
    let injected =
        vec![InjectedMount { source: repos.clone(), target: "/etc/yum.repos.d".into(), kind: InjectedKind::OverlayScratch }];
    let options = Options { injected, ..Options::default() };
    let recorder = Recorder::default();
    let built = world
        .build_watched(
            "FROM BASE\nRUN mkdir -p /etc/yum.repos.d && rm -f /etc/yum.repos.d/* && echo x > /etc/yum.repos.d/other.repo && ls /etc/yum.repos.d\nRUN ls /etc/yum.repos.d\n",
            &options,
            &recorder,
        )
        .expect("build");
    assert_eq!(recorder.output(), ["other.repo", "koji.repo"]);
    assert_eq!(built.new_layers, 0);
    assert_eq!(fs::read_to_string(repos.join("koji.repo")).expect("source"), "[koji]\n");
}

fn underlays() {
    let world = World::new();
    let tree = world.dir.path().join("kept");
    fs::create_dir_all(tree.join("var/cache/dnf")).expect("mkdir");
    fs::write(tree.join("var/cache/dnf/koji.solv"), "warm\n").expect("write");
    let underlays = vec![Underlay { tree: tree.clone(), path: "/var/cache/dnf".into() }];
    let options = Options { underlays, ..Options::default() };
    let recorder = Recorder::default();
    let text = "FROM BASE\nRUN mkdir -p /var/cache && chmod 0700 /var/cache\n\
                RUN cat /var/cache/dnf/koji.solv && rm -rf /var/cache/dnf && mkdir /var/cache/dnf && echo mine > /var/cache/dnf/mine\n\
                RUN cat /var/cache/dnf/koji.solv /var/cache/dnf/mine && stat -c %a /var/cache && touch /var/cache/new && rm /var/cache/dnf/koji.solv\n\
                RUN rm -rf /var/cache && ln -s /tmp /var/cache\nRUN ls -d /var/cache/dnf || stat -c %F /var/cache\n";
    let built = world.build_watched(text, &options, &recorder).expect("build");
    // what an earlier step took away is there again, what it wrote as well; the image's own modes are in force
    let said: Vec<String> = recorder.output().into_iter().filter(|l| !l.contains("No such file")).collect();
    assert_eq!(said, ["warm", "warm", "mine", "700", "symbolic link"]);
    assert_eq!(paths(&built, 1), ["var", "var/cache", "var/cache/dnf", "var/cache/dnf/mine"]);
    // The file removed was never the image's: overlayfs has to hide it, the layer has not.
    assert_eq!(paths(&built, 2), ["var", "var/cache", "var/cache/dnf", "var/cache/new", "wh:var/cache/dnf/koji.solv"]);
    let events = recorder.events.lock().expect("lock");
    let packed: Vec<u64> = events
        .iter()
        .filter_map(|e| if let ProgressEvent::LayerPacked { entries, .. } = e { Some(*entries) } else { None })
        .collect();
    assert_eq!(packed[..3], [2, 4, 3], "var, var/cache, var/cache/new in the third");
    assert_eq!(fs::read_to_string(tree.join("var/cache/dnf/koji.solv")).expect("kept"), "warm\n");
}

fn users() {
    let world = World::new();
    let recorder = Recorder::default();
    world
        .build_watched(
            "FROM BASE\nUSER app\nRUN id && echo $HOME && touch /tmp/mine\nUSER 7:8\nRUN id\nUSER root\nRUN stat -c %u:%g /tmp/mine\n",
            &Options::default(),
            &recorder,
        )
        .expect("build");
    assert_eq!(
        recorder.output(),
        ["uid=1000(app) gid=1001(app) groups=10(wheel),1001(app)", "/home/app", "uid=7 gid=8 groups=8", "1000:1001"]
    );
    let err = world.build_with("FROM BASE\nUSER nobody\nRUN true\n", &Options::default()).expect_err("no such user");
    assert!(err.to_string().starts_with("Dockerfile:3: the image has no user `nobody`"), "{err}");
}

fn heredocs() {
    let world = World::new();
    let recorder = Recorder::default();
    let built = world
        .build_watched(
            "FROM BASE\nRUN <<EOF\necho one\necho two > /two\nEOF\nRUN <<SCRIPT\n#!/bin/busybox sh\necho \"$0\"\nSCRIPT\nRUN cat <<EOF > /three\n$HOME\nEOF\n",
            &Options::default(),
            &recorder,
        )
        .expect("build");
    assert_eq!(recorder.output(), ["one", "/dev/pipes/SCRIPT"]);
    assert_eq!((text(&built, "/two"), text(&built, "/three")), ("two\n".into(), "/root\n".into()));
    assert_eq!(paths(&built, 0), ["two"]);
}

fn mounts() {
    let world = World::new();
    world.write("src/main.c", "int main;\n");
    let recorder = Recorder::default();
    let built = world
        .build_watched(
            "FROM BASE AS tools\nRUN echo tool > /tool\nFROM BASE\nWORKDIR /w\n\
             RUN --mount=type=bind,source=src,target=in --mount=type=cache,target=/c --mount=type=tmpfs,target=/t cat in/main.c && echo 1 > /c/kept && echo 1 > /t/x && ! touch in/no\n\
             RUN --mount=type=bind,source=/src,target=/in,rw --mount=type=cache,target=/c cat /c/kept && echo 2 > /in/main.c && cat /in/main.c\n\
             RUN --mount=type=bind,from=tools,source=/tool,target=/tmp/tool cat /tmp/tool\n\
             RUN --mount=type=secret,id=none true\n",
            &Options::default(),
            &recorder,
        )
        .expect("build");
    let output: Vec<String> = recorder.output().into_iter().filter(|l| !l.contains("Read-only")).collect();
    assert_eq!(output, ["int main;", "1", "2", "tool"]);
    assert_eq!(fs::read_to_string(world.context().join("src/main.c")).expect("context"), "int main;\n");
    assert_eq!((built.new_layers, paths(&built, 0)), (1, vec!["w".to_owned()]));
    let err =
        world.build_with("FROM BASE\nRUN --mount=type=secret,id=x,required true\n", &Options::default()).expect_err("secret");
    assert!(err.to_string().contains("this build has no secret `x`"), "{err}");
}

fn sandbox() {
    let world = World::new();
    let recorder = Recorder::default();
    world
        .build_watched(
            "FROM BASE\nRUN grep -E '^(Seccomp|CapEff|CapBnd):' /proc/self/status\n\
             RUN unshare -U true && exit 9; mount -t tmpfs none /tmp && exit 9; echo 1 > /proc/sys/kernel/domainname && exit 9; ls /sys/firmware | wc -l\n\
             RUN ! mknod /null c 1 3 && ! mknod /disk b 8 0 && mkfifo /fifo && rm /fifo\n\
             RUN dd if=/dev/zero of=/dev/null count=1 2>/dev/null && ps | wc -l\n",
            &Options::default(),
            &recorder,
        )
        .expect("build");
    let output = recorder.output();
    assert!(output.contains(&"Seccomp:\t2".to_owned()), "{output:?}");
    // Docker's set without NET_RAW.
    assert!(output.contains(&"CapEff:\t00000000a80405fb".to_owned()), "{output:?}");
    assert!(output.contains(&"0".to_owned()), "{output:?}");
}

/// Package scriptlets that make device nodes need a builder without user namespaces. The nodes are made, and never opened.
fn device_nodes() {
    let world = World::new();
    let options = Options { user_namespace: false, ..Options::default() };
    let built = world
        .build_with("FROM BASE\nRUN mknod -m 600 /null c 1 3 && mknod /disk b 8 0 && ! head -c1 /disk\n", &options)
        .expect("build");
    let meta = |path: &str| view(&built).symlink_metadata(path).expect("read").expect("there");
    assert_eq!((meta("/null").rdev(), meta("/null").mode()), (rustix::fs::makedev(1, 3), 0o20600));
    assert_eq!(meta("/disk").rdev(), rustix::fs::makedev(8, 0));
    // A base image may bring them whatever the builder does; opening them is what must not be.
    let mut world = world;
    let root = world.dir.path().join("devices");
    fs::create_dir(&root).expect("mkdir");
    let node = |name: &str, kind, device| {
        rustix::fs::mknodat(rustix::fs::CWD, root.join(name), kind, rustix::fs::Mode::from_raw_mode(0o666), device)
            .expect("mknod")
    };
    node("mem", rustix::fs::FileType::CharacterDevice, rustix::fs::makedev(1, 1));
    node("disk", rustix::fs::FileType::BlockDevice, rustix::fs::makedev(254, 0));
    world.add_image("registry.example.org/devices:1", &root, image_layers::ImageConfig::default());
    for user_namespace in [true, false] {
        let options = Options { user_namespace, ..Options::default() };
        let text = "FROM BASE\nCOPY --from=registry.example.org/devices:1 / /host/\nRUN test -c /host/mem && ! head -c1 /host/mem && ! head -c1 /host/disk\n";
        let built = world.build_with(text, &options).expect("build");
        assert_eq!(view(&built).symlink_metadata("/host/mem").expect("read").expect("there").rdev(), rustix::fs::makedev(1, 1));
    }
}

fn background() {
    let world = World::new();
    let begun = Instant::now();
    let built = world.build("FROM BASE\nRUN sleep 4711 & echo done > /done\n");
    assert_eq!(text(&built, "/done"), "done\n");
    assert!(begun.elapsed() < Duration::from_secs(60));
    assert!(!running("4711"), "a process of the RUN is left");
}

/// Whether a process with this argument exists.
pub fn running(argument: &str) -> bool {
    process(argument).is_some()
}

/// The number of a process with this argument.
pub fn process(argument: &str) -> Option<String> {
    let processes = fs::read_dir("/proc").expect("proc").flatten();
    let mut lines = processes.filter_map(|p| Some((p.file_name(), fs::read(p.path().join("cmdline")).ok()?)));
    let is_it = |line: &[u8]| line.split(|b| *b == 0).any(|a| a == argument.as_bytes()) && !line.starts_with(b"cargo");
    // Programs of this test have it, too.
    let (pid, _) = lines.find(|(_, line)| is_it(line) && line.starts_with(b"sleep"))?;
    Some(pid.to_string_lossy().into_owned())
}

#[derive(Default)]
struct Watch(Mutex<Vec<String>>);

#[derive(Debug, thiserror::Error)]
#[error("the gate refused something")]
struct Refused;

impl build_model::Diagnose for Refused {
    fn blame(&self) -> build_model::Blame {
        build_model::Blame::Packager
    }
    fn kind(&self) -> &'static str {
        "gate-refused"
    }
}

impl RunHooks for Watch {
    fn before_run(&self, step: &StepInfo) {
        self.0.lock().expect("lock").push(format!("before {}", step.number));
    }
    fn after_run(&self, step: &StepInfo, exit: i32) -> Result<(), BoxedDiagnose> {
        self.0.lock().expect("lock").push(format!("after {} with {exit}", step.number));
        if exit == 3 { Err(Refused.into()) } else { Ok(()) }
    }
}

fn hooks() {
    let world = World::new();
    let watch = Arc::new(Watch::default());
    let options = Options { hooks: Arc::clone(&watch) as Arc<dyn RunHooks>, ..Options::default() };
    let err = world.build_with("FROM BASE\nRUN true\nENV a=b\nRUN exit 3\n", &options).expect_err("the hook says no");
    assert_eq!(*watch.0.lock().expect("lock"), ["before 2", "after 2 with 0", "before 4", "after 4 with 3"]);
    assert!(matches!(&err, BuildError::Step { cause, .. } if matches!(**cause, StepError::Hook(_))), "{err}");
    assert!(err.to_string().starts_with("Dockerfile:4: the gate refused something"), "{err}");
}

fn memory() {
    let world = World::new();
    let limits = Limits { memory_bytes: Some(64 << 20), pids: Some(32), ..Limits::default() };
    let options = Options { limits, ..Options::default() };
    // Files on a tmpfs count as memory of who writes them.
    let err = world.build_with(
        "FROM BASE\nRUN dd if=/dev/zero of=/dev/shm/x bs=1M count=60 && dd if=/dev/zero bs=80M count=1 of=/dev/null\n",
        &options,
    );
    let err = err.expect_err("more than the limit");
    assert!(matches!(err.exit_code(), Some(137 | 1 | 2)), "{err}");
    world.build_with("FROM BASE\nRUN true\n", &options).expect("a small one");
}
