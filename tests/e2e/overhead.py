"""What the service itself costs: from the making of a task to its start on an idle worker, around a RUN of ten seconds,
and in hub calls.

    PYTHONPATH=examples:python:tests/e2e .venv/bin/python tests/e2e/overhead.py

`make bench-koji` runs it, with an optimised worker. The worker has its defaults, is woken by the hub plugin
(`--no-wake`: is not), and is idle before every build.
"""

import argparse
import collections
import os
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
DOCKERFILE = f"""\
FROM {REGISTRY_NAME}/f40/base:40
LABEL com.redhat.component="webserver" name="f40/overhead" version="overhead"
RUN sleep {RUN_SECONDS}
"""


@dataclass
class Found:
    """Seconds and calls, build by build; the first one is cold."""

    to_open: list = field(default_factory=list)
    around: list = field(default_factory=list)
    calls: list = field(default_factory=list)

    def report(self):
        """For people."""
        lines = ["build  made→opened  around the RUN  requests"]
        rows = zip(self.to_open, self.around, self.calls, strict=True)
        for number, (opened, around, calls) in enumerate(rows):
            kind = "cold" if number == 0 else "warm"
            lines.append(f"{kind:<6} {opened:9.2f} s {around:13.2f} s {calls['requests']:9}")
        warm = slice(1, None)
        middle = statistics.median(self.around[warm])
        lines.append(f"warm: {statistics.mean(self.to_open[warm]):.2f} s to open, {middle:.2f} s around (median)")
        by_method = collections.Counter()
        for calls in self.calls[warm]:
            by_method.update(calls)
        lines += [f"{method:<24} {n / len(self.calls[warm]):6.1f}" for method, n in by_method.most_common()]
        return "\n".join(lines)


def play(where, builds, wake=True):
    """Builds one after another, each by an idle worker."""
    found = Found()
    with tempfile.TemporaryDirectory() as tree:
        (Path(tree) / "Dockerfile").write_text(DOCKERFILE)
        dist_git.create(where, HOST, Path(tree))
    url = where.scm_url(HOST, dist_git.commit(where, HOST))
    with hub_proxy.HubProxy(hub_proxy.plain_url(where)) as proxy:
        hub_proxy.add_host(where, HOST, CHANNEL, new_channel=True)
        settings = (("wake", f"127.0.0.1:{where.port('wake')}"),) if wake else ()
        service = worker.start(where, worker.Worker(HOST, HOST, settings, proxy.url, hub_proxy.PASSWORD))
        admin, packager = hub_session.login(where), hub_session.login(where, PACKAGER)
        for number in range(builds):
            time.sleep(25 + number * 0.7)  # until the worker is idle, at another moment of its turn each time
            proxy.reset()
            before = proxy.posts
            task = packager.buildContainer(url, TARGET, {"git_branch": dist_git.BRANCH}, channel=CHANNEL)
            wait_for("end", lambda task=task: admin.getTaskInfo(task)["state"] in (CLOSED, FAILED), 300)
            row = admin.getTaskInfo(task)
            assert row["state"] == CLOSED, admin.getTaskResult(task, raise_fault=False)
            calls = collections.Counter(proxy.calls)
            calls["requests"] = proxy.posts - before
            found.to_open.append(row["start_ts"] - row["create_ts"])
            found.around.append(row["completion_ts"] - row["create_ts"] - RUN_SECONDS)
            found.calls.append(calls)
        processes.stop(where, service)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--builds", type=int, default=6)
    parser.add_argument("--no-wake", action="store_true", help="the worker finds tasks by asking alone")
    parser.add_argument("--state", type=Path, default=Path("/var/tmp/containerbuild-overhead"))
    parser.add_argument("--base-port", type=int, default=28600)
    options = parser.parse_args()
    source = Path(os.environ["KOJI_SRC"]).resolve() if os.environ.get("KOJI_SRC") else None
    try:
        found = play(up(scene.Scene(options.state, options.base_port, source)), options.builds, not options.no_wake)
    finally:
        if (options.state / "scene.json").exists():
            down(scene.load(options.state))
    print(found.report())


if __name__ == "__main__":
    main()
