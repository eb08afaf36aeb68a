"""The recipe of docs/DIST-GIT.md, run as it is written, on a server in a temporary directory."""

import grp
import os
import re
import subprocess

import pytest
from demo.scene import REPOSITORY

RECIPE = "\n".join(re.findall(r"^```sh\n(.*?)^```", (REPOSITORY / "docs/DIST-GIT.md").read_text(), re.S | re.M))
IDENTITY = {
    f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in (("NAME", "P"), ("EMAIL", "p@x"))
}


@pytest.fixture
def server(tmp_path):
    """A flat dist-git with one package, after the recipe; gives a function that runs git."""
    root = tmp_path / "git"
    root.mkdir()
    group = grp.getgrgid(os.getgid()).gr_name
    environment = {
        **os.environ,
        **IDENTITY,
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ROOT": str(root),
        "PACKAGERS": group,
    }

    def git(*arguments, cwd=root, fails=False):
        done = subprocess.run(
            ["git", *arguments], cwd=cwd, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        assert (done.returncode != 0) == fails, done.stderr
        return done.stdout + done.stderr

    git("init", "--quiet", "--bare", "--initial-branch=rawhide", "bash.git")
    for _ in range(2):  # once more: everything stays as it is
        script = RECIPE.replace(
            "new_container webserver", '[ -d "$GIT_ROOT/container/webserver.git" ] || new_container webserver'
        )
        subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script], env=environment, check=True, stdin=subprocess.DEVNULL
        )
    git.root = root
    return git


def clone(git, path, into):
    git("clone", "--quiet", str(git.root / path), str(into))
    (into / "Dockerfile").write_text("FROM scratch\n")
    git("add", "Dockerfile", cwd=into)
    git("commit", "--quiet", "-m", "first", cwd=into)


def test_a_container_is_pushed_to_the_branch_of_a_release_and_never_rewritten(server, tmp_path):
    clone(server, "container/webserver.git", tmp_path / "clone")
    server("push", "--quiet", "origin", "HEAD:f40", cwd=tmp_path / "clone")
    refused = server("push", "origin", "HEAD:my-idea", cwd=tmp_path / "clone", fails=True)
    assert "not the branch of a release" in refused
    server("commit", "--quiet", "--amend", "-m", "other", cwd=tmp_path / "clone")
    assert "non-fast-forward" in server("push", "--force", "origin", "HEAD:f40", cwd=tmp_path / "clone", fails=True)
    server("push", "origin", ":f40", cwd=tmp_path / "clone", fails=True)


def test_one_commit_can_be_fetched_without_its_history(server, tmp_path):
    clone(server, "container/webserver.git", tmp_path / "clone")
    server("commit", "--quiet", "--allow-empty", "-m", "second", cwd=tmp_path / "clone")
    server("push", "--quiet", "origin", "HEAD:f40", cwd=tmp_path / "clone")
    first = server("rev-parse", "HEAD~1", cwd=tmp_path / "clone").strip()
    server("init", "--quiet", str(tmp_path / "builder"))
    origin = f"file://{server.root}/container/webserver.git"
    server("fetch", "--quiet", "--depth=1", origin, first, cwd=tmp_path / "builder")
    assert server("rev-list", "--count", "FETCH_HEAD", cwd=tmp_path / "builder").strip() == "1"


def test_old_addresses_of_moved_packages_still_work(server, tmp_path):
    clone(server, "bash.git", tmp_path / "old")
    server("push", "--quiet", "origin", "HEAD:rawhide", cwd=tmp_path / "old")
    clone_of_new = tmp_path / "new"
    server("clone", "--quiet", str(server.root / "rpms/bash.git"), str(clone_of_new))
    assert (clone_of_new / "Dockerfile").exists()
    assert (server.root / "bash.git").is_symlink()
