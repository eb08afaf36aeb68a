"""Builds on hubs of earlier releases, as the development hub plays them (python/devhub/older.py).

Before 1.34 there is no scheduler: hosts choose out of `host.getLoadData`, and nobody refuses. 1.34.0 has one, but its
check-in takes no data. Before 1.35 a repository cannot be requested; before 1.33 a reservation does not know its task.
Which hub it is, is found out by what it refuses; a worker that runs on goes along when the hub is exchanged under it.
"""

import contextlib
import os

import pytest
from demo import build, dist_git, processes
from demo.scene import REGISTRY_NAME

import hub_session
from hub_session import BUILDING, COMPLETE, FREE
from test_site_faults import away
from watch import sleeping, wait_for


@contextlib.contextmanager
def hub_of(scene, version):
    """The scene's hub is one of `version`."""
    config = scene.hub_dir / "devhub.conf"
    text = config.read_text()
    with away(scene, "hub"):
        config.write_text(text.replace("[hub]\n", f"[hub]\nversion = {version}\n", 1))
    try:
        yield hub_session.login(scene)
    finally:
        with away(scene, "hub"):
            config.write_text(text)


@pytest.fixture(params=["1.31", "1.34.1", "1.33", "1.34.0"])
def older(scene, request):
    if scene.koji_src:
        pytest.skip("the real hub is a new one")
    with hub_of(scene, request.param) as admin:
        yield scene, admin, request.param


def repository(scene, tmp_path, name, *instructions):
    lines = [
        f"FROM {REGISTRY_NAME}/f40/base:40",
        f'LABEL com.redhat.component="webserver" name="f40/{name}" version="{name}"',
    ]
    (tmp_path / "Dockerfile").write_text("\n".join([*lines, *instructions]) + "\n")
    dist_git.create(scene, name, tmp_path)
    return name


def test_a_build_succeeds_on_an_older_hub_and_a_cancelled_one_ends(older, tmp_path):
    """By the one worker, under which the hub is exchanged from version to version."""
    scene, admin, version = older
    assert admin.getKojiVersion() == version
    name = f"older{version.replace('.', '')}"
    seconds = f"73.0{version.replace('.', '')}"
    task = build.submit(scene, repository(scene, tmp_path, f"{name}c", f"RUN sleep {seconds}"))
    other = build.submit(scene, repository(scene, tmp_path, name, "RUN dnf -y install tree"))
    wait_for("RUN step", lambda: sleeping(seconds))
    admin.cancelTask(task)
    wait_for("end of the RUN step", lambda: not sleeping(seconds), 10)
    done = build.outcome(scene, other)
    assert done.succeeded, done.fault
    (row,) = [admin.getBuild(int(number)) for number in done.result["koji_builds"]]
    assert row["state"] == COMPLETE and len(admin.listTags(row["build_id"])) == 1
    builds = [b for b in admin.listBuilds(packageID=row["package_id"]) if b["version"] == f"{name}c"]
    wait_for("end of the reservation", lambda: admin.getBuild(builds[0]["build_id"])["state"] != BUILDING)
    worker = next(s for s in processes.running(scene) if s.name == "worker")
    assert processes.start_time(worker.pid) == worker.started, "the worker goes along when the hub is another"


def test_a_task_that_this_builder_cannot_do_is_left_to_others_where_hubs_keep_no_refusals(scene):
    if scene.koji_src:
        pytest.skip("the real hub is a new one")
    with hub_of(scene, "1.33") as admin:
        other = "aarch64" if os.uname().machine != "aarch64" else "x86_64"
        request = [{"__method__": "createContainer", "arch": other}]
        task = admin.makeTask("createContainer", request, arch=other, channel="container")
        strange = admin.makeTask("buildArch", ["x"], channel="container")
        log = (scene.logs / "worker.log").read_text()
        wait_for("passing over", lambda: "passed over" in (scene.logs / "worker.log").read_text()[len(log) :])
        done = build.outcome(scene, build.submit(scene, "webserver"))
        assert done.succeeded, done.fault
        assert [admin.getTaskInfo(number)["state"] for number in (task, strange)] == [FREE, FREE]
        admin.cancelTask(task)
        admin.cancelTask(strange)
