//! The config of finished images: inheritance between stages, triggers, labels.

use std::collections::BTreeMap;

use image_layers::{ContainerConfig, ImageConfig};

use crate::world::{Options, Recorder, World, text};

pub const TESTS: &[crate::Test] = &[
    ("config::stages_inherit_and_labels_of_the_caller_win", inheritance),
    ("config::triggers_of_the_base_run_once", triggers),
    ("config::a_base_for_another_machine_is_refused", platform),
];

fn inheritance() {
    let world = World::new();
    let labels: BTreeMap<String, String> = [("release".to_owned(), "7".to_owned())].into();
    let built = world
        .build_with(
            "FROM scratch AS base\nENV a=1\nUSER app\nLABEL release=1 keep=yes\nCMD [\"x\"]\nEXPOSE 80\nFROM base\nENV b=$a\nENTRYPOINT [\"e\"]\n",
            &Options { labels, ..Options::default() },
        )
        .expect("build");
    let config = &built.image.config.config;
    assert_eq!(config.env[1..], ["a=1", "b=1"]);
    assert_eq!((config.user.as_str(), config.working_dir.as_str(), &config.cmd), ("app", "/", &None));
    assert_eq!((config.labels["release"].as_str(), config.labels["keep"].as_str()), ("7", "yes"));
    assert!(config.exposed_ports.contains("80/tcp") && built.new_layers == 0 && built.layer_dirs.is_empty());
    assert_eq!(built.image.config.history.len(), 7);
}

fn triggers() {
    let mut world = World::new();
    let root = world.dir.path().join("base");
    let on_build = vec!["RUN echo triggered > /trigger".to_owned(), "COPY --from=extra /made /from-extra".to_owned()];
    let config = ImageConfig { config: ContainerConfig { on_build, ..ContainerConfig::default() }, ..ImageConfig::default() };
    world.add_image("registry.example.org/onbuild:1", &root, config);
    let recorder = Recorder::default();
    // Nothing but the trigger needs the stage `extra`.
    let built = world
        .build_watched(
            "FROM BASE AS extra\nRUN echo made > /made\nFROM registry.example.org/onbuild:1\nRUN cat /trigger\nONBUILD RUN true\n",
            &Options::default(),
            &recorder,
        )
        .expect("build");
    assert_eq!(recorder.output(), ["triggered"]);
    assert_eq!(text(&built, "/from-extra"), "made\n");
    assert_eq!(built.image.config.config.on_build, ["RUN true"]);
}

fn platform() {
    let mut world = World::new();
    let mut foreign = world.images.0[crate::world::BASE].clone();
    foreign.config.architecture = "s390x".into();
    world.images.0.insert("registry.example.org/foreign:1".into(), foreign);
    let err = world.build_with("FROM registry.example.org/foreign:1\n", &Options::default()).expect_err("foreign");
    assert!(err.to_string().contains("is for linux/s390x, this build is for"), "{err}");
}
