"""One build for two architectures: a coordinating task, a task per architecture on a host of it, one index, one build.

The second architecture is emulated (binfmt.py): its worker is a Koji host for aarch64 on this machine. Both workers
have room for one task at a time and are alone in their channel, so that a coordinator that kept its place while it
waits would keep its own subtasks from running.
"""

import io
import json
import os
import signal
import tarfile
import time
import urllib.request

import pytest
from demo import build, certificates, dist_git, koji_setup, processes, worker
from demo.koji_client import call, koji
from demo.scene import ADMIN, CONTENT_GENERATOR, PACKAGER

import binfmt
import small_base

ARCHES = ("x86_64", "aarch64")
TARGET, TAG, CHANNEL = "arches-container-candidate", "arches", "arches"
FREE, OPEN, CLOSED, CANCELED, ASSIGNED, FAILED = range(6)  # koji.TASK_STATES
BUILD_FAILED, BUILD_CANCELED = 3, 4  # koji.BUILD_STATES
OPTIONS = ("--channel-override", CHANNEL)
WORKERS = {
    arch: worker.Worker(
        f"worker-{arch}",
        f"builder-{arch}",
        (("max_jobs", 1), ("poll_seconds", 0.5), ("arch", arch)),
        policy="# the strict defaults; the demo wants its own keys and tags\n",
    )
    for arch in ARCHES
}

pytestmark = pytest.mark.skipif(
    os.uname().machine != "x86_64" or binfmt.why_not() is not None,
    reason=f"needs x86_64 and emulation: {binfmt.why_not()}",
)


def wait_for(what, condition, seconds=120):
    """Poll until `condition()`; neither the hub nor the process table can be subscribed to."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"no {what} after {seconds} s"
        time.sleep(0.1)
    return found


@pytest.fixture(scope="module")
def arches(scene, tmp_path_factory):
    """A target for two architectures, a base image for both, a worker for each."""
    koji(scene, "add-tag", TAG)
    koji(scene, "add-tag", "--parent", TAG, "--arches", " ".join(ARCHES), f"{TAG}-build")
    koji(scene, "add-tag", "--parent", TAG, f"{TAG}-dest")
    koji(scene, "add-target", TARGET, f"{TAG}-build", f"{TAG}-dest")
    koji(scene, "add-pkg", "--owner", ADMIN, TAG, small_base.NAME, small_base.IMAGE)
    koji(scene, "add-pkg", "--owner", PACKAGER, f"{TAG}-dest", "multi")
    small_base.publish(scene, tmp_path_factory.mktemp("small"), ARCHES, TAG)
    for arch, which in WORKERS.items():
        certificates.add(scene, which.host)
        koji_setup.host(scene, which.host, CHANNEL, arch, new_channel=arch == ARCHES[0])
        koji(scene, "grant-cg-access", which.host, CONTENT_GENERATOR)
    with binfmt.aarch64():
        services = [worker.start(scene, which) for which in WORKERS.values()]
        assert len(services) == len(ARCHES)
        yield scene
        for service in processes.running(scene):
            if service.name in {which.name for which in WORKERS.values()}:
                processes.stop(scene, service)


@pytest.fixture
def submit(arches, tmp_path):
    """Submits a build of a repository `name` with these instructions; the task id."""

    def run(name, *instructions, container_yaml=None, version="1.0"):
        lines = [
            f"FROM registry.example.com/{small_base.REPOSITORY}:{small_base.VERSION}",
            f'LABEL com.redhat.component="multi" name="f40/{name}" version="{version}"',
            *instructions,
        ]
        (tmp_path / "Dockerfile").write_text("\n".join(lines) + "\n")
        if container_yaml:
            (tmp_path / "container.yaml").write_text(container_yaml)
        dist_git.create(arches, name, tmp_path)
        return build.submit(arches, name, *OPTIONS, target=TARGET)

    return run


def children(scene, task):
    """The subtasks by label."""
    return {child["label"]: child for child in call(scene, "getTaskChildren", task)}


def manifest(scene, repository, reference):
    request = urllib.request.Request(f"http://{scene.registry}/v2/{repository}/manifests/{reference}")
    kinds = ["manifest.list.v2", "manifest.v2"]
    request.add_header("Accept", ", ".join(f"application/vnd.docker.distribution.{kind}+json" for kind in kinds))
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def file_in_image(scene, repository, digest, name):
    """A file of the topmost layer that has it; the builder's own record lies above what the Dockerfile makes."""
    for layer in reversed(manifest(scene, repository, digest)["layers"]):
        with urllib.request.urlopen(f"http://{scene.registry}/v2/{repository}/blobs/{layer['digest']}") as answer:
            data = io.BytesIO(answer.read())
        with tarfile.open(fileobj=data) as tar:
            if name in tar.getnames():
                return tar.extractfile(name).read().decode().strip()
    raise AssertionError(f"{repository}@{digest} has no {name}")


