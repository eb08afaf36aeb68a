"""Prints the play: a heading per act, the commands it runs, and how long each act took.

Used by __main__.py and by the modules that run commands a newcomer may want to repeat.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from .scene import SceneError

_BOLD, _DIM, _END = ("\033[1m", "\033[2m", "\033[0m") if sys.stdout.isatty() else ("", "", "")
_times: list[tuple[str, float]] = []


@contextmanager
def act(title: str) -> Iterator[None]:
    """A heading, and the time it took when it is over."""
    print(f"\n{_BOLD}== {title}{_END}", flush=True)
    started = time.monotonic()
    try:
        yield
    finally:
        _times.append((title, time.monotonic() - started))
    print(f"{_DIM}   ({_times[-1][1]:.1f} s){_END}", flush=True)


def say(text: str) -> None:
    """One or more lines of explanation."""
    for line in text.splitlines():
        print(f"   {line}", flush=True)


def show_command(command: list[str]) -> None:
    """Print a command as one could type it, shortened when it is long."""
    text = shlex.join(command)
    print(f"   {_DIM}${_END} {text if len(text) < 200 else text[:190] + ' …'}", flush=True)


def run(command: list[str], env: Mapping[str, str] | None = None, quiet: bool = False, stdin: str | None = None) -> str:
    """Run a command to its end and return its standard output; a failure is an error that shows the output."""
    if not quiet:
        show_command(command)
    done = subprocess.run(
        command,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
        input=stdin if stdin is not None else "",
    )
    if done.returncode != 0:
        raise SceneError(
            f"`{shlex.join(command)[:300]}` failed with status {done.returncode}:\n"
            + (done.stdout + done.stderr).strip()[-3000:]
        )
    return done.stdout


def times() -> str:
    """The table of all acts so far."""
    width = max((len(title) for title, _ in _times), default=0)
    rows = [f"{title:<{width}} {seconds:7.1f} s" for title, seconds in _times]
    return "\n".join([*rows, f"{'all':<{width}} {sum(s for _, s in _times):7.1f} s"])
