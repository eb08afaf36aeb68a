//! `RUN --mount`: secrets, agents, caches and editable binds do what they say and reach no layer. Other runtimes too.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc::{Sender, channel};

use build_model::{Blame, Diagnose};
use image_build::{Progress, ProgressEvent, SandboxOptions};

use crate::escape::this_program;
use crate::world::{Options, Recorder, World, paths, text};

pub const TESTS: &[crate::Test] = &[
    ("mounts::secrets_are_shown_and_neither_kept_nor_logged", secrets),
    ("mounts::a_required_secret_or_agent_is_asked_for_by_name", required),
    ("mounts::an_agent_signs_and_is_gone", agent),
    ("mounts::caches_outlive_builds_where_they_may", kept_caches),
    ("mounts::a_locked_cache_is_waited_for", locked_cache),
    ("mounts::a_part_of_a_cache_is_shown_and_nothing_outside_it", part_of_a_cache),
    ("mounts::what_lies_in_another_mount_is_seen_in_whatever_order", inside_another),
    ("mounts::the_caller_names_the_machine_and_keeps_caches_apart", settings),
    ("mounts::of_the_context_only_what_copy_sees_is_shown", ignored),
    ("mounts::a_context_can_be_named_relatively", relative),
    ("mounts::runc_makes_the_same_layers", runc),
];

const SECRET: &str = "hunter2-hunter2\nsecond-line\n";

fn secrets() {
    for user_namespace in [true, false] {
        let world = World::new();
        let mut options = Options { user_namespace, ..Options::default() };
        options.sandbox.secrets.add("token", SECRET.into()).expect("secret");
        let recorder = Recorder::default();
        let built = world
            .build_watched(
                "FROM BASE\nUSER app\n\
                 RUN --mount=type=secret,id=token,uid=1000,gid=10,required stat -c '%u:%g %a' /run/secrets/token && cat /run/secrets/token && wc -c < /run/secrets/token\n\
                 USER root\n\
                 RUN --mount=type=secret,id=token,target=/etc/other,mode=0440 stat -c %a /etc/other && ! touch /etc/other 2>/dev/null && grep ' /etc/other ' /proc/mounts | cut -d' ' -f3\n\
                 RUN --mount=type=secret,id=token,env=TOKEN echo \"x${TOKEN}x\" && ! test -e /run/secrets && env | grep -c TOKEN\n\
                 RUN ! test -e /etc/other && ! test -e /run && test -z \"$TOKEN\"\n",
                &options,
                &recorder,
            )
            .unwrap_or_else(|e| panic!("{e}"));
        let output = recorder.output();
        let hidden = "[secret token]";
        assert_eq!(
            output,
            ["1000:10 400", hidden, hidden, "28", "440", "tmpfs", &format!("x{hidden}"), hidden, "x", "1"],
            "user namespace: {user_namespace}"
        );
        assert_eq!(built.new_layers, 0);
        // Nothing of it on the disk: neither in the store nor in what the engine kept.
        assert!(!grep(world.dir.path(), b"hunter2-hunter2"));
        let err = world
            .build_with("FROM BASE\nRUN --mount=type=secret,id=token cat /run/secrets/token; exit 3\n", &options)
            .expect_err("fails");
        assert!(!err.to_string().contains("hunter2") && err.to_string().contains(hidden), "{err}");
    }
}

/// `.dockerignore` holds for bind mounts of the context as it does for COPY, with and without a user namespace.
fn ignored() {
    for user_namespace in [true, false] {
        let world = World::new();
        for file in ["a.txt", "secret", "src/x.c", "src/x.o", "out/keep/k", "out/gone"] {
            world.write(file, file);
        }
        fs::set_permissions(world.context().join("src"), std::os::unix::fs::PermissionsExt::from_mode(0o751)).expect("chmod");
        let ignore = Some("secret\n**/*.o\nout\n!out/keep\n".to_owned());
        let options = Options { user_namespace, ignore, use_cache: true, ..Options::default() };
        let text = "FROM BASE\n\
             RUN --mount=type=bind,target=/c cd /c && find . -type f | sort && ! cat secret 2>/dev/null && stat -c '%a %u' src && ! touch new 2>/dev/null\n\
             RUN --mount=type=bind,source=src,target=/c,rw cd /c && ls && echo mine > x.o && rm x.c && ls\n\
             RUN --mount=type=bind,source=src/x.c,target=/one cat /one\n";
        let recorder = Recorder::default();
        let built = world.build_watched(text, &options, &recorder).unwrap_or_else(|e| panic!("{e}"));
        let expected = ["./a.txt", "./out/keep/k", "./src/x.c", "751 0", "x.c", "x.o", "src/x.c"];
        assert_eq!(recorder.output(), expected, "user namespace: {user_namespace}");
        assert_eq!(built.new_layers, 0);
        assert_eq!(fs::read_to_string(world.context().join("src/x.o")).expect("the original"), "src/x.o");
        // What is hidden changes nothing, and what is seen does.
        let cached = || {
            let recorder = Recorder::default();
            world.build_watched(text, &options, &recorder).unwrap_or_else(|e| panic!("{e}"));
            recorder.cached().len()
        };
        world.write("secret", "another");
        assert_eq!(cached(), 3);
        world.write("out/keep/k", "another");
        assert_eq!(cached(), 0, "the second and third lie on the first");
        for hidden in ["secret", "src/x.o"] {
            let line = format!("FROM BASE\nRUN --mount=type=bind,source={hidden},target=/x true\n");
            let err = world.build_with(&line, &options).expect_err("hidden");
            assert!(err.to_string().contains(&format!("there is no `{hidden}` in the build context")), "{err}");
        }
    }
}

