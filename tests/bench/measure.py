"""Times one whole process: wall clock, processor time of it and its descendants (wait4), peak memory of the process
itself (VmHWM: the rusage figure would be that of a program inside RUN). Used by the engines.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from .errors import BenchError

POLL = 0.01
TAIL = 3000


@dataclass
class Sample:
    """One measurement; several processes of one piece of work are added up."""

    wall: float = 0.0
    """Seconds that count for the row."""
    whole: float = 0.0
    """Seconds of everything, RUN included."""
    cpu: float = 0.0
    """Processor seconds of everything."""
    memory: int = 0
    """Peak of the largest engine process in bytes."""
    layer: int = 0
    """Bytes of the layer that was made, compressed."""
    said: list[str] = field(default_factory=list)
    """Lines on standard error."""
    events: list[tuple[float, dict]] = field(default_factory=list)
    """Progress of containerbuild: seconds since the start, event."""

    def add(self, other: Sample, *, counted: bool = True) -> None:
        """Another process of the same work; one that only prepares is not counted in the row's seconds."""
        self.wall += other.wall if counted else 0.0
        self.whole += other.whole
        self.cpu += other.cpu
        self.memory = max(self.memory, other.memory)


def run(command: list[str | Path], environment: dict[str, str] | None = None) -> Sample:
    """Run to its end. An exit other than 0 is an error with what the program said last."""
    command = [str(word) for word in command]
    started = time.monotonic()
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env={**os.environ, **(environment or {})},
    )
    lines: list[tuple[float, str]] = []
    reader = threading.Thread(target=_read, args=(process.stderr, started, lines))
    peak: list[int] = [0]
    watcher = threading.Thread(target=_watch, args=(process.pid, peak), daemon=True)
    reader.start()
    watcher.start()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    reader.join()
    watcher.join()
    if process.returncode != 0:
        said = "\n".join(line for _, line in lines)[-TAIL:]
        raise BenchError(f"exit {process.returncode} of: {' '.join(command)}\n{said}")
    events = [(at, json.loads(line)) for at, line in lines if line.startswith('{"')]
    said = [line for _, line in lines]
    return Sample(wall, wall, usage.ru_utime + usage.ru_stime, peak[0], said=said, events=events)


def _read(stream: object, started: float, lines: list[tuple[float, str]]) -> None:
    for line in stream:  # type: ignore[attr-defined]
        lines.append((time.monotonic() - started, line.rstrip("\n")))


def _watch(pid: int, peak: list[int]) -> None:
    """The kernel keeps the peak, so only what happens in the last milliseconds can be missed."""
    status = Path(f"/proc/{pid}/status")
    while True:
        try:
            text = status.read_text(encoding="utf-8")
        except OSError:
            return
        found = text.find("VmHWM:")
        if found < 0:  # it has ended
            return
        peak[0] = max(peak[0], int(text[found:].split()[1]) << 10)
        time.sleep(POLL)
