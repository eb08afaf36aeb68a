//! COPY, ADD and WORKDIR in real images.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use image_layers::ImageConfig;

use crate::world::{Options, World, paths, text, view};

pub const TESTS: &[crate::Test] = &[
    ("copy::owners_and_modes_are_as_asked", owners),
    ("copy::directories_that_are_new_and_that_are_there_get_the_same", directories),
    ("copy::ignored_files_are_not_there", ignored),
    ("copy::stages_and_images_are_sources", sources),
    ("copy::symlinks_never_lead_outside", breakout),
    ("copy::link_parents_exclude_and_heredocs", flags),
    ("copy::archives_are_unpacked_by_add_alone", archives),
    ("copy::remote_sources_are_refused", remote),
    ("copy::a_working_directory_belongs_to_its_user", workdir),
];

fn metadata(built: &image_build::BuiltImage, path: &str) -> fs::Metadata {
    let path = view(built).lookup(path).unwrap_or_else(|| panic!("no {path}"));
    fs::symlink_metadata(path).expect("metadata")
}

fn owner(built: &image_build::BuiltImage, path: &str) -> (u32, u32, u32) {
    let metadata = metadata(built, path);
    (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777)
}

fn owners() {
    let world = World::new();
    world.write("dir/file", "x");
    std::os::unix::fs::chown(world.context().join("dir/file"), Some(4), Some(5)).expect("chown");
    let built = world.build(
        "FROM BASE\nARG mode=u=rwX,go=\nCOPY dir /plain\nCOPY --chown=app dir /app\nCOPY --chown=app:wheel --chmod=$mode dir /mode\nCOPY --chown=7 --chmod=0600 dir/file /new/parent/file\n",
    );
    assert_eq!(owner(&built, "/plain/file"), (0, 0, 0o644));
    assert_eq!(owner(&built, "/app/file"), (1000, 1001, 0o644));
    assert_eq!(owner(&built, "/app"), (1000, 1001, 0o755));
    assert_eq!(owner(&built, "/mode/file"), (1000, 10, 0o600));
    assert_eq!(owner(&built, "/new/parent/file"), (7, 7, 0o600));
    // An octal --chmod is that of new parents too, as in BuildKit.
    assert_eq!(owner(&built, "/new"), (7, 7, 0o600));
    let err = world.build_with("FROM BASE\nCOPY --chown=ap dir /x\n", &Options::default()).expect_err("no such user");
    assert!(err.to_string().contains("the image has no user `ap`"), "{err}");
}

/// What is new is filled past the overlay; hard links lead from one kind to the other, and a later source finds it all.
fn directories() {
    let world = World::new();
    for (file, text) in [("one/old/first", "1"), ("one/gone/deep/file", "2"), ("two/new/deep/third", "3"), ("two/new/x", "4")] {
        world.write(file, text);
    }
    fs::create_dir_all(world.context().join("one/new/deep")).expect("mkdir");
    for name in ["new/second", "new/deep/third", "old/fourth"] {
        fs::hard_link(world.context().join("one/old/first"), world.context().join("one").join(name)).expect("link");
    }
    let built = world.build(
        "FROM BASE\nRUN mkdir -p /srv/old /srv/gone/deep && touch /srv/old/kept /srv/gone/deep/below\nRUN rm -r /srv/gone\n\
         COPY one two /srv/\n",
    );
    let texts = ["old/first", "old/fourth", "new/second", "gone/deep/file", "new/deep/third", "new/x", "old/kept"];
    assert_eq!(texts.map(|path| text(&built, &format!("/srv/{path}"))), ["1", "1", "1", "2", "3", "4", ""]);
    assert!(view(&built).lookup("/srv/gone/deep/below").is_none());
    let inodes = ["old/first", "old/fourth", "new/second"].map(|path| metadata(&built, &format!("/srv/{path}")).ino());
    assert!(inodes.iter().all(|inode| *inode == inodes[0]), "{inodes:?}");
    assert_eq!(metadata(&built, "/srv/new/deep/third").nlink(), 1);
}

fn ignored() {
    let world = World::new();
    for file in ["a.txt", "b.tmp", "sub/c.tmp", "sub/d.txt", "out/keep/e", "out/f"] {
        world.write(file, file);
    }
    let options = Options { ignore: Some("**/*.tmp\nout\n!out/keep\n".into()), ..Options::default() };
    let built = world.build_with("FROM scratch\nCOPY . /\n", &options).expect("build");
    assert_eq!(paths(&built, 0), ["a.txt", "out", "out/keep", "out/keep/e", "sub", "sub/d.txt"]);
    let err = world.build_with("FROM scratch\nCOPY b.tmp /\n", &options).expect_err("ignored");
    assert!(err.to_string().starts_with("Dockerfile:2: there is no `b.tmp` in the build context"), "{err}");
    assert!(build_model::Diagnose::hint(&err).is_some_and(|h| h.contains(".dockerignore")));
}

