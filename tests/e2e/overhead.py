"""What the service itself costs: from the making of a task to its start on an idle worker, around a RUN of ten seconds,
and in hub calls.

    PYTHONPATH=examples:python:tests/e2e .venv/bin/python tests/e2e/overhead.py

`make bench-koji` runs it, with an optimised worker; docs/OVERHEAD.md holds what it said. The worker has its defaults,
is woken by the hub plugin (`--no-wake`: is not), and is idle before every build. Times are taken of a worker that
speaks to the hub directly. Calls are counted by a proxy between the two, in a build that is not timed.
"""

import argparse
import collections
import contextlib
import datetime
import os
import re
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from demo import dist_git, processes, scene, worker
from demo.down import down
from demo.scene import PACKAGER, REGISTRY_NAME, TARGET
from demo.up import up

import hub_proxy
import hub_session
from hub_session import CLOSED, FAILED
from watch import wait_for

HOST = CHANNEL = "overhead"
RUN_SECONDS = 10
# The worker asks often for twenty seconds after something happened.
IDLE_AFTER = 22
DOCKERFILE = f"""\
FROM {REGISTRY_NAME}/f40/base:40
LABEL com.redhat.component="webserver" name="f40/overhead" version="overhead"
RUN sleep {RUN_SECONDS}
"""


@dataclass
class Found:
    """Seconds, build by build; the first one is cold. And the calls of one more."""

    to_open: list = field(default_factory=list)
    around: list = field(default_factory=list)
    calls: collections.Counter = field(default_factory=collections.Counter)
    # Of the counted build: when, seconds since the task was made; how long; what.
    timeline: list = field(default_factory=list)

    def add(self, row):
        """Notes the times of a task."""
        self.to_open.append(row["start_ts"] - row["create_ts"])
        self.around.append(row["completion_ts"] - row["create_ts"] - RUN_SECONDS)

    def report_timeline(self):
        """For people: what the counted build asked the hub, and what it said meanwhile."""
        return "\n".join(f"{at:7.3f} {took:7.3f}  {what}" for at, took, what in sorted(self.timeline))

    def report(self):
        """For people."""
        lines = ["build  made→opened  around the RUN"]
        for number, (opened, around) in enumerate(zip(self.to_open, self.around, strict=True)):
            lines.append(f"{'cold' if number == 0 else 'warm':<6} {opened:9.2f} s {around:13.2f} s")
        warm = slice(1, None)
        opened, around = statistics.mean(self.to_open[warm]), statistics.median(self.around[warm])
        lines.append(f"warm: {opened:.2f} s to open (mean), {around:.2f} s around (median)")
        lines += [f"{method:<24} {number:4}" for method, number in self.calls.most_common()]
        return "\n".join(lines)


def said(where, since, until):
    """What the worker and the build's process wrote in between, as rows of a timeline."""
    rows = []
    for line in (where.logs / f"{HOST}.log").read_text().splitlines():
        stamp, _, text = re.sub(r"\x1b\[[0-9;]*m", "", line).partition(" ")
        with contextlib.suppress(ValueError):
            at = datetime.datetime.fromisoformat(stamp).timestamp()
            if since - 0.1 <= at <= until + 0.1:
                rows.append((at - since, 0.0, text.strip()))
    return rows


@contextlib.contextmanager
def idle_worker(where, hub_url, wake):
    """A worker of the host HOST that asks `hub_url`."""
    settings = (("wake", f"127.0.0.1:{where.port('wake')}"),) if wake else ()
    service = worker.start(where, worker.Worker(HOST, HOST, settings, hub_url, hub_proxy.PASSWORD))
    try:
        yield
    finally:
        processes.stop(where, service)


def play(where, builds, wake=True):
    """Builds one after another, each by an idle worker."""
    found = Found()
    with tempfile.TemporaryDirectory() as tree:
        (Path(tree) / "Dockerfile").write_text(DOCKERFILE)
        dist_git.create(where, HOST, Path(tree))
    url = where.scm_url(HOST, dist_git.commit(where, HOST))
    hub_proxy.add_host(where, HOST, CHANNEL, new_channel=True)
    admin, packager = hub_session.login(where), hub_session.login(where, PACKAGER)

    def build(number, before=lambda: None):
        time.sleep(IDLE_AFTER + number * 0.7)  # until the worker is idle, at another moment of its turn each time
        before()
        task = packager.buildContainer(url, TARGET, {"git_branch": dist_git.BRANCH}, channel=CHANNEL)
        wait_for("end", lambda: admin.getTaskInfo(task)["state"] in (CLOSED, FAILED), 300)
        row = admin.getTaskInfo(task)
        assert row["state"] == CLOSED, admin.getTaskResult(task, raise_fault=False)
        return row

    with idle_worker(where, hub_proxy.plain_url(where), wake):
        for number in range(builds):
            found.add(build(number))
    with hub_proxy.HubProxy(hub_proxy.plain_url(where)) as proxy, idle_worker(where, proxy.url, wake):
        row = build(0, proxy.reset)
        made, ended = row["create_ts"], row["completion_ts"]
        found.calls = collections.Counter(proxy.calls)
        found.calls["requests"] = proxy.posts
        found.timeline = [(came - made, left - came, " ".join(methods)) for came, left, methods in proxy.timeline]
        found.timeline += said(where, made, ended)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--builds", type=int, default=6)
    parser.add_argument("--no-wake", action="store_true", help="the worker finds tasks by asking alone")
    parser.add_argument("--timeline", action="store_true", help="tell what the last build did, and when")
    parser.add_argument("--state", type=Path, default=Path("/var/tmp/containerbuild-overhead"))
    parser.add_argument("--base-port", type=int, default=28600)
    options = parser.parse_args()
    source = Path(os.environ["KOJI_SRC"]).resolve() if os.environ.get("KOJI_SRC") else None
    try:
        found = play(up(scene.Scene(options.state, options.base_port, source)), options.builds, not options.no_wake)
    finally:
        if (options.state / "scene.json").exists():
            down(scene.load(options.state))
    if options.timeline:
        print(found.report_timeline())
    print(found.report())


if __name__ == "__main__":
    main()
