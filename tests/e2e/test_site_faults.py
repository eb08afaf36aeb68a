"""What a packager sees when it is not the packager's fault: a service of the site is away, or the task is cancelled."""

import contextlib
import os
import time

import pytest
from demo import build, dist_git, processes
from demo.koji_client import call
from demo.scene import SceneError

from services import away

CANCELED = 3  # koji.TASK_STATES
BUILD_FAILED, BUILD_CANCELED = 3, 4  # koji.BUILD_STATES


def slow_repository(scene, tmp_path, name, seconds):
    """A repository whose first RUN takes `seconds`."""
    (tmp_path / "Dockerfile").write_text(
        "FROM registry.example.com/f40/base:40\n"
        f'LABEL com.redhat.component="webserver" name="f40/webserver" version="{name}"\n'
        f"RUN sleep {seconds}\n"
    )
    dist_git.create(scene, name, tmp_path)
    return name


def wait_for(what, condition, seconds=120):
    """Poll until `condition()`; neither the hub nor the process table can be subscribed to."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"no {what} after {seconds} s"
        time.sleep(0.1)


def sleeping(seconds):
    """Whether the RUN step of `slow_repository` runs."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{entry}/cmdline", "rb") as file:
                if file.read() == f"sleep\0{seconds}\0".encode():
                    return True
    return False


@pytest.mark.parametrize(("name", "culprit"), [("dist-git", "dist_git"), ("registry", "registry")])
def test_a_service_that_is_away_is_named_and_blamed_on_the_site(scene, name, culprit):
    with away(scene, name):
        done = build.outcome(scene, build.submit(scene, "webserver"))
    assert not done.succeeded
    assert f"127.0.0.1:{scene.port(culprit)}" in done.fault
    assert "people who run the builders" in done.fault


def test_a_hub_that_is_away_for_a_moment_costs_no_build(scene, tmp_path):
    if scene.koji_src:
        pytest.skip("Apache is not restarted under the other tests' feet; the development hub is")
    task = build.submit(scene, slow_repository(scene, tmp_path, "hubaway", 7))
    wait_for("RUN step", lambda: sleeping(7))
    with away(scene, "hub"):
        wait_for("end of the RUN step", lambda: not sleeping(7))
    done = build.outcome(scene, task)
    assert done.succeeded, done.fault


def test_a_refused_import_is_told_in_the_plugin_s_sentence(scene, tmp_path):
    if scene.koji_src:
        pytest.skip("the plugin's configuration is read once by each process of the hub")
    conf = scene.hub_dir / "containerbuild.conf"
    before = conf.read_text()
    try:
        with away(scene, "hub"):
            conf.write_text(before + "task_methods = somethingElse\n")
        done = build.outcome(scene, build.submit(scene, slow_repository(scene, tmp_path, "refusedimport", 0)))
    finally:
        with away(scene, "hub"):
            conf.write_text(before)
    assert not done.succeeded
    assert "the hub refused the import: The import of webserver-refusedimport-1 is not allowed: " in done.fault
    assert "somethingElse" in done.fault and "_koji_plugin__containerbuild" in done.fault
    assert "Traceback" not in done.fault and "File " not in done.fault
    assert [b["state"] for b in call(scene, "listBuilds", None, None, done.task_id)] == [BUILD_FAILED]


def test_a_cancelled_task_stops_at_once_and_gives_its_build_back(scene, tmp_path):
    task = build.submit(scene, slow_repository(scene, tmp_path, "cancelled", 86))
    wait_for("RUN step", lambda: sleeping(86))
    call(scene, "cancelTask", task)
    began = time.monotonic()
    wait_for("end of the RUN step", lambda: not sleeping(86))
    assert time.monotonic() - began < 30
    assert call(scene, "getTaskInfo", task)["state"] == CANCELED
    left = scene.state / "worker" / "tasks" / str(task)
    wait_for("removal of the task's directory", lambda: not left.exists())
    builds = call(scene, "listBuilds", None, None, task)
    assert [b["state"] for b in builds] == [BUILD_CANCELED]


def test_the_scene_still_runs_after_all_this(scene):
    names = {s.name for s in processes.running(scene)}
    if not {"worker", "hub", "registry", "dist-git"} <= names:
        raise SceneError(f"only {sorted(names)} run")
    assert build.outcome(scene, build.submit(scene, "webserver")).succeeded
