//! ADD of URLs and git repositories: what becomes of what a fetcher brings. Real servers: `tests/differential/test_remote.py`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use build_model::{Blame, BoxedDiagnose, Diagnose};
use dockerfile::GitSource;
use image_build::{BuildError, FetchedTree, RemoteFetcher, StepError};

use crate::world::{Options, Recorder, World, paths, text, view};

pub const TESTS: &[crate::Test] = &[
    ("remote::files_have_their_name_time_and_a_closed_mode", files),
    ("remote::repositories_are_added_as_trees", repositories),
    ("remote::archives_are_unpacked_on_demand", archives),
    ("remote::a_checksum_is_held_to", checksums),
    ("remote::the_cache_knows_content_by_its_digest", cache),
    ("remote::failures_keep_their_blame", failures),
];

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const HELLO: &str = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

/// A network of a few files, which remembers what was asked for.
#[derive(Default)]
struct Web {
    files: Mutex<BTreeMap<String, Vec<u8>>>,
    asked: Mutex<Vec<String>>,
}

#[derive(Debug, thiserror::Error)]
#[error("the server is on fire")]
struct OnFire;

impl Diagnose for OnFire {
    fn blame(&self) -> Blame {
        Blame::Site
    }
    fn kind(&self) -> &'static str {
        "on-fire"
    }
    fn is_transient(&self) -> bool {
        true
    }
}

impl RemoteFetcher for Web {
    fn file(&self, url: &str, into: &Path) -> Result<Option<i64>, BoxedDiagnose> {
        self.asked.lock().expect("lock").push(url.to_owned());
        let files = self.files.lock().expect("lock");
        let content = files.get(url).ok_or(OnFire)?;
        fs::write(into, content).expect("write");
        Ok(Some(1_000_000))
    }

    fn repository(&self, source: &GitSource, keep_git_dir: bool, into: &Path) -> Result<FetchedTree, BoxedDiagnose> {
        let asked = format!("{} {:?} {} {keep_git_dir}", source.remote, source.revision, source.subdir);
        self.asked.lock().expect("lock").push(asked);
        fs::create_dir_all(into.join("docs")).expect("mkdir");
        fs::write(into.join("docs/a.md"), "a").expect("write");
        fs::write(into.join("b.txt"), "b").expect("write");
        Ok(FetchedTree { root: into.join(&source.subdir), commit: COMMIT.to_owned(), tag: Some("ab".repeat(20)) })
    }
}

impl Web {
    fn with(files: &[(&str, &[u8])]) -> Arc<Self> {
        let files = files.iter().map(|(url, content)| ((*url).to_owned(), content.to_vec())).collect();
        Arc::new(Self { files: Mutex::new(files), asked: Mutex::default() })
    }

    fn asked(&self) -> usize {
        self.asked.lock().expect("lock").len()
    }
}

fn with(web: &Arc<Web>) -> Options {
    let remote: Arc<dyn RemoteFetcher> = web.clone();
    Options { remote: Some(remote), ..Options::default() }
}

fn look(built: &image_build::BuiltImage, path: &str) -> (u32, u32, i64) {
    let path = view(built).lookup(path).unwrap_or_else(|| panic!("no {path}"));
    let metadata = fs::symlink_metadata(path).expect("metadata");
    (metadata.uid(), metadata.mode() & 0o7777, metadata.mtime())
}

fn files() {
    let world = World::new();
    world.write("local", "local");
    let web = Web::with(&[("http://h/a/x.txt?v=1", b"hello"), ("http://h", b"root")]);
    let built = world.build_with(
        "FROM BASE\nARG host=http://h\nADD $host/a/x.txt?v=1 /one/\nADD http://h/a/x.txt?v=1 /two\n\
         ADD --chown=app --chmod=644 http://h/a/x.txt?v=1 local /three/\nADD http://h /four\n",
        &with(&web),
    );
    let built = built.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((look(&built, "/one/x.txt"), look(&built, "/two")), ((0, 0o600, 1_000_000), (0, 0o600, 1_000_000)));
    assert_eq!((look(&built, "/three/x.txt"), text(&built, "/three/local")), ((1000, 0o644, 1_000_000), "local".to_owned()));
    assert_eq!((text(&built, "/two"), text(&built, "/four")), ("hello".to_owned(), "root".to_owned()));
    let err = world.build_with("FROM BASE\nADD http://h /dir/\n", &with(&web)).expect_err("no name");
    assert!(err.to_string().contains("names no file"), "{err}");
    let err = world.build_with("FROM BASE\nARG from=http://h/a\nCOPY $from /x\n", &with(&web)).expect_err("COPY");
    assert!(err.to_string().contains("which COPY does not fetch"), "{err}");
}

fn repositories() {
    let world = World::new();
    let web = Web::with(&[]);
    let options = Options { ignore: Some("docs\n".to_owned()), ..with(&web) };
    let built = world.build_with(
        "FROM BASE\nADD https://h/r.git#v1 /all\nADD --exclude=*.txt git@h:r.git /some/\nADD https://h/r.git?subdir=docs /docs/\n\
         ADD --keep-git-dir=true https://h/r.git#v1 /kept\n",
        &options,
    );
    let built = built.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(paths(&built, 0), ["all", "all/b.txt", "all/docs", "all/docs/a.md"], ".dockerignore is about the context");
    assert_eq!(paths(&built, 1), ["some", "some/docs", "some/docs/a.md"]);
    assert_eq!(paths(&built, 2), ["docs", "docs/a.md"]);
    let asked = web.asked.lock().expect("lock").clone();
    assert_eq!(asked[0], "https://h/r.git Some(\"v1\")  false");
    assert_eq!(asked[1..], ["git@h:r.git None  false", "https://h/r.git None docs false", "https://h/r.git Some(\"v1\")  true"]);
}

