"""A worker that is killed in the middle of a build: after a restart the same task is finished."""

import os
import signal
import time

from demo import build, dist_git, processes, worker
from demo.koji_client import call

OPEN = 1  # koji.TASK_STATES


def wait_for(what, condition, seconds=120):
    """Poll until `condition()`; the hub has no way to be told."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"no {what} after {seconds} s"
        time.sleep(0.1)


def test_kill_9_in_the_middle_of_a_build_is_survived(scene, tmp_path):
    # A repository of its own with a RUN that lasts long enough to be killed in.
    # Of a length of its own, too: another suite beside this one has the same test.
    seconds = f"20.{os.getpid()}"
    (tmp_path / "Dockerfile").write_text(
        "FROM registry.example.com/f40/base:40\n"
        'LABEL com.redhat.component="webserver" name="f40/webserver" version="2.0"\n'
        f"RUN dnf -y install tree && sleep {seconds}\n"
    )
    dist_git.create(scene, "slow", tmp_path)
    task = build.submit(scene, "slow")
    running = next(s for s in processes.running(scene) if s.name == "worker")
    log = f"{os.uname().machine}.log"

    def installing():
        output = call(scene, "listTaskOutput", task)
        if log not in output or call(scene, "getTaskInfo", task)["state"] != OPEN:
            return False
        return running_sleep()

    def running_sleep():
        return any(f"sleep\0{seconds}".encode() in cmdline for cmdline in command_lines())

    wait_for("RUN step", installing)
    os.kill(running.pid, signal.SIGKILL)
    wait_for("end of the worker", lambda: processes.start_time(running.pid) != running.started)
    worker.start(scene)
    done = build.outcome(scene, task)
    assert done.succeeded, done.fault
    assert call(scene, "getBuild", int(done.result["koji_builds"][0]))["version"] == "2.0"
    assert not running_sleep(), "the killed worker's RUN step is still running"


def command_lines():
    """The command lines of all processes."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    yield file.read()
            except OSError:
                continue
