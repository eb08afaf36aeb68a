//! Repositories and environments that try to make the checkout run something. Each attack is first shown to work
//! on an unhardened `git clone`, so that these tests can fail.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::Upstream;
use dist_git::{DistGitError, DockerfileError, checkout, find_dockerfile};

/// A repository with everything a packager can commit to be executed by somebody.
fn evil_repository(marker: &Path) -> Upstream {
    let upstream = Upstream::new();
    upstream.write(".gitattributes", "* filter=evil diff=evil\n*.bin filter=lfs\n");
    upstream.write("a.bin", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n");
    upstream.write(
        ".gitmodules",
        &format!(
            "[submodule \"evil\"]\n\tpath = evil\n\turl = ext::touch {}\n\tupdate = !touch {}\n",
            marker.display(),
            marker.display()
        ),
    );
    upstream.write(".gitconfig", &format!("[core]\n\tfsmonitor = touch {}\n", marker.display()));
    for hook in ["post-checkout", "post-merge", "reference-transaction", "post-index-change"] {
        upstream.write(&format!("hooks/{hook}"), &format!("#!/bin/sh\ntouch {}\n", marker.display()));
        upstream.write(&format!(".git/hooks/{hook}"), &format!("#!/bin/sh\ntouch {}\n", marker.display()));
        std::os::unix::fs::symlink("/etc/passwd", upstream.path.join(format!("link-{hook}"))).expect("linked");
        make_executable(&upstream.path.join("hooks").join(hook));
    }
    std::os::unix::fs::symlink("/etc/passwd", upstream.path.join("Dockerfile")).expect("linked");
    std::os::unix::fs::symlink("/etc", upstream.path.join("sub")).expect("linked");
    upstream.git(&["add", "--all"]);
    let sha = "0123456789".repeat(4);
    upstream.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{sha},evil")]);
    upstream.git(&["commit", "--quiet", "--no-verify", "-m", "evil"]);
    upstream
}

fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("mode set");
}

/// An environment in which plain git runs `touch marker` at every occasion.
fn evil_environment(dir: &Path, marker: &Path) -> Vec<(&'static str, String)> {
    let touch = format!("touch {}", marker.display());
    let hooks = dir.join("hooks");
    std::fs::create_dir_all(hooks.join("template/hooks")).expect("made");
    for hook in [hooks.join("post-checkout"), hooks.join("template/hooks/post-checkout"), hooks.join("run")] {
        std::fs::write(&hook, format!("#!/bin/sh\n{touch}\n")).expect("written");
        make_executable(&hook);
    }
    let config = format!(
        "[core]\n\thooksPath = {hooks}\n\tfsmonitor = {hooks}/run\n\tgitProxy = {hooks}/run\n[filter \"evil\"]\n\tsmudge = {touch}; cat\n\trequired = true\n\
         [init]\n\ttemplateDir = {hooks}/template\n[safe]\n\tdirectory = *\n[credential]\n\thelper = !{touch}\n",
        hooks = hooks.display()
    );
    let file = dir.join(".gitconfig");
    std::fs::write(&file, config).expect("written");
    let run = hooks.join("run").display().to_string();
    vec![
        ("HOME", dir.display().to_string()),
        ("XDG_CONFIG_HOME", dir.display().to_string()),
        ("GIT_CONFIG_GLOBAL", file.display().to_string()),
        ("GIT_CONFIG_SYSTEM", file.display().to_string()),
        ("GIT_CONFIG_COUNT", "1".into()),
        ("GIT_CONFIG_KEY_0", "filter.evil.smudge".into()),
        ("GIT_CONFIG_VALUE_0", format!("{touch}; cat")),
        ("GIT_TEMPLATE_DIR", hooks.join("template").display().to_string()),
        ("GIT_SSH_COMMAND", run.clone()),
        ("GIT_PROXY_COMMAND", run.clone()),
        ("GIT_ASKPASS", run.clone()),
        ("GIT_EDITOR", run.clone()),
        ("GIT_PAGER", run.clone()),
        ("GIT_EXTERNAL_DIFF", run),
    ]
}

