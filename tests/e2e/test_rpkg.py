"""`rpkg container-build` (PyPI rpkg, unmodified) from a clone, as packagers type `fedpkg container-build`."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from demo import dist_git
from demo.koji_client import call
from demo.scene import PACKAGER, TARGET

CLIENT = Path(__file__).with_name("rpkg_client.py")
# As fedpkg's own configuration: the namespace is the directory above the repository.
CONFIG = """\
[rpkg]
lookaside = http://lookaside.invalid/repo/pkgs
lookasidehash = sha512
lookaside_cgi = http://lookaside.invalid/repo/pkgs/upload.cgi
gitbaseurl = file://{state}/dist-git/%(repo)s.git
anongiturl = git://127.0.0.1:{port}/%(repo)s.git
branchre = f\\d\\d$|rawhide$
kojiprofile = koji
build_client = koji
clone_config =
distgit_namespaced = True
lookaside_namespaced = True
"""


@pytest.fixture
def rpkg(scene, tmp_path):
    """Runs rpkg in a fresh clone of `webserver`, as the packager."""
    config = tmp_path / "rpkg.conf"
    config.write_text(CONFIG.format(state=scene.state, port=scene.port("dist_git")))
    profile = tmp_path / ".koji/config"
    profile.parent.mkdir()
    profile.write_text(scene.koji_conf(PACKAGER).read_text())
    clone = tmp_path / "webserver"
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_AUTHOR_NAME": "Packager",
        "GIT_AUTHOR_EMAIL": "packager@example.com",
        "GIT_COMMITTER_NAME": "Packager",
        "GIT_COMMITTER_EMAIL": "packager@example.com",
    }

    def run(*command, cwd=clone):
        return subprocess.run(
            command, cwd=cwd, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300
        )

    cloned = run(
        "git", "clone", "-q", "-b", dist_git.BRANCH, f"file://{dist_git.directory(scene, 'webserver')}", cwd=tmp_path
    )
    assert cloned.returncode == 0, cloned.stderr

    def call_rpkg(*arguments):
        return run(sys.executable, str(CLIENT), str(config), *arguments)

    call_rpkg.git = lambda *arguments: run("git", *arguments)
    return call_rpkg


def test_container_build_guesses_the_target_and_prints_the_build(scene, rpkg):
    done = rpkg("container-build")
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    task_id = int(re.search(r"Created task: (\d+)", output)[1])
    source, target, opts = call(scene, "getTaskInfo", task_id, True)["request"]
    assert target == TARGET and opts == {"git_branch": dist_git.BRANCH}
    assert source == scene.scm_url("webserver", dist_git.commit(scene, "webserver"))
    (nvr,) = re.findall(r"webserver-1\.0-\d+", output.partition("nvrs")[2])
    assert call(scene, "getBuild", nvr)["task_id"] == task_id


def test_a_scratch_build_leaves_no_build(scene, rpkg):
    done = rpkg("container-build", "--scratch", "--arches", "x86_64")
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    task_id = int(re.search(r"Created task: (\d+)", output)[1])
    assert call(scene, "getTaskResult", task_id)["koji_builds"] == []


def test_what_the_hub_refuses_is_told_in_one_sentence(rpkg):
    done = rpkg("container-build", "--signing-intent", "release")
    assert done.returncode != 0
    assert "signing_intent` is not supported" in done.stdout + done.stderr
    done = rpkg("container-build", "--target", "f40-containr-candidate")
    assert done.returncode != 0 and "f40-containr-candidate" in done.stdout + done.stderr


def test_container_build_setup_keeps_its_switch(rpkg):
    assert rpkg("container-build-setup", "--get-autorebuild").returncode == 0
    done = rpkg("container-build-setup", "--set-autorebuild", "true")
    assert done.returncode == 0, done.stderr
    again = rpkg("container-build-setup", "--get-autorebuild")
    assert "true" in again.stdout + again.stderr
