"""Sets the scene: the distribution, the services, Koji, the base image, the worker. Acts 1 to 3 of `make demo`."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

# The recipe is a package of its own beside this one, so that tests can make a distribution without a scene.
from distribution import steps as distribution
from distribution.errors import RecipeError

from . import (
    acts,
    base_image,
    certificates,
    dev_hub,
    dist_git,
    koji_client,
    koji_setup,
    mirror,
    processes,
    real_hub,
    registry,
    repo_builder,
    worker,
)
from .scene import ADMIN, PACKAGER, Scene, SceneError, check_ports, load


def _fresh_state(state: Path) -> None:
    """An empty state directory. What an earlier scene left is removed, unless it still runs."""
    if (state / "scene.json").exists() and processes.running(load(state)):
        raise SceneError(f"a scene is up in {state}: run `make demo-down` first")
    if state.exists() and not (state / "scene.json").exists() and any(state.iterdir()):
        raise SceneError(f"{state} holds something else than a scene: choose another directory with --state")
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir(parents=True)


def up(scene: Scene, jobs: int = 2, settings: str = "") -> Scene:
    """Set the whole scene and return it. `jobs` and `settings` (a policy) are for the worker."""
    _fresh_state(scene.state)
    check_ports(scene)
    with acts.act("1. A small RPM distribution, made from Debian packages"):
        try:
            scene = replace(scene, distribution=distribution.make(acts.say))
        except RecipeError as error:
            raise SceneError(f"the distribution cannot be made: {error}") from error
    scene.save()
    with acts.act("2. Services, on loopback"):
        _services(scene)
    with acts.act("3. Koji: tags, target, packages, host"):
        _koji(scene)
    with acts.act("3. Koji: the RPMs and their repo"):
        koji_setup.import_rpms(scene)
        if scene.koji_src:
            repo_builder.start(scene)
        koji_setup.content_repo(scene)
    with acts.act("3. Koji: the base image"):
        base_image.publish(scene)
    with acts.act("3. Koji: the worker checks in"):
        worker.start(scene, worker.Worker(settings=(("max_jobs", jobs), ("poll_seconds", 1)), policy=settings))
    return scene


def _services(scene: Scene) -> None:
    certificates.make(scene)
    registry.start(scene)
    acts.say(f"registry   {scene.registry}")
    mirror.start(scene)
    acts.say(f"mirror     {scene.mirror_url} (repositories that are not Koji's)")
    names = dist_git.start(scene)
    acts.say(f"dist-git   git://127.0.0.1:{scene.port('dist_git')}/container/ ({', '.join(names)})")
    (real_hub if scene.koji_src else dev_hub).start(scene)
    for user in (ADMIN, PACKAGER):
        koji_client.write_config(scene, user)
    acts.say(f"hub        {scene.hub_url} ({'Koji from ' + str(scene.koji_src) if scene.koji_src else 'development'})")
    sys.stdout.flush()


def _koji(scene: Scene) -> None:
    koji_setup.tags_and_target(scene)
    koji_setup.hosts_and_permissions(scene)
    koji_setup.packages(scene, sorted(p.name for p in dist_git.TREES.iterdir() if p.is_dir()))