fn archives() {
    let world = World::new();
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(5);
    header.set_mode(0o640);
    builder.append_data(&mut header, "in/file", &b"hello"[..]).expect("append");
    let web = Web::with(&[("http://h/x.tar", &builder.into_inner().expect("tar")), ("http://h/x.txt", b"text")]);
    let built = world.build_with("FROM scratch\nADD http://h/x.tar /a/\nADD --unpack http://h/x.tar /b\n", &with(&web));
    let built = built.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(
        (paths(&built, 0), paths(&built, 1).last().cloned()),
        (vec!["a".into(), "a/x.tar".into()], Some("b/in/file".into()))
    );
    let err = world.build_with("FROM scratch\nADD --unpack=true http://h/x.txt /a/\n", &with(&web)).expect_err("no archive");
    assert!(err.to_string().contains("is not an archive"), "{err}");
}

fn checksums() {
    let world = World::new();
    let web = Web::with(&[("http://h/x", b"hello")]);
    let build = |line: &str| world.build_with(&format!("FROM scratch\nARG sum={HELLO}\nARG none\n{line}\n"), &with(&web));
    for right in [
        "ADD --checksum=$sum http://h/x /x",
        "ADD --checksum=$none http://h/x /x",
        "ADD --checksum=0123 https://h/r.git /x",
        "ADD --checksum=abab https://h/r.git#v1 /x",
        "ADD https://h/r.git?commit=0123#v1 /x",
    ] {
        build(right).unwrap_or_else(|e| panic!("{right}: {e}"));
    }
    let wrong = HELLO.replace("2cf2", "0000");
    for (line, kind) in [
        (format!("ADD --checksum={wrong} http://h/x /x"), "add-checksum-differs"),
        ("ADD --checksum=ffff https://h/r.git /x".to_owned(), "add-checksum-differs"),
        ("ADD --checksum=md5:$sum http://h/x /x".to_owned(), "add-checksum"),
        ("ARG here=x\nADD --checksum=$sum $here /x".to_owned(), "add-checksum"),
    ] {
        let err = build(&line).expect_err("wrong");
        assert_eq!((err.kind(), err.blame()), (kind, Blame::Packager), "{line}: {err}");
    }
}

fn cache() {
    let world = World::new();
    let web = Web::with(&[("http://h/x", b"hello")]);
    let options = Options { use_cache: true, ..with(&web) };
    let cached = |line: &str| {
        let recorder = Recorder::default();
        let before = web.asked();
        let built = world.build_watched(&format!("FROM BASE\n{line}\n"), &options, &recorder).unwrap_or_else(|e| panic!("{e}"));
        (text(&built, "/x"), !recorder.cached().is_empty(), web.asked() - before)
    };
    assert_eq!(cached("ADD http://h/x /x"), ("hello".to_owned(), false, 1));
    assert_eq!(cached("ADD http://h/x /x"), ("hello".to_owned(), true, 1), "only its content tells that it is the same");
    assert_eq!(cached(&format!("ADD --checksum={HELLO} http://h/x /x")), ("hello".to_owned(), true, 0), "that is known here");
    web.files.lock().expect("lock").insert("http://h/x".to_owned(), b"other".to_vec());
    assert_eq!(cached("ADD http://h/x /x"), ("other".to_owned(), false, 1));

    let cached = |source: &str| {
        let recorder = Recorder::default();
        let before = web.asked();
        world.build_watched(&format!("FROM BASE\nADD {source} /r\n"), &options, &recorder).unwrap_or_else(|e| panic!("{e}"));
        (!recorder.cached().is_empty(), web.asked() - before)
    };
    assert_eq!(cached("https://h/r.git#main"), (false, 1));
    assert_eq!(cached("https://h/r.git#v1"), (true, 1), "the same commit by another name");
    assert_eq!(cached(&format!("https://h/r.git#{COMMIT}")), (true, 0));
    assert_eq!(cached(&format!("https://h/r.git#{COMMIT}:docs")), (false, 1));
}

fn failures() {
    let world = World::new();
    let web = Web::with(&[]);
    let err = world.build_with("FROM scratch\nADD http://h/x /x\n", &with(&web)).expect_err("on fire");
    assert_eq!((err.blame(), err.kind(), err.is_transient()), (Blame::Site, "on-fire", true));
    assert!(err.to_string().starts_with("Dockerfile:2: cannot fetch http://h/x: the server is on fire"), "{err}");
    let BuildError::Step { cause, .. } = &err else { panic!("{err:?}") };
    assert!(matches!(**cause, StepError::Remote(_)));

    let options = with(&web);
    options.cancel.cancel();
    assert!(matches!(world.build_with("FROM scratch\nADD http://h/x /x\n", &options), Err(BuildError::Cancelled)));
}
