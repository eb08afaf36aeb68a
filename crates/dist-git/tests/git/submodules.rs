//! Submodules from real repositories: what is fetched, from where, and what is refused.

use std::path::Path;
use std::sync::Mutex;

use build_model::{Diagnose as _, ScmUrl};
use dist_git::{DistGitError, ScmAllowList, SubmoduleRequest, checkout, checkout_with_branches, fetch_submodules};

use crate::support::Upstream;

/// `container/web` with `lib`, which has `inner`; each a repository below one root.
struct World {
    web: Upstream,
}

impl World {
    fn new() -> Self {
        let web = Upstream::new();
        let world = Self { web };
        let inner = world.repository("inner", "inner.txt");
        let lib = world.repository("lib", "lib.txt");
        let inner_url = inner.display().to_string();
        world.git(&lib, &["submodule", "--quiet", "add", &inner_url, "vendor/inner"]);
        world.git(&lib, &["config", "--file", ".gitmodules", "submodule.vendor/inner.url", "../inner"]);
        world.git(&lib, &["commit", "--quiet", "-a", "-m", "inner"]);
        world.web.write("Dockerfile", "FROM scratch\n");
        world.web.commit("first");
        world.add("lib", "third party/lib", "../lib");
        world
    }

    fn repository(&self, name: &str, file: &str) -> std::path::PathBuf {
        let path = self.web.root.path().join("container").join(name);
        std::fs::create_dir_all(&path).expect("made");
        self.git(&path, &["init", "--quiet", "--initial-branch=main"]);
        std::fs::write(path.join(file), name).expect("written");
        self.git(&path, &["add", "--all"]);
        self.git(&path, &["commit", "--quiet", "-m", name]);
        path
    }

    fn git(&self, path: &Path, args: &[&str]) {
        self.web.git(&[&["-C", &path.display().to_string()], args].concat());
    }

    /// Adds a submodule and gives it the address `url`.
    fn add(&self, name: &str, path: &str, url: &str) -> String {
        let from = self.web.root.path().join("container").join(name).display().to_string();
        self.web.git(&["submodule", "--quiet", "add", &from, path]);
        self.web.git(&["config", "--file", ".gitmodules", &format!("submodule.{path}.url"), url]);
        self.web.commit("a submodule")
    }

    /// Checks out and fetches the submodules of `url`, which the list `allowed` must have.
    async fn fetch(&self, url: &ScmUrl, allowed: &str) -> (Result<Vec<String>, DistGitError>, tempfile::TempDir, String) {
        let dir = tempfile::tempdir().expect("a directory");
        let tree = checkout(url, None, &dir.path().join("source"), &|_| ()).await.expect("checked out");
        let list = ScmAllowList::parse(allowed);
        let log = Mutex::new(String::new());
        let request = SubmoduleRequest {
            url,
            allowed: &|url| list.check(url),
            scratch: &dir.path().join("scratch"),
            log: &|line| log.lock().expect("log").push_str(line),
        };
        let result = fetch_submodules(&tree, &request).await;
        assert!(!dir.path().join("scratch").exists(), "nothing of the way is left");
        let fetched = result.map(|urls| urls.iter().map(|url| url.git_url()).collect());
        (fetched, dir, log.into_inner().expect("log"))
    }
}

#[tokio::test]
async fn submodules_and_theirs_are_in_the_tree_at_their_commits() {
    let world = World::new();
    let (fetched, dir, _) = world.fetch(&world.web.file_url("#main"), ":*").await;
    let names: Vec<String> = fetched.expect("fetched").iter().map(|u| u.rsplit('/').next().unwrap_or_default().into()).collect();
    assert_eq!(names, ["lib", "inner"]);
    let lib = dir.path().join("source/source/third party/lib");
    assert_eq!(std::fs::read_to_string(lib.join("lib.txt")).expect("the file"), "lib");
    assert_eq!(std::fs::read_to_string(lib.join("vendor/inner/inner.txt")).expect("the file"), "inner");
    assert!(!lib.join(".git").exists());
}

#[tokio::test]
async fn a_later_commit_of_a_submodule_is_not_what_is_recorded() {
    let world = World::new();
    let lib = world.web.root.path().join("container/lib");
    std::fs::write(lib.join("lib.txt"), "later").expect("written");
    world.git(&lib, &["commit", "--quiet", "-a", "-m", "later"]);
    let (fetched, dir, _) = world.fetch(&world.web.file_url("#main"), ":*").await;
    fetched.expect("fetched");
    let text = std::fs::read_to_string(dir.path().join("source/source/third party/lib/lib.txt")).expect("the file");
    assert_eq!(text, "lib");
}

#[tokio::test]
async fn only_what_the_site_allows_is_asked_for() {
    let world = World::new();
    let (fetched, _dir, log) = world.fetch(&world.web.file_url("#main"), "!:*/inner :*").await;
    let error = fetched.expect_err("refused");
    assert_eq!(error.kind(), "scm-submodule-refused");
    let text = std::iter::successors(Some(&error as &dyn std::error::Error), |e| e.source()).map(|e| e.to_string());
    let text = text.collect::<Vec<_>>().join(": ");
    assert!(text.contains("`third party/lib`") && text.contains("`vendor/inner`") && text.contains("not in the list"), "{text}");
    assert!(!log.contains("container/inner"), "the host was not even asked: {log}");
}

#[tokio::test]
async fn addresses_that_would_run_something_are_refused() {
    let world = World::new();
    let marker = world.web.root.path().join("ran");
    for url in [format!("ext::sh -c touch% {}", marker.display()), "--upload-pack=touch".into(), "https://u:hunter2@h/lib".into()]
    {
        world.web.git(&["config", "--file", ".gitmodules", "submodule.third party/lib.url", &url]);
        world.web.commit("changed");
        let (fetched, _dir, log) = world.fetch(&world.web.file_url("#main"), "*:*").await;
        let error = fetched.expect_err(&url);
        assert_eq!(error.kind(), "scm-submodule", "{error}");
        assert!(!error.to_string().contains("hunter2") && !log.contains("hunter2"), "{error}");
    }
    assert!(!marker.exists());
}

#[tokio::test]
async fn a_submodule_outside_of_the_build_context_is_left_alone() {
    let world = World::new();
    world.web.write("sub/Dockerfile", "FROM scratch\n");
    world.web.commit("sub");
    let (fetched, _dir, _) = world.fetch(&world.web.file_url("?sub#main"), ":*").await;
    assert_eq!(fetched.expect("nothing to do"), Vec::<String>::new());
}

#[tokio::test]
async fn every_branch_that_holds_the_commit_is_told_where_a_policy_asks() {
    let upstream = Upstream::new();
    upstream.write("Dockerfile", "FROM scratch\n");
    let first = upstream.commit("first");
    for branch in ["f40", "hint", "private-x"] {
        upstream.git(&["branch", branch]);
    }
    upstream.write("more", "");
    upstream.commit("second");
    upstream.git(&["checkout", "--quiet", "--orphan", "other"]);
    upstream.commit("unrelated");
    let daemon = upstream.serve();
    let dir = tempfile::tempdir().expect("a directory");
    let url = daemon.url(&format!("web#{first}"));
    let tree = checkout_with_branches(&url, Some("f40"), &dir.path().join("s"), &|_| ()).await.expect("checked out");
    assert_eq!(tree.branches, ["f40", "hint", "main", "private-x"]);
}
