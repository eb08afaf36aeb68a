//! To the host's files: through /proc, through symlinks planted for the engine to follow, through kernel files.

use std::fs;
use std::os::unix::fs::symlink;

use image_layers::ImageConfig;

use super::{output, secret_place};
use crate::world::{Options, World};

pub const TESTS: &[crate::Test] = &[
    ("escape::the_files_of_the_host_are_not_behind_proc", proc_links),
    ("escape::kernel_settings_cannot_be_written", kernel_settings),
    ("escape::no_cgroup_is_in_reach", cgroups),
    ("escape::links_planted_where_the_engine_mounts_lead_nowhere", planted_links),
    ("escape::an_image_whose_own_directories_are_links_reaches_nothing", linked_directories),
    ("escape::sources_of_mounts_stay_inside_their_root", mount_sources),
];

fn proc_links() {
    let world = World::new();
    let (_dir, place) = secret_place();
    let text = format!(
        "FROM BASE\nRUN for root in /proc/[0-9]*/root /proc/self/root/../../.. /proc/self/cwd/../..; do cat $root{place}/secret 2>/dev/null && exit 9; done; true\n\
         RUN for fd in /proc/[0-9]*/fd/*; do case \"$(readlink $fd)\" in {place}*|/run/containerbuild*|/var*) echo $fd; exit 9;; esac; done; true\n\
         RUN grep -c . /proc/1/mountinfo > /dev/null && ! grep -E ' /(var|run|work|home|root|srv)[^ ]* [a-z]*rw' /proc/1/mountinfo | grep -v ' - tmpfs '\n\
         RUN test \"$(ls -d /proc/[0-9]* | wc -l)\" -lt 5\n"
    );
    let lines = output(&world, &text, &Options::default());
    assert!(!lines.iter().any(|l| l.contains("of the host")), "{lines:?}");
}

fn kernel_settings() {
    let settings = ["kernel/core_pattern", "kernel/hostname", "kernel/modprobe", "kernel/hotplug", "vm/overcommit_memory"];
    let values = || settings.map(|name| fs::read_to_string(format!("/proc/sys/{name}")).ok());
    let before = values();
    for user_namespace in [true, false] {
        let world = World::new();
        let mut text = "FROM BASE\n".to_owned();
        for name in settings {
            text.push_str(&format!("RUN ! (echo '|/tmp/x' > /proc/sys/{name}) 2>/dev/null\n"));
        }
        text.push_str(
            "RUN ! (echo h > /proc/sysrq-trigger) 2>/dev/null\nRUN ! (echo -1000 > /proc/self/oom_score_adj) 2>/dev/null\n",
        );
        text.push_str("RUN ! (echo 1 > /sys/kernel/profiling) 2>/dev/null && ! touch /sys/x 2>/dev/null && ! (echo 0 > /proc/irq/default_smp_affinity) 2>/dev/null\n");
        // Masked: there, and empty.
        text.push_str("RUN test \"$(cat /proc/kcore /proc/keys /proc/timer_list 2>/dev/null | wc -c)\" = 0 && test \"$(ls /sys/firmware | wc -l)\" = 0\n");
        text.push_str("RUN ! mount -o remount,rw /sys 2>/dev/null && ! mount -o remount,rw /proc/sys 2>/dev/null && ! umount /proc/sys 2>/dev/null && ! umount -l /proc/kcore 2>/dev/null\n");
        output(&world, &text, &Options { user_namespace, ..Options::default() });
    }
    assert_eq!(values(), before);
}

fn cgroups() {
    for user_namespace in [true, false] {
        let world = World::new();
        let text = "FROM BASE\nRUN mkdir /c; for kind in cgroup cgroup2; do ! mount -t $kind none /c 2>/dev/null || exit 9; done; ! mount -t cgroup -o memory none /c 2>/dev/null\n\
                    RUN test -z \"$(find /sys /proc -name release_agent -o -name notify_on_release -o -name memory.limit_in_bytes -o -name memory.max 2>/dev/null)\"\n";
        output(&world, text, &Options { user_namespace, ..Options::default() });
    }
}

