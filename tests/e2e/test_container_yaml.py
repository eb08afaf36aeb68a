"""What a repository's container.yaml does to a build through Koji (docs/CONTAINER-YAML.md)."""

import json
import os
import time
import urllib.request

import pytest
from demo import build, dist_git
from demo.koji_client import call
from demo.refusals import nothing_left

MACHINE = os.uname().machine
FAILED = 3  # koji.BUILD_STATES


@pytest.fixture
def built_with(scene, tmp_path):
    """Builds a repository `name` of a container.yaml and RUN lines; the component is `webserver`, which Koji knows."""

    def run(name, container_yaml, *instructions, files=()):
        lines = [
            "FROM registry.example.com/f40/base:40",
            f'LABEL com.redhat.component="webserver" name="f40/{name}" version="{name}"',
            *instructions,
        ]
        (tmp_path / "Dockerfile").write_text("\n".join(lines) + "\n")
        (tmp_path / "container.yaml").write_text(container_yaml)
        for file, text in files:
            (tmp_path / file).write_text(text)
        dist_git.create(scene, name, tmp_path)
        return build.outcome(scene, build.submit(scene, name))

    return run


def build_log(scene, task_id):
    with urllib.request.urlopen(f"{scene.top_url}/work/tasks/{task_id % 10000}/{task_id}/build.log") as answer:
        return answer.read().decode()


def from_registry(scene, path):
    request = urllib.request.Request(f"http://{scene.registry}/v2/{path}")
    request.add_header("Accept", "application/vnd.docker.distribution.manifest.v2+json")
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def test_tags_platforms_and_the_release_variable_are_followed_and_the_rest_is_told(scene, built_with):
    done = built_with(
        "yamlgood",
        f"platforms:\n  only: [{MACHINE}, s390x]\ntags: [stable, '1.0']\nset_release_env: IMAGE_RELEASE\n"
        "buildtime_limit: 600\ncompose:\n  inherit: true\n",
        'RUN test -n "$IMAGE_RELEASE" && echo "release is $IMAGE_RELEASE" > /release',
        files=[("content_sets.yml", f"{MACHINE}: [some-rpms]\n"), ("additional-tags", "never\n")],
    )
    assert done.succeeded, done.fault
    floating = {r.rpartition(":")[2] for r in done.result["repositories"] if "@" not in r}
    assert {"stable", "1.0"} <= floating
    assert not {"latest", "yamlgood", "never"} & floating, "tags of container.yaml stand alone"
    warnings = done.result["user_warnings"]
    for told in ["container.yaml:7: `compose.inherit`", "additional-tags is not read", "content_sets.yml is not used"]:
        assert any(w.startswith(told) for w in warnings), (told, warnings)
        assert f"warning: {told}" in build_log(scene, done.task_id)
    info = call(scene, "getBuild", int(done.result["koji_builds"][0]))
    digest = from_registry(scene, "f40/yamlgood/manifests/stable")["config"]["digest"]
    config = from_registry(scene, f"f40/yamlgood/blobs/{digest}")["config"]
    assert f"IMAGE_RELEASE={info['release']}" in config["Env"]


def test_a_build_that_outlasts_its_own_limit_is_ended_and_the_key_is_named(scene, built_with):
    began = time.monotonic()
    done = built_with("yamlslow", "buildtime_limit: 4\n", "RUN sleep 77")
    assert not done.succeeded
    assert "after 4 s, the `buildtime_limit` in container.yaml" in done.fault
    assert time.monotonic() - began < 60
    nothing_left(scene, "yamlslow")
    assert [b["state"] for b in call(scene, "listBuilds", None, None, done.task_id)] == [FAILED]


def test_platforms_that_leave_no_arch_are_refused(scene, built_with):
    done = built_with("yamlnoarch", f"platforms: {{not: {MACHINE}}}\n")
    assert not done.succeeded
    assert "`platforms` leaves no arch to build" in done.fault and MACHINE in done.fault
    assert not call(scene, "listBuilds", None, None, done.task_id), "nothing was reserved"
