"""Source containers: an image with the source package of every RPM of an image, from Koji and checked against it.

The demo's distribution has no source packages; this module makes one for each build that is in the image, and signs it.
"""

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import urllib.request

import pytest
from demo import build, dist_git
from demo.koji_client import call, command, koji
from demo.koji_setup import DEST_TAG
from demo.scene import ADMIN, PACKAGER, TARGET
from distribution.signing_key import SigningKey

FAILED, COMPLETE = 3, 1  # koji.BUILD_STATES
NAME = "webserver"


def submit(scene, *options):
    """`koji source-container-build`, followed to its end: exit status, output, task."""
    arguments = command(scene, ["source-container-build", "--wait", *options, TARGET], PACKAGER)
    done = subprocess.run(arguments, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300)
    task = re.search(r"Created task: (\d+)", done.stdout)
    return done.returncode, done.stdout + done.stderr, int(task[1]) if task else None


def fault(scene, task_id):
    return call(scene, "getTaskResult", task_id, False)["faultString"]


def rpms_of(scene, build_id):
    archives = call(scene, "listArchives", build_id, None, None, None, "image")
    images = [a for a in archives if a["filename"].startswith("docker-image")]
    return [rpm for archive in images for rpm in call(scene, "listRPMs", None, None, archive["id"])]


