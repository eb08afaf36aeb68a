"""Pulls an image from the scene's registry and runs it with crun, to see it answer. Called by show.py.

Nothing of containerbuild is used here: the image must run for somebody who only has a registry and an OCI runtime.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from . import acts, processes
from .scene import Scene, SceneError, program

NAME = "demo-webserver"
CAPABILITIES = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_NET_BIND_SERVICE",
    "CAP_KILL",
]
# crun refuses machines where cgroup v2 is mounted beside v1 ("hybrid"): hide the v2 mount from it, in a mount
# namespace of its own.
_HYBRID_CURE = 'if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi; exec "$0" "$@"'


def unpack(layout: Path, root: Path) -> dict[str, object]:
    """Unpack all layers of the only image in an OCI layout; returns the image configuration."""

    def blob(digest: str) -> Path:
        return layout / "blobs" / digest.replace(":", "/")

    index = json.loads((layout / "index.json").read_text())
    manifest = json.loads(blob(index["manifests"][0]["digest"]).read_text())
    root.mkdir(parents=True)
    for layer in manifest["layers"]:
        with tarfile.open(blob(layer["digest"])) as tar:
            # Newer Pythons drop owners and set-id bits by default; this is an image, not somebody's download.
            tar.extraction_filter = lambda item, _: item
            for item in tar:
                _apply(tar, item, root)
    return json.loads(blob(manifest["config"]["digest"]).read_text())


def _apply(tar: tarfile.TarFile, item: tarfile.TarInfo, root: Path) -> None:
    """One entry of a layer; `.wh.` names delete what lower layers have (OCI layer.md)."""
    path = Path(item.name)
    if path.name == ".wh..wh..opq":
        for child in (root / path.parent).iterdir():
            _remove(child)
    elif path.name.startswith(".wh."):
        _remove(root / path.parent / path.name.removeprefix(".wh."))
    else:
        target = root / path
        if not (item.isdir() and target.is_dir() and not target.is_symlink()):
            _remove(target)
        tar.extract(item, root, numeric_owner=True)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def runtime_config(image: dict[str, object], bundle: Path) -> dict[str, object]:
    """`crun spec`, with the image's command, environment and directory, and with room for a server that drops root."""
    acts.run([program("crun"), "spec", "-b", str(bundle)], quiet=True)
    spec = json.loads((bundle / "config.json").read_text())
    config = image.get("config") or {}
    assert isinstance(config, dict)
    spec["process"].update(
        {
            "terminal": False,
            "args": [*(config.get("Entrypoint") or []), *(config.get("Cmd") or [])],
            "env": config.get("Env") or [],
            "cwd": config.get("WorkingDir") or "/",
            "rlimits": [],
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), CAPABILITIES),
        }
    )
    spec["root"]["readonly"] = False
    return spec


def _crun(scene: Scene, *arguments: str) -> list[str]:
    return [
        program("unshare"),
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        _HYBRID_CURE,
        program("crun"),
        "--root",
        str(scene.state / "crun"),
        *arguments,
    ]


def answer(scene: Scene, reference: str, port: int) -> str:
    """Run the image until it answers on `port` of its own loopback; returns the page. Nothing is left afterwards."""
    bundle, layout = scene.state / "run-image", scene.state / "pulled-image"
    for directory in (bundle, layout):
        shutil.rmtree(directory, ignore_errors=True)
    acts.run(
        [program("skopeo"), "copy", "-q", "--src-tls-verify=false", f"docker://{reference}", f"oci:{layout}:image"]
    )
    image = unpack(layout, bundle / "rootfs")
    (bundle / "config.json").write_text(json.dumps(runtime_config(image, bundle)))
    pid_file = bundle / "pid"
    service = processes.start(
        scene, NAME, _crun(scene, "run", "--bundle", str(bundle), "--pid-file", str(pid_file), NAME)
    )
    try:
        page = ""

        def answers() -> bool:
            nonlocal page
            page = _get(pid_file, port)
            return bool(page)

        processes.wait_until(scene, service, answers)
        return page
    finally:
        subprocess.run(_crun(scene, "delete", "--force", NAME), capture_output=True, check=False)
        processes.stop(scene, service)
        shutil.rmtree(bundle, ignore_errors=True)


def _get(pid_file: Path, port: int) -> str:
    """GET / in the container's network namespace, which nobody else is in; empty when nothing answers yet."""
    pid = pid_file.read_text().strip() if pid_file.exists() else ""
    if not pid or not os.path.exists(f"/proc/{pid}/ns/net"):
        return ""
    code = f"import urllib.request as u; print(u.urlopen('http://127.0.0.1:{port}/', timeout=5).read().decode())"
    done = subprocess.run(
        [program("nsenter"), f"--net=/proc/{pid}/ns/net", sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0 and "refused" not in done.stderr and "unreachable" not in done.stderr:
        raise SceneError(f"the container's server does not answer: {done.stderr.strip()[-300:]}")
    return done.stdout if done.returncode == 0 else ""
