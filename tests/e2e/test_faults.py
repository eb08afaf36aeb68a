"""Tasks taken away, cancelled or raced in the middle of a build, hosts that are disabled, sessions that expire.

Whatever happens: one import, one tag, no process, mount or directory left behind. Two workers behind one proxy to the
hub, one to the registry and one to dist-git, so that a build can be held in any of its steps. Numbers in names are
those of tests/GOTCHAS.md.
"""

import time
from types import SimpleNamespace

import pytest
from demo import dist_git, processes, worker
from demo.scene import PACKAGER, REGISTRY_NAME, TARGET

import hub_proxy
import hub_session
from hub_session import BUILD_CANCELED, BUILDING, CANCELED, CLOSED, COMPLETE, FAILED, FREE, OPEN, states
from stalled import Detour
from watch import alive, descendants, sleeping, wait_for

CHANNEL = "faults"
HOSTS = ("fault0", "fault1")
# "cancel to everything stopped and cleaned"
CANCEL_SECONDS = 5


@pytest.fixture(scope="module")
def site(scene):
    """Two workers, alone in their channel, and the proxies around them."""
    registry, git = Detour(scene.port("registry")), Detour(scene.port("dist_git"))
    with registry, git, hub_proxy.HubProxy(hub_proxy.plain_url(scene)) as hub:
        services = {}
        for name in HOSTS:
            hub_proxy.add_host(scene, name, CHANNEL, new_channel=name == HOSTS[0])
            settings = (("max_jobs", 2), ("poll_seconds", 1))
            where = f"127.0.0.1:{registry.port}"
            which = worker.Worker(name, name, settings, hub.url, hub_proxy.PASSWORD, registry=where)
            services[name] = worker.start(scene, which)
        admin, packager = hub_session.login(scene), hub_session.login(scene, PACKAGER)
        yield SimpleNamespace(
            scene=scene, hub=hub, registry=registry, git=git, services=services, admin=admin, packager=packager
        )
        for service in services.values():
            processes.stop(scene, service)


@pytest.fixture
def submit(site, tmp_path):
    """Submits a build of a repository of its own; the task."""

    def run(name, *instructions, release=""):
        lines = [
            f"FROM {REGISTRY_NAME}/f40/base:40",
            f'LABEL com.redhat.component="webserver" name="f40/{name}" version="{name}"{release}',
            *(instructions or ["RUN true"]),
        ]
        (tmp_path / "Dockerfile").write_text("\n".join(lines) + "\n")
        dist_git.create(site.scene, name, tmp_path)
        return again(name)

    def again(name):
        url = site.scene.scm_url(name, dist_git.commit(site.scene, name))
        url = url.replace(f":{site.scene.port('dist_git')}/", f":{site.git.port}/")
        return site.packager.buildContainer(url, TARGET, {"git_branch": dist_git.BRANCH}, channel=CHANNEL)

    run.again = again
    return run


def state(site, task):
    return site.admin.getTaskInfo(task)["state"]


def ended(site, task):
    """Waits for the end; the task's row."""
    wait_for(f"end of task {task}", lambda: state(site, task) in (CLOSED, CANCELED, FAILED), 180)
    return site.admin.getTaskInfo(task)


def fault(site, task):
    return site.admin.getTaskResult(task, raise_fault=False)["faultString"]


def holder(site, task):
    """The name of the host that has the task."""
    host = site.admin.getTaskInfo(task)["host_id"]
    return site.admin.getHost(host)["name"] if host else None


def assert_one_build(site, task):
    """Exactly one import and one tag, and no reservation is left."""
    wait_for("end of reservations", lambda: BUILDING not in states(site.admin, task))
    complete = [row for row in site.admin.listBuilds(taskID=task) if row["state"] == COMPLETE]
    assert len(complete) == 1
    assert site.admin.getTaskResult(task)["koji_builds"] == [str(complete[0]["build_id"])]
    assert len(site.admin.listTags(complete[0]["build_id"])) == 1
    assert site.admin.getTaskChildren(task) == []


