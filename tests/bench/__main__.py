"""`python3 -m bench`: time containerbuild, buildah and BuildKit in turn; write docs/BENCHMARKS.md when all rows ran.

Needs root, buildah, crun, docker-registry, busybox, rpmbuild and createrepo_c. With dockerd in PATH, BuildKit is
measured, too. Called by `make bench`.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

from . import gate, kept, namespace, proof, report
from .buildah import Buildah
from .buildkit import BuildKit
from .errors import BenchError
from .inputs import Inputs
from .ours import Containerbuild
from .registry import LocalRegistry
from .rows import ROWS
from .scratch import Scratch

Engine = Containerbuild | Buildah | BuildKit
ROOT = Path(__file__).parents[2]
TIME_LIMIT = 690.0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    known = [*(row.name for row in ROWS), gate.ROW, proof.ROW, proof.DECODE]
    names = ", ".join(known)
    parser.add_argument("--rows", metavar="NAME,…", help=f"only these: {names}")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each row (3)")
    parser.add_argument("--binary", type=Path, default=ROOT / "target/release/containerbuild")
    parser.add_argument("--work-dir", type=Path, default=Path("/var/tmp"), help="where the scratch image is (/var/tmp)")
    parser.add_argument("--no-buildkit", action="store_true", help="leave BuildKit out even where dockerd is found")
    parser.add_argument("--keep", type=Path, help="file that samples are added to; the page then shows all rows in it")
    parser.add_argument("--output", type=Path, help="the page (docs/BENCHMARKS.md when all rows run, else printed)")
    parser.add_argument("--time-limit", type=float, default=TIME_LIMIT, help="begin no further round after it, in s")
    chosen = parser.parse_args()
    chosen.rows = chosen.rows.split(",") if chosen.rows else known
    unknown = [name for name in chosen.rows if name not in known]
    if unknown:
        parser.error(f"no such row: {', '.join(unknown)} (there are: {names})")
    if chosen.rounds < 1:
        parser.error("at least one round")
    if chosen.output is None and set(chosen.rows) == set(known):
        chosen.output = ROOT / "docs/BENCHMARKS.md"
    return chosen


def command(chosen: argparse.Namespace) -> str:
    """How to measure the same again."""
    options = f"--rows {','.join(chosen.rows)} --rounds {chosen.rounds} --time-limit {chosen.time_limit:g}"
    buildkit = " --no-buildkit" if chosen.no_buildkit else ""
    hub = " KOJI_SRC=DIR" if os.environ.get("KOJI_SRC") else ""
    return f'make bench{hub} BENCH="{options}{buildkit} --output docs/BENCHMARKS.md"'


def measure(chosen: argparse.Namespace, engines: list[Engine], deadline: float) -> report.Samples:
    """Every row, round by round, the engines in turn."""
    samples: report.Samples = defaultdict(lambda: defaultdict(list))
    works = {row.work: row.warm_up for row in ROWS if row.name in chosen.rows}
    for work, warm_up in works.items():
        for number in range(-1 if warm_up else 0, chosen.rounds):
            if number > 0 and time.monotonic() > deadline:
                print(f"{work}: {number} rounds, there is no time for more", flush=True)
                break
            for engine in engines:
                if not hasattr(engine, work):
                    continue
                for row, sample in getattr(engine, work)().items():
                    what = "warm-up" if number < 0 else f"{number + 1}/{chosen.rounds}"
                    print(
                        f"{row:<18} {engine.name:<15} {what:<8} {sample.wall:7.3f} s  (all {sample.whole:.2f} s, "
                        f"CPU {sample.cpu:.2f} s, {sample.memory >> 20} MiB)",
                        flush=True,
                    )
                    if number >= 0:
                        samples[row][engine.name].append(sample)
    return samples


def bench(chosen: argparse.Namespace) -> None:
    """Everything between a fresh file system and the page."""
    started = time.monotonic()
    with Scratch(chosen.work_dir) as scratch, LocalRegistry(scratch.directory("registry")) as registry:
        inputs = Inputs(scratch.directory("inputs"), registry.host)
        ours = Containerbuild(chosen.binary, scratch.directory("ours"), inputs)
        buildah = Buildah(scratch.directory("buildah"), inputs)
        names, why_not = {"buildah": buildah.version()}, "left out" if chosen.no_buildkit else BuildKit.missing()
        with ExitStack() as stack:
            engines: list[Engine] = [ours, buildah]
            if not why_not:
                try:
                    buildkit = stack.enter_context(BuildKit(scratch.directory("buildkit"), inputs))
                    engines.append(buildkit)
                    names["buildkit"] = buildkit.version()
                except BenchError as error:
                    why_not = str(error)
            samples = measure(chosen, engines, started + chosen.time_limit)
        if chosen.keep:
            samples = kept.add(chosen.keep, samples, names)
        page = report.render(samples, names, why_not, scratch.kind, command(chosen)) if samples else ""
        if gate.ROW in chosen.rows:
            page += gate.section(gate.measure(ours, inputs, chosen.rounds))
        if proof.ROW in chosen.rows:
            page += proof.section(proof.measure(chosen.binary, scratch.directory("proof"), chosen.rounds))
        if proof.DECODE in chosen.rows:
            page += proof.decode_section()
    if chosen.output:
        chosen.output.write_text(page, encoding="utf-8")
        print(f"wrote {chosen.output} after {time.monotonic() - started:.0f} s")
    else:
        print(page)


def main() -> int:
    """Exit 0: measured; 1: something is missing or failed."""
    chosen = arguments()
    try:
        namespace.enter()
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # as process 1 it would be ignored
        if not chosen.binary.is_file():
            raise BenchError(f"{chosen.binary} is missing: cargo build --release -p builder-worker")
        bench(chosen)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
