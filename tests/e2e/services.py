"""A service of the scene that is away for a while."""

import contextlib

from demo import processes

PORTS = {"hub": ("hub_http", "hub_https"), "registry": ("registry",), "dist-git": ("dist_git",)}


@contextlib.contextmanager
def away(scene, name):
    """The service `name` does not run inside the block; afterwards it runs again as it did before."""
    service = next(s for s in processes.running(scene) if s.name == name)
    with open(f"/proc/{service.pid}/cmdline", "rb") as file:
        command = file.read().decode().rstrip("\0").split("\0")
    with open(f"/proc/{service.pid}/environ", "rb") as file:
        environment = dict(e.split("=", 1) for e in file.read().decode().rstrip("\0").split("\0"))
    processes.stop(scene, service)
    try:
        yield
    finally:
        again = processes.start(scene, name, command, environment)
        ports = [scene.port(port) for port in PORTS[name]]
        processes.wait_until(scene, again, lambda: all(map(processes.answers, ports)))
