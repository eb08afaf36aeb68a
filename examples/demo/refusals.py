"""Builds that must fail, and why they do: act 6 of `make demo`.

Each failure is checked: the sentence names the culprit, and nothing was pushed, imported or tagged.
"""

from __future__ import annotations

import json
import subprocess
import urllib.request

from . import acts, dist_git
from .build import outcome, submit
from .koji_client import call, call_many, command
from .koji_setup import DEST_TAG
from .scene import PACKAGER, TARGET, Scene, SceneError

COMPLETE = 1  # koji.BUILD_STATES

# dist-git repository → words its failure must contain: what a packager needs to find the mistake.
FAILING = {
    "foreign-rpm": ["notkoji"],
    "tampered-rpm": ["hello"],
    "syntax-error": ["RUM", "Dockerfile"],
    "missing-label": ["com.redhat.component"],
    "missing-base": ["nosuchbase"],
    "bad-container-yaml": ["container.yaml:2", "platforms", "container.yaml:4", "container.yaml:5", "remote_source"],
}


def refusals(scene: Scene) -> None:
    """Run them all; an error when one of them succeeds or leaves something behind."""
    with acts.act("6. Refused before there is a task"):
        url = scene.scm_url("webserver", dist_git.commit(scene, "webserver"))
        _refused_at_once(scene, "an unknown target", ["--git-branch", "f40", "f40-containr-candidate", url])
        _refused_at_once(scene, "a source without a commit", ["--git-branch", "f40", TARGET, url.partition("#")[0]])
        _refused_at_once(scene, "no branch", [TARGET, url])
        # The client lets these pass; the hub plugin refuses them.
        bare = url.replace("git://", "https://")
        _refused_at_once(scene, "a source Koji has no name for", ["--git-branch", "f40", TARGET, bare])
        both = ["--git-branch", "f40", "--scratch", "--isolated", TARGET, url]
        _refused_at_once(scene, "two kinds of build at once", both)
    for name, words in FAILING.items():
        with acts.act(f"6. Refused: {name}"):
            done = outcome(scene, submit(scene, name))
            if done.succeeded:
                raise SceneError(f"{name} was built, but must not be (task {done.task_id})")
            acts.say(done.fault)
            missing = [word for word in words if word not in done.fault]
            if missing:
                raise SceneError(f"the failure of {name} does not say {', '.join(missing)}")
            nothing_left(scene, name)
            acts.say("nothing was pushed, imported or tagged")


def _refused_at_once(scene: Scene, what: str, arguments: list[str]) -> None:
    shown = ["container-build", *arguments]
    acts.show_command(["koji", *shown])
    done = subprocess.run(
        command(scene, shown, PACKAGER), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode == 0 or "Created task" in done.stdout:
        raise SceneError(f"{what} was accepted:\n{done.stdout}")
    acts.say(done.stderr.strip().splitlines()[-1])


def nothing_left(scene: Scene, name: str) -> None:
    """Check registry, builds and tag for anything of this container."""
    with urllib.request.urlopen(f"http://{scene.registry}/v2/_catalog") as answer:
        repositories = json.load(answer)["repositories"]
    package, tagged = call_many(scene, [("getPackageID", [name]), ("listTagged", [DEST_TAG])])
    builds = call(scene, "listBuilds", package) if package else []
    assert isinstance(builds, list) and isinstance(tagged, list)
    found = [f"image {r}" for r in repositories if r.endswith(f"/{name}")]
    found += [f"build {b['nvr']}" for b in builds if b["state"] == COMPLETE]
    found += [f"tagged {b['nvr']}" for b in tagged if b["name"] == name]
    if found:
        raise SceneError(f"the refused build of {name} left {', '.join(found)}")
