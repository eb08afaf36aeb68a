"""Runs the image registry: Debian's docker-registry (the CNCF distribution), on loopback without TLS.

Called by `up`. Images are addressed as registry.example.com/…; the worker's configuration maps that name to here.
"""

from __future__ import annotations

from . import processes
from .scene import Scene, program

CONFIG = """\
version: 0.1
log: {{level: warn}}
storage:
  filesystem: {{rootdirectory: {data}}}
  delete: {{enabled: true}}
http:
  addr: 127.0.0.1:{port}
  secret: only-for-the-demo
"""


def start(scene: Scene) -> None:
    """Start it with an empty store; returns when it answers."""
    data = scene.state / "registry"
    data.mkdir()
    config = scene.state / "registry.yml"
    config.write_text(CONFIG.format(data=data, port=scene.port("registry")))
    service = processes.start(scene, "registry", [program("docker-registry"), "serve", str(config)])
    processes.wait_until(scene, service, lambda: processes.answers(scene.port("registry")))
