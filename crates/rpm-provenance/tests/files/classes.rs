//! Every path of a new layer has a class, and one only.

use std::fs;
use std::os::unix::fs::symlink;

use rpm_provenance::files::{Class, Code, CommitContents, LayerDigests, LayerSource, PackedDigests};
use sha2::Digest as _;

use crate::image::{Image, class, write};
use crate::support::run;

#[test]
fn every_path_of_a_new_layer_has_its_class() {
    let mut image = Image::new();
    let commit = image.dir.path().join("commit");
    write(&commit, "page/index.html", "<p>hello", 0o644);
    let layer = image.layer();
    write(&layer, "usr/share/web/file", "content\n", 0o644); // copied up, unchanged
    write(&layer, "usr/share/tool/file", "other", 0o600);
    write(&layer, "srv/index.html", "<p>hello", 0o644);
    write(&layer, "srv/copy", "content\n", 0o644);
    write(&layer, "srv/made", "made", 0o644);
    write(&layer, "srv/run", "made", 0o755);
    write(&layer, "srv/picture.png", "\x7fELF", 0o644);
    write(&layer, "srv/empty", "", 0o755);
    write(&layer, "etc/ld.so.cache", &format!("glibc-ld.so.cache1.1{}", "\0".repeat(28)), 0o644);
    write(&layer, "usr/lib/locale/locale-archive", "no locales", 0o644);
    write(&layer, "var/cache/dnf/x", "#!/bin/sh", 0o644);
    symlink("/srv/run", layer.join("srv/link")).unwrap();
    let account = image.account(LayerSource::Any, Some(&commit));
    assert_eq!(class(&account, "/usr/share/tool/file"), (Class::Altered, Code::None));
    assert_eq!(class(&account, "/srv/index.html"), (Class::Commit, Code::None));
    assert_eq!(class(&account, "/srv/copy"), (Class::Copy, Code::None));
    assert_eq!(class(&account, "/srv/made"), (Class::Unexplained, Code::None));
    assert_eq!(class(&account, "/srv/run"), (Class::Unexplained, Code::Script));
    assert_eq!(class(&account, "/srv/picture.png"), (Class::Unexplained, Code::Binary));
    assert_eq!(class(&account, "/etc/ld.so.cache"), (Class::Generated, Code::None));
    assert_eq!(class(&account, "/usr/lib/locale/locale-archive").0, Class::Unexplained, "its program would not write that");
    assert_eq!(class(&account, "/var/cache/dnf/x"), (Class::Unexplained, Code::Script), "no pattern explains a program");
    assert_eq!(account.count(Class::Rpm).paths, 3, "the file and both directories: {account:#?}");
    assert_eq!((account.count(Class::Link).paths, account.count(Class::Empty).paths), (1, 1));
    assert_eq!(account.records[0].path, "/srv/picture.png", "programs are first");
    let altered = account.records.iter().find(|r| r.class == Class::Altered).unwrap();
    assert_eq!(
        (altered.differs.as_slice(), altered.owner.as_deref()),
        (&["size".into(), "mode".into()][..], Some("tool-1.0-1.noarch"))
    );
}

#[test]
fn a_file_that_was_hashed_when_it_was_packed_is_not_read_again() {
    let mut image = Image::new();
    let layer = image.layer();
    // Other bytes of the right length: only a reader would notice.
    write(&layer, "usr/share/web/file", "CONTENT\n", 0o644);
    assert_eq!(class(&image.account(LayerSource::Any, None), "/usr/share/web/file").0, Class::Altered);
    let mut packed = PackedDigests::default();
    packed.insert(b"usr/share/web/file", 8, sha2::Sha256::digest(b"content\n").into());
    image.digests = vec![LayerDigests::Packed(packed)];
    let account = image.account(LayerSource::Any, None);
    assert!(account.records.iter().all(|r| r.class != Class::Altered), "{:#?}", account.records);
    // of another size it is another file
    write(&layer, "usr/share/web/file", "content and more\n", 0o644);
    assert_eq!(class(&image.account(LayerSource::Any, None), "/usr/share/web/file").0, Class::Altered);
}

#[test]
fn what_a_stage_or_the_commit_brought_is_known_by_its_layer_but_programs_of_a_stage_are_not() {
    let mut image = Image::new();
    let layer = image.layer();
    write(&layer, "srv/data", "data", 0o644);
    write(&layer, "srv/run", "#!/bin/sh", 0o755);
    let account = image.account(LayerSource::Stage("make".into()), None);
    assert_eq!(class(&account, "/srv/data"), (Class::Stage, Code::None));
    assert_eq!(class(&account, "/srv/run"), (Class::Unexplained, Code::Script));
    assert_eq!(class(&image.account(LayerSource::Commit, None), "/srv/run"), (Class::Commit, Code::Script));
}

