"""What the builder puts into an image about itself: Dockerfile, content manifest, help page."""

import io
import json
import os
import tarfile
import urllib.request

import pytest
from demo import build, dist_git
from demo.koji_client import call

MACHINE = os.uname().machine
DOCKERFILE = """\
FROM registry.example.com/f40/base:40
LABEL com.redhat.component="webserver" name="f40/recorded" version="recorded"
RUN dnf -y install jq && dnf clean all
"""


@pytest.fixture(scope="module")
def recorded(scene, tmp_path_factory):
    """A build with a help file: its row, the entries of its topmost layer, its report."""
    tree = tmp_path_factory.mktemp("recorded")
    (tree / "Dockerfile").write_text(DOCKERFILE)
    (tree / "help.md").write_text("% RECORDED(1)\n# NAME\nrecorded - serves **pages**\n")
    dist_git.create(scene, "recorded", tree)
    done = build.outcome(scene, build.submit(scene, "recorded"))
    assert done.succeeded, done.fault
    spec = done.result["repositories"][0]
    repository, _, digest = spec.partition("/")[2].partition("@")
    request = urllib.request.Request(f"http://{scene.registry}/v2/{repository}/manifests/{digest}")
    request.add_header("Accept", "application/vnd.docker.distribution.manifest.v2+json")
    with urllib.request.urlopen(request) as answer:
        layers = json.load(answer)["layers"]
    with urllib.request.urlopen(f"http://{scene.registry}/v2/{repository}/blobs/{layers[-1]['digest']}") as answer:
        data = answer.read()
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        files = {entry.name: tar.extractfile(entry).read() if entry.isfile() else None for entry in tar}
    task = done.task_id
    with urllib.request.urlopen(
        f"{scene.top_url}/work/tasks/{task % 10000}/{task}/provenance-{MACHINE}.json"
    ) as answer:
        report = json.load(answer)
    return call(scene, "getBuild", int(done.result["koji_builds"][0])), files, report, len(layers)


def test_the_dockerfile_is_as_it_is_in_the_commit(recorded):
    info, files, _, _ = recorded
    release = info["release"]
    assert files[f"root/buildinfo/Dockerfile-f40-recorded-recorded-{release}"].decode() == DOCKERFILE


def test_the_content_manifest_has_every_rpm_with_its_digests(scene, recorded):
    info, files, report, layers = recorded
    manifest = json.loads(files[f"root/buildinfo/content_manifests/{info['nvr']}.json"])
    assert manifest["metadata"]["icm_version"] == 1 and manifest["metadata"]["image_layer_index"] == layers - 1
    assert manifest["content_sets"] == ["f40-build", "notkoji", "tampered"] and manifest["image_contents"] == []
    archives = call(scene, "listArchives", info["id"], None, None, None, "image")
    (archive,) = (a for a in archives if a["filename"].startswith("docker-image"))
    known = call(scene, "listRPMs", None, None, archive["id"])
    purls = {f"pkg:rpm/{r['name']}@{r['version']}-{r['release']}?arch={r['arch']}": r for r in known}
    found = {rpm["purl"].partition("&")[0]: rpm for rpm in manifest["rpms"]}
    assert set(found) == set(purls)
    for purl, rpm in found.items():
        assert rpm["sigmd5"] == purls[purl]["payloadhash"] and len(rpm["sha256header"]) == 64
        assert rpm["koji_build"]


def test_the_help_file_is_a_manual_page_and_the_build_says_so(recorded):
    info, files, _, _ = recorded
    text = files["help.1"].decode()
    assert text.startswith('.TH "RECORDED" "1"') and "recorded \\- serves \\fBpages\\fP" in text
    assert info["extra"]["image"]["help"] == "help.md"


def test_the_record_is_accounted_for_in_the_report(recorded):
    _, files, report, _ = recorded
    classes = {entry["path"]: entry["class"] for entry in report["files"]["paths"]}
    written = {"/" + name for name, content in files.items() if content is not None}
    assert len(written) == 3
    assert {classes.get(path) for path in written} <= {"generated", "commit", None}, classes
    assert not [line for line in report["files"]["warnings"] if "buildinfo" in line or "help.1" in line]
