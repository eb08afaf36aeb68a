"""Traps of Koji that no other test walks into. Their numbers are those of tests/GOTCHAS.md, which lists all of them."""

import time

import pytest
from demo import build, dist_git, processes, worker
from demo.koji_client import koji
from demo.scene import PACKAGER, REGISTRY_NAME, TARGET

import hub_proxy
import hub_session
from hub_session import CLOSED, FAILED, states
from watch import wait_for


@pytest.fixture(scope="module")
def admin(scene):
    return hub_session.login(scene)


@pytest.fixture
def repository(scene, tmp_path):
    def make(name, *instructions, component="webserver", version=None):
        lines = [
            f"FROM {REGISTRY_NAME}/f40/base:40",
            f'LABEL com.redhat.component="{component}" name="f40/{name}" version="{version or name}"',
            *(instructions or ["RUN true"]),
        ]
        (tmp_path / "Dockerfile").write_text("\n".join(lines) + "\n")
        dist_git.create(scene, name, tmp_path)
        return name

    return make


def test_8_5_two_workers_with_one_identity_do_not_share_it(scene, admin):
    """The later one has the session, the earlier one ends and says why; one state directory is not shared at all."""
    hub_proxy.add_host(scene, "twin", "twins", new_channel=True)
    settings = (("max_jobs", 1), ("poll_seconds", 0.5))
    first, second = (
        worker.Worker(name, "twin", settings, hub_proxy.plain_url(scene), hub_proxy.PASSWORD)
        for name in ("twin0", "twin1")
    )
    earlier = worker.start(scene, first)
    same = processes.start(
        scene, "twin2", [str(worker.binary()), "worker", "--config", str(scene.state / "twin0.toml")]
    )
    wait_for("end of the one without a directory", lambda: processes.start_time(same.pid) is None)
    assert "another worker uses" in processes.log_tail(scene, "twin2")
    assert processes.start_time(earlier.pid) == earlier.started
    later = worker.start(scene, second)
    wait_for("end of the earlier one", lambda: processes.start_time(earlier.pid) is None, 30)
    assert "session" in processes.log_tail(scene, "twin0")
    assert processes.start_time(later.pid) == later.started
    for service in (earlier, same, later):
        processes.stop(scene, service)


def test_8_10_a_scratch_build_has_an_empty_list_of_builds_and_others_have_numbers_as_text(scene, repository):
    name = repository("numbers")
    done = build.outcome(scene, build.submit(scene, name))
    assert done.succeeded and [type(number) for number in done.result["koji_builds"]] == [str]
    assert int(done.result["koji_builds"][0]) > 0
    scratch = build.outcome(scene, build.submit(scene, name, "--scratch"))
    assert scratch.succeeded and scratch.result["koji_builds"] == []


def test_8_13_logs_are_imported_from_copies_and_the_task_keeps_its_own(scene, admin, repository):
    done = build.outcome(scene, build.submit(scene, repository("logs")))
    assert done.succeeded, done.fault
    (number,) = done.result["koji_builds"]
    kept = {row["name"] for row in admin.getBuildLogs(int(number))}
    assert "build.log" in kept
    output = admin.listTaskOutput(done.task_id)
    assert "build.log" in output
    directory = scene.kojidir / f"work/tasks/{done.task_id % 10000}/{done.task_id}"
    assert not any((directory / name).is_symlink() for name in output)
    # What the task says after the import is in its own log, and only there.
    assert "hub calls" in admin.downloadTaskOutput(done.task_id, "build.log").decode()


def test_8_16_arches_are_separated_by_commas_on_the_command_line_and_by_blanks_in_the_task(scene, admin, repository):
    task = build.submit(scene, repository("override"), "--scratch", "--arch-override", "x86_64,aarch64")
    request = admin.getTaskInfo(task, request=True)["request"]
    assert request[2]["arch_override"] == "x86_64 aarch64"
    admin.cancelTask(task)


def test_8_20_load_is_never_negative_and_capacity_is_kept(scene, admin, repository):
    task = build.submit(scene, repository("load", "RUN sleep 4.091"))
    loads = []

    def ended():
        loads.append(admin.getHost("builder1")["task_load"])
        return admin.getTaskInfo(task)["state"] == CLOSED

    wait_for("end", ended)
    wait_for("load of an idle host", lambda: admin.getHost("builder1")["task_load"] == 0.0)
    assert max(loads) == 2.0 and min(loads) >= 0.0


def test_8_29_target_and_tags_are_read_at_one_event(scene, repository):
    hub_proxy.add_host(scene, "events", "events", new_channel=True)
    with hub_proxy.HubProxy(hub_proxy.plain_url(scene)) as proxy:
        settings = (("max_jobs", 1), ("poll_seconds", 0.5))
        service = worker.start(scene, worker.Worker("events", "events", settings, proxy.url, hub_proxy.PASSWORD))
        done = build.outcome(scene, build.submit(scene, repository("events"), "--channel-override", "events"))
        assert done.succeeded, done.fault
        asked = [(m, p) for m, p in proxy.requests if m in ("getBuildTarget", "getBuildConfig", "getTag")]
        processes.stop(scene, service)
    events = {params[-1].get("event") for _, params in asked if isinstance(params[-1], dict)}
    assert {"getBuildTarget", "getBuildConfig"} <= {method for method, _ in asked}
    assert len(events - {None}) == 1, asked


def test_8_30_a_package_that_is_not_in_the_list_is_told_before_anything_is_built(scene, admin, repository):
    began = time.monotonic()
    task = build.submit(scene, repository("unlisted", "RUN sleep 60", component="nowhere-listed"))
    done = build.outcome(scene, task)
    assert not done.succeeded and time.monotonic() - began < 30
    assert "nowhere-listed is not in the list of tag" in done.fault and "koji add-pkg" in done.fault
    assert states(admin, task) == []


@pytest.mark.parametrize(
    ("option", "reason"), [("--master", "is locked"), ("--perm=admin", "requires the permission `admin`")]
)
def test_8_30_a_locked_destination_is_told_before_anything_is_built(scene, admin, repository, option, reason):
    dest = admin.getBuildTarget(TARGET)["dest_tag_name"]
    name = repository(f"locked{option.strip('-').partition('=')[0]}")
    url = scene.scm_url(name, dist_git.commit(scene, name))
    koji(scene, "lock-tag", option, dest)
    try:
        packager = hub_session.login(scene, PACKAGER)
        task = packager.buildContainer(url, TARGET, {"git_branch": dist_git.BRANCH})
        wait_for("end", lambda: admin.getTaskInfo(task)["state"] in (CLOSED, FAILED))
        fault = admin.getTaskResult(task, raise_fault=False)["faultString"]
        assert admin.getTaskInfo(task)["state"] == FAILED
        assert f"the destination tag {dest} {reason}" in fault and "freeze" in fault
        assert states(admin, task) == []
    finally:
        koji(scene, "unlock-tag", dest)