/// The runtime does not look names up from where the builder stands.
fn relative() {
    for user_namespace in [true, false] {
        let world = World::new();
        world.write("file", "here\n");
        let here = std::env::current_dir().expect("current directory");
        let up: std::path::PathBuf = here.components().skip(1).map(|_| "..").collect();
        let context = up.join(world.context().strip_prefix("/").expect("absolute"));
        let options = Options { user_namespace, context: Some(context), ..Options::default() };
        let recorder = Recorder::default();
        let text = "FROM BASE\nCOPY file /copied\nRUN --mount=type=bind,target=/c cat /c/file\n\
                    RUN --mount=type=bind,source=file,target=/f,rw cat /f\n";
        world.build_watched(text, &options, &recorder).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(recorder.output(), ["here", "here"]);
    }
}

/// Whether any file below `dir` holds these bytes.
fn grep(dir: &std::path::Path, bytes: &[u8]) -> bool {
    fs::read_dir(dir).into_iter().flatten().flatten().any(|entry| {
        let meta = entry.metadata().expect("metadata");
        let holds = |path| fs::read(path).is_ok_and(|content| content.windows(bytes.len()).any(|w| w == bytes));
        if meta.is_dir() { grep(&entry.path(), bytes) } else { meta.is_file() && holds(entry.path()) }
    })
}

fn required() {
    let world = World::new();
    world.build("FROM BASE\nRUN --mount=type=ssh --mount=type=secret,id=none test -z \"$SSH_AUTH_SOCK\"\n");
    for (mount, what) in [("type=secret,id=key,required", "secret `key`"), ("type=ssh,required", "SSH agent `default`")] {
        let text = format!("FROM BASE\nRUN --mount={mount} true\n");
        let err = world.build_with(&text, &Options::default()).expect_err(mount);
        assert!(err.to_string().starts_with(&format!("Dockerfile:2: this build has no {what}")), "{err}");
        assert_eq!((err.blame(), err.kind(), err.hint().is_some()), (Blame::Packager, "run-secret-missing", true));
    }
}

/// Asks the agent of this RUN for its keys, and then to forget them.
pub fn ask_agent() {
    let path = std::env::var("SSH_AUTH_SOCK").expect("SSH_AUTH_SOCK");
    let mut agent = UnixStream::connect(path).expect("connect");
    for request in [11_u8, 19] {
        agent.write_all(&[0, 0, 0, 1, request]).expect("write");
        let mut length = [0; 4];
        agent.read_exact(&mut length).expect("read");
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        agent.read_exact(&mut answer).expect("read");
        println!("{request} {}", answer[0]);
    }
}

fn agent() {
    let world = World::new();
    let path = world.dir.path().join("agent");
    let listener = UnixListener::bind(&path).expect("bind");
    let server = std::thread::spawn(move || {
        // The engine looks whether it is there.
        drop(listener.accept().expect("accept"));
        let (mut stream, _) = listener.accept().expect("accept");
        let mut got = Vec::new();
        let mut request = [0; 5];
        while stream.read_exact(&mut request).is_ok() {
            got.push(request[4]);
            stream.write_all(&[0, 0, 0, 5, 12, 0, 0, 0, 0]).expect("write");
        }
        got
    });
    let mut options = Options { injected: this_program(), ..Options::default() };
    options.sandbox.ssh_agents.insert("default".into(), path);
    let recorder = Recorder::default();
    let text = "FROM BASE\nUSER app\nRUN --mount=type=ssh,uid=1000 [\"/probe\", \"--probe\", \"agent\"]\nRUN test -z \"$SSH_AUTH_SOCK\" && ! test -e /run\n";
    let built = world.build_watched(text, &options, &recorder).unwrap_or_else(|e| panic!("{e}"));
    // 12: the list of keys. 5: refused, and by the engine.
    assert_eq!(recorder.output(), ["11 12", "19 5"]);
    assert_eq!((server.join().expect("server"), built.new_layers), (vec![11], 0));
}

