"""A worker that is told to end when its builds have: `koji restart-hosts`, SIGUSR1, and `containerbuild drain`."""

import os
import signal
import subprocess
from types import SimpleNamespace

import pytest
from demo import dist_git, processes, worker
from demo.scene import PACKAGER, REGISTRY_NAME, TARGET

import hub_proxy
import hub_session
from hub_session import CLOSED, COMPLETE, FAILED, FREE, OPEN, states
from watch import sleeping, wait_for

HOST = CHANNEL = "restarting"


@pytest.fixture(scope="module")
def site(scene):
    """A host alone in its channel, behind a proxy."""
    with hub_proxy.HubProxy(hub_proxy.plain_url(scene)) as hub:
        hub_proxy.add_host(scene, HOST, CHANNEL, new_channel=True)
        which = worker.Worker(HOST, HOST, (("max_jobs", 2), ("poll_seconds", 0.5)), hub.url, hub_proxy.PASSWORD)
        admin, packager = hub_session.login(scene), hub_session.login(scene, PACKAGER)
        yield SimpleNamespace(
            scene=scene, hub=hub, which=which, admin=admin, packager=packager, host=admin.getHost(HOST)
        )


@pytest.fixture
def service(site):
    """The worker, running."""
    running = worker.start(site.scene, site.which)
    yield running
    processes.stop(site.scene, running)


@pytest.fixture
def submit(site, tmp_path):
    def run(name, *instructions):
        lines = [
            f"FROM {REGISTRY_NAME}/f40/base:40",
            f'LABEL com.redhat.component="webserver" name="f40/{name}" version="{name}"',
        ]
        (tmp_path / "Dockerfile").write_text("\n".join([*lines, *(instructions or ["RUN true"])]) + "\n")
        dist_git.create(site.scene, name, tmp_path)
        url = site.scene.scm_url(name, dist_git.commit(site.scene, name))
        return site.packager.buildContainer(url, TARGET, {"git_branch": dist_git.BRANCH}, channel=CHANNEL)

    return run


def state(site, task):
    return site.admin.getTaskInfo(task)["state"]


def restart_tasks(site):
    """The two tasks that restartHosts makes for a host (koji/tasks.py RestartHostsTask)."""
    first = site.admin.makeTask("restart", [site.host], assign=site.host["id"])
    return first, site.admin.makeTask("restartVerify", [first, site.host], assign=site.host["id"])


def drain(site, *options):
    config = str(site.scene.state / f"{HOST}.toml")
    command = [str(worker.binary()), "drain", "--config", config, *options]
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120)


def test_8_9_restart_hosts_lets_builds_end_and_is_verified_by_the_new_worker(site, service, submit):
    site.hub.reset()
    build = submit("restarted", "RUN sleep 6.011")
    wait_for("RUN step", lambda: sleeping("6.011"))
    first, second = restart_tasks(site)
    wait_for("answer to the restart", lambda: state(site, first) == CLOSED)
    assert site.admin.getTaskResult(first) == "graceful restart initiated"
    assert state(site, build) == OPEN and state(site, second) not in (CLOSED, FAILED)
    assert site.hub.calls["exclusiveSession"] == 0, "it has not restarted yet"
    wait_for("verification", lambda: state(site, second) == CLOSED)
    assert state(site, build) == CLOSED and states(site.admin, build) == [COMPLETE]
    assert site.hub.calls["exclusiveSession"] == 1
    assert processes.start_time(service.pid) == service.started, "the process is the same one to systemd"


def test_a_restart_of_another_host_fails_and_restarts_nothing(site, service):
    site.hub.reset()
    task = site.admin.makeTask("restart", [{**site.host, "id": 12345}], assign=site.host["id"])
    wait_for("end", lambda: state(site, task) == FAILED)
    assert site.admin.getTaskResult(task, raise_fault=False) == {"faultCode": 1000, "faultString": "Host mismatch"}
    early = site.admin.makeTask("restartVerify", [task, site.host], assign=site.host["id"])
    wait_for("end", lambda: state(site, early) == FAILED)
    assert "Stage one restart task is FAILED" in site.admin.getTaskResult(early, raise_fault=False)["faultString"]
    assert site.hub.calls["exclusiveSession"] == 0