def hold(site, step):
    """Holds a build in a step; the context manager gives a function that waits until it is there."""
    return {
        "fetching": lambda: site.git.hold(rb"git-upload-pack"),
        "pulling": lambda: site.registry.hold(rb"^(GET|HEAD) /v2/\S+/(manifests|blobs)/"),
        "proof": lambda: held_call(site, "getFullInheritance"),
        "push": lambda: site.registry.hold(rb"^(POST|PUT|PATCH) /v2/"),
        "import": lambda: held_call(site, "CGImport"),
        "tagging": lambda: held_call(site, "host.tagBuild"),
    }[step]()


class held_call:  # noqa: N801 (it is used like a function)
    """A held hub call in the form of Detour.hold."""

    def __init__(self, site, method):
        self.inner = site.hub.hold(method)

    def __enter__(self):
        return self.inner.__enter__().reached

    def __exit__(self, *exception):
        return self.inner.__exit__(*exception)


def cancel(site, task):
    """Cancels, and waits until nothing of the task is left; the seconds that took."""
    below = [descendants(service.pid) for service in site.services.values()]
    assert any(below), "no task process runs"
    dirs = [site.scene.state / name / "tasks" / str(task) for name in HOSTS]
    began = time.monotonic()
    site.admin.cancelTask(task)

    def gone():
        with open("/proc/self/mountinfo") as file:
            mounted = any(str(path) in file.read() for path in dirs)
        running = any(alive(known) for known in below)
        return not running and not mounted and not any(path.exists() for path in dirs)

    wait_for("end of everything", gone, 60)
    took = time.monotonic() - began
    wait_for("end of the reservation", lambda: BUILDING not in states(site.admin, task))
    return took


@pytest.mark.parametrize("step", ["fetching", "pulling", "proof", "push", "import", "tagging"])
def test_a_task_cancelled_in_any_step_is_stopped_and_cleaned_in_seconds(site, submit, step):
    with hold(site, step) as reached:
        task = submit(f"cancel{step}")
        reached()
        took = cancel(site, task)
        assert state(site, task) == CANCELED
    reserved = {"fetching": [], "pulling": [], "tagging": [COMPLETE]}.get(step, [BUILD_CANCELED])
    assert states(site.admin, task) == reserved
    print(f"cancelled while {step}: clean after {took:.1f} s")
    assert took < CANCEL_SECONDS
    # What was held came through late, and changed nothing.
    done = ended(site, submit(f"after{step}"))
    assert done["state"] == CLOSED
    assert states(site.admin, task) == reserved
    for row in site.admin.listBuilds(taskID=task):
        assert site.admin.listTags(row["build_id"]) == []


def test_a_task_cancelled_in_a_run_step_is_stopped_and_cleaned_in_seconds(site, submit):
    task = submit("cancelrun", "RUN sleep 71.031")
    wait_for("RUN step", lambda: sleeping("71.031"))
    took = cancel(site, task)
    assert not sleeping("71.031")
    assert states(site.admin, task) == [BUILD_CANCELED]
    print(f"cancelled in RUN: clean after {took:.1f} s")
    assert took < CANCEL_SECONDS


def test_8_6_8_26_a_task_that_was_freed_runs_again_and_makes_one_build(site, submit):
    task = submit("freed", "RUN sleep 12.071")
    wait_for("RUN step", lambda: sleeping("12.071") == 1)
    first = [descendants(service.pid) for service in site.services.values()]
    site.admin.freeTask(task)
    wait_for("end of the first run", lambda: not any(alive(known) for known in first))
    done = ended(site, task)
    assert done["state"] == CLOSED, fault(site, task)
    assert_one_build(site, task)


@pytest.mark.parametrize("step", ["RUN", "push", "import"])
def test_8_6_8_26_a_task_given_to_another_host_is_built_there_alone(site, submit, step):
    """The first host stops before it pushes, imports or tags; what it had on the way changes nothing."""
    if step == "RUN":
        task = submit("moved", "RUN sleep 12.079")
        wait_for("RUN step", lambda: sleeping("12.079") == 1)
        other = reassign(site, task)
    else:
        with hold(site, step) as reached:
            task = submit(f"moved{step}")
            reached()
            other = reassign(site, task)
    done = ended(site, task)
    assert done["state"] == CLOSED, fault(site, task)
    assert holder(site, task) == other
    assert_one_build(site, task)


