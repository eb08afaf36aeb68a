"""The rows of the table: what is built, what the time counts, and the target that the project set itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from . import inputs
from .inputs import Inputs


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    title: str
    work: str
    """Method of both engines that measures it; one call may give several rows."""
    factor: float = 0.0
    """At least this many times as fast as buildah; 0: no such target."""
    seconds: float = 0.0
    """At most this many seconds; 0: no such target."""
    warm_up: bool = False
    """Whether the first round is thrown away: for work so short that the first touch of memory would show."""


ROWS = [
    Row("pull", "pull + unpack of the large base image (887 MB, 43 000 files), cold", "pull", 4),
    Row("pull-warm", "build of FROM and LABEL on the same base image, unpacked already", "pull", 0, 0.05),
    Row("ten-runs", "ten trivial RUN, ten layers", "ten_runs", 5, warm_up=True),
    Row("ten-runs-squashed", "ten trivial RUN, one layer", "ten_runs_squashed", 5, warm_up=True),
    Row("big-run", "RUN that writes 1 GiB: commit + push, gzip", "big_run", 5),
    Row("big-run-zstd", "the same with our zstd, buildah with gzip", "big_run", 10),
    Row("big-run-hard", "RUN that writes 1 GiB that hardly compresses: commit + push, gzip", "big_run_hard", 5),
    Row("big-run-hard-zstd", "the same with our zstd, buildah with gzip", "big_run_hard", 10),
    Row("many-files", "RUN that writes 30 000 files, 522 MB: commit + push, gzip", "many_files", 6),
    Row("many-files-hard", "the same with files that hardly compress", "many_files_hard", 6),
    Row("copy", "COPY of 20 000 files, 164 MB, commit included", "copy", 6),
    Row("install", "whole build: FROM, RUN dnf install (121 RPMs, 656 MiB), pushed", "install", 2.5),
    Row("rebuild", "nothing changed: COPY of 20 000 files and ten RUN from the cache", "rebuild", 0, 0.3, warm_up=True),
]

TEN_RUNS = [f"RUN echo {number} > /step-{number}" for number in range(10)]
MOUNT = "--mount=type=bind,target=/context"
# Every file begins elsewhere in the pool: none is like another, and no piece of one is a piece of another.
BIG_FILE = "{ tail -c +$((n * 40961)) /context/pool; head -c $((n * 40961 - 1)) /context/pool; } > /data/$n"
BIG = f"mkdir /data && for n in $(seq {inputs.BIG_COPIES}); do {BIG_FILE}; done"
MANY = "mkdir /data && tar -xf /context/files.tar -C /data"
INSTALL = "dnf -y -q install 'bulk-*' && dnf -q clean all"


def pull_context(inputs_: Inputs) -> Path:
    """The smallest thing that needs the base image unpacked."""
    return inputs_.context("pull", "large", ["LABEL purpose=benchmark"])


def ten_runs_context(inputs_: Inputs) -> Path:
    """Ten steps that change one file each."""
    return inputs_.context("ten-runs", "tools", TEN_RUNS)


def big_run_context(inputs_: Inputs, kind: str) -> Path:
    """A few large files; `kind` is that of their content, soft or hard."""
    return inputs_.context(f"big-run-{kind}", "tools", [f"RUN {MOUNT} {BIG}"], inputs.pool(kind))


def many_files_context(inputs_: Inputs, kind: str) -> Path:
    """Many small files; `kind` is that of their content, soft or hard."""
    return inputs_.context(f"many-files-{kind}", "tools", [f"RUN {MOUNT} {MANY}"], inputs.many_files(kind))


def copy_context(inputs_: Inputs) -> Path:
    """Many small files from the context."""
    return inputs_.context("copy", "tools", ["COPY tree /srv/tree"], inputs.tree)


def install_context(inputs_: Inputs) -> Path:
    """The build of a service image."""
    return inputs_.context("install", "dnf", [f"RUN {INSTALL}"])


def rebuild_context(inputs_: Inputs) -> Path:
    """A build with a large context and several steps."""
    return inputs_.context("rebuild", "tools", ["COPY tree /srv/tree", *TEN_RUNS], inputs.tree)
