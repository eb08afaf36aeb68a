"""The hub does what it is asked and the answer is lost: nothing may be done twice, and nothing may be left half-done.

On hubs that know the number of a call (all, for this worker: it sends both headers), and on one that does not, as hubs
1.31 to 1.35 are for a client that sends the newer header alone. The worker is behind a proxy that loses the answers.
Numbers in names are those of tests/GOTCHAS.md.
"""

import os
import time

import pytest
from demo import build, dist_git, processes, worker
from demo.koji_client import call

import hub_proxy
import hub_session

CHANNEL = "lossy"
OPEN, CLOSED, CANCELED, FAILED = 1, 2, 3, 5  # koji.TASK_STATES
BUILDING, COMPLETE, BUILD_CANCELED = 0, 1, 4  # koji.BUILD_STATES
# Everything a build changes at the hub.
CHANGES = [
    "host.openTask",
    "subsession",
    "host.setTaskWeight",
    "CGInitBuild",
    "rawUpload",
    "CGImport",
    "host.tagBuild",
    "host.closeTask",
    "logout",
]


def wait_for(what, condition, seconds=60):
    """Poll until `condition()`; the hub has no way to be told."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"no {what} after {seconds} s"
        time.sleep(0.1)
    return found


@pytest.fixture(scope="module", params=[True, False], ids=["numbered", "unnumbered"])
def lossy(scene, request, tmp_path_factory):
    """(scene, proxy): a worker of its own behind a proxy, alone in its channel."""
    name = f"lossy{int(request.param)}"
    with hub_proxy.HubProxy(hub_proxy.plain_url(scene), numbered=request.param) as proxy:
        hub_proxy.add_host(scene, name, CHANNEL + name, new_channel=True)
        settings = (("max_jobs", 2), ("poll_seconds", 0.5), ("busy_poll_seconds", 0.5))
        which = worker.Worker(name, name, settings, proxy.url, hub_proxy.PASSWORD)
        service = worker.start(scene, which)
        yield scene, proxy, CHANNEL + name
        processes.stop(scene, service)


@pytest.fixture
def submit(lossy, tmp_path):
    scene, _, channel = lossy

    def run(name, *instructions, release=""):
        lines = [
            "FROM registry.example.com/f40/base:40",
            f'LABEL com.redhat.component="webserver" name="f40/{name}" version="{name}"' + release,
            *instructions,
        ]
        (tmp_path / "Dockerfile").write_text("\n".join(lines) + "\n")
        dist_git.create(scene, f"{name}{channel}", tmp_path)
        return build.submit(scene, f"{name}{channel}", "--channel-override", channel)

    return run


def test_8_2_lost_answers_neither_repeat_nor_lose_what_was_done(lossy, submit):
    """The first answer to each of them is lost, all in one build: what one loss leaves behind, the next one meets."""
    scene, proxy, _ = lossy
    proxy.dropped.clear()
    for method in CHANGES:
        proxy.drop(method)
    task = submit("lost", "RUN true")
    done = build.outcome(scene, task)
    assert done.succeeded, done.fault
    wait_for("loss of the last answer", lambda: len(proxy.dropped) >= len(CHANGES))
    assert sorted(proxy.dropped) == sorted(CHANGES)
    builds = call(scene, "listBuilds", None, None, task)
    complete = [b for b in builds if b["state"] == COMPLETE]
    assert [str(b["build_id"]) for b in complete] == done.result["koji_builds"]
    assert len(call(scene, "listTags", complete[0]["build_id"])) == 1
    # The reservation whose token was lost is cancelled when the task has ended, and not before: 8.11.
    wait_for("end of the other reservation", lambda: states(scene, task) == [COMPLETE, BUILD_CANCELED])


def states(scene, task):
    return sorted(b["state"] for b in call(scene, "listBuilds", None, None, task))


def test_8_11_an_explicit_release_whose_token_was_lost_is_free_again_when_the_task_has_ended(lossy, submit):
    scene, proxy, _ = lossy
    proxy.drop("CGInitBuild")
    task = submit("explicit", "RUN true", release=' release="7"')
    done = build.outcome(scene, task)
    assert not done.succeeded
    assert "answer with its token was lost" in done.fault and "submit again" in done.fault
    wait_for("end of the reservation", lambda: states(scene, task) == [BUILD_CANCELED])


def test_8_21_a_fault_whose_answer_was_lost_leaves_the_task_failed_once(lossy, submit):
    scene, proxy, _ = lossy
    proxy.drop("host.failTask")
    task = submit("lostfail", "RUN printf 'bell \\007 and \\377' && exit 3")
    done = build.outcome(scene, task)
    assert not done.succeeded and "exit code 3" in done.fault
    assert call(scene, "getTaskInfo", task)["state"] == FAILED
    wait_for("end of the reservation", lambda: BUILDING not in states(scene, task))


@pytest.fixture(scope="module")
def elsewhere(lossy):
    """A host of another architecture: what it coordinates is built by the lossy worker."""
    scene, proxy, channel = lossy
    name = f"{channel}far"
    arch = "aarch64" if os.uname().machine != "aarch64" else "x86_64"
    hub_proxy.add_host(scene, name, channel, new_channel=False, arch=arch)
    settings = (("max_jobs", 1), ("poll_seconds", 0.5), ("busy_poll_seconds", 0.5), ("arch", arch))
    service = worker.start(scene, worker.Worker(name, name, settings, proxy.url, hub_proxy.PASSWORD))
    yield name
    processes.stop(scene, service)


def test_8_2_lost_answers_of_a_coordinator_make_no_second_subtask(lossy, elsewhere, submit):
    scene, proxy, channel = lossy
    admin = hub_session.login(scene)
    admin.disableHost(channel.removeprefix(CHANNEL))
    task = submit("subtask", "RUN true")
    wait_for("coordinator", lambda: admin.getTaskInfo(task)["host_id"] == admin.getHost(elsewhere)["id"])
    proxy.dropped.clear()
    methods = ["host.subtask", "host.taskSetWait", "host.taskWaitResults"]
    for method in methods:
        proxy.drop(method)
    admin.enableHost(channel.removeprefix(CHANNEL))
    done = build.outcome(scene, task)
    assert done.succeeded, done.fault
    assert proxy.dropped == methods
    (child,) = admin.getTaskChildren(task)
    assert (child["method"], child["state"]) == ("createContainer", CLOSED)
    assert states(scene, task) == [COMPLETE]
    assert len(call(scene, "listTags", int(done.result["koji_builds"][0]))) == 1


def test_a_hub_that_is_away_while_a_build_runs_costs_no_build(lossy, submit):
    scene, proxy, _ = lossy
    task = submit("away", "RUN sleep 3")
    wait_for("start of the task", lambda: call(scene, "getTaskInfo", task)["state"] == OPEN)
    with proxy.away():
        time.sleep(8)  # longer than the build: its end cannot be told
    done = build.outcome(scene, task)
    assert done.succeeded, done.fault
    assert states(scene, task) == [COMPLETE]