fn sources() {
    let mut world = World::new();
    let other = world.dir.path().join("other");
    fs::create_dir(&other).expect("mkdir");
    fs::write(other.join("from-image"), "image\n").expect("write");
    std::os::unix::fs::chown(other.join("from-image"), Some(11), Some(12)).expect("chown");
    world.add_image("registry.example.org/other:2", &other, ImageConfig::default());
    let built = world.build(
        "FROM BASE AS one\nRUN echo 1 > /one && chown app:app /one\nFROM one AS two\nRUN echo 2 > /two && rm /etc/motd\nFROM BASE AS unused\nRUN exit 1\nFROM scratch\n\
         COPY --from=two /one /two /etc/passwd /in/\nCOPY --from=0 /one /zero\nCOPY --from=registry.example.org/other:2 /from-image /\n",
    );
    assert_eq!(
        (text(&built, "/in/one"), text(&built, "/in/two"), text(&built, "/from-image")),
        ("1\n".into(), "2\n".into(), "image\n".into())
    );
    assert_eq!((owner(&built, "/in/one"), owner(&built, "/from-image")), ((1000, 1001, 0o644), (11, 12, 0o644)));
    assert!(built.base.is_none() && built.new_layers == 3);
    let err =
        world.build_with("FROM BASE AS one\nRUN rm /etc/motd\nFROM scratch\nCOPY --from=one /etc/motd /\n", &Options::default());
    assert!(err.expect_err("removed").to_string().contains("no `etc/motd` in stage 0 (one)"));
}

fn breakout() {
    let world = World::new();
    let outside = tempfile::tempdir().expect("tempdir");
    fs::write(outside.path().join("secret"), "secret").expect("write");
    symlink(outside.path(), world.context().join("dir")).expect("symlink");
    symlink("/etc/passwd", world.context().join("file")).expect("symlink");
    world.write("plain", "plain");
    for source in ["dir/secret", "file", "../../../../etc/hostname"] {
        let err = world.build_with(&format!("FROM scratch\nCOPY {source} /x\n"), &Options::default()).expect_err(source);
        assert!(err.to_string().contains("there is no"), "{err}");
    }
    let text_of = format!(
        "FROM BASE\nRUN ln -s {0} /evil && ln -s {0}/file /evilfile\nCOPY plain /evil/\nCOPY plain /evilfile\n",
        outside.path().display()
    );
    world.build(&text_of);
    let names: Vec<_> = fs::read_dir(outside.path()).expect("list").flatten().map(|e| e.file_name()).collect();
    assert_eq!(names, ["secret"]);
}

fn flags() {
    let world = World::new();
    for file in ["p/q/r.txt", "p/q/s.o", "p/t.txt"] {
        world.write(file, file);
    }
    let built = world.build(
        "FROM BASE\nARG who=me\nCOPY --link p/t.txt /lib/linked\nCOPY --parents p/./q/*.txt /par/\nCOPY --exclude=q/*.o p /ex/\nCOPY <<one <<'two' /here/\n$who\none\n$who\ntwo\nCOPY --chmod=755 <<EOF /bin/tool\n#!/bin/sh\nEOF\n",
    );
    assert_eq!(paths(&built, 0), ["lib", "lib/linked"]);
    assert!(metadata(&built, "/lib").is_dir(), "--link replaces the symlink of the base");
    assert_eq!(paths(&built, 1), ["par", "par/q", "par/q/r.txt"]);
    assert_eq!(paths(&built, 2), ["ex", "ex/q", "ex/q/r.txt", "ex/t.txt"]);
    assert_eq!((text(&built, "/here/one"), text(&built, "/here/two")), ("me\n".into(), "$who\n".into()));
    assert_eq!(owner(&built, "/bin/tool"), (0, 0, 0o755));
}

fn archives() {
    let world = World::new();
    let mut builder = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    let mut header = tar::Header::new_gnu();
    header.set_size(5);
    header.set_mode(0o600);
    header.set_uid(21);
    header.set_gid(22);
    header.set_mtime(1_000_000);
    builder.append_data(&mut header, "in/file", &b"hello"[..]).expect("append");
    let bytes = builder.into_inner().expect("tar").finish().expect("gzip");
    fs::write(world.context().join("a.tar.gz"), bytes).expect("write");
    world.write("fake.tar", "no tar");
    let built = world.build("FROM scratch\nADD a.tar.gz fake.tar /x/\nADD --unpack=false a.tar.gz /y/\nCOPY a.tar.gz /z/\nADD --chown=3:4 a.tar.gz /w\n");
    assert_eq!(text(&built, "/x/in/file"), "hello");
    assert_eq!((owner(&built, "/x/in/file"), owner(&built, "/w/in/file")), ((21, 22, 0o600), (3, 4, 0o600)));
    assert_eq!((metadata(&built, "/x/in/file").mtime(), text(&built, "/x/fake.tar").as_str()), (1_000_000, "no tar"));
    assert!(metadata(&built, "/y/a.tar.gz").is_file() && metadata(&built, "/z/a.tar.gz").is_file());
    assert_eq!(owner(&built, "/z/a.tar.gz").0, 0);
}

fn remote() {
    let world = World::new();
    for url in ["https://example.org/x.tar", "git@example.org:a/b.git"] {
        let err = world.build_with(&format!("FROM scratch\nADD {url} /\n"), &Options::default()).expect_err(url);
        assert!(err.to_string().starts_with(&format!("Dockerfile:2: `{url}` is not in the build context")), "{err}");
    }
}

fn workdir() {
    let world = World::new();
    let built = world.build("FROM BASE\nUSER app\nWORKDIR /a/b\nWORKDIR ../c\nUSER root\nWORKDIR /etc\nRUN test -d /a/c\n");
    assert_eq!((owner(&built, "/a/b"), owner(&built, "/a/c")), ((1000, 1001, 0o755), (1000, 1001, 0o755)));
    assert_eq!(built.image.config.config.working_dir, "/etc");
    assert_eq!(built.new_layers, 2, "an existing directory makes no layer");
}