def sleeping(seconds):
    """How many RUN steps `busybox sleep SECONDS` run."""
    found = 0
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    words = file.read().split(b"\0")
            except OSError:
                continue
            found += words[-3:] == [b"sleep", str(seconds).encode(), b""] and b"-c" not in words
    return found


def test_every_arch_is_built_on_its_own_host_and_one_build_holds_them_all(arches, submit):
    scene = arches
    task = submit("multi", "RUN busybox uname -m > /arch")
    done = build.outcome(scene, task)
    assert done.succeeded, done.fault
    tasks = children(scene, task)
    assert sorted(tasks) == sorted(ARCHES)
    for arch, child in tasks.items():
        assert (child["method"], child["arch"], child["state"]) == ("createContainer", arch, CLOSED)
        assert call(scene, "getHost", child["host_id"])["name"] == WORKERS[arch].host
        assert {f"{arch}.log", f"{arch}-build.log", f"provenance-{arch}.json"} <= set(
            call(scene, "listTaskOutput", child["id"])
        )
    info = call(scene, "getBuild", int(done.result["koji_builds"][0]))
    index = manifest(scene, "f40/multi", f"{info['version']}-{info['release']}")
    assert index["mediaType"] == "application/vnd.docker.distribution.manifest.list.v2+json"
    platforms = {m["platform"]["architecture"]: m["digest"] for m in index["manifests"]}
    assert file_in_image(scene, "f40/multi", platforms["amd64"], "arch") == "x86_64"
    assert file_in_image(scene, "f40/multi", platforms["arm64"], "arch") == "aarch64"
    assert manifest(scene, "f40/multi", "latest") == index, "floating tags name the index"
    recorded = info["extra"]["image"]["index"]
    assert recorded["pull"] == [r for r in done.result["repositories"] if r in recorded["pull"]]
    assert list(recorded["digests"]) == [index["mediaType"]]
    archives = {
        a["extra"]["image"]["arch"]: a for a in call(scene, "listArchives", info["id"], None, None, None, "image")
    }
    assert sorted(archives) == sorted(ARCHES)
    for arch, archive in archives.items():
        assert [(r["name"], r["arch"]) for r in call(scene, "listRPMs", None, None, archive["id"])] == [
            ("small-base", arch)
        ]
        assert list(archive["extra"]["docker"]["digests"].values())[0] in platforms.values()
    logs = {log["name"] for log in call(scene, "getBuildLogs", info["id"])}
    assert {"build.log", "x86_64.log", "aarch64.log", "provenance-aarch64.json", "x86_64-build.log"} <= logs
    repos = {r["tag"]: r["repo_id"] for r in info["extra"]["containerbuild"]["koji_repos"]}
    urls = {c["url"] for c in info["extra"]["containerbuild"]["content"]}
    assert urls == {f"{scene.top_url}/repos/{TAG}-build/{repos[f'{TAG}-build']}/{arch}/" for arch in ARCHES}
    log = urllib.request.urlopen(f"{scene.top_url}/work/tasks/{task % 10000}/{task}/build.log").read().decode()
    assert "waiting for x86_64" in log and "pushed the index of" in log


def test_coordinators_without_room_to_wait_in_do_not_keep_their_subtasks_from_running(arches, submit):
    # Each worker has one place. Three coordinators and six subtasks on two places: all end, none twice.
    tasks = [submit("multi-many" + str(number), "RUN busybox sleep 1", version=str(number)) for number in range(3)]
    outcomes = [build.outcome(arches, task) for task in tasks]
    assert all(done.succeeded for done in outcomes), [done.fault for done in outcomes]
    assert [sorted(children(arches, task)) for task in tasks] == [sorted(ARCHES)] * 3
    assert len({done.result["koji_builds"][0] for done in outcomes}) == 3


