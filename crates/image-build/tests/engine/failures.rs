//! Builds that fail, are cancelled, or whose process is killed.

use std::time::{Duration, Instant};

use build_model::{Blame, Diagnose};
use image_build::{BuildError, LimitHit, Limits, StepError};

use crate::run::running;
use crate::world::{Options, Recorder, World};

pub const TESTS: &[crate::Test] = &[
    ("failures::a_failing_run_names_line_and_exit_code", exit_code),
    ("failures::quick_commands_keep_their_exit_codes", quick),
    ("failures::missing_programs_are_told_apart", programs),
    ("failures::a_cancelled_build_leaves_nothing", cancelled),
    ("failures::a_run_that_takes_too_long_is_stopped", timed_out),
    ("failures::a_missing_runtime_is_the_sites_fault", no_runtime),
];

fn exit_code() {
    let world = World::new();
    let text = "FROM BASE\nENV a=b\nRUN echo before; \\\n  echo to-stderr >&2; \\\n  exit 42\nRUN true\n";
    let err = world.build_with(text, &Options::default()).expect_err("it fails");
    let BuildError::Step { place, .. } = &err else { panic!("{err}") };
    assert_eq!((place.span.first_line, place.span.last_line, err.exit_code()), (3, 5, Some(42)));
    assert_eq!((err.blame(), err.kind()), (Blame::Packager, "run-failed"));
    let message = err.to_string();
    assert!(message.starts_with("Dockerfile:3: the command ended with exit code 42\n    RUN echo before; \\"), "{message}");
    assert!(message.contains("\n    before") && message.contains("\n    to-stderr"), "{message}");
    let err = world.build_with("FROM BASE\nRUN sh -c 'kill -9 $$'; exit $?\n", &Options::default()).expect_err("a signal");
    assert!(err.to_string().contains("killed by signal 9"), "{err}");
}

/// A command may be over before its runtime is, and then is not a child of the build yet.
fn quick() {
    let world = World::new();
    for _ in 0..30 {
        let err = world.build_with("FROM BASE\nRUN [\"false\"]\n", &Options::default()).expect_err("it fails");
        assert_eq!((err.exit_code(), err.kind()), (Some(1), "run-failed"), "{err}");
    }
}

fn programs() {
    let world = World::new();
    let error = |text: &str| world.build_with(text, &Options::default()).expect_err(text);
    assert!(error("FROM scratch\nRUN true\n").hint().is_some_and(|h| h.contains("no shell")));
    assert!(error("FROM BASE\nRUN [\"/no/such\"]\n").to_string().contains("the image has no program `/no/such`"));
    assert_eq!(error("FROM BASE\nRUN nosuch\n").exit_code(), Some(127));
}

fn cancelled() {
    let world = World::new();
    let options = Options::default();
    let recorder = Recorder { cancel_at: Some(("started".into(), options.cancel.clone())), ..Recorder::default() };
    let begun = Instant::now();
    let err = world
        .build_watched("FROM BASE\nRUN touch /x\nRUN echo started; sleep 4712\n", &options, &recorder)
        .expect_err("cancelled");
    assert!(matches!(err, BuildError::Cancelled) && err.blame() == Blame::Cancelled, "{err}");
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert!(!running("4712"), "a process of the RUN is left");
    assert!(matches!(world.build_with("FROM BASE\nRUN true\n", &options), Err(BuildError::Cancelled)), "the flag stays");
}

fn timed_out() {
    let world = World::new();
    let limits = Limits { run_seconds: Some(1), ..Limits::default() };
    let err = world
        .build_with("FROM BASE\nRUN echo begun; sleep 4713\n", &Options { limits, ..Options::default() })
        .expect_err("too long");
    let BuildError::Step { cause, .. } = &err else { panic!("{err}") };
    let hit = LimitHit::Time { seconds: 1 };
    assert!(matches!(&**cause, StepError::LimitHit { hit: h, last_lines, .. } if *h == hit && last_lines == &["begun"]), "{err}");
    assert!(!running("4713"));
}

fn no_runtime() {
    let world = World::new();
    // A directory is no program; PATH is not searched for absolute names.
    let err = with_runtime(&world, "/nonexistent/crun");
    assert_eq!((err.blame(), err.kind()), (Blame::Site, "sandbox-runtime-missing"));
    let err = with_runtime(&world, "/bin/false");
    assert_eq!((err.blame(), err.kind()), (Blame::Site, "sandbox-runtime"), "it fails before there is a container: {err}");
}

fn with_runtime(world: &World, runtime: &str) -> BuildError {
    use dockerfile::{PlanOptions, parse, plan};
    use image_build::{BuildRequest, CancelFlag, NoHooks, SandboxOptions, build};
    let file = parse(format!("FROM {}\nRUN true\n", crate::world::BASE).as_bytes(), "Dockerfile").expect("a Dockerfile");
    let platform = format!("linux/{}", build_model::Arch::host().oci()).parse().expect("platform");
    let plan = plan(&file, &PlanOptions { target: None, build_args: Default::default(), platform }).expect("a plan");
    let sandbox = SandboxOptions::new(runtime);
    let result = build(&BuildRequest {
        arch: &build_model::Arch::host(),
        plan: &plan,
        context: &world.context(),
        ignore: None,
        dockerfile_name: "Dockerfile",
        store: &world.store,
        work_dir: &world.dir.path().join("work"),
        images: &world.images,
        remote: None,
        labels: &Default::default(),
        source_date_epoch: 0,
        squash: false,
        use_cache: false,
        compression: image_layers::Compression::None,
        format: image_layers::ManifestFormat::Oci,
        file_digests: &[],
        layer_follower: None,
        sandbox: &sandbox,
        run_hooks: &NoHooks,
        progress: &image_build::Silent,
        cancel: &CancelFlag::new(),
        cache_salt: "",
    });
    world.assert_nothing_left();
    result.expect_err("no runtime")
}
