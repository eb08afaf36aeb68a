"""Starts the scene's services, knows whether they run, and stops them. Used by every service module and by `down`.

Each service leads its own process group and is recorded in `run/NAME.json` with its start time, so that a number that
was given to another program in the meantime is never signalled.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .scene import Scene, SceneError


@dataclass(frozen=True)
class Service:
    """A running service: its process group and when it began (clock ticks since boot, from /proc)."""

    name: str
    pid: int
    started: int


def start_time(pid: int) -> int | None:
    """Field 22 of /proc/PID/stat; None when there is no such process or it is a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else int(fields[19])


def _record(scene: Scene, name: str) -> Path:
    return scene.state / "run" / f"{name}.json"


def start(
    scene: Scene, name: str, command: list[str], env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Service:
    """Start a service in the background; its output goes to logs/NAME.log."""
    scene.logs.mkdir(parents=True, exist_ok=True)
    _record(scene, name).parent.mkdir(exist_ok=True)
    with (scene.logs / f"{name}.log").open("ab") as log:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
    began = start_time(child.pid)
    if began is None:
        raise SceneError(f"{name} ended at once: {log_tail(scene, name)}")
    service = Service(name, child.pid, began)
    _record(scene, name).write_text(json.dumps(service.__dict__))
    return service


def running(scene: Scene) -> list[Service]:
    """The recorded services that still run, last started first."""
    found = []
    for path in (scene.state / "run").glob("*.json"):
        service = Service(**json.loads(path.read_text()))
        if start_time(service.pid) == service.started:
            found.append(service)
    return sorted(found, key=lambda s: -s.started)


def log_tail(scene: Scene, name: str, lines: int = 15) -> str:
    """The last lines of a service's log, for error messages."""
    path = scene.logs / f"{name}.log"
    text = path.read_text(errors="replace") if path.exists() else ""
    return "\n".join(text.splitlines()[-lines:]) or "(its log is empty)"


def wait_until(scene: Scene, service: Service, ready: Callable[[], bool], seconds: float = 60) -> None:
    """Return when `ready()` is true; fail when the service ends first or the time is over."""
    deadline = time.monotonic() + seconds
    while not ready():
        if start_time(service.pid) != service.started:
            raise SceneError(f"{service.name} ended while starting:\n{log_tail(scene, service.name)}")
        if time.monotonic() > deadline:
            raise SceneError(f"{service.name} is not ready after {seconds:.0f} s:\n{log_tail(scene, service.name)}")
        time.sleep(0.05)


def answers(port: int) -> bool:
    """Whether something accepts connections on 127.0.0.1:port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def stop(scene: Scene, service: Service, patience: float = 20) -> None:
    """SIGTERM to the leader, then SIGKILL to what is left of the group."""
    if start_time(service.pid) == service.started:
        handle = os.pidfd_open(service.pid)
        try:
            os.kill(service.pid, signal.SIGTERM)
            select.select([handle], [], [], patience)
        finally:
            os.close(handle)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(service.pid, signal.SIGKILL)
    _reap(service.pid)
    _record(scene, service.name).unlink(missing_ok=True)


def _reap(pid: int) -> None:
    """Collect the exit status when the service is our own child; otherwise init does."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def leftovers(scene: Scene) -> list[str]:
    """Processes whose command line or working directory names the state directory: nothing should be left by `down`."""
    found = []
    mark = str(scene.state)
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            where = os.readlink(entry / "cwd")
        except OSError:
            continue
        if f"{mark}/" in command + "/" or where.startswith(mark):
            found.append(f"{entry.name} {command[:120]}")
    return found
