"""Builds a container image through Koji and shows its logs while it runs.

Act 4 of `make demo`; refusals.py submits its builds through it too.
"""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass

from . import acts, dist_git
from .koji_client import call, command, koji
from .scene import PACKAGER, TARGET, Scene, SceneError

CLOSED = 2  # koji.TASK_STATES


@dataclass(frozen=True)
class BuildTask:
    """A buildContainer task that has ended. `result` is the task's result, or the fault's text when it failed."""

    task_id: int
    succeeded: bool
    result: dict[str, object]
    fault: str


def submit(scene: Scene, name: str, *options: str, target: str = TARGET) -> int:
    """Run `koji container-build` as the packager; returns the task id."""
    url = scene.scm_url(name, dist_git.commit(scene, name))
    arguments = ["container-build", "--nowait", "--git-branch", dist_git.BRANCH, *options, target, url]
    output = koji(scene, *arguments, user=PACKAGER)
    match = re.search(r"Created task: (\d+)", output)
    if not match:
        raise SceneError(f"koji container-build named no task:\n{output}")
    acts.say(f"task {match[1]}: {scene.web_url}/taskinfo?taskID={match[1]}")
    return int(match[1])


def follow(scene: Scene, task_id: int) -> None:
    """Print the task's logs as they grow, until it ends (`koji watch-logs`)."""
    watch = ["watch-logs", str(task_id)]
    acts.show_command(["koji", *watch])
    with subprocess.Popen(
        command(scene, watch, PACKAGER),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as child:
        assert child.stdout
        for line in child.stdout:
            acts.say("| " + line.rstrip()[:180])


def outcome(scene: Scene, task_id: int) -> BuildTask:
    """Wait for the task's end and read its result."""
    # The exit status is 1 for a failed task, which is an outcome here and no error.
    subprocess.run(
        command(scene, ["watch-task", "--quiet", str(task_id)], PACKAGER),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    info = call(scene, "getTaskInfo", task_id)
    assert isinstance(info, dict)
    if info["state"] == CLOSED:
        result = call(scene, "getTaskResult", task_id)
        assert isinstance(result, dict)
        return BuildTask(task_id, True, result, "")
    fault = call(scene, "getTaskResult", task_id, False)
    text = str(fault.get("faultString")) if isinstance(fault, dict) else str(fault)
    return BuildTask(task_id, False, {}, text)


def build(scene: Scene) -> BuildTask:
    """Build `webserver`, and remember the task for `show`."""
    with acts.act("4. A build: dist-git → Koji task → image"):
        task_id = submit(scene, "webserver")
        follow(scene, task_id)
        done = outcome(scene, task_id)
        if not done.succeeded:
            raise SceneError(f"task {task_id} failed: {done.fault}")
        (scene.state / "last-build.json").write_text(json.dumps({"task_id": task_id}))
    return done
