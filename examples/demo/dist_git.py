"""Makes the dist-git repositories from examples/dist-git and serves them with `git daemon`. Called by `up`."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from . import processes
from .scene import REPOSITORY, Scene, SceneError, program

TREES = REPOSITORY / "examples/dist-git"
BRANCH = "f40"
# Fixed author and date: the same tree gives the same commit on every machine. No configuration of the caller's is read.
_ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_AUTHOR_NAME": "Packager",
    "GIT_AUTHOR_EMAIL": "packager@example.com",
    "GIT_COMMITTER_NAME": "Packager",
    "GIT_COMMITTER_EMAIL": "packager@example.com",
    "GIT_AUTHOR_DATE": "1710000000 +0000",
    "GIT_COMMITTER_DATE": "1710000000 +0000",
}


def _git(arguments: list[str], cwd: Path) -> str:
    done = subprocess.run(
        ["git", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(cwd), **_ENVIRONMENT},
    )
    if done.returncode != 0:
        raise SceneError(f"git {arguments[0]} failed in {cwd}: {done.stderr.strip()[-500:]}")
    return done.stdout.strip()


def directory(scene: Scene, name: str) -> Path:
    """The bare repository `container/NAME.git`."""
    return scene.state / "dist-git/container" / f"{name}.git"


def commit(scene: Scene, name: str) -> str:
    """The full commit at the tip of branch f40."""
    return _git(["rev-parse", f"refs/heads/{BRANCH}"], directory(scene, name))


def create(scene: Scene, name: str, tree: Path) -> str:
    """Make a bare repository with `tree` as its only commit; returns the commit."""
    bare = directory(scene, name)
    with tempfile.TemporaryDirectory(dir=scene.state) as work:
        copy = Path(work) / name
        shutil.copytree(tree, copy, symlinks=True)
        _git(["init", "-q", "-b", BRANCH], copy)
        _git(["add", "-A"], copy)
        _git(["commit", "-q", "-m", f"{name}: first version"], copy)
        bare.parent.mkdir(parents=True, exist_ok=True)
        _git(["clone", "-q", "--bare", str(copy), str(bare)], copy)
    return commit(scene, name)


def start(scene: Scene) -> list[str]:
    """Make all repositories and serve them; returns their names."""
    names = sorted(path.name for path in TREES.iterdir() if (path / "Dockerfile").exists())
    for name in names:
        create(scene, name, TREES / name)
    base = scene.state / "dist-git"
    service = processes.start(
        scene,
        "dist-git",
        [
            program("git"),
            "daemon",
            "--reuseaddr",
            "--export-all",
            "--listen=127.0.0.1",
            f"--port={scene.port('dist_git')}",
            f"--base-path={base}",
            str(base),
        ],
        {**_ENVIRONMENT, "HOME": str(scene.state)},
    )
    processes.wait_until(scene, service, lambda: processes.answers(scene.port("dist_git")))
    return names
