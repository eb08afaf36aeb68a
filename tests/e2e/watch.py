"""What tests watch: conditions, RUN steps, and the processes of a worker."""

import contextlib
import os
import time

from demo import processes


def wait_for(what, condition, seconds=120):
    """What `condition()` gives as soon as it is true; neither hubs nor process tables can be subscribed to."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"no {what} after {seconds} s"
        time.sleep(0.05)
    return found


def sleeping(seconds):
    """How many `sleep SECONDS` run on this machine."""
    found = 0
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{entry}/cmdline", "rb") as file:
                found += file.read() == f"sleep\0{seconds}\0".encode()
    return found


def descendants(pid):
    """The processes below one, as {pid: when it began}."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{entry}/stat") as file:
                parents[int(entry)] = int(file.read().rpartition(")")[2].split()[1])
    found, queue = {}, [pid]
    while queue:
        above = queue.pop()
        below = [child for child, parent in parents.items() if parent == above]
        queue += below
        found.update((child, processes.start_time(child)) for child in below)
    return found


def alive(known):
    """Those of them that still run."""
    return [pid for pid, began in known.items() if began is not None and processes.start_time(pid) == began]
