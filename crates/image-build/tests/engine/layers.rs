//! Layers: the same every time, empty ones left out, squashed, cached.

use image_layers::MergedView;

use crate::world::{EPOCH, Options, Recorder, World, paths, text, view};

pub const TESTS: &[crate::Test] = &[
    ("layers::the_same_build_gives_the_same_digest", reproducible),
    ("layers::steps_without_changes_make_no_layer", empty),
    ("layers::squash_makes_one_layer_of_all_steps", squash),
    ("layers::unchanged_steps_come_from_the_cache", cache),
    ("layers::a_failed_build_leaves_its_finished_steps_in_the_cache", cache_after_failure),
    ("layers::fifty_steps_are_no_problem", many),
];

const DOCKERFILE: &str = "FROM BASE AS lib\nRUN mkdir /out && echo lib > /out/lib && ln /out/lib /out/hard && ln -s lib /out/soft\n\
     FROM BASE\nCOPY --chown=app src /srv\nCOPY --from=lib /out /usr/lib/out\nWORKDIR /var/lib/x\nENV a=b\nRUN rm /etc/motd && touch /etc/new && mkdir -p /d/e/f\n";

fn reproducible() {
    let digest = |labels: &[(&str, &str)]| {
        let world = World::new();
        world.write("src/one", "1");
        world.write("src/two/three", "3");
        let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let built = world.build_with(DOCKERFILE, &Options { labels, ..Options::default() }).expect("build");
        assert_eq!(built.image.config.created.as_deref(), Some("2023-11-14T22:13:20Z"));
        let late = |path: &str| {
            std::os::unix::fs::MetadataExt::mtime(&std::fs::metadata(view(&built).lookup(path).expect("path")).expect("metadata"))
        };
        assert!(late("/etc/new") > EPOCH, "the test proves nothing if files are not newer than the date");
        built.image.manifest_digest
    };
    let first = digest(&[]);
    // Another time of the clock, so that a time that slipped through shows.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(digest(&[]), first);
    assert_ne!(digest(&[("a", "b")]), first);
}

fn empty() {
    let world = World::new();
    world.write("same", "x");
    // chmod to the same mode and back copies files up without changing them.
    let built = world.build("FROM BASE\nRUN true\nRUN chmod 600 /etc/motd && chmod 644 /etc/motd\nRUN touch /tmp/x && rm /tmp/x\nCOPY none* /\nENV a=b\nRUN echo 1 > /one\n");
    let layers: Vec<bool> = built.image.config.history.iter().map(|h| h.empty_layer).collect();
    let text_of = |i: usize| built.image.config.history[i].created_by.clone().expect("text");
    assert!(layers[0] && text_of(0) == "RUN true", "{layers:?}");
    assert_eq!(layers.last(), Some(&false));
    assert_eq!(built.image.layers().len(), 1 + built.new_layers);
    assert_eq!(layers.iter().filter(|e| !**e).count(), built.new_layers);
    assert!(built.image.config.history.iter().any(|h| h.empty_layer && h.created_by.as_deref() == Some("ENV a=b")));
}

fn squash() {
    let world = World::new();
    let dockerfile = "FROM BASE AS low\nRUN rm /etc/motd && mkdir /d && echo 1 > /d/one && echo x > /gone\nFROM low\n\
         RUN rm /gone && echo 2 > /d/two && echo back > /etc/motd && rm -r /home\nRUN mkdir /home && echo h > /home/h && rm /d/one\n";
    let squashed = world.build_with(dockerfile, &Options { squash: true, ..Options::default() }).expect("build");
    let plain = world.build(dockerfile);
    assert_eq!((squashed.new_layers, plain.new_layers), (1, 3));
    assert_eq!(squashed.image.config.history.iter().filter(|h| !h.empty_layer).count(), 1);
    for built in [&squashed, &plain] {
        assert_eq!(
            (text(built, "/etc/motd"), text(built, "/d/two"), text(built, "/home/h")),
            ("back\n".into(), "2\n".into(), "h\n".into())
        );
        for gone in ["/gone", "/d/one", "/home/app"] {
            assert!(view(built).lookup(gone).is_none(), "{gone}");
        }
    }
    // What unpacks from the packed blob is the same as what was built.
    let fresh = World::new();
    let layers = fresh_unpack(&fresh, &world, &squashed.image);
    assert!(layers.lookup("/home/app").is_none() && layers.lookup("/home/h").is_some());
    assert_eq!(layers.read("/etc/motd", 100).expect("read").as_deref(), Some(&b"back\n"[..]));
}

/// Unpacks an image of one world in the store of another.
fn fresh_unpack(fresh: &World, from: &World, image: &image_layers::LocalImage) -> MergedView {
    for layer in image.layers() {
        let bytes = std::fs::read(from.store.blob_path(&layer.digest)).expect("blob");
        fresh.store.put_blob(&bytes).expect("put");
    }
    let layers = fresh.store.unpack_image(image, &image_layers::UnpackLimits::default()).expect("unpack");
    MergedView::new(layers.into_iter().rev().map(|l| l.dir).collect())
}

fn cache() {
    let world = World::new();
    world.write("file", "1");
    let dockerfile = "FROM BASE\nWORKDIR /w\nRUN echo ran >> /w/log\nCOPY file /w/\nRUN cat file >> log\n";
    let run = |salt: &str| {
        let recorder = Recorder::default();
        let options = Options { use_cache: true, salt: salt.into(), ..Options::default() };
        let built = world.build_watched(dockerfile, &options, &recorder).expect("build");
        (built.image.manifest_digest.clone(), recorder.cached(), text(&built, "/w/log"))
    };
    let first = run("");
    assert!(first.1.is_empty());
    let second = run("");
    assert_eq!(second.1, ["WORKDIR /w", "RUN echo ran >> /w/log", "COPY file /w/", "RUN cat file >> log"]);
    assert_eq!((&second.0, &second.2), (&first.0, &first.2));
    world.write("file", "2");
    let third = run("");
    assert_eq!((third.1, third.2.as_str()), (vec!["WORKDIR /w".to_owned(), "RUN echo ran >> /w/log".to_owned()], "ran\n2"));
    assert!(run("another state of the repositories").1.is_empty());
    // Without the cache nothing is taken from it.
    let recorder = Recorder::default();
    let built = world.build_watched(dockerfile, &Options::default(), &recorder).expect("build");
    assert!(recorder.cached().is_empty() && paths(&built, 0) == ["w"]);
}

fn cache_after_failure() {
    let world = World::new();
    let options = || Options { use_cache: true, ..Options::default() };
    let err = world.build_with("FROM BASE\nRUN echo 1 > /one\nRUN exit 5\n", &options()).expect_err("fails");
    assert_eq!(err.exit_code(), Some(5));
    let recorder = Recorder::default();
    let built = world.build_watched("FROM BASE\nRUN echo 1 > /one\nRUN exit 0\n", &options(), &recorder).expect("build");
    assert_eq!(recorder.cached(), ["RUN echo 1 > /one"]);
    assert_eq!(text(&built, "/one"), "1\n");
}

fn many() {
    let world = World::new();
    let mut dockerfile = "FROM BASE\n".to_owned();
    (0..50).for_each(|n| dockerfile.push_str(&format!("RUN echo {n} > /etc/f{n}\n")));
    let built = world.build(&dockerfile);
    assert_eq!((built.new_layers, text(&built, "/etc/f49").as_str()), (50, "49\n"));
}