fn kept_caches() {
    let caches = tempfile::tempdir().expect("tempdir");
    let text_of = "FROM BASE\nRUN --mount=type=cache,id=c,target=/var/cache/x,uid=1000 cat /var/cache/x/log; echo ran >> /var/cache/x/log; chown 1000 /var/cache/x/log\n";
    let run = |user_namespace: bool, cache_dir: Option<&std::path::Path>| {
        let world = World::new();
        let mut options = Options { user_namespace, ..Options::default() };
        options.sandbox.cache_dir = cache_dir.map(Into::into);
        let recorder = Recorder::default();
        let built = world.build_watched(text_of, &options, &recorder).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(built.new_layers, 0, "a cache is in no layer");
        recorder.output().into_iter().filter(|l| l == "ran").count()
    };
    // With and without a user namespace it is the same cache.
    let kept = Some(caches.path());
    assert_eq!([run(true, kept), run(false, kept), run(true, kept)], [0, 1, 2]);
    assert_eq!([run(true, None), run(true, None)], [0, 0], "builds share nothing unless they are told to");
}

/// `source` without `from` is a path in the cache, and links in it lead nowhere else.
fn part_of_a_cache() {
    for user_namespace in [true, false] {
        let world = World::new();
        let build = |uses: &str| {
            let recorder = Recorder::default();
            let fill = "mkdir -p /c/a/b && echo in > /c/a/b/file && ln -s /etc /c/out && ln -s a/b /c/in";
            let text = format!("FROM BASE\nRUN --mount=type=cache,id=c,target=/c {fill}\nRUN {uses}\n");
            let options = Options { user_namespace, ..Options::default() };
            world.build_watched(&text, &options, &recorder).map(|built| (built.new_layers, recorder.output()))
        };
        for source in ["a/b", "/a/b/", "in", "../a/b"] {
            let mount = format!("--mount=type=cache,id=c,source={source},target=/x");
            let shown = build(&format!("{mount} cat /x/file && echo more > /x/new")).unwrap_or_else(|e| panic!("{source}: {e}"));
            assert_eq!(shown, (0, vec!["in".to_owned()]), "{source}");
        }
        let file = build("--mount=type=cache,id=c,source=a/b/file,target=/x,ro cat /x").unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(file, (0, vec!["in".to_owned()]));
        for outside in ["out", "out/hostname", "none"] {
            let err = build(&format!("--mount=type=cache,id=c,source={outside},target=/x ls /x")).expect_err(outside);
            assert!(err.to_string().contains(&format!("there is no `{outside}` in the cache `c`")), "{err}");
        }
    }
}

/// As in BuildKit mounts are made in the order of their targets, and the Dockerfile's order means nothing.
fn inside_another() {
    let world = World::new();
    world.write("src/file", "context");
    let mut options = Options::default();
    options.sandbox.secrets.add("token", "secret".into()).expect("secret");
    let recorder = Recorder::default();
    let text = "FROM BASE\nWORKDIR /w\nRUN --mount=type=secret,id=token,target=/w/out/token --mount=source=src,target=out/./src \\\n\
                --mount=type=tmpfs,target=/w/out/src-2 --mount=type=cache,target=/w/out \\\n\
                ls /w/out && cat /w/out/src/file && touch /w/out/src-2/x\nRUN test ! -e /w/out\n";
    let built = world.build_watched(text, &options, &recorder).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(recorder.output(), ["src", "src-2", "token", "context"]);
    assert_eq!(paths(&built, 0), ["w"]);
    for mount in ["type=tmpfs,target=/", "target=.", "type=cache,target=/w/.."] {
        let err = world.build_with(&format!("FROM BASE\nRUN --mount={mount} true\n"), &options).expect_err(mount);
        assert_eq!((err.blame(), err.kind()), (Blame::Packager, "mount-point"), "{mount}: {err}");
        assert!(err.to_string().contains("it is the root"), "{err}");
    }
}