def make_source(directory, name, version, release):
    """A source package of this name; what is in it does not matter here."""
    spec = directory / f"{name}.spec"
    spec.write_text(
        f"Name: {name}\nVersion: {version}\nRelease: {release}\nSummary: source of {name}\nLicense: MIT\n"
        "%description\nMade for a test.\n%files\n"
    )
    done = subprocess.run(
        ["rpmbuild", "-bs", "--define", f"_topdir {directory / 'top'}", str(spec)],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    return directory / "top/SRPMS" / f"{name}-{version}-{release}.src.rpm"


@pytest.fixture(scope="module")
def image(scene, tmp_path_factory):
    """A complete build of a small image."""
    tree = tmp_path_factory.mktemp("small")
    (tree / "Dockerfile").write_text(
        f'FROM registry.example.com/f40/base:40\nLABEL com.redhat.component="{NAME}" name="f40/sourced" version="7.1"\n'
        "RUN dnf -y install jq && dnf clean all\n"
    )
    dist_git.create(scene, "sourced", tree)
    done = build.outcome(scene, build.submit(scene, "sourced"))
    assert done.succeeded, done.fault
    return call(scene, "getBuild", int(done.result["koji_builds"][0]))


@pytest.fixture(scope="module")
def sources(scene, image, tmp_path_factory):
    """What must be in the source container: file name to the file that is in Koji. Imported in two steps, so that the
    refusals before are seen: first without source packages, then with unsigned ones, then signed."""
    directory = tmp_path_factory.mktemp("sources")
    builds = {rpm["build_id"] for rpm in rpms_of(scene, image["id"])}
    infos = [call(scene, "getBuild", build_id) for build_id in sorted(builds)]
    koji(scene, "add-pkg", "--owner", PACKAGER, DEST_TAG, f"{NAME}-source")

    status, _, task = submit(scene, "--koji-build-nvr", image["nvr"])
    assert status == 1
    assert "Koji has no source RPM of these builds" in fault(scene, task) and infos[0]["nvr"] in fault(scene, task)
    assert "koji import" in fault(scene, task)

    made = [make_source(directory, i["name"], i["version"], i["release"]) for i in infos]
    unsigned, signed = made[:1], made[1:]
    with SigningKey(directory / "gnupg", directory) as key:
        key.sign(signed, 4)
        policy = scene.state / "policy.toml"
        policy.write_text(policy.read_text().replace('allowed = ["', f'allowed = ["{key.key_id()}", "', 1))
        output = koji(scene, "import", *map(str, made), quiet=True)
        assert output.count("importing ") == len(made), output
        status, _, task = submit(scene, "--koji-build-nvr", image["nvr"])
        assert status == 1
        assert f"Koji has no copy of {unsigned[0].name} that is signed with a key" in fault(scene, task)
        assert "demo-key" in fault(scene, task)
        key.sign(unsigned, 1)
        koji(scene, "import-sig", "--write", str(unsigned[0]), quiet=True)
    return {path.name: path for path in made}


def blob(scene, repository, digest):
    with urllib.request.urlopen(f"http://{scene.registry}/v2/{repository}/blobs/{digest}") as answer:
        return answer.read()


def manifest(scene, spec):
    """Repository and manifest of a pull specification, as it is in the registry."""
    repository, _, reference = re.fullmatch(r"[^/]+/([^:@]+)([:@])(.+)", spec).groups()
    request = urllib.request.Request(f"http://{scene.registry}/v2/{repository}/manifests/{reference}")
    request.add_header("Accept", "application/vnd.docker.distribution.manifest.v2+json")
    with urllib.request.urlopen(request) as answer:
        return repository, json.load(answer)


def packages_in(scene, spec):
    """Name to SHA-256 of the files an image holds in rpm_dir, read from its layers."""
    repository, document = manifest(scene, spec)
    found = {}
    for layer in document["layers"]:
        with tarfile.open(fileobj=io.BytesIO(blob(scene, repository, layer["digest"]))) as tar:
            for entry in tar:
                if not entry.name.startswith("rpm_dir/") or not entry.issym():
                    continue
                target = os.path.normpath(os.path.join("rpm_dir", entry.linkname))
                digest = hashlib.sha256(tar.extractfile(target).read()).hexdigest()
                assert target == f"blobs/sha256/{digest}"
                found[os.path.basename(entry.name)] = digest
    return found


@pytest.fixture(scope="module")
def source_build(scene, image, sources):
    status, output, task = submit(scene, "--koji-build-nvr", image["nvr"], "--koji-build-id", str(image["id"]))
    assert status == 0, output + str(call(scene, "getTaskResult", task, False))
    return output, call(scene, "getTaskResult", task)


def test_the_image_holds_every_source_package_with_its_digest(scene, image, sources, source_build):
    output, result = source_build
    found = packages_in(scene, result["repositories"][0])
    assert set(found) == set(sources)
    for name, path in sources.items():
        assert found[name] == hashlib.sha256(path.read_bytes()).hexdigest(), name
    assert f"buildinfo?buildID={result['koji_builds'][0]}" in output and result["repositories"][0] in output


def test_it_is_a_koji_build_of_its_own_beside_the_image(scene, image, source_build):
    info = call(scene, "getBuild", int(source_build[1]["koji_builds"][0]))
    assert info["nvr"] == f"{NAME}-source-{image['version']}-{image['release']}.1"
    assert info["state"] == COMPLETE and info["owner_name"] == PACKAGER and info["source"] == image["source"]
    assert info["extra"]["image"]["sources_for_nvr"] == image["nvr"]
    assert info["extra"]["osbs_build"]["kind"] == "source_container_build"
    assert info["nvr"] in [row["nvr"] for row in call(scene, "listTagged", DEST_TAG)]
    (archive,) = call(scene, "listArchives", info["id"], None, None, None, "image")
    assert archive["extra"]["image"]["arch"] and archive["extra"]["docker"]["repositories"]
    assert call(scene, "listRPMs", None, None, archive["id"]) == []
    tags = {spec.rpartition(":")[2] for spec in source_build[1]["repositories"] if "@" not in spec}
    assert f"{image['version']}-{image['release']}.1" in tags and "latest" not in tags


def test_the_same_sources_make_the_same_layers_and_a_scratch_build_no_build(scene, image, source_build):
    before = manifest(scene, source_build[1]["repositories"][0])[1]["layers"]
    status, output, task = submit(scene, "--koji-build-id", str(image["id"]), "--scratch")
    assert status == 0, output
    result = call(scene, "getTaskResult", task)
    assert result["koji_builds"] == []
    assert manifest(scene, result["repositories"][0])[1]["layers"] == before


def test_a_failed_build_gives_its_name_back_and_the_next_one_takes_it(scene, image, sources, source_build):
    name, path = sorted(sources.items())[-1]
    (stored,) = (scene.kojidir / "packages").glob(f"*/*/*/src/{name}")
    away = stored.with_name("away")
    content = bytearray(stored.read_bytes())
    content[-1] ^= 1
    shutil.move(stored, away)
    nvr = f"{NAME}-source-{image['version']}-{image['release']}.2"
    try:
        status, _, task = submit(scene, "--koji-build-id", str(image["id"]))
        assert status == 1
        assert "is not there (404)" in fault(scene, task) and "hub" in fault(scene, task)
        stored.write_bytes(content)
        status, _, task = submit(scene, "--koji-build-id", str(image["id"]))
        assert status == 1
        assert f"the hub's file {name} is damaged" in fault(scene, task)
        assert call(scene, "getBuild", nvr)["state"] == FAILED
    finally:
        shutil.move(away, stored)
    status, output, task = submit(scene, "--koji-build-id", str(image["id"]))
    assert status == 0, output
    build_id = int(call(scene, "getTaskResult", task)["koji_builds"][0])
    assert call(scene, "getBuild", build_id)["nvr"] == nvr


def test_a_package_that_is_not_listed_is_refused_before_anything_is_fetched(scene, image, sources):
    koji(scene, "block-pkg", DEST_TAG, f"{NAME}-source", user=ADMIN)
    try:
        status, _, task = submit(scene, "--koji-build-id", str(image["id"]))
        assert status == 1 and f"package {NAME}-source is blocked in tag {DEST_TAG}" in fault(scene, task)
    finally:
        koji(scene, "unblock-pkg", DEST_TAG, f"{NAME}-source", user=ADMIN)


def test_builds_without_sources_are_usage_errors(scene, image, source_build):
    status, output, task = submit(scene, "--koji-build-id", source_build[1]["koji_builds"][0])
    assert (status, task) == (2, None) and f"is itself a source container, of {image['nvr']}" in output
    rpm = call(scene, "getBuild", rpms_of(scene, image["id"])[0]["build_id"])
    status, output, task = submit(scene, "--koji-build-nvr", rpm["nvr"])
    assert (status, task) == (2, None) and "is not a container image" in output