def test_a_verification_before_the_restart_fails(site, service):
    done = site.admin.makeTask("restart", [{**site.host, "id": 1}], assign=site.host["id"])
    wait_for("end", lambda: state(site, done) == FAILED)
    site.hub.reset()
    first, second = restart_tasks(site)
    wait_for("verification", lambda: state(site, second) == CLOSED)
    later = site.admin.makeTask("restartVerify", [first, site.host], assign=site.host["id"])
    wait_for("verification of the same restart", lambda: state(site, later) == CLOSED)
    assert site.hub.calls["exclusiveSession"] == 1


def test_sigusr1_restarts_with_the_configuration_as_it_is_then(site, service, submit):
    site.hub.reset()
    build = submit("signalled", "RUN sleep 4.013")
    wait_for("RUN step", lambda: sleeping("4.013"))
    os.kill(service.pid, signal.SIGUSR1)
    wait_for("news of the drain", lambda: not site.admin.getHost(HOST)["ready"])
    waiting = submit("meanwhile")
    assert state(site, waiting) == FREE
    wait_for("end of the build that came later", lambda: state(site, waiting) == CLOSED)
    assert state(site, build) == CLOSED and site.hub.calls["exclusiveSession"] == 1
    assert site.admin.getTaskInfo(build)["completion_ts"] < site.admin.getTaskInfo(waiting)["start_ts"]


def test_drain_finishes_builds_takes_nothing_more_and_stops(site, submit):
    service = worker.start(site.scene, site.which)
    build = submit("drained", "RUN sleep 5.017")
    wait_for("RUN step", lambda: sleeping("5.017"))
    hurried = drain(site, "--wait", "--timeout", "1")
    assert hurried.returncode == 1 and "builds still run" in hurried.stderr
    waiting = submit("afterdrain")
    done = drain(site, "--wait")
    assert done.returncode == 0, done.stderr
    assert "takes nothing more, and stops" in done.stdout
    assert state(site, build) == CLOSED and states(site.admin, build) == [COMPLETE]
    assert state(site, waiting) == FREE
    assert not site.admin.getHost(HOST)["ready"]
    wait_for("end of the process", lambda: processes.start_time(service.pid) is None)
    nobody = drain(site)
    assert nobody.returncode == 2 and "no worker uses" in nobody.stderr
    processes.stop(site.scene, service)
    again = worker.start(site.scene, site.which)
    wait_for("the build that waited", lambda: state(site, waiting) == CLOSED)
    processes.stop(site.scene, again)


def test_8_9_a_method_nobody_knows_is_refused_for_good(site, service):
    task = site.admin.makeTask("buildArch", ["x"], assign=site.host["id"])
    wait_for("refusal", lambda: state(site, task) == FREE)
    (refusal,) = site.admin.scheduler.getTaskRefusals([["task_id", "=", task]])
    assert refusal["soft"] is False and "does not handle buildArch" in refusal["msg"]
    site.admin.cancelTask(task)


def test_8_24_a_subtask_of_another_architecture_is_refused_for_good(site, service):
    other = "aarch64" if os.uname().machine != "aarch64" else "x86_64"
    request = {"__method__": "createContainer", "arch": other}
    task = site.admin.makeTask("createContainer", [request], arch=other, assign=site.host["id"])
    wait_for("refusal", lambda: state(site, task) == FREE)
    (refusal,) = site.admin.scheduler.getTaskRefusals([["task_id", "=", task]])
    assert refusal["soft"] is False and f"not for {other}" in refusal["msg"]
    site.admin.cancelTask(task)
