"""Many workers and many tasks on one hub: all end, none twice, none is lost; and what it costs the hub, by method.

    PYTHONPATH=examples:python:tests/e2e .venv/bin/python tests/e2e/scale.py --workers 10 --tasks 200

`make test-scale` runs it; test_scale.py plays a smaller number of both on every run of the suite.
"""

import argparse
import collections
import contextlib
import os
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from demo import dist_git, processes, scene, worker
from demo.down import down
from demo.koji_client import call, call_many
from demo.scene import TARGET
from demo.up import up

import hub_proxy

CHANNEL = "scale"
CLOSED, ENDED = 2, (2, 3, 5)  # koji.TASK_STATES
DOCKERFILE = """\
FROM registry.example.com/f40/base:40
LABEL com.redhat.component="webserver" name="f40/scale" version="scale"
RUN true
"""


@dataclass
class Outcome:
    """What came of it."""

    tasks: list = field(default_factory=list)
    states: collections.Counter = field(default_factory=collections.Counter)
    builds: collections.Counter = field(default_factory=collections.Counter)
    hosts: collections.Counter = field(default_factory=collections.Counter)
    calls: collections.Counter = field(default_factory=collections.Counter)
    idle_calls: collections.Counter = field(default_factory=collections.Counter)
    idle_seconds: float = 0.0
    seconds: float = 0.0

    def report(self):
        """For people."""
        lines = [f"{len(self.tasks)} tasks in {self.seconds:.0f} s on {len(self.hosts)} hosts"]
        lines.append("tasks a host: " + " ".join(str(n) for n in sorted(self.hosts.values())))
        per_task = max(1, len(self.tasks))
        for method, number in self.calls.most_common():
            lines.append(f"{method:<24} {number:7} {number / per_task:8.1f} a task")
        hourly = 3600 / self.idle_seconds / max(1, len(self.hosts)) if self.idle_seconds else 0
        idle = sum(number for method, number in self.idle_calls.items() if method != "multiCall")
        lines.append(f"idle, an hour and worker: {idle * hourly:.0f} calls")
        return "\n".join(lines)


@contextlib.contextmanager
def workers(where, number):
    """A proxy that counts, and workers behind it, each with a host of its own."""
    with hub_proxy.HubProxy(hub_proxy.plain_url(where)) as proxy:
        services = []
        for index in range(number):
            name = f"scale{index}"
            hub_proxy.add_host(where, name, CHANNEL, new_channel=index == 0)
            which = worker.Worker(name, name, (("max_jobs", 2),), proxy.url, hub_proxy.PASSWORD)
            services.append(worker.start(where, which))
        try:
            yield proxy
        finally:
            for service in services:
                processes.stop(where, service)


def remove_images(where, tasks):
    """Removes the archives of builds that are done: nobody looks at them, and each is as large as the base image."""
    if not tasks:
        return
    for builds in call_many(where, [("listBuilds", [None, None, task]) for task in sorted(tasks)]):
        for row in builds:
            directory = where.kojidir / "packages" / row["name"] / row["version"] / row["release"] / "images"
            for archive in directory.glob("*.tar.gz"):
                archive.unlink()


def play(where, number_of_workers, number_of_tasks, idle_seconds=60, patience=3600):
    """Submits all tasks at once and waits for their ends."""
    found = Outcome()
    with tempfile.TemporaryDirectory() as tree:
        (Path(tree) / "Dockerfile").write_text(DOCKERFILE)
        dist_git.create(where, "scale", Path(tree))
    url = where.scm_url("scale", dist_git.commit(where, "scale"))
    with workers(where, number_of_workers) as proxy:
        time.sleep(22)  # until no worker thinks that something is going on
        proxy.reset()
        time.sleep(idle_seconds)
        found.idle_calls, found.idle_seconds = proxy.calls.copy(), idle_seconds
        proxy.reset()
        began = time.monotonic()
        request = [url, TARGET, {"git_branch": dist_git.BRANCH}, None, CHANNEL]
        for start in range(0, number_of_tasks, 50):
            batch = [("buildContainer", request)] * min(50, number_of_tasks - start)
            found.tasks += call_many(where, batch)
        kept = set()
        while True:
            rows = call(where, "getTaskInfo", found.tasks)
            closed = {row["id"] for row in rows if row["state"] == CLOSED}
            remove_images(where, closed - kept)
            kept |= closed
            if all(row["state"] in ENDED for row in rows) or time.monotonic() - began > patience:
                break
            time.sleep(1)
        found.seconds = time.monotonic() - began
        found.calls = proxy.calls.copy()
    found.states.update(row["state"] for row in rows)
    found.hosts.update(row["host_id"] for row in rows)
    for answer in call_many(where, [("listBuilds", [None, None, task]) for task in found.tasks]):
        found.builds.update((row["task_id"], row["state"]) for row in answer)
    return found


def problems(found):
    """What went wrong, in sentences."""
    wrong = []
    if found.states != {CLOSED: len(found.tasks)}:
        wrong.append(f"tasks by state: {dict(found.states)}")
    for task in found.tasks:
        built = {state: number for (of, state), number in found.builds.items() if of == task}
        if built != {1: 1}:
            wrong.append(f"task {task} has builds {built}")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=10)
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--state", type=Path, default=Path("/var/tmp/containerbuild-scale"))
    parser.add_argument("--base-port", type=int, default=28500)
    options = parser.parse_args()
    source = Path(os.environ["KOJI_SRC"]).resolve() if os.environ.get("KOJI_SRC") else None
    options.state.parent.mkdir(parents=True, exist_ok=True)
    # Of each worker the base image, and of each running build its own; nothing of builds that are done.
    free, needed = shutil.disk_usage(options.state.parent).free >> 30, 3 + options.workers
    if free < needed:
        parser.error(f"{options.state.parent} has {free} GiB left; {options.workers} workers take {needed}")
    try:
        where = up(scene.Scene(options.state, options.base_port, source))
        found = play(where, options.workers, options.tasks)
    finally:
        if (options.state / "scene.json").exists():
            down(scene.load(options.state))
    print(found.report())
    wrong = problems(found)
    print("\n".join(wrong) or "all ended well, none twice, none lost")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
