"""The earlier service's CLI plugin, unmodified, with the stock `koji`: what its users type keeps working.

The plugin is in no package registry: the test runs where KOJI_CONTAINERBUILD_CLI names a directory that holds its
`cli_containerbuild.py` and no other plugin.
"""

import os
import re
import subprocess

import pytest
from demo import build, dist_git
from demo.koji_client import call, command
from demo.scene import PACKAGER, TARGET, program

PLUGIN = os.environ.get("KOJI_CONTAINERBUILD_CLI")
pytestmark = pytest.mark.skipif(not PLUGIN, reason="KOJI_CONTAINERBUILD_CLI is not set")


@pytest.fixture(scope="module")
def source(scene, tmp_path_factory):
    tree = tmp_path_factory.mktemp("earlier")
    labels = 'com.redhat.component="webserver" name="f40/earlier" version="earlier"'
    (tree / "Dockerfile").write_text(f"FROM registry.example.com/f40/base:40\nLABEL {labels}\nRUN true\n")
    dist_git.create(scene, "earlier", tree)
    return scene.scm_url("earlier", dist_git.commit(scene, "earlier"))


@pytest.fixture(scope="module")
def earlier(scene, tmp_path_factory):
    """Runs `koji` with the earlier plugin: exit status, output."""
    config = tmp_path_factory.mktemp("koji") / "koji.conf"
    text = scene.koji_conf(PACKAGER).read_text()
    config.write_text(re.sub(r"^plugin_paths = .*$", f"plugin_paths = {PLUGIN}", text, flags=re.M))
    return lambda *arguments: run([program("koji"), "-c", str(config), *arguments])


def run(arguments):
    done = subprocess.run(arguments, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300)
    return done.returncode, done.stdout + done.stderr


def same(output):
    """Output without digests and numbers, which differ from task to task, and without the course of the task."""
    course = re.compile(r"\d+ |\d\d:\d\d|.*@sha256:")
    return [re.sub(r"\d+", "N", line) for line in output.splitlines() if not course.match(line)]


def test_a_build_is_followed_to_its_end_and_its_result_printed_as_ours_does(scene, earlier, source):
    options = ["--wait", "--git-branch", dist_git.BRANCH, "--release"]
    status, output = earlier("container-build", *options, "1", TARGET, source)
    assert status == 0, output
    task = int(re.search(r"Created task: (\d+)", output)[1])
    (number,) = call(scene, "getTaskResult", task)["koji_builds"]
    assert f"{scene.web_url}/buildinfo?buildID={number}" in output and "repositories:" in output
    ours = run(command(scene, ["container-build", *options, "2", TARGET, source], PACKAGER))
    assert ours[0] == 0 and same(ours[1]) == same(output)


def test_a_scratch_build_of_its_options_is_none_of_kojis(scene, earlier, source):
    options = ["--scratch", "--arch-override", os.uname().machine, "--userdata", '{"a": 1}', "--background"]
    status, output = earlier("container-build", "--wait", *options, "--git-branch", dist_git.BRANCH, TARGET, source)
    assert status == 0, output
    task = int(re.search(r"Created task: (\d+)", output)[1])
    assert call(scene, "getTaskResult", task)["koji_builds"] == []
    assert call(scene, "getTaskInfo", task)["priority"] == 25


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--compose-id", "7"], "compose_ids"),
        (["--signing-intent", "release"], "signing_intent"),
        (["--scratch", "--replace-dependency", "gomod:a:1"], "dependency_replacements"),
        (["--isolated", "--release", "1.1", "--operator-csv-modifications-url", "https://x/y"], "operator_csv"),
    ],
)
def test_options_that_cannot_apply_are_refused_with_the_reason(earlier, source, arguments, reason):
    status, output = earlier("container-build", "--nowait", *arguments, "--git-branch", dist_git.BRANCH, TARGET, source)
    assert status != 0 and reason in output and "Created task" not in output, output


def test_flatpaks_are_refused_with_who_builds_them(earlier, source):
    status, output = earlier("flatpak-build", "--nowait", "--git-branch", dist_git.BRANCH, TARGET, source)
    assert status != 0 and "koji-flatpak" in output and "Created task" not in output, output


def test_a_source_container_is_asked_for(scene, earlier, source):
    done = build.outcome(scene, build.submit(scene, "earlier"))
    assert done.succeeded, done.fault
    status, output = earlier(
        "source-container-build", "--wait", "--koji-build-id", done.result["koji_builds"][0], TARGET
    )
    task = int(re.search(r"Created task: (\d+)", output)[1])
    fault = call(scene, "getTaskResult", task, False)["faultString"]
    # The demo's distribution has no source RPMs; test_source_container.py makes some.
    assert status == 1 and "Koji has no source RPM of these builds" in fault, (output, fault)