/// Whoever verifies an image has its own history for what made which layer.
#[test]
fn what_a_layer_is_only_said_to_hold_of_the_commit_must_be_there() {
    let mut image = Image::new();
    let commit = image.dir.path().join("commit");
    write(&commit, "run", "#!/bin/sh\n", 0o755);
    let layer = image.layer();
    write(&layer, "srv/run", "#!/bin/sh\n", 0o755);
    write(&layer, "srv/member", "of an archive", 0o644);
    write(&layer, "srv/text", "exec /srv/app\n", 0o755);
    write(&layer, "srv/other", "exec /srv/app; evil\n", 0o755);
    write(&layer, "srv/tool", "\x7fELF", 0o755);
    let mut contents = CommitContents::default();
    contents.add_file(13, sha2::Sha256::digest(b"of an archive").into());
    contents.add_text("exec $APP\n", true);
    let account = image.account(LayerSource::ClaimedCommit(std::sync::Arc::new(contents)), Some(&commit));
    for (path, expected) in [
        ("/srv/run", (Class::Commit, Code::Script)),
        ("/srv/member", (Class::Commit, Code::None)),
        ("/srv/text", (Class::Commit, Code::Script)),
        ("/srv/other", (Class::Unexplained, Code::Script)),
        ("/srv/tool", (Class::Unexplained, Code::Binary)),
    ] {
        assert_eq!(class(&account, path), expected, "{path}");
    }
    // A build knows, because it made the layer.
    assert_eq!(class(&image.account(LayerSource::Commit, Some(&commit)), "/srv/tool").0, Class::Commit);
}

#[test]
fn a_file_behind_a_directory_link_is_held_against_its_owner() {
    let mut image = Image::new();
    let layer = image.layer();
    // usr/share/web is replaced by a link to a copy with another file in it
    fs::create_dir_all(layer.join("usr/share")).unwrap();
    symlink("/opt/web", layer.join("usr/share/web")).unwrap();
    write(&layer, "opt/web/file", "foreign\n", 0o644);
    let account = image.account(LayerSource::Any, None);
    assert_eq!(class(&account, "/opt/web/file"), (Class::Altered, Code::None));
    assert_eq!(class(&account, "/usr/share/web").0, Class::Altered);
}

#[test]
fn deleted_files_are_found_through_whiteouts_and_opaque_directories() {
    let mut image = Image::new();
    let layer = image.layer();
    fs::create_dir_all(layer.join("usr/share/web")).unwrap();
    run(std::process::Command::new("mknod").arg(layer.join("usr/share/tool")).args(["c", "0", "0"]));
    let opaque = layer.join("usr/share/web");
    rustix::fs::lsetxattr(&opaque, "trusted.overlay.opaque", b"y", rustix::fs::XattrFlags::empty()).unwrap();
    let account = image.account(LayerSource::Any, None);
    for path in ["/usr/share/web/file", "/usr/share/tool/file", "/usr/share/tool"] {
        assert_eq!(class(&account, path).0, Class::Deleted, "{path}");
    }
    assert_eq!(account.count(Class::Deleted).paths, 3);
}

#[test]
fn what_a_later_layer_hides_is_counted_once_and_not_judged() {
    let mut image = Image::new();
    let (below, above) = (image.layer(), image.layer());
    write(&below, "srv/tool", "\x7fELF", 0o755);
    write(&below, "srv/gone", "\x7fELF", 0o755);
    write(&above, "srv/tool", "text", 0o644);
    run(std::process::Command::new("mknod").arg(above.join("srv/gone")).args(["c", "0", "0"]));
    let account = image.account(LayerSource::Any, None);
    assert_eq!((account.hidden, account.count(Class::Unexplained).paths, account.count(Class::Unexplained).programs), (2, 1, 0));
}

#[test]
fn what_lies_too_deep_to_be_looked_at_is_not_passed_over() {
    let mut image = Image::new();
    let layer = image.layer();
    // As deep as this machine's paths go, and one more: made as a container does, from within.
    let name = "d".repeat(250);
    let script =
        format!("cd {}; for n in $(seq 16); do mkdir {name}; cd -P {name} || exit 1; done; echo > {name}", layer.display());
    run(std::process::Command::new("sh").args(["-c", &script]));
    let account = image.account(LayerSource::Any, None);
    let deep: Vec<_> = account.records.iter().filter(|r| r.class == Class::Unexplained && r.code == Code::Binary).collect();
    assert_eq!(deep.len(), 1, "{:?}", account.records);
    assert!(deep[0].runs.as_deref().unwrap().contains("too long"));
}

#[test]
fn a_report_shows_characters_that_hide_others() {
    let mut image = Image::new();
    let layer = image.layer();
    write(&layer, "srv/innocent\u{202e}gnp.sh", "#!/bin/sh", 0o755);
    let account = image.account(LayerSource::Any, None);
    assert_eq!(class(&account, "/srv/innocent\\u{202e}gnp.sh"), (Class::Unexplained, Code::Script));
}

#[test]
fn forty_thousand_files_each_get_their_class() {
    let mut image = Image::new();
    let layer = image.layer();
    for n in 0..40_000 {
        let dir = layer.join(format!("srv/{}", n / 200));
        if n % 200 == 0 {
            fs::create_dir_all(&dir).unwrap();
        }
        // Of the size of an owned file, so that each must be hashed.
        fs::write(dir.join(n.to_string()), format!("{n:07}\n")).unwrap();
    }
    let account = image.account(LayerSource::Any, None);
    assert_eq!(account.count(Class::Unexplained).paths, 40_000);
}