#[test]
fn nothing_runs_whatever_the_repository_and_the_environment_hold() {
    let temp = tempfile::tempdir().expect("a directory");
    let marker = temp.path().join("marker");
    let upstream = evil_repository(&marker);
    let environment = evil_environment(temp.path(), &marker);

    let clone = Command::new("git")
        .args(["clone", "--quiet"])
        .arg(&upstream.path)
        .arg(temp.path().join("clone"))
        .envs(environment.clone())
        .output()
        .expect("git runs");
    assert!(clone.status.success(), "{}", String::from_utf8_lossy(&clone.stderr));
    assert!(marker.exists(), "the attack does not even work on plain git");
    std::fs::remove_file(&marker).expect("removed");

    // setting variables of a running test is not safe, so the checkout runs in a process of its own
    let daemon = upstream.serve();
    for url in [upstream.file_url("#main"), daemon.url("web#main")] {
        let dest = temp.path().join("dest");
        let child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "hostile::child_checks_out_in_the_given_environment", "--ignored", "--nocapture"])
            .envs(environment.clone())
            .env("TEST_URL", url.to_string())
            .env("TEST_DEST", &dest)
            .output()
            .expect("the child runs");
        let said = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success(), "{said}{}", String::from_utf8_lossy(&child.stderr));
        assert!(said.contains("1 passed"), "the child ran no test: {said}");
        assert!(!marker.exists(), "something was run from {url}");
        assert!(said.contains("filters (such as LFS)") && said.contains("has submodules"), "{said}");
        let source = dest.join("source");
        assert!(source.join("a.bin").exists(), "the files are there");
        assert!(!source.join(".git").exists() && !dest.join("git").exists());
        assert_eq!(std::fs::read_dir(source.join("evil")).map_or(0, Iterator::count), 0, "no submodule was fetched");
        std::fs::remove_dir_all(&dest).expect("removed");
    }
}

#[test]
#[ignore = "started by the test above, with variables set"]
fn child_checks_out_in_the_given_environment() {
    let (Ok(url), Ok(dest)) = (std::env::var("TEST_URL"), std::env::var("TEST_DEST")) else {
        println!("skipped: it is only for the test that starts it");
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let url = url.parse().expect("an SCM URL");
    let tree = runtime.block_on(checkout(&url, Some("main"), &PathBuf::from(dest), &|line| println!("{line}")));
    tree.expect("checked out");
}

#[tokio::test]
async fn links_out_of_the_repository_are_kept_but_not_followed() {
    let temp = tempfile::tempdir().expect("a directory");
    let upstream = evil_repository(&temp.path().join("marker"));
    let tree = checkout(&upstream.file_url("#main"), None, &temp.path().join("a"), &|_| ()).await.expect("checked out");
    assert!(tree.root.join("Dockerfile").is_symlink());
    assert!(matches!(find_dockerfile(&tree.root), Err(DockerfileError::Outside { .. })));
    let dest = temp.path().join("b");
    let outcome = checkout(&upstream.file_url("?sub#main"), None, &dest, &|_| ()).await;
    assert!(matches!(outcome, Err(DistGitError::SubdirOutside { .. })), "{outcome:?}");
    assert!(!dest.exists());
}

#[tokio::test]
async fn a_redirection_cannot_change_the_protocol() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let temp = tempfile::tempdir().expect("a directory");
    let upstream = evil_repository(&temp.path().join("marker"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let target = format!("file://{}/info/refs", upstream.path.display());
    let server = tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.expect("a connection");
        let mut request = vec![0; 4096];
        let _ = connection.read(&mut request).await;
        let answer = format!("HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        connection.write_all(answer.as_bytes()).await.expect("sent");
    });
    let url = format!("git+http://127.0.0.1:{port}/web#main").parse().expect("an SCM URL");
    let dest = temp.path().join("dest");
    let outcome = checkout(&url, None, &dest, &|_| ()).await;
    assert!(matches!(outcome, Err(DistGitError::Git { .. })), "{outcome:?}");
    assert!(!dest.exists());
    server.await.expect("served");
}
