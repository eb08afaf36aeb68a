"""Makes the certificate authority of the scene and a certificate per user and host. Called by `up`.

Koji identifies a user by the common name of the client certificate; the stock client wants certificate and key in one
file (USER.pem).
"""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .scene import ADMIN, PACKAGER, REPO_HOST, WORKER_HOST, Scene, SceneError

NAMES = ["localhost", ADMIN, "kojira", PACKAGER, "other", WORKER_HOST, REPO_HOST]


def _openssl(arguments: list[str], directory: Path) -> None:
    done = subprocess.run(["openssl", *arguments], cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SceneError(f"openssl {arguments[0]} failed: {done.stderr.strip()[-500:]}")


def _issue(name: str, serial: int, directory: Path) -> None:
    _openssl(
        [
            "req",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            f"/O=demo/CN={name}",
            "-keyout",
            f"{name}.key",
            "-out",
            f"{name}.csr",
        ],
        directory,
    )
    (directory / f"{name}.ext").write_text(f"subjectAltName=DNS:localhost,DNS:{name},IP:127.0.0.1\n")
    _openssl(
        [
            "x509",
            "-req",
            "-in",
            f"{name}.csr",
            "-CA",
            "ca.crt",
            "-CAkey",
            "ca.key",
            "-set_serial",
            str(serial),
            "-days",
            "30",
            "-extfile",
            f"{name}.ext",
            "-out",
            f"{name}.crt",
        ],
        directory,
    )
    pem = directory / f"{name}.pem"
    pem.touch(mode=0o600)
    pem.write_text((directory / f"{name}.crt").read_text() + (directory / f"{name}.key").read_text())
    for suffix in ("csr", "ext"):
        (directory / f"{name}.{suffix}").unlink()


def make(scene: Scene) -> None:
    """Fill `ca/`. The keys are for this scene only and expire in a month."""
    scene.ca.mkdir(parents=True)
    _openssl(
        [
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "30",
            "-subj",
            "/O=demo/CN=demo CA",
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign",
            "-keyout",
            "ca.key",
            "-out",
            "ca.crt",
        ],
        scene.ca,
    )
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda pair: _issue(pair[1], pair[0] + 2, scene.ca), enumerate(NAMES)))


def add(scene: Scene, name: str) -> None:
    """A certificate for one more user or host, once."""
    if not (scene.ca / f"{name}.pem").exists():
        _issue(name, int.from_bytes(name.encode()[-7:]) + 1000, scene.ca)