def test_an_arch_that_fails_fails_the_build_and_stops_the_other(arches, submit):
    fails = "RUN case $(busybox uname -m) in aarch64) exit 7;; *) busybox sleep 93;; esac"
    # The other arch runs on the coordinator's own builder, or takes the only place of the one where it was freed.
    began = time.monotonic()
    task = submit("multi-fails", fails)
    done = build.outcome(arches, task)
    assert not done.succeeded
    assert time.monotonic() - began < 60, "the other arch was waited for"
    tasks = children(arches, task)
    assert f"aarch64 failed (task {tasks['aarch64']['id']})" in done.fault
    assert tasks["x86_64"]["state"] == CANCELED
    wait_for("end of the other arch", lambda: sleeping(93) == 0, 10)
    assert [b["state"] for b in call(arches, "listBuilds", None, None, task)] == [BUILD_FAILED]


def test_a_build_goes_on_without_an_optional_arch(arches, submit):
    fails = "RUN test $(busybox uname -m) = x86_64"
    task = submit("multi-optional", fails, container_yaml="platforms:\n  optional: aarch64\n", version="2.0")
    done = build.outcome(arches, task)
    assert done.succeeded, done.fault
    assert any("aarch64 is missing" in warning for warning in done.result["user_warnings"])
    info = call(arches, "getBuild", int(done.result["koji_builds"][0]))
    assert info["extra"]["containerbuild"]["missing_arches"] == ["aarch64"]
    assert [m["platform"]["architecture"] for m in manifest(arches, "f40/multi-optional", "latest")["manifests"]] == [
        "amd64"
    ]


def test_cancelling_the_build_stops_every_arch(arches, submit):
    task = submit("multi-cancelled", "RUN busybox sleep 94", version="3.0")
    wait_for("RUN steps of both arches", lambda: sleeping(94) == 2)
    call(arches, "cancelTask", task)
    began = time.monotonic()
    wait_for("end of the RUN steps", lambda: sleeping(94) == 0)
    took = time.monotonic() - began
    assert took < 5, f"{took:.1f} s"
    assert {child["state"] for child in children(arches, task).values()} == {CANCELED}
    for which in WORKERS.values():
        left = arches.state / which.name / "tasks"
        wait_for("removal of the tasks' directories", lambda left=left: not list(left.iterdir()))
    assert [b["state"] for b in call(arches, "listBuilds", None, None, task)] == [BUILD_CANCELED]


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_coordinator_waits_on_through_a_restart_of_its_builder(arches, submit, end):
    task = submit(f"multi-restart{end}", "RUN busybox sleep 12", version=f"4.{end}")
    wait_for("RUN steps of both arches", lambda: sleeping(12) == 2)
    before = {label: child["id"] for label, child in children(arches, task).items()}
    coordinating = call(arches, "getHost", call(arches, "getTaskInfo", task)["host_id"])["name"]
    which = next(w for w in WORKERS.values() if w.host == coordinating)
    service = next(s for s in processes.running(arches) if s.name == which.name)
    os.kill(service.pid, end)
    wait_for("end of the worker", lambda: processes.start_time(service.pid) != service.started)
    worker.start(arches, which)
    done = build.outcome(arches, task)
    assert done.succeeded, done.fault
    assert {label: child["id"] for label, child in children(arches, task).items()} == before
    assert len(call(arches, "listBuilds", None, None, task)) == 1


def test_a_coordinator_that_is_moved_to_another_builder_begins_anew_where_it_lacks_the_token(arches, submit):
    scene = arches
    task = submit("multi-moved", "RUN busybox sleep 13", version="5.0")
    wait_for("RUN steps of both arches", lambda: sleeping(13) == 2)
    host = call(scene, "getTaskInfo", task)["host_id"]
    name = call(scene, "getHost", host)["name"]
    call(scene, "disableHost", name)
    call(scene, "freeTask", task)
    wait_for("another host for the task", lambda: call(scene, "getTaskInfo", task)["host_id"] not in (None, host))
    call(scene, "enableHost", name)
    done = build.outcome(scene, task)
    assert done.succeeded, done.fault
    assert sorted(children(scene, task)) == sorted([*ARCHES, *(f"{arch}.1" for arch in ARCHES)])
    assert call(scene, "getBuild", int(done.result["koji_builds"][0]))["release"] == "2"
