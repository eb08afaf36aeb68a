//! Who root in a RUN is, and that layers do not tell.

use std::fs;
use std::sync::Mutex;

use image_build::{Progress, ProgressEvent};
use image_layers::{ImageConfig, PackOptions};

use super::kernel::this_program;
use super::output;
use crate::world::{Options, World, text, view};

pub const TESTS: &[crate::Test] = &[
    ("escape::root_in_a_run_is_nobody_on_the_host", nobody),
    ("owners::layers_are_the_same_with_and_without_a_user_namespace", same_layers),
    ("owners::file_capabilities_come_out_as_they_were", capabilities),
    ("owners::ids_beyond_the_namespace_are_refused_by_name", beyond),
];

/// Looks at the container's processes when a line of output says that it runs.
struct LookAt(&'static str, Mutex<Vec<u32>>);

impl Progress for LookAt {
    fn event(&self, event: ProgressEvent) {
        if let ProgressEvent::OutputLine { line, .. } = event
            && line == "started"
        {
            self.1.lock().expect("lock").extend(uids_of(self.0));
        }
    }
}

/// The host's uids of processes that have this argument, waiting until there is one.
fn uids_of(argument: &str) -> Vec<u32> {
    loop {
        let mut uids = Vec::new();
        for process in fs::read_dir("/proc").expect("proc").flatten() {
            let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
            if line.split(|b| *b == 0).any(|a| a == argument.as_bytes())
                && let Ok(status) = fs::read_to_string(process.path().join("status"))
            {
                let ids = status.lines().find_map(|l| l.strip_prefix("Uid:")).expect("Uid");
                uids.extend(ids.split_whitespace().map(|id| id.parse::<u32>().expect("a number")));
            }
        }
        if !uids.is_empty() {
            return uids;
        }
        std::thread::yield_now();
    }
}

fn nobody() {
    let world = World::new();
    let seen = LookAt("4731", Mutex::default());
    let root = world.user_namespace().host_root();
    let text = "FROM BASE\nRUN id -u && (sleep 4731 & echo started; sleep 1)\n";
    world.build_at(&world.dir.path().join("work"), text, &Options::default(), &seen).expect("build");
    let uids = seen.1.into_inner().expect("lock");
    assert!(!uids.is_empty() && uids.iter().all(|uid| *uid == root), "{uids:?}");
    assert!(root >= 65536);
    world.assert_nothing_left();
}

const EVERYTHING: &str = "FROM BASE AS made\n\
    RUN mkdir -p /o/d && touch /o/f && chown 1000:1001 /o/d && chown 0:10 /o/f && chmod 2775 /o/d && chmod 4755 /o/f && ln /o/f /o/hard && ln -s f /o/soft && chown 65534:65534 /home/app && mkfifo /o/fifo\n\
    FROM BASE\n\
    COPY --chown=app:wheel src /srv/src\n\
    COPY --from=made /o /copied\n\
    RUN mv /home /moved && rm /etc/motd && chmod 700 /srv/src && echo more >> /srv/src/file && chown -R 7:8 /copied\n\
    USER app\n\
    WORKDIR /work/of/app\n\
    RUN id -u && touch mine && mkdir sub && test \"$(stat -c %u mine)\" = 1000\n\
    USER root\n\
    RUN --mount=type=bind,from=made,source=/o,target=/in,rw --mount=type=bind,source=src,target=/ctx --mount=type=cache,target=/cache,uid=1000,gid=1001,mode=0770 --mount=type=tmpfs,target=/t \
      stat -c '%u:%g %a %n' /in/d /in/f /ctx/file /cache > /seen && touch /in/new && chown 5 /in/d && touch /cache/x && chown 9:9 /cache/x\n\
    RUN --mount=type=cache,target=/cache stat -c '%u:%g %a %n' /cache /cache/x >> /seen && rm -r /moved && mkdir -p /moved/again\n\
    RUN [\"/probe\", \"--probe\", \"capability\", \"/seen\"]\n\
    RUN touch /late && chown 1000000:1000000 /late && chmod u+s /late\n";

fn same_layers() {
    for squash in [false, true] {
        let build = |user_namespace: bool| {
            let world = World::new();
            world.write("src/file", "1\n");
            world.write("src/sub/other", "2\n");
            std::os::unix::fs::chown(world.context().join("src/file"), Some(4), Some(5)).expect("chown");
            let options = Options { user_namespace, squash, injected: this_program(), ..Options::default() };
            let built = world.build_with(EVERYTHING, &options).unwrap_or_else(|e| panic!("{user_namespace}: {e}"));
            let seen = text(&built, "/seen");
            let layers: Vec<String> = built.image.layers().iter().map(|l| l.digest.to_string()).collect();
            (seen, layers, built.image.manifest_digest.to_string())
        };
        let (with, without) = (build(true), build(false));
        assert_eq!(
            with.0,
            "1000:1001 2775 /in/d\n0:10 4755 /in/f\n4:5 644 /ctx/file\n1000:1001 770 /cache\n1000:1001 770 /cache\n9:9 644 /cache/x\n"
        );
        assert_eq!(with, without, "squash: {squash}");
    }
}

/// A base file's capability survives being copied up, and one that a RUN sets is written as if by root of the host.
fn capabilities() {
    let digests: Vec<String> = [true, false].map(|user_namespace| {
        let mut world = World::new();
        let root = world.dir.path().join("capable");
        fs::create_dir(&root).expect("mkdir");
        fs::write(root.join("tool"), "x").expect("write");
        let mut value = [0_u8; 20];
        value[..8].copy_from_slice(&[1, 0, 0, 2, 0, 4, 0, 0]);
        xattr::set(root.join("tool"), "security.capability", &value).expect("xattr");
        world.add_image("registry.example.org/capable:1", &root, ImageConfig::default());
        let text = "FROM BASE\nCOPY --from=registry.example.org/capable:1 /tool /tool\nRUN chmod 700 /tool\nRUN touch /own\nRUN [\"/probe\", \"--probe\", \"capability\", \"/own\"]\n\
                    RUN chmod 711 /own && mv /tool /elsewhere\n";
        let options = Options { user_namespace, injected: this_program(), ..Options::default() };
        let lines = output(&world, text, &options);
        assert_eq!(lines, ["[1, 0, 0, 2, 0, 4, 0, 0]"], "inside it is as it was set");
        let built = world.build_with(text, &options).expect("build");
        // Packed again from the merged tree: what a registry gets.
        let merged = built.layer_dirs.last().expect("a layer");
        let packed = image_layers::pack_layer(&world.store, merged, &[], &PackOptions::default()).expect("pack");
        let tar = fs::read(world.store.blob_path(&packed.descriptor.digest)).expect("blob");
        assert!(!tar.is_empty());
        let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(&tar[..]));
        let mut found = 0;
        for entry in archive.entries().expect("entries") {
            let mut entry = entry.expect("entry");
            for extension in entry.pax_extensions().ok().flatten().into_iter().flatten() {
                let extension = extension.expect("extension");
                if extension.key_bytes() == b"SCHILY.xattr.security.capability" {
                    assert_eq!((extension.value_bytes().len(), &extension.value_bytes()[..4]), (20, &[1, 0, 0, 2][..]), "version 2");
                    found += 1;
                }
            }
        }
        assert_eq!(found, 2, "of /own and /elsewhere");
        assert!(view(&built).lookup("/elsewhere").is_some());
        built.image.manifest_digest.to_string()
    }).into();
    assert_eq!(digests[0], digests[1]);
}

fn beyond() {
    let world = World::new();
    let err = world.build_with("FROM BASE\nUSER 1048576\nRUN true\n", &Options::default()).expect_err("beyond");
    assert!(
        err.to_string().starts_with("Dockerfile:3: the id 1048576 is beyond the 1048576 ids of a RUN's user namespace"),
        "{err}"
    );
    world.build_with("FROM BASE\nUSER 1048575\nRUN true\n", &Options::default()).expect("the last one");
    let options = Options { user_namespace: false, ..Options::default() };
    world.build_with("FROM BASE\nUSER 1048576\nRUN true\n", &options).expect("without a namespace there is no such end");
}
