"""Where the time of one build goes, from the events of `containerbuild build --progress json`."""

from __future__ import annotations

import re

from .measure import Sample

WIDTH = 44
TEXT = 58


def parts(sample: Sample) -> list[tuple[str, float, float]]:
    """Consecutive pieces of the wall clock: what, from, to."""
    found: list[tuple[str, float, float]] = []
    last, packed = 0.0, 0.0
    started: dict[int, tuple[float, str]] = {}
    for at, event in sample.events:
        if event["event"] == "step-started":
            if not found:
                found.append(("start, Dockerfile, base image resolved, gate", 0.0, at))
            # The registry of the benchmark is at another port every time.
            started[event["number"]] = (at, re.sub(r"[\d.]+:\d+/", "", event["text"]))
        elif event["event"] == "step-finished" and event["number"] in started:
            begun, text = started[event["number"]]
            found.append((text, begun, at))
            last = at
        elif event["event"] == "layer-packed":
            packed = at
    if packed > last:
        found.append(("packing that no later step hides", last, packed))
        last = packed
    found.append(("layer published, image pushed", last, sample.whole))
    return found


def chart(sample: Sample) -> list[str]:
    """Lines of text, one a piece, with bars to scale."""
    lines = []
    for text, begun, end in parts(sample):
        left = round(begun / sample.whole * WIDTH)
        bar = max(1, round((end - begun) / sample.whole * WIDTH)) if end - begun > 0.01 else 0
        shown = text if len(text) <= TEXT else text[: TEXT - 1] + "…"
        lines.append(f"{shown:<{TEXT}} {end - begun:6.2f} s  {' ' * left}{'█' * bar}".rstrip())
    return lines
