"""The example client of docs/XML-RPC.md: what a script without any Koji library can do."""

import json
import subprocess
import sys

import pytest
from demo import dist_git
from demo.koji_client import call
from demo.scene import PACKAGER, REPOSITORY, TARGET

SCRIPT = REPOSITORY / "examples/scripts/container_build.py"


@pytest.fixture
def submit(scene):
    """Runs the script as the packager on one of the scene's repositories."""

    def run(name, target=TARGET, *more):
        source = scene.scm_url(name, dist_git.commit(scene, name))
        where = ["--hub", scene.hub_url, "--cert", f"{scene.ca}/{PACKAGER}.pem", "--ca", f"{scene.ca}/ca.crt"]
        command = [
            sys.executable,
            SCRIPT,
            *where,
            "--git-branch",
            dist_git.BRANCH,
            "--poll",
            "0.5",
            target,
            source,
            *more,
        ]
        return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300)

    return run


def test_a_script_builds_and_reads_the_result(scene, submit):
    done = submit("webserver")
    assert done.returncode == 0, done.stderr
    described = json.loads(done.stdout)
    (build,) = described["builds"]
    assert call(scene, "getBuild", build["nvr"])["task_id"] == described["task"]
    assert [image["arch"] for image in build["images"]] == ["x86_64"] and build["images"][0]["rpms"] > 50


def test_a_script_learns_why_a_build_failed(submit):
    done = submit("missing-label")
    assert done.returncode == 1 and "com.redhat.component" in done.stderr


def test_a_script_is_refused_before_there_is_a_task(submit):
    done = submit("webserver", "no-such-target")
    assert done.returncode == 2 and "no-such-target" in done.stderr