/// The reference's built-in arguments `BUILDKIT_SANDBOX_HOSTNAME` and `BUILDKIT_CACHE_MOUNT_NS`.
fn settings() {
    let caches = tempfile::tempdir().expect("tempdir");
    let world = World::new();
    let build = |args: &[(&str, &str)]| {
        let mut options = Options { use_cache: true, ..Options::default() };
        options.build_args = args.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        options.sandbox.cache_dir = Some(caches.path().into());
        let recorder = Recorder::default();
        let text = "FROM BASE\nRUN hostname && cat /etc/hostname && grep -c \"$(hostname)\" /etc/hosts\n\
                    RUN --mount=type=cache,target=/c touch /c/$(hostname) && ls /c\n";
        world.build_watched(text, &options, &recorder).unwrap_or_else(|e| panic!("{e}"));
        recorder.output()
    };
    assert_eq!(build(&[]), ["containerbuild", "containerbuild", "2", "containerbuild"]);
    let named = ("BUILDKIT_SANDBOX_HOSTNAME", "other.example");
    assert_eq!(build(&[named]), ["other.example", "other.example", "2", "containerbuild", "other.example"], "and not cached");
    let apart = [("BUILDKIT_SANDBOX_HOSTNAME", "third"), ("BUILDKIT_CACHE_MOUNT_NS", "team")];
    assert_eq!(build(&apart), ["third", "third", "2", "third"], "another cache");
}

struct Tell(std::sync::Mutex<Sender<String>>);

impl Progress for Tell {
    fn event(&self, event: ProgressEvent) {
        if let ProgressEvent::OutputLine { line, .. } = event {
            let _ = self.0.lock().expect("lock").send(line);
        }
    }
}

/// Lets the holder of the only cache below a directory go on, once it is heard that another build waits for it.
struct LetGo(std::path::PathBuf, Recorder);

impl Progress for LetGo {
    fn event(&self, event: ProgressEvent) {
        if matches!(&event, ProgressEvent::Note { text } if text.contains("in use by another build")) {
            let slot = fs::read_dir(&self.0).expect("list").flatten().next().expect("the cache");
            fs::write(slot.path().join("fs/go"), "").expect("write");
        }
        self.1.event(event);
    }
}

fn locked_cache() {
    let caches = tempfile::tempdir().expect("tempdir");
    let (first, second) = (World::new(), World::new());
    let options = || {
        let mut options = Options::default();
        options.sandbox.cache_dir = Some(caches.path().into());
        options
    };
    let (tell, told) = channel();
    let waiting = LetGo(caches.path().into(), Recorder::default());
    std::thread::scope(|scope| {
        let holder = scope.spawn(|| {
            let text = "FROM BASE\nRUN --mount=type=cache,target=/c,sharing=locked echo started; while ! test -e /c/go; do sleep 0.1; done; echo first >> /c/log\n";
            first.build_at(&first.dir.path().join("work"), text, &options(), &Tell(tell.into()))
        });
        assert_eq!(told.recv().expect("a line"), "started");
        let text = "FROM BASE\nRUN --mount=type=cache,target=/c,sharing=locked cat /c/log\n";
        second.build_at(&second.dir.path().join("work"), text, &options(), &waiting).expect("second");
        holder.join().expect("thread").expect("first");
    });
    assert_eq!(waiting.1.output(), ["first"]);
}

/// The configuration names the runtime; what comes out is the same.
fn runc() {
    if std::process::Command::new("runc").arg("--version").output().is_err() {
        println!("skipped: there is no runc here");
        return;
    }
    let digest = |runtime: &str, user_namespace: bool| {
        let world = World::new();
        world.write("src/file", "x");
        let mut options = Options { user_namespace, ..Options::default() };
        options.sandbox = SandboxOptions::new(runtime);
        let built = world
            .build_with(
                "FROM BASE\nCOPY --chown=app src /srv\nUSER app\nRUN id -u > /tmp/id && touch /srv/new\nUSER root\n\
                 RUN --mount=type=bind,source=src,target=/in,rw --mount=type=cache,target=/c echo x > /in/y && mv /home /h && cat /tmp/id > /id\n",
                &options,
            )
            .unwrap_or_else(|e| panic!("{runtime}: {e}"));
        assert_eq!(text(&built, "/id"), "1000\n");
        assert!(!paths(&built, 1).is_empty());
        let err = world.build_with("FROM BASE\nRUN exit 7\n", &options).expect_err("fails");
        assert_eq!(err.exit_code(), Some(7));
        built.image.manifest_digest.to_string()
    };
    let crun = digest("crun", true);
    assert_eq!(digest("runc", true), crun);
    assert_eq!(digest("runc", false), crun);
}
