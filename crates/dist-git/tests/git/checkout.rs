//! Checkouts from real repositories: what is found, what is fetched, and how failures are told apart.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Mutex;

use crate::support::{Upstream, url};
use build_model::{Blame, Diagnose as _};
use dist_git::{DistGitError, SourceTree, checkout};

/// Checks out into a fresh directory; gives the result, the directory and the log.
async fn run(
    url: &build_model::ScmUrl,
    branch: Option<&str>,
) -> (Result<SourceTree, DistGitError>, tempfile::TempDir, Vec<String>) {
    let dest = tempfile::tempdir().expect("a directory");
    let log = Mutex::new(Vec::new());
    let outcome = checkout(url, branch, dest.path(), &|line| log.lock().expect("log").push(line.to_owned())).await;
    (outcome, dest, log.into_inner().expect("log"))
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        std::fs::read_dir(dir).expect("readable").map(|e| e.expect("entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// main: two commits; f40: one more on top of the first.
fn two_branches() -> (Upstream, String, String, String) {
    let upstream = Upstream::new();
    upstream.write("Dockerfile", "FROM scratch\n");
    let first = upstream.commit("first");
    upstream.write("sub/Containerfile", "FROM scratch\n");
    let second = upstream.commit("second");
    upstream.git(&["checkout", "--quiet", "-b", "f40", &first]);
    upstream.write("f40", "");
    let third = upstream.commit("third");
    upstream.git(&["checkout", "--quiet", "main"]);
    (upstream, first, second, third)
}

#[tokio::test]
async fn a_commit_that_is_no_branch_tip_is_fetched_alone() {
    let (upstream, first, _, _) = two_branches();
    let daemon = upstream.serve();
    let (tree, dest, log) = run(&daemon.url(&format!("web#{first}")), None).await;
    let tree = tree.expect("checked out");
    assert_eq!(tree.commit, first);
    assert_eq!(tree.commit_time, 1_714_979_289);
    assert_eq!(names(&tree.root), ["Dockerfile"]);
    assert_eq!(tree.branches, Vec::<String>::new(), "it is nobody's newest commit, and no branch was named");
    assert_eq!(names(dest.path()), ["source"], "no git data is left");
    assert!(log.iter().any(|line| line.contains("--depth=1")), "{log:?}");
    assert!(!log.iter().any(|line| line.contains("refs/heads/*")), "{log:?}");
}

#[tokio::test]
async fn the_branch_asked_for_is_recorded_when_its_history_holds_the_commit() {
    let (upstream, first, second, _) = two_branches();
    let daemon = upstream.serve();
    let (tree, _dest, _) = run(&daemon.url(&format!("web#{first}")), Some("f40")).await;
    assert_eq!(tree.expect("checked out").branches, ["f40"]);
    let (tree, _dest, _) = run(&daemon.url(&format!("web#{second}")), Some("f40")).await;
    assert_eq!(tree.expect("checked out").branches, ["main"]);
    let (tree, _dest, _) = run(&daemon.url(&format!("web#{second}")), Some("gone")).await;
    assert_eq!(tree.expect("checked out").branches, ["main"]);
}

#[tokio::test]
async fn branches_and_tags_are_resolved_to_a_commit() {
    let (upstream, first, second, third) = two_branches();
    upstream.git(&["tag", "-a", "-m", "release", "v1", &first]);
    let tag_object = upstream.git(&["rev-parse", "v1"]);
    let daemon = upstream.serve();
    for (revision, commit) in [
        ("f40", &third),
        ("origin/f40", &third),
        ("main", &second),
        ("v1", &first),
        ("HEAD", &second),
        (tag_object.as_str(), &first),
    ] {
        let (tree, _dest, _) = run(&daemon.url(&format!("web#{revision}")), None).await;
        assert_eq!(&tree.expect(revision).commit, commit, "{revision}");
    }
    // pungi's spelling of the top directory
    let (tree, _dest, _) = run(&daemon.url("web?#f40"), None).await;
    assert_eq!(names(&tree.expect("checked out").root), ["Dockerfile", "f40"]);
}

#[tokio::test]
async fn servers_that_refuse_single_commits_give_their_branches() {
    let (upstream, first, second, third) = two_branches();
    let port = upstream.serve();
    let old = port.behind_old_server();
    let (tree, _dest, log) = run(&url(old, &format!("web#{first}")), None).await;
    assert_eq!(tree.expect("checked out").commit, first);
    assert!(log.iter().any(|line| line.contains("unadvertised object")), "the server was not an old one: {log:?}");
    assert!(log.iter().any(|line| line.contains("refs/heads/*")), "{log:?}");
    let (tree, _dest, log) = run(&url(old, &format!("web#{first}")), Some("main")).await;
    assert_eq!(tree.expect("checked out").branches, ["main"]);
    assert!(!log.iter().any(|line| line.contains("refs/heads/*")), "the branch was enough: {log:?}");
    for (revision, commit) in [("f40", &third), (second.as_str(), &second)] {
        let (tree, _dest, _) = run(&url(old, &format!("web#{revision}")), None).await;
        assert_eq!(&tree.expect(revision).commit, commit);
    }
    let (error, _dest, _) = run(&url(old, &format!("web#{}", "0123456789".repeat(4))), None).await;
    assert!(matches!(error, Err(DistGitError::RevisionNotFound { .. })), "{error:?}");
}

#[tokio::test]
async fn a_sha256_repository_is_checked_out() {
    let upstream = Upstream::with_format("sha256");
    upstream.write("Dockerfile", "FROM scratch\n");
    let commit = upstream.commit("first");
    let daemon = upstream.serve();
    for revision in [commit.as_str(), "main"] {
        let (tree, _dest, _) = run(&daemon.url(&format!("web#{revision}")), None).await;
        assert_eq!(tree.expect("checked out").commit, commit);
    }
}

#[tokio::test]
async fn what_is_missing_is_the_packagers_to_fix() {
    let (upstream, ..) = two_branches();
    let daemon = upstream.serve();
    let expect = |outcome: Result<SourceTree, DistGitError>, kind: &str, text: &str| {
        let error = outcome.expect_err(text);
        assert_eq!((error.kind(), error.blame(), error.is_transient()), (kind, Blame::Packager, false), "{error}");
        let whole = format!("{error} {}", error.hint().unwrap_or_default());
        assert!(whole.contains(text), "{whole}");
    };
    let (outcome, dest, _) = run(&daemon.url("nope#main"), None).await;
    expect(outcome, "scm-repository-not-found", "access denied or repository not exported");
    assert_eq!(names(dest.path()), Vec::<String>::new(), "nothing stays behind");
    let (outcome, dest, _) = run(&daemon.url(&format!("web#{}", "0123456789".repeat(4))), None).await;
    expect(outcome, "scm-revision-not-found", "push the commit");
    assert_eq!(names(dest.path()), Vec::<String>::new());
    expect(run(&daemon.url("web#mian"), None).await.0, "scm-revision-not-found", "did you mean `main`?");
    expect(run(&daemon.url("web#0123abcd"), None).await.0, "scm-revision-abbreviated", "all 40 digits");
    expect(run(&daemon.url("web?docker#main"), None).await.0, "scm-subdir-not-found", "`docker`");
    expect(run(&daemon.url("web?Dockerfile#main"), None).await.0, "scm-subdir-not-found", "`Dockerfile`");
    let rsync = "git+rsync://127.0.0.1/web#main".parse().expect("an SCM URL");
    expect(run(&rsync, None).await.0, "scm-scheme", "rsync");
}

#[tokio::test]
async fn an_unreachable_host_is_the_sites_and_may_come_back() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
    for url in [url(free, "web#main"), format!("git+http://127.0.0.1:{free}/web#main").parse().expect("an SCM URL")] {
        let (outcome, dest, _) = run(&url, None).await;
        let error = outcome.expect_err("nobody listens");
        assert_eq!((error.kind(), error.blame(), error.is_transient()), ("scm-unreachable", Blame::Site, true), "{error}");
        assert!(error.to_string().contains("git: "), "git's own lines are shown: {error}");
        assert_eq!(names(dest.path()), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_sub_directory_becomes_the_context() {
    let (upstream, _, second, _) = two_branches();
    let (tree, _dest, _) = run(&upstream.file_url(&format!("?sub/#{second}")), None).await;
    let tree = tree.expect("checked out");
    assert_eq!(names(&tree.root), ["Containerfile"]);
    assert_eq!(dist_git::find_dockerfile(&tree.root).expect("found"), tree.root.join("Containerfile"));
}

#[tokio::test]
async fn modes_come_from_the_commit_alone() {
    let upstream = Upstream::new();
    upstream.write("dir/plain", "x");
    upstream.write("dir/script", "x");
    upstream.git(&["add", "--all"]);
    upstream.git(&["update-index", "--chmod=+x", "dir/script"]);
    upstream.git(&["commit", "--quiet", "-m", "modes"]);
    let (tree, _dest, _) = run(&upstream.file_url("#main"), None).await;
    let root = tree.expect("checked out").root;
    let mode = |name: &str| root.join(name).metadata().expect("there").permissions().mode() & 0o7777;
    assert_eq!((mode("dir/plain"), mode("dir/script"), mode("dir"), mode("")), (0o644, 0o755, 0o755, 0o755));
}

#[tokio::test]
async fn a_directory_in_use_is_refused_untouched() {
    let (upstream, ..) = two_branches();
    let dest = tempfile::tempdir().expect("a directory");
    std::fs::write(dest.path().join("mine"), "x").expect("written");
    let outcome = checkout(&upstream.file_url("#main"), None, dest.path(), &|_| ()).await;
    assert!(matches!(outcome, Err(DistGitError::DestinationInUse { .. })), "{outcome:?}");
    assert_eq!(names(dest.path()), ["mine"]);
}

#[tokio::test]
async fn a_dropped_checkout_ends_git_and_leaves_nothing() {
    // a server that takes the connection and never says a word
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let dest = tempfile::tempdir().expect("a directory");
    let url = format!("git+http://127.0.0.1:{port}/container/web#main").parse().expect("an SCM URL");
    let mut connection = {
        let attempt = checkout(&url, None, dest.path(), &|_| ());
        tokio::pin!(attempt);
        tokio::select! {
            outcome = &mut attempt => panic!("it ended: {outcome:?}"),
            connection = listener.accept() => connection.expect("a connection").0,
        }
    };
    assert_eq!(names(dest.path()), Vec::<String>::new());
    // the far end closes once git's whole process group is dead: reading to the end cannot hang then
    let mut rest = Vec::new();
    let end = tokio::io::AsyncReadExt::read_to_end(&mut connection, &mut rest);
    tokio::time::timeout(std::time::Duration::from_secs(30), end).await.expect("git still runs").ok();
}
