"""Sets up Koji for container builds with the stock `koji` command: tags, target, packages, host, RPMs, repo.

The same commands an administrator would type, on the development hub and on a real one. Called by `up`.
"""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import acts, koji_client
from .koji_client import koji, together
from .scene import (
    ADMIN,
    BASE_GENERATOR,
    BUILD_TAG,
    CONTENT_GENERATOR,
    PACKAGER,
    REPO_HOST,
    TAG,
    TARGET,
    WORKER_HOST,
    Scene,
    SceneError,
)

# Fedora's names. Its container build tag holds container builds and no RPMs: the RPMs a Dockerfile can install come
# from the content sources the worker's configuration names for the target.
CONTAINER_TAG = f"{TAG}-container"
CONTAINER_BUILD_TAG = f"{TAG}-container-build"
DEST_TAG = f"{TAG}-container-updates-candidate"
BASE_PACKAGE = "demo-base"


def facts(scene: Scene) -> dict[str, object]:
    """The distribution's distribution.json."""
    assert scene.distribution
    return json.loads((scene.distribution / "distribution.json").read_text())


def tags_and_target(scene: Scene) -> None:
    """Five tags, one build target."""
    arch = os.uname().machine
    together(scene, ["add-tag", TAG], ["add-tag", CONTAINER_TAG], ["add-user", PACKAGER])
    together(
        scene,
        ["add-tag", "--parent", TAG, "--arches", arch, BUILD_TAG],
        ["add-tag", "--parent", CONTAINER_TAG, "--arches", arch, CONTAINER_BUILD_TAG],
        ["add-tag", "--parent", CONTAINER_TAG, DEST_TAG],
    )
    koji(scene, "add-target", TARGET, CONTAINER_BUILD_TAG, DEST_TAG)


def host(scene: Scene, name: str, channel: str, arch: str = os.uname().machine, new_channel: bool = True) -> None:
    """Register a builder host, in one channel only: a new host is in `default`, which we have no handlers for."""
    koji(scene, "add-host", name, arch)
    koji(scene, "add-host-to-channel", *(["--new"] if new_channel else []), name, channel)
    together(scene, ["remove-host-from-channel", name, "default"], ["edit-host", "--capacity", "8", name])


def hosts_and_permissions(scene: Scene) -> None:
    """The worker's host, and who may import images: the worker, and the administrator for the base image."""
    host(scene, WORKER_HOST, "container")
    if scene.koji_src:
        host(scene, REPO_HOST, "createrepo")
    koji(scene, "grant-cg-access", "--new", ADMIN, BASE_GENERATOR)
    koji(scene, "grant-cg-access", "--new", WORKER_HOST, CONTENT_GENERATOR)


def packages(scene: Scene, containers: list[str]) -> None:
    """Package lists: every RPM package in f40, the base image's, and the containers packagers may build."""
    names = sorted({str(rpm["name"]) for rpm in facts(scene)["rpms"]})  # type: ignore[index,attr-defined]
    together(
        scene,
        ["add-pkg", "--owner", ADMIN, TAG, *names],
        ["add-pkg", "--owner", ADMIN, CONTAINER_TAG, BASE_PACKAGE],
        ["add-pkg", "--owner", PACKAGER, DEST_TAG, *containers],
    )


def import_rpms(scene: Scene) -> None:
    """Import every RPM of the distribution as a build of its own, and tag them all into f40.

    `koji import` uploads one file after the other, so it runs once per processor over a share of the files.
    """
    assert scene.distribution
    files = sorted((scene.distribution / "repo").glob("*.rpm"), key=lambda path: path.stat().st_size)
    shares = [files[i::4] for i in range(4)]
    acts.say(f"{len(files)} RPMs, {sum(f.stat().st_size for f in files) >> 20} MiB")
    acts.show_command(["koji", "import", "--create-build", "*.rpm"])
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda share: _import(scene, share), shares))
    nvrs = [path.stem.rpartition(".")[0] for path in files]
    acts.show_command(["koji", "call", "system.multicall", f"tagBuildBypass('{TAG}', …) for each of the builds"])
    koji_client.call_many(scene, [("tagBuildBypass", [TAG, nvr]) for nvr in nvrs])


def _import(scene: Scene, files: list[Path]) -> None:
    output = koji(scene, "import", "--create-build", *map(str, files), quiet=True)
    # The command reports a failed file and goes on with status 0.
    problems = [line for line in output.splitlines() if "Error" in line or "mismatch" in line or "Skipping" in line]
    if problems or output.count("importing ") != len(files):
        raise SceneError("koji import left RPMs out:\n" + "\n".join(problems or output.splitlines()[-5:]))


def content_repo(scene: Scene) -> None:
    """Have the repo of f40-build made: that is where RUN instructions install from."""
    # Minutes; without kojira or a builder the request would be waited for until tomorrow.
    koji(scene, "regen-repo", "--wait", "--timeout", "3", BUILD_TAG)
    repo = koji_client.call(scene, "getRepo", BUILD_TAG)
    assert isinstance(repo, dict)
    acts.say(f"repo {repo['id']}: {scene.top_url}/repos/{BUILD_TAG}/{repo['id']}/{os.uname().machine}/")
