"""The gate: how fast it hands out a cached RPM, and `dnf install` through it beside the same packages in a directory.

Both installs are RUN steps of containerbuild on the same base image, in turn; the time of the RUN itself counts.
The directory is mounted into the sandbox and named as a `file://` repository, so dnf copies nothing over HTTP there.
Called by __main__.py; `python3 -m bench --rows gate` measures this alone.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from . import scratch
from .errors import BenchError
from .inputs import Inputs
from .measure import Sample
from .ours import Containerbuild

ROW = "gate"
ROOT = Path(__file__).parents[2]
CLEAN = "dnf -q clean all"
THROUGH = "RUN dnf -y -q"
LOCAL = (
    "RUN --mount=type=bind,target=/context dnf -y -q --repofrompath=bulk,file:///context/repo --repo=bulk --nogpgcheck"
)
INSTALL = f"install 'bulk-*' && {CLEAN}"
DOWNLOAD = f"install --downloadonly 'bulk-*' && {CLEAN}"
SECTION = """
## The gate

| | gate | compared with | target | |
|---|---|---|---|---|
| a cached RPM of 512 MB over loopback | {cached:.2f} GB/s | bare sendfile(2): {bare:.2f} GB/s \
| 1 GB/s, or what the kernel gives | {fast} |
| `dnf install` of 121 RPMs, 656 MiB, all warm | {through} | the same from `file://`: {local} | no slower | {level} |
| of it: `--downloadonly` | {through_download} | the same from `file://`: {local_download} | | |

The first request for that RPM, while it is copied and verified: {cold:.2f} GB/s. The install is the RUN alone, median
(smallest) of {rounds} rounds in turn; the gate's cache and dnf's metadata are warm, `file://` has nothing to warm but
the page cache. dnf takes packages of `file://` where they are; what comes over http, through the gate or from any
server, it writes to a cache of its own, and hashes: that is the difference between the two downloads. "No slower"
allows 3 %, which is what medians of the same thing differ by.
"""
ROUNDS = 8
"""At least as many: two installs of the same differ by a tenth, which is more than is looked for."""
SLACK = 1.03
"""What medians of the same thing differ by here."""


@dataclass
class Results:
    """Seconds of RUN, and gigabytes a second."""

    through: list[float] = field(default_factory=list)
    local: list[float] = field(default_factory=list)
    through_download: list[float] = field(default_factory=list)
    local_download: list[float] = field(default_factory=list)
    throughput: dict[str, float] = field(default_factory=dict)


def measure(ours: Containerbuild, inputs: Inputs, rounds: int) -> Results:
    """Everything of this module."""
    results = Results(throughput=_throughput())
    packages = inputs.packages()

    def link(context: Path) -> None:
        _link(packages, context / "repo")

    gate_options = ("--repo", f"bulk=file://{packages}")
    works = {
        "through": (inputs.context("gate-install", "dnf", [f"{THROUGH} {INSTALL}"]), gate_options),
        "local": (inputs.context("gate-local", "dnf", [f"{LOCAL} {INSTALL}"], link), ("--network", "none")),
        "through_download": (inputs.context("gate-download", "dnf", [f"{THROUGH} {DOWNLOAD}"]), gate_options),
        "local_download": (
            inputs.context("gate-in-place", "dnf", [f"{LOCAL} {DOWNLOAD}"], link),
            ("--network", "none"),
        ),
    }
    # The gate's cache lies beside the store and outlives it; the first build fills it.
    rounds = max(rounds, ROUNDS)
    for number in range(-1, rounds):
        store, found = ours.warm("dnf"), {}
        # In turn from both ends, and nothing left to write: what a build wrote is work for the one after it.
        for name in list(works)[:: -1 if number % 2 else 1]:
            context, options = works[name]
            os.sync()
            found[name] = _run_seconds(ours.build(context, store, "--no-cache", *options))
        print(f"{ROW:<18} {'warm-up' if number < 0 else f'{number + 1}/{rounds}':<8} {found}", flush=True)
        if number >= 0:
            for name, seconds in found.items():
                getattr(results, name).append(seconds)
        scratch.remove(store)
    return results


def _link(packages: Path, target: Path) -> None:
    done = subprocess.run(["cp", "-a", packages, target], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"cannot copy the packages: {done.stderr}")


def _run_seconds(sample: Sample) -> float:
    finished = [event for _, event in sample.events if event["event"] == "step-finished"]
    return finished[-1]["seconds"]


def _throughput() -> dict[str, float]:
    """The Rust bench: a Python client would measure itself."""
    command = ["cargo", "bench", "--locked", "--quiet", "-p", "rpm-provenance", "--bench", "throughput"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"the throughput of the gate cannot be measured: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def section(results: Results) -> str:
    """Its part of the page."""

    def shown(walls: list[float]) -> str:
        return f"{statistics.median(walls):.2f} s ({min(walls):.2f})"

    def word(good: bool) -> str:
        return "met" if good else "**missed**"

    rates = results.throughput
    level = statistics.median(results.through) <= statistics.median(results.local) * SLACK
    return SECTION.format(
        **rates,
        through=shown(results.through),
        local=shown(results.local),
        through_download=shown(results.through_download),
        local_download=shown(results.local_download),
        rounds=len(results.through),
        fast=word(rates["cached"] >= min(1.0, 0.9 * rates["bare"])),
        level=word(level),
    )
