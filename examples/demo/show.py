"""Shows what a build left: task result, Koji build, image in the registry, the image running, the provenance report.

Act 5 of `make demo`, and its closing summary.
"""

from __future__ import annotations

import json
import os
import urllib.request

from . import acts, dist_git, run_image, worker
from .build import outcome
from .koji_client import call, koji
from .koji_setup import DEST_TAG
from .scene import TARGET, Scene, SceneError, program


def last_task(scene: Scene) -> int:
    """The task `build` ran last."""
    try:
        return int(json.loads((scene.state / "last-build.json").read_text())["task_id"])
    except FileNotFoundError:
        raise SceneError("nothing was built yet: run the command `build` first") from None


def show(scene: Scene) -> None:
    """All of it, for the last build; an error when any part is missing."""
    with acts.act("5. The result"):
        done = outcome(scene, last_task(scene))
        acts.say(json.dumps(done.result, indent=1))
        build = _koji_build(scene, done.result)
        reference = _registry(scene, done.result)
    with acts.act("5. The image runs"):
        body = run_image.answer(scene, reference, 8080)
        acts.say(f"GET http://127.0.0.1:8080/ inside the container: {len(body)} bytes")
        acts.say("\n".join(body.splitlines()[:8]))
    with acts.act("5. Where every RPM came from"):
        _provenance(scene, done.task_id)
    with acts.act("5. Why one package is there"):
        _explain(scene, str(_nvr(scene, build)), "libc6")
    with acts.act("5. The same proof, from outside"):
        _verify(scene, reference)
    acts.say(f"build page: {scene.web_url}/buildinfo?buildID={build}")


def _koji_build(scene: Scene, result: dict[str, object]) -> int:
    builds = result.get("koji_builds")
    if not isinstance(builds, list) or not builds:
        raise SceneError("the task's result names no Koji build")
    info = call(scene, "getBuild", int(builds[0]))
    assert isinstance(info, dict)
    koji(scene, "list-tagged", DEST_TAG)
    tagged = call(scene, "listTagged", DEST_TAG)
    assert isinstance(tagged, list)
    if info["nvr"] not in [row["nvr"] for row in tagged]:
        raise SceneError(f"{info['nvr']} is not tagged into {DEST_TAG}")
    acts.say(f"build {info['id']}: {info['nvr']}, owner {info['owner_name']}, source {info['source']}, in {DEST_TAG}")
    archives = call(scene, "listArchives", info["id"], None, None, None, "image")
    assert isinstance(archives, list)
    for archive in archives:
        rpms = call(scene, "listRPMs", None, None, archive["id"])
        assert isinstance(rpms, list)
        acts.say(f"  {archive['filename']}: {archive['size'] / 2**20:.1f} MiB, {len(rpms)} RPMs")
        if archive["filename"].startswith("docker-image") and not rpms:
            raise SceneError("the image archive has no RPM components in Koji")
    return int(info["id"])


def _registry(scene: Scene, result: dict[str, object]) -> str:
    specs = result.get("repositories")
    if not isinstance(specs, list) or not specs:
        raise SceneError("the task's result names no pull spec")
    reference = str(specs[0])
    text = acts.run([program("skopeo"), "inspect", "--tls-verify=false", f"docker://{reference}"])
    image = json.loads(text)
    labels = image.get("Labels") or {}
    acts.say(f"{image['Name']}: tags {', '.join(image['RepoTags'])}")
    acts.say("\n".join(f"  {key}={labels[key]}" for key in sorted(labels)))
    return reference


def _provenance(scene: Scene, task_id: int) -> None:
    name = f"provenance-{os.uname().machine}.txt"
    url = f"{scene.top_url}/work/tasks/{task_id % 10000}/{task_id}/{name}"
    with urllib.request.urlopen(url) as answer:
        lines = answer.read().decode().splitlines()
    acts.say(url)
    shown = 25
    acts.say("\n".join(lines[:shown]))
    if len(lines) > shown:
        acts.say(f"… {len(lines) - shown} more lines")


def _nvr(scene: Scene, build: int) -> object:
    info = call(scene, "getBuild", build)
    assert isinstance(info, dict)
    return info["nvr"]


def hub_options(scene: Scene) -> list[str]:
    """How `verify` and `explain` find the hub: without login."""
    return ["--hub", f"http://localhost:{scene.port('hub_http')}/kojihub", "--topurl", scene.top_url]


def _explain(scene: Scene, nvr: str, package: str) -> None:
    command = [str(worker.binary()), "explain", nvr, "--package", package, *hub_options(scene)]
    acts.say(acts.run(command).rstrip())


def _verify(scene: Scene, reference: str) -> None:
    """`containerbuild verify` exits with 0 only when RPMs, files and rules are all right."""
    store = ["--store", str(scene.state / "verify-store"), "--insecure-registry", scene.registry]
    policy = ["--config", str(scene.state / "policy.toml")]
    lines = acts.run([str(worker.binary()), "verify", reference, *hub_options(scene), *policy, *store]).splitlines()
    acts.say("\n".join(lines[:9]))


def summary(scene: Scene) -> None:
    """What runs where, and what to try next."""
    url = scene.scm_url("webserver", dist_git.commit(scene, "webserver"))
    task = last_task(scene)
    builds = call(scene, "listBuilds", None, None, task)
    nvr = builds[0]["nvr"] if isinstance(builds, list) and builds else "webserver-1.0-1"
    client = f"{program('koji')} -c {scene.koji_conf('packager')}"
    print(f"""
Everything is running:
   Koji hub    {scene.hub_url}
   web pages   {scene.web_url}
   files       {scene.top_url}
   registry    {scene.registry}
   dist-git    git://127.0.0.1:{scene.port("dist_git")}/container/   (bare repositories: {scene.state}/dist-git)
   worker      host builder1, configuration {scene.state}/worker.toml
   logs        {scene.logs}

Try next:
   1. build it again, without importing it:
      {client} container-build --scratch --git-branch {dist_git.BRANCH} {TARGET} '{url}'
   2. see what Koji knows of the build:
      {client} buildinfo {nvr}
   3. look at the logs of its task:
      {client} watch-logs {task}
To change the Dockerfile: git clone {dist_git.directory(scene, "webserver")}, edit, push, build the new commit.
Stop everything: make demo-down""")
