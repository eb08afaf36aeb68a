"""Where everything of the scene is: the state directory, the ports, the programs. Used by every module here.

Saved as `scene.json` in the state directory by `up`, so that the other commands find the same scene again.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
DEFAULT_STATE = REPOSITORY / ".demo"
DEFAULT_PORT = 28400
# Offsets from the base port. `database` is only used by the real hub; `wake` is where a worker may listen (UDP).
PORTS = {"hub_http": 0, "hub_https": 1, "registry": 2, "dist_git": 3, "mirror": 4, "database": 5, "wake": 6}
REGISTRY_NAME = "registry.example.com"
TAG, BUILD_TAG, TARGET = "f40", "f40-build", "f40-container-candidate"
WORKER_HOST, REPO_HOST, ADMIN, PACKAGER = "builder1", "builder2", "kojiadmin", "packager"
# The worker's name for imports, and another one for images that came to be elsewhere: the plugin checks only the first.
CONTENT_GENERATOR, BASE_GENERATOR = "containerbuild", "base-images"


class SceneError(Exception):
    """The scene cannot be set or is not there; the message says what to do."""


@dataclass(frozen=True)
class Scene:
    """Addresses and paths. `koji_src` is Koji's source directory when the hub is a real one, else None."""

    state: Path
    base_port: int
    koji_src: Path | None = None
    distribution: Path | None = None

    def port(self, service: str) -> int:
        """The TCP port of a service of PORTS, on loopback."""
        return self.base_port + PORTS[service]

    @property
    def hub_url(self) -> str:
        """The XML-RPC address; logins need https."""
        return f"https://localhost:{self.port('hub_https')}/kojihub"

    @property
    def web_url(self) -> str:
        """kojiweb, or the page the development hub has instead."""
        return f"http://localhost:{self.port('hub_http')}/koji"

    @property
    def top_url(self) -> str:
        """The hub's files over http."""
        return f"http://localhost:{self.port('hub_http')}/kojifiles"

    @property
    def registry(self) -> str:
        """host:port of the registry."""
        return f"127.0.0.1:{self.port('registry')}"

    @property
    def mirror_url(self) -> str:
        """Where the repositories are that are not Koji's."""
        return f"http://127.0.0.1:{self.port('mirror')}"

    @property
    def hub_dir(self) -> Path:
        """State of the hub, whichever it is."""
        return self.state / "hub"

    @property
    def kojidir(self) -> Path:
        """The hub's top directory (packages, repos, work)."""
        return self.hub_dir / "kojidir"

    @property
    def ca(self) -> Path:
        """Certificates: ca.crt and USER.pem."""
        return self.state / "ca"

    @property
    def logs(self) -> Path:
        """One log per service."""
        return self.state / "logs"

    def koji_conf(self, user: str) -> Path:
        """The stock client's configuration for one user."""
        return self.state / f"koji-{user}.conf"

    def scm_url(self, name: str, commit: str) -> str:
        """The SCM URL of a dist-git repository at a commit."""
        return f"git://127.0.0.1:{self.port('dist_git')}/container/{name}.git#{commit}"

    def save(self) -> None:
        """Write scene.json."""
        text = json.dumps({k: str(v) if isinstance(v, Path) else v for k, v in asdict(self).items()}, indent=1)
        (self.state / "scene.json").write_text(text + "\n")


def load(state: Path) -> Scene:
    """The scene set in `state`."""
    try:
        values = json.loads((state / "scene.json").read_text())
    except FileNotFoundError:
        raise SceneError(f"no scene in {state}: run `make demo` first") from None
    for name in ("state", "koji_src", "distribution"):
        values[name] = Path(values[name]) if values[name] else None
    return Scene(**values)


def check_ports(scene: Scene) -> None:
    """Refuse to start when a port is taken, naming all that are."""
    taken = []
    for service in PORTS:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", scene.port(service)))
            except OSError as error:
                taken.append(f"{scene.port(service)} ({service}: {error.strerror})")
    if taken:
        raise SceneError(
            "these ports are not free on 127.0.0.1: "
            + ", ".join(taken)
            + "; choose others with --base-port N or DEMO_BASE_PORT=N"
        )


def program(name: str) -> str:
    """The path of a program: beside our Python first (a virtual environment), then in PATH."""
    beside = Path(sys.executable).with_name(name)
    if beside.exists() and os.access(beside, os.X_OK):
        return str(beside)
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not found:
        raise SceneError(f"the program {name} is not installed: see the list of packages in the README")
    return found
