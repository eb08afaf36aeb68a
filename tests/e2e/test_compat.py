"""What clients of the earlier service read of a build, where no other test looks: labels, tags and members of `extra`.

The rows are those of tests/COMPAT.md.
"""

import json
import os
import urllib.request

import pytest
from demo import build, dist_git
from demo.koji_client import call
from demo.scene import PACKAGER, TARGET

MACHINE = os.uname().machine
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKERFILE = """\
FROM registry.example.com/f40/base:40
ENV VARIANT=small
LABEL com.redhat.component="webserver" name="f40/compat" version="compat" variant="$VARIANT" release="6.$VARIANT"
RUN true
"""


def from_registry(scene, path):
    request = urllib.request.Request(f"http://{scene.registry}/v2/f40/compat/{path}")
    request.add_header("Accept", MANIFEST)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


@pytest.fixture(scope="module")
def built(scene, tmp_path_factory):
    """A normal build: task, result, build row, its image archive, the image's configuration."""
    tree = tmp_path_factory.mktemp("compat")
    (tree / "Dockerfile").write_text(DOCKERFILE)
    dist_git.create(scene, "compat", tree)
    done = build.outcome(scene, build.submit(scene, "compat"))
    assert done.succeeded, done.fault
    info = call(scene, "getBuild", int(done.result["koji_builds"][0]))
    (archive,) = call(scene, "listArchives", info["id"], None, None, None, "image")
    digest = from_registry(scene, "manifests/compat-6.small")["config"]["digest"]
    return done, info, archive, from_registry(scene, f"blobs/{digest}")


def test_the_labels_of_an_image_are_its_own_and_the_services(scene, built):
    _, info, _, config = built
    labels = config["config"]["Labels"]
    commit = dist_git.commit(scene, "compat")
    expected = {
        "com.redhat.component": "webserver",
        "name": "f40/compat",
        "version": "compat",
        "release": "6.small",
        "variant": "small",
        "architecture": MACHINE,
        "vcs-type": "git",
        "vcs-ref": commit,
    }
    assert {name: labels.get(name) for name in expected} == expected
    assert labels["build-date"].endswith("Z") and info["source"].endswith(f"#{commit}")


def test_tags_of_a_normal_build(scene, built):
    done = built[0]
    tags = {spec.rpartition(":")[2] for spec in done.result["repositories"] if "@" not in spec}
    assert tags == {f"{TARGET}-{done.task_id}", "compat-6.small", "latest", "compat"}
    digests = {json.dumps(from_registry(scene, f"manifests/{tag}"), sort_keys=True) for tag in tags}
    assert len(digests) == 1, "all of them name one image"


def test_the_build_has_the_members_that_clients_read(scene, built):
    done, info, archive, config = built
    extra = info["extra"]
    assert (extra["submitter"], extra["container_koji_task_id"]) == (PACKAGER, done.task_id)
    assert extra["osbs_build"]["kind"] == "container_build" and extra["osbs_build"]["engine"]
    image = extra["image"]
    assert image["isolated"] is False and image["parent_images"] == ["registry.example.com/f40/base:40"]
    parent = image["parent_image_builds"]["registry.example.com/f40/base:40"]
    assert parent["nvr"] == "demo-base-40-1" and parent["id"] == image["parent_build_id"]
    index = image["index"]
    assert index["tags"] == ["compat-6.small"] and index["floating_tags"] == ["latest", "compat"]
    assert index["unique_tags"] == [f"{TARGET}-{done.task_id}"]
    ((media_type, digest),) = index["digests"].items()
    assert media_type in image["media_types"] and any(spec.endswith(f"@{digest}") for spec in index["pull"])
    docker = archive["extra"]["docker"]
    assert archive["extra"]["image"]["arch"] == MACHINE and archive["filename"].endswith(f".{MACHINE}.tar.gz")
    assert docker["digests"] == index["digests"] and docker["tags"] == ["compat-6.small"]
    assert docker["config"]["rootfs"] == config["rootfs"] and docker["id"].startswith("sha256:")
    assert docker["parent_id"].startswith("sha256:") and len(docker["layer_sizes"]) == len(config["rootfs"]["diff_ids"])
    assert set(docker["repositories"]) >= set(index["pull"])
