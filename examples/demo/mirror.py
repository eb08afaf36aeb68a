"""Serves the repositories that are not Koji's, as a mirror on the network would. Called by `up`."""

from __future__ import annotations

import sys

from . import processes
from .scene import Scene


def start(scene: Scene) -> None:
    """Serve `foreign/` of the distribution; returns when it answers."""
    assert scene.distribution
    service = processes.start(
        scene,
        "mirror",
        [
            sys.executable,
            "-m",
            "http.server",
            "--bind",
            "127.0.0.1",
            "--directory",
            str(scene.distribution / "foreign"),
            str(scene.port("mirror")),
        ],
    )
    processes.wait_until(scene, service, lambda: processes.answers(scene.port("mirror")))
