"""docs/BENCHMARKS.md: the table, what was measured and how, and where the time of one build goes."""

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
# Speed, side by side with buildah

`make bench` reproduces this page (root; Debian 12: buildah, crun, docker-registry, busybox-static, xfsprogs, rpm,
createrepo-c). `make bench BENCH="--rows copy,install --rounds 1"` runs single rows and prints them.

{machine}

Both engines run alternately, as whole processes, in the same minutes on the same files. Trust the ratios; the seconds
are those of this machine on this day.
"""
TABLE = """| work | containerbuild | {buildah} | times as fast | target | |
|---|---|---|---|---|---|
"""
METHOD = """
Seconds are medians (smallest) of {rounds} rounds. "commit + push" leaves out the time of RUN itself for both engines.

## Processor, memory, layers

| work | CPU s, ours | CPU s, buildah | memory, ours | memory, buildah | layer, ours | layer, buildah |
|---|---|---|---|---|---|---|
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
- The pull of containerbuild is a build of `FROM` and `LABEL`; that of buildah is `buildah pull`. In the rebuild row,
  everything that could be stale is looked at again: all files of the context are read.
- The data is generated and the same on every machine: base image, COPY and RPMs compress about 2.5 times, what the two
  RUN rows write about 1.3 times, which is the worst case for the compressor.
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


def row_line(row: Row, found: dict[str, list[Sample]]) -> str:
    """One line of the table."""
    ours, theirs = found["containerbuild"], found["buildah"]
    mine = statistics.median(sample.wall for sample in ours)
    factor = statistics.median(sample.wall for sample in theirs) / mine
    targets, met = [], True
    if row.factor:
        targets.append(f"{row.factor:g}×")
        met = met and factor >= row.factor
    if row.seconds:
        targets.append(f"under {row.seconds * 1000:.0f} ms")
        met = met and mine < row.seconds
    verdict = ("met" if met else "**missed**") if targets else ""
    cells = [row.title, seconds(ours), seconds(theirs), f"**{factor:.1f}×**", ", ".join(targets), verdict]
    return f"| {' | '.join(cells)} |"


def detail_line(row: Row, found: dict[str, list[Sample]]) -> str:
    """The same row's line in the second table."""

    def cpu(samples: list[Sample]) -> str:
        return f"{statistics.median(sample.cpu for sample in samples):.2f}"

    def memory(samples: list[Sample]) -> str:
        return f"{max(sample.memory for sample in samples) / (1 << 20):.0f} MiB"

    def layer(samples: list[Sample]) -> str:
        size = max(sample.layer for sample in samples)
        return f"{size / 1e6:.0f} MB" if size else ""

    ours, theirs = found["containerbuild"], found["buildah"]
    cells = [row.title, *(show(s) for show in (cpu, memory, layer) for s in (ours, theirs))]
    return f"| {' | '.join(cells)} |"


def render(samples: Samples, buildah: str, scratch: str) -> str:
    """The page."""
    done = [row for row in ROWS if row.name in samples]
    engines = [engine for found in samples.values() for engine in found.values()]
    counts = sorted({len(engine) for engine in engines})
    rounds = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    largest = max(sample.memory for row in done for sample in samples[row.name]["containerbuild"]) >> 20
    text = HEADER.format(machine=machine()) + "\n" + TABLE.format(buildah=buildah)
    text += "".join(row_line(row, samples[row.name]) + "\n" for row in done)
    text += METHOD.format(rounds=rounds)
    text += "".join(detail_line(row, samples[row.name]) + "\n" for row in done)
    text += NOTES.format(scratch=scratch, target=MEMORY_TARGET >> 20, largest=largest)
    if "install" in samples:
        middle = sorted(samples["install"]["containerbuild"], key=lambda sample: sample.whole)
        sample = middle[len(middle) // 2]
        title = next(row.title for row in ROWS if row.name == "install")
        title = title[0].upper() + title[1:]
        text += TIMELINE.format(title=title, seconds=sample.whole, chart="\n".join(timeline.chart(sample)))
    return text
