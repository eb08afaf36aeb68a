"""Takes the scene down: services, containers, mounts. Nothing is left but files in the state directory.

Called by `make demo-down`; safe to run twice, and on a scene that never came up whole.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from . import acts, processes
from .scene import Scene, SceneError


def mounts_below(directory: Path) -> list[str]:
    """Mount points below a directory, deepest first (proc_pid_mountinfo(5), field 5, octal escapes)."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = line.split()[4].encode().decode("unicode_escape")
        if point == str(directory) or point.startswith(f"{directory}/"):
            found.append(point)
    return sorted(found, reverse=True)


def down(scene: Scene) -> None:
    """Stop everything; an error names what could not be removed."""
    for service in processes.running(scene):
        processes.stop(scene, service)
        acts.say(f"stopped {service.name}")
    for point in mounts_below(scene.state):
        subprocess.run(["umount", "-l", point], check=False)
    left = processes.leftovers(scene) + [f"mount {point}" for point in mounts_below(scene.state)]
    if left:
        raise SceneError("these are left:\n" + "\n".join(left))
    acts.say(f"nothing runs; the files are in {scene.state}")