def reassign(site, task):
    """Gives an open task to the other host and waits until the first one has stopped it; the other's name."""
    first = holder(site, task)
    other = HOSTS[1 - HOSTS.index(first)]
    below = descendants(site.services[first].pid)
    assert site.admin.assignTask(task, other, True)
    wait_for("end of the first run", lambda: not alive(below))
    return other


def test_a_disabled_host_finishes_what_it_builds_and_takes_nothing_more(site, submit):
    task = submit("disabled", "RUN sleep 8.083")
    wait_for("RUN step", lambda: sleeping("8.083"))
    name = holder(site, task)
    other = HOSTS[1 - HOSTS.index(name)]
    try:
        site.admin.disableHost(name)
        tasks = [submit.again("disabled") for _ in range(2)]
        assert ended(site, task)["state"] == CLOSED
        assert holder(site, task) == name
        for further in tasks:
            assert ended(site, further)["state"] == CLOSED
            assert holder(site, further) == other
        site.admin.disableHost(other)
        waiting = submit.again("disabled")
        wait_for("news of it", lambda: not any(site.admin.getHost(host)["ready"] for host in HOSTS))
        assert state(site, waiting) == FREE
    finally:
        site.admin.enableHost(name)
        site.admin.enableHost(other)
    assert ended(site, waiting)["state"] == CLOSED
    assert_one_build(site, waiting)


def test_8_3_a_session_that_expires_in_the_middle_of_an_upload_is_renewed_and_the_upload_goes_on(site, submit):
    site.hub.reset()
    with site.hub.hold("rawUpload") as held:
        task = submit("expired", "RUN head -c 3000000 /dev/urandom > /data")
        wait_for("start", lambda: state(site, task) == OPEN)
        held.reached()
        for name in HOSTS:
            hub_session.expire_sessions(site.scene, site.admin.getHost(name)["user_id"])
    assert ended(site, task)["state"] == CLOSED, fault(site, task)
    assert_one_build(site, task)
    assert site.hub.calls["login"] >= 2, "the worker's session and the task's were renewed"
    assert site.hub.calls["login"] <= 6, "each once"


def test_one_name_asked_for_by_two_builds_at_once_is_built_by_one_and_the_other_is_told(site, submit):
    with site.hub.hold("CGInitBuild", number=2) as held:
        tasks = [submit("raced", release=' release="1"'), submit.again("raced")]
        held.reached()
    rows = [ended(site, task) for task in tasks]
    assert sorted(row["state"] for row in rows) == [CLOSED, FAILED]
    winner, loser = sorted(tasks, key=lambda task: state(site, task) == FAILED)
    assert_one_build(site, winner)
    text = fault(site, loser)
    assert "webserver-raced-1" in text and "exists already" in text and "release" in text
    assert states(site.admin, loser) == []


def test_builds_without_a_release_race_to_different_ones(site, submit):
    with site.hub.hold("CGInitBuild", number=2) as held:
        tasks = [submit("unnamed"), submit.again("unnamed")]
        held.reached()
    assert [ended(site, task)["state"] for task in tasks] == [CLOSED, CLOSED]
    for task in tasks:
        assert_one_build(site, task)
    releases = {site.admin.listBuilds(taskID=task)[0]["release"] for task in tasks}
    assert len(releases) == 2


def test_a_hub_that_is_away_for_minutes_costs_no_build(site, submit):
    task = submit("minutes", "RUN sleep 5.089")
    wait_for("RUN step", lambda: sleeping("5.089"))
    with site.hub.away():
        wait_for("end of the RUN step", lambda: not sleeping("5.089"))
        time.sleep(125)  # the fault itself: how long the hub is away
    done = ended(site, task)
    assert done["state"] == CLOSED, fault(site, task)
    assert_one_build(site, task)
