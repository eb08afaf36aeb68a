"""docs/BENCHMARKS.md: the tables, what was measured and how, and where the time of one build goes."""

from __future__ import annotations

import datetime
import os
import platform
import statistics
from pathlib import Path

from . import timeline
from .measure import Sample
from .rows import ROWS, Row

Samples = dict[str, dict[str, list[Sample]]]
"""Row, engine, one sample a round."""
MEMORY_TARGET = 200 << 20

HEADER = """<!-- Written by `make bench`. Do not edit. -->
# Speed, side by side with buildah and BuildKit

This page was written by

```sh
{command}
```

(root; Debian 12: buildah, crun, docker-registry, busybox-static, xfsprogs, rpm, createrepo-c, docker.io for BuildKit).
`make bench` alone runs every row, gate and proof included; with `--rows` and no `--output` it prints.

{machine}

The engines run alternately, as whole processes, in the same minutes on the same files. Trust the ratios; the seconds
are those of this machine on this day.
"""
METHOD = """
Seconds are medians (smallest) of {rounds} rounds. "commit + push" leaves out the time of RUN itself for all engines.

## Processor, memory, layers

"""
NOTES = """
CPU covers every process of the work, RUN included. Memory is the peak of the engine's own process; what runs in RUN is
not in it. The target is {target} MiB whatever the size of a layer; the largest seen is {largest} MiB.
Layers are compressed with gzip by both, at their usual levels.

## How it is measured

- File system: {scratch}, fresh for the run.
  Registry: docker-registry on loopback, on the same file system.
- buildah: overlay storage, `--isolation oci --runtime crun --network none`, its temporary files on the same file
  system, its blob cache emptied before every round (it would push nothing the second time).
- containerbuild: a release build; RUN in its sandbox; packages of the dnf row come through its gate over http, those of
  buildah from a read-only volume.
- Every round starts from a fresh store with the base image unpacked (but for the cold pull). Cold means the engine's
  store: the registry's files are in the page cache.
- The pull of containerbuild is a build of `FROM` and `LABEL`; the others pull and do not build. In the rebuild row,
  everything that could be stale is looked at again: all files of the context are read.
{buildkit}- The data is generated and the same on every machine: base image, COPY and RPMs compress about 2.5 times,
  what the rows named so write "hardly": about 1.3 times, which is the worst case for the compressor. No file is like
  another.
"""
BUILDKIT = """- BuildKit: the one of dockerd with overlay2 on the same file system, one daemon for all rounds, its
  images and cache removed before every round; `--network none`. Its CPU and memory are those of dockerd and
  containerd. In the dnf row its packages come from an http server on loopback. It squashes no layers: no such row.
"""
TIMELINE = """
## Where the time of a whole build goes

{title}, the round of median length, {seconds:.1f} s:

```text
{chart}
```
"""


def machine() -> str:
    """One line: processors, memory, kernel, day."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = next((line.split(":")[1].strip() for line in info.splitlines() if line.startswith("model name")), "?")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    day = datetime.datetime.now(tz=datetime.UTC).date()
    load = os.getloadavg()[2]
    kernel = platform.release().split("-")[0]
    return (
        f"{day}: {os.cpu_count()} processors ({model}), {memory:.0f} GiB, Linux {kernel};\n"
        f"load over the last 15 minutes {load:.1f}, the benchmark's own included."
    )


def seconds(samples: list[Sample]) -> str:
    """Median and minimum; milliseconds where they are few."""
    walls = [sample.wall for sample in samples]
    median, least = statistics.median(walls), min(walls)
    if median < 1:
        return f"{median * 1000:.0f} ms ({least * 1000:.0f})"
    return f"{median:.1f} s ({least:.1f})"


def row_line(row: Row, found: dict[str, list[Sample]], others: list[str]) -> str:
    """One line of the table."""
    ours = found["containerbuild"]
    mine = statistics.median(sample.wall for sample in ours)
    factors = {name: statistics.median(s.wall for s in found[name]) / mine for name in others if found.get(name)}
    targets, met = [], True
    if row.factor:
        targets.append(f"{row.factor:g}×")
        met = met and factors["buildah"] >= row.factor
    if row.seconds:
        targets.append(f"under {row.seconds * 1000:.0f} ms")
        met = met and mine < row.seconds
    verdict = ("met" if met else "**missed**") if targets else ""
    cells = [row.title, seconds(ours)]
    for name in others:
        cells += [seconds(found[name]), f"**{factors[name]:.1f}×**"] if name in factors else ["", ""]
    cells += [", ".join(targets), verdict]
    return f"| {' | '.join(cells)} |"


def detail_line(row: Row, found: dict[str, list[Sample]], engines: list[str]) -> str:
    """The same row's line in the second table."""

    def cpu(samples: list[Sample]) -> str:
        return f"{statistics.median(sample.cpu for sample in samples):.2f}"

    def memory(samples: list[Sample]) -> str:
        return f"{max(sample.memory for sample in samples) / (1 << 20):.0f}"

    def layer(samples: list[Sample]) -> str:
        size = max(sample.layer for sample in samples)
        return f"{size / 1e6:.0f}" if size else ""

    shown = [show(found[name]) if found.get(name) else "" for show in (cpu, memory, layer) for name in engines]
    return f"| {' | '.join([row.title, *shown])} |"


def table(head: list[str], lines: list[str]) -> str:
    """A table in Markdown."""
    return f"| {' | '.join(head)} |\n|{'---|' * len(head)}\n" + "".join(f"{line}\n" for line in lines)


def render(samples: Samples, names: dict[str, str], why_no_buildkit: str, scratch: str, command: str) -> str:
    """The page; `command` is what was called."""
    done = [row for row in ROWS if row.name in samples]
    others = [name for name in ("buildah", "buildkit") if name in names]
    measured = [engine for found in samples.values() for engine in found.values()]
    counts = sorted({len(engine) for engine in measured})
    rounds = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    largest = max(sample.memory for row in done for sample in samples[row.name]["containerbuild"]) >> 20
    head = ["work", "containerbuild"]
    for name in others:
        head += [names[name], "times as fast"]
    text = HEADER.format(machine=machine(), command=command) + "\n"
    text += table([*head, "target (buildah)", ""], [row_line(row, samples[row.name], others) for row in done])
    text += METHOD.format(rounds=rounds)
    engines = ["containerbuild", *others]
    short = {"containerbuild": "ours", "buildah": "buildah", "buildkit": "BuildKit"}
    head = [f"{what}, {short[name]}" for what in ("CPU s", "memory MiB", "layer MB") for name in engines]
    text += table(["work", *head], [detail_line(row, samples[row.name], engines) for row in done])
    buildkit = BUILDKIT if "buildkit" in names else f"- BuildKit was not measured: {why_no_buildkit}.\n"
    text += NOTES.format(scratch=scratch, target=MEMORY_TARGET >> 20, largest=largest, buildkit=buildkit)
    if "install" in samples:
        middle = sorted(samples["install"]["containerbuild"], key=lambda sample: sample.whole)
        sample = middle[len(middle) // 2]
        title = next(row.title for row in ROWS if row.name == "install")
        title = title[0].upper() + title[1:]
        text += TIMELINE.format(title=title, seconds=sample.whole, chart="\n".join(timeline.chart(sample)))
    return text