/// The engine mounts on paths that an earlier RUN can prepare.
fn planted_links() {
    for user_namespace in [true, false] {
        let world = World::new();
        world.write("src/file", "of the context\n");
        let (dir, place) = secret_place();
        // Its own mounts a RUN cannot replace, but the layer before it can hold links in their place.
        fs::create_dir(world.context().join("etc")).expect("mkdir");
        symlink(format!("{place}/secret"), world.context().join("etc/hosts")).expect("symlink");
        symlink(format!("../../../../../..{place}/secret"), world.context().join("etc/resolv.conf")).expect("symlink");
        symlink(format!("{place}/new"), world.context().join("etc/hostname")).expect("symlink");
        let text = format!(
            "FROM BASE\nCOPY etc /etc\nRUN ln -s {place} /evil && ln -s /evil/deeper/still /deep && mkdir /run && ln -s {place} /run/secrets && ! cat /etc/hosts | grep 'of the host'\n\
             RUN --mount=type=bind,source=src,target=/evil/in --mount=type=cache,target=/evil/cache --mount=type=tmpfs,target=/deep/t cat /evil/in/file && echo x > /evil/cache/f && echo x > /deep/t/f\n\
             RUN --mount=type=secret,id=s echo hello > /evil/out; true\n\
             WORKDIR /evil/dir\nCOPY src/file /evil/copied\nRUN pwd\n"
        );
        let mut options = Options { user_namespace, ..Options::default() };
        options.sandbox.secrets.add("s", b"hunter2".to_vec()).expect("secret");
        let lines = output(&world, &text, &options);
        assert!(lines.contains(&"of the context".to_owned()), "{lines:?}");
        assert_eq!(fs::read_to_string(dir.path().join("secret")).expect("secret"), "of the host\n");
        let names: Vec<_> = fs::read_dir(dir.path()).expect("list").flatten().map(|e| e.file_name()).collect();
        assert_eq!(names, ["secret"], "something was made on the host");
    }
}

/// Base images come from strangers.
fn linked_directories() {
    for (name, user_namespace) in
        [("etc", true), ("dev", true), ("proc", true), ("sys", true), ("tmp", true), ("dev", false), ("etc", false)]
    {
        let mut world = World::new();
        let (dir, place) = secret_place();
        let root = world.dir.path().join("linked");
        fs::create_dir(&root).expect("mkdir");
        fs::create_dir(root.join("bin")).expect("mkdir");
        let busybox = world.dir.path().join("base/bin/busybox");
        fs::copy(busybox, root.join("bin/busybox")).expect("copy");
        symlink("busybox", root.join("bin/sh")).expect("symlink");
        symlink(&place, root.join(name)).expect("symlink");
        world.add_image("registry.example.org/linked:1", &root, ImageConfig::default());
        // Whether such an image can be used at all is the runtime's choice.
        let text = "FROM registry.example.org/linked:1\nRUN /bin/busybox touch /dev/x /etc/x /proc/x /sys/x /tmp/x; /bin/busybox cat /tmp/secret /etc/secret; true\n";
        let recorder = crate::world::Recorder::default();
        let _ = world.build_watched(text, &Options { user_namespace, ..Options::default() }, &recorder);
        assert!(!recorder.output().iter().any(|l| l.contains("of the host")), "{name}: {:?}", recorder.output());
        let names: Vec<_> = fs::read_dir(dir.path()).expect("list").flatten().map(|e| e.file_name()).collect();
        assert_eq!(names, ["secret"], "{name}: something was made on the host");
    }
}

fn mount_sources() {
    let world = World::new();
    let (_dir, place) = secret_place();
    symlink(&place, world.context().join("link")).expect("symlink");
    world.write("plain", "x");
    for source in ["link", "link/secret", "../../../../../etc/passwd", &format!("{place}/secret")] {
        let text = format!("FROM BASE\nRUN --mount=type=bind,source={source},target=/in cat /in\n");
        let err = world.build_with(&text, &Options::default()).expect_err(source);
        assert!(err.to_string().contains("there is no"), "{err}");
    }
    // A stage is another root, and its links lead into it.
    let text = format!(
        "FROM BASE AS other\nRUN ln -s {place} /way && ln -s /etc/motd /in-stage\nFROM BASE\nRUN --mount=type=bind,from=other,source=/in-stage,target=/m cat /m\n\
         RUN --mount=type=bind,from=other,target=/o ! cat /o/way/secret\n"
    );
    let lines = output(&world, &text, &Options::default());
    assert_eq!(lines[0], "base");
    assert!(!lines.iter().any(|l| l.contains("of the host")), "{lines:?}");
}
