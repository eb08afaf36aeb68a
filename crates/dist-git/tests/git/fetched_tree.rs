//! Repositories that an ADD names, from a real `git daemon`.

use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;

use crate::support::{Daemon, Upstream};
use build_model::{Blame, Diagnose as _};
use dist_git::{DistGitError, FetchedFiles, TreeRequest, fetch_tree};

/// 2024-05-06T07:08:09Z, the time of every commit here.
const COMMITTED: i64 = 1_714_979_289;

async fn fetched(daemon: &Daemon, dest: &Path, change: impl FnOnce(&mut TreeRequest<'_>)) -> Result<FetchedFiles, DistGitError> {
    let url = format!("git://127.0.0.1:{}/container/web", daemon.port);
    let mut request = TreeRequest {
        url: &url,
        transport: "git",
        revision: None,
        subdir: "",
        keep_git_dir: false,
        without_submodules: false,
        file_limit: 1 << 30,
        ssh_agent: None,
        authorization: None,
    };
    change(&mut request);
    fetch_tree(&request, dest, &|_| ()).await
}

fn upstream() -> (Upstream, String) {
    let upstream = Upstream::new();
    upstream.write("docs/read.me", "read me\n");
    upstream.write("tool", "#!/bin/sh\n");
    std::fs::set_permissions(upstream.path.join("tool"), std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("chmod");
    symlink("docs/read.me", upstream.path.join("link")).expect("symlink");
    let first = upstream.commit("first");
    upstream.git(&["tag", "-a", "v1", "-m", "one"]);
    upstream.write("late", "late\n");
    upstream.commit("second");
    (upstream, first)
}

#[tokio::test]
async fn a_tag_gives_its_commits_files_with_the_commits_time() {
    let (upstream, first) = upstream();
    let tag = upstream.git(&["rev-parse", "refs/tags/v1"]);
    let daemon = upstream.serve();
    let dest = tempfile::tempdir().expect("a directory");
    let files = fetched(&daemon, dest.path(), |request| request.revision = Some("v1")).await.expect("fetched");
    assert_eq!((files.commit, files.tag), (first, Some(tag)));
    let look = |path: &str| files.root.join(path).symlink_metadata().expect("metadata");
    assert_eq!((look("tool").mode() & 0o7777, look("docs/read.me").mode() & 0o7777), (0o755, 0o644));
    for path in ["", "tool", "docs", "docs/read.me", "link"] {
        assert_eq!(look(path).mtime(), COMMITTED, "{path}");
    }
    assert!(!files.root.join("late").exists() && !files.root.join(".git").exists());
}

#[tokio::test]
async fn without_a_revision_it_is_the_newest_commit_of_the_servers_branch() {
    let (upstream, _) = upstream();
    let daemon = upstream.serve();
    let dest = tempfile::tempdir().expect("a directory");
    let files = fetched(&daemon, dest.path(), |request| request.subdir = "docs").await.expect("fetched");
    assert_eq!((files.commit, files.tag), (upstream.git(&["rev-parse", "HEAD"]), None));
    assert_eq!(std::fs::read_dir(files.root).expect("list").count(), 1);
}

#[tokio::test]
async fn any_ref_can_be_named() {
    let (upstream, first) = upstream();
    upstream.git(&["update-ref", "refs/pull/7/head", &first]);
    let daemon = upstream.serve();
    let dest = tempfile::tempdir().expect("a directory");
    let files = fetched(&daemon, dest.path(), |request| request.revision = Some("refs/pull/7/head")).await.expect("fetched");
    assert_eq!(files.commit, first);
}

#[tokio::test]
async fn a_kept_git_directory_works_and_is_the_same_every_time() {
    let (upstream, first) = upstream();
    let daemon = upstream.serve();
    let mut indexes = Vec::new();
    for _ in 0..2 {
        let dest = tempfile::tempdir().expect("a directory");
        let keep = |request: &mut TreeRequest<'_>| (request.keep_git_dir, request.revision) = (true, Some("v1"));
        let files = fetched(&daemon, dest.path(), keep).await.expect("fetched");
        let git = |args: &[&str]| {
            let output = std::process::Command::new("git").arg("-C").arg(&files.root).args(args).output().expect("git");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).expect("text").trim().to_owned()
        };
        indexes.push(std::fs::read(files.root.join(".git/index")).expect("index"));
        assert_eq!((git(&["rev-parse", "HEAD"]), git(&["status", "--porcelain"])), (first.clone(), String::new()));
        assert!(git(&["remote", "get-url", "origin"]).starts_with("git://127.0.0.1:"));
        assert_eq!(std::fs::read_dir(dest.path()).expect("list").count(), 1, "nothing but the files is left");
    }
    assert_eq!(indexes[0], indexes[1]);
}

/// `container/web` with the submodule `docs/lib` (`../lib`), which has `inner` by its whole address.
fn with_submodules(daemon: impl Fn(&Upstream) -> Daemon) -> (Upstream, Daemon, String) {
    let (upstream, _) = upstream();
    let daemon = daemon(&upstream);
    let git = &upstream;
    let repository = move |name: &str| {
        let path = git.root.path().join("container").join(name);
        let shown = path.display().to_string();
        let run = move |args: &[&str]| drop(git.git(&[&["-C", &shown], args].concat()));
        std::fs::create_dir_all(&path).expect("made");
        run(&["init", "--quiet", "--initial-branch=main"]);
        std::fs::write(path.join("file"), name).expect("written");
        run(&["add", "--all"]);
        run(&["commit", "--quiet", "-m", name]);
        run
    };
    let from = |name: &str| git.root.path().join("container").join(name).display().to_string();
    drop(repository("inner"));
    let lib = repository("lib");
    lib(&["submodule", "--quiet", "add", &from("inner"), "inner"]);
    let inner_url = format!("git://127.0.0.1:{}/container/inner", daemon.port);
    lib(&["config", "--file", ".gitmodules", "submodule.inner.url", &inner_url]);
    lib(&["commit", "--quiet", "-a", "-m", "inner"]);
    upstream.git(&["submodule", "--quiet", "add", &from("lib"), "docs/lib"]);
    upstream.git(&["config", "--file", ".gitmodules", "submodule.docs/lib.url", "../lib"]);
    let commit = upstream.commit("with a submodule");
    // What the submodule's server has later is not what the commit names.
    std::fs::write(upstream.root.path().join("container/lib/late"), "late").expect("written");
    lib(&["add", "--all"]);
    lib(&["commit", "--quiet", "-m", "late"]);
    drop(lib);
    (upstream, daemon, commit)
}

#[tokio::test]
async fn submodules_and_theirs_are_in_their_places_at_their_commits() {
    let (_upstream, daemon, commit) = with_submodules(Upstream::serve);
    for (subdir, lib) in [("", "docs/lib"), ("docs", "lib"), ("docs/lib", "")] {
        let dest = tempfile::tempdir().expect("a directory");
        let files = fetched(&daemon, dest.path(), |request| request.subdir = subdir).await.expect("fetched");
        assert_eq!(files.commit, commit, "not the submodule's");
        let lib = files.root.join(lib);
        let text = |path: &str| std::fs::read_to_string(lib.join(path)).expect("the file");
        assert_eq!((text("file"), text("inner/file")), ("lib".to_owned(), "inner".to_owned()));
        assert!(!lib.join("late").exists() && !lib.join(".git").exists());
        assert_eq!(lib.join("inner").symlink_metadata().expect("metadata").mtime(), COMMITTED);
        assert_eq!(std::fs::read_dir(dest.path()).expect("list").count(), 1, "nothing but the files is left");
    }
}

#[tokio::test]
async fn submodules_are_left_out_where_that_is_asked_for_or_they_are_elsewhere() {
    let (upstream, daemon, _) = with_submodules(Upstream::serve);
    let dest = || tempfile::tempdir().expect("a directory");
    let (first, second) = (dest(), dest());
    let files = fetched(&daemon, first.path(), |request| request.without_submodules = true).await.expect("without");
    assert_eq!(std::fs::read_dir(files.root.join("docs/lib")).expect("list").count(), 0);
    upstream.write("plain/x", "x");
    upstream.git(&["config", "--file", ".gitmodules", "submodule.docs/lib.url", "../gone"]);
    upstream.commit("a directory without");
    fetched(&daemon, second.path(), |request| request.subdir = "plain").await.expect("elsewhere");
}

#[tokio::test]
async fn a_submodule_that_cannot_be_had_is_named_and_nothing_is_left() {
    let (upstream, daemon, _) = with_submodules(Upstream::serve);
    for (url, told) in
        [("../gone", "in the submodule `docs/lib`"), ("file:///srv/git/lib", "the submodule `docs/lib` has an address")]
    {
        upstream.git(&["config", "--file", ".gitmodules", "submodule.docs/lib.url", url]);
        upstream.commit(url);
        let dest = tempfile::tempdir().expect("a directory");
        let err = fetched(&daemon, dest.path(), |_| ()).await.expect_err("no such place");
        assert!(err.to_string().starts_with(told), "{err}");
        assert_eq!(err.blame(), Blame::Packager);
        assert_eq!(std::fs::read_dir(dest.path()).expect("list").count(), 0);
    }
}

#[tokio::test]
async fn nothing_larger_than_the_limit_is_written() {
    let upstream = Upstream::new();
    // Content that does not compress, and would be a file in the tree besides.
    let noise: String = (0..200_000_u64).map(|n| format!("{:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
    upstream.write("noise", &noise);
    upstream.commit("noise");
    let daemon = upstream.serve();
    let dest = tempfile::tempdir().expect("a directory");
    let err = fetched(&daemon, dest.path(), |request| request.file_limit = 1 << 20).await.expect_err("too large");
    assert!(matches!(err, DistGitError::TooLarge { limit: 1_048_576, .. }), "{err}");
    assert_eq!(std::fs::read_dir(dest.path()).expect("list").count(), 0, "nothing is left");
}
