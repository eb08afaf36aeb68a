"""The stock `koji` command with the project's plugin, as people and scripts call it."""

import subprocess
import sys
import threading
from pathlib import Path

import koji
import pytest

from hubs import wait_for
from scene import SOURCE, result_document

KOJI = Path(sys.executable).with_name("koji")


@pytest.fixture
def run(hub, tmp_path):
    """Runs `koji` as packager."""
    conf = hub.koji_conf("packager", tmp_path)

    def call(*args):
        return subprocess.run([KOJI, "-c", conf, *args], capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)

    return call


def test_the_stock_client_says_hello(run):
    assert "packager" in run("hello").stdout


def test_container_build_prints_the_task_and_its_page(scene, run, packager):
    target, _, _ = scene.target()
    channel = scene.channel()
    done = run(
        "container-build",
        target,
        SOURCE,
        "--git-branch",
        "f40",
        "--scratch",
        "--arch-override",
        "x86_64,aarch64",
        "--userdata",
        '{"ticket": 7}',
        "--background",
        "--channel-override",
        channel,
        "--nowait",
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    task_id = int(lines[0].removeprefix("Created task: "))
    assert lines == [f"Created task: {task_id}", f"Task info: http://web.example/koji/taskinfo?taskID={task_id}"]
    info = packager.getTaskInfo(task_id, request=True)
    assert info["priority"] == koji.PRIO_DEFAULT + 5
    assert info["request"] == [
        SOURCE,
        target,
        {
            "git_branch": "f40",
            "scratch": True,
            "arch_override": "x86_64 aarch64",
            "userdata": {"ticket": 7},
        },
    ]


def test_container_build_waits_and_prints_the_result(scene, run):
    host = scene.host()
    target, _, _ = scene.target()

    def build():
        tasks = wait_for(host.session.host.getTasks, "the task")
        host.take(tasks[0]["id"])
        host.session.host.closeTask(tasks[0]["id"], result_document({"repositories": ["r.example/web:1"], "koji_builds": ["12"]}))

    worker = threading.Thread(target=build)
    worker.start()
    done = run("container-build", target, SOURCE, "--git-branch", "f40", "--channel-override", host.channel, "--wait")
    worker.join()
    assert done.returncode == 0, done.stderr
    assert "Watching tasks (this may be safely interrupted)..." in done.stdout
    task_id = int(done.stdout.splitlines()[0].removeprefix("Created task: "))
    assert done.stdout.endswith(
        f"Task Result ({task_id}):\nkoji_builds:\n    http://web.example/koji/buildinfo?buildID=12\n"
        "repositories:\n    r.example/web:1\n"
    )


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["--git-branch", "f40", "--release", "1-2"], "release"),
        ([], "git-branch must be specified"),
        (["--git-branch", "f40", "--scratch", "--isolated"], "Build cannot be both isolated and scratch"),
        (["--git-branch", "f40", "--arch-override", "x86_64"], "--arch-override is only allowed for"),
        (["--git-branch", "f40", "--userdata", "{"], "--userdata is not valid JSON"),
        (["--git-branch", "f40", "--signing-intent", "release"], "signing_intent"),
    ],
)
def test_a_refused_build_is_a_usage_error_with_the_reason(scene, run, args, text):
    target, _, _ = scene.target()
    done = run("container-build", target, SOURCE, "--nowait", "--channel-override", scene.channel(), *args)
    assert done.returncode == 2
    assert text in done.stderr.splitlines()[-1]
    assert "Created task" not in done.stdout


def test_unknown_targets_and_locked_tags_are_refused(scene, run, admin):
    done = run("container-build", "no-such-target", SOURCE, "--git-branch", "f40", "--nowait")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, "koji: error: Unknown build target: no-such-target")
    target, _, dest = scene.target()
    admin.editTag2(dest, locked=True)
    done = run("container-build", target, SOURCE, "--git-branch", "f40", "--nowait")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, f"koji: error: Destination tag {dest} is locked")


def test_flatpaks_are_refused_with_who_builds_them(run):
    done = run("flatpak-build", "target", SOURCE)
    assert done.returncode == 2 and "flatpaks are not built by containerbuild" in done.stderr


def test_steps_of_the_build_are_printed_when_asked_for(scene, run, tmp_path):
    host = scene.host()
    target, _, _ = scene.target()

    def build():
        tasks = wait_for(host.session.host.getTasks, "the task")
        task_id = tasks[0]["id"]
        host.take(task_id)
        log = tmp_path / "build.log"
        log.write_text("12:00:01 checked out\n12:00:02 built\n")
        host.session.uploadWrapper(str(log), f"tasks/{task_id % 10000}/{task_id}")
        host.session.host.closeTask(task_id, result_document({"repositories": [], "koji_builds": []}))

    worker = threading.Thread(target=build)
    worker.start()
    channel = ["--channel-override", host.channel]
    done = run("container-build", target, SOURCE, "--git-branch", "f40", "--scratch", *channel, "--wait", "--progress")
    worker.join()
    assert done.returncode == 0, done.stderr
    assert "  12:00:01 checked out\n  12:00:02 built\n" in done.stdout


def test_source_container_build_needs_a_build(scene, run):
    target, _, _ = scene.target()
    done = run("source-container-build", target)
    text = "koji: error: at least one of --koji-build-id and --koji-build-nvr has to be specified"
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, text)
    done = run("source-container-build", target, "--koji-build-nvr", "no-such-1", "--nowait")
    assert done.returncode == 2 and "no-such-1" in done.stderr.splitlines()[-1]
