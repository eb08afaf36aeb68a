"""Samples kept in a file, so that rows can be measured in several runs and stand on one page. A row measured again
replaces what was kept of it.
"""

from __future__ import annotations

import dataclasses
import json
from collections import defaultdict
from pathlib import Path

from .measure import Sample

Samples = dict[str, dict[str, list[Sample]]]


def add(file: Path, samples: Samples, names: dict[str, str]) -> Samples:
    """What was kept, with `samples` over it; `names` gets those of engines that were measured then."""
    kept: Samples = defaultdict(dict)
    if file.is_file():
        document = json.loads(file.read_text(encoding="utf-8"))
        for engine, name in document["engines"].items():
            names.setdefault(engine, name)
        for row, engines in document["rows"].items():
            kept[row] = {engine: [Sample(**one) for one in found] for engine, found in engines.items()}
    for row, engines in samples.items():
        kept[row] = dict(engines)
    rows = {row: {e: [plain(s) for s in found] for e, found in engines.items()} for row, engines in kept.items()}
    file.write_text(json.dumps({"engines": names, "rows": rows}), encoding="utf-8")
    return kept


def plain(sample: Sample) -> dict:
    """As JSON; output is of no more use, and events are large."""
    shown = dataclasses.asdict(dataclasses.replace(sample, said=[]))
    shown["events"] = [(at, event) for at, event in sample.events if event["event"] != "output-line"]
    return shown
