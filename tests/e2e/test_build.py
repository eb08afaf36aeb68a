"""A container build through Koji, from dist-git to a running image, and the builds that must be refused."""

import json
import os
import urllib.request

import pytest
from demo import build, dist_git, processes, refusals, run_image, show
from demo.koji_client import call
from demo.koji_setup import DEST_TAG
from demo.scene import WORKER_HOST


@pytest.fixture(scope="module")
def built(scene):
    """The outcome of building `webserver`."""
    return build.build(scene)


def task_file(scene, task_id, name):
    with urllib.request.urlopen(f"{scene.top_url}/work/tasks/{task_id % 10000}/{task_id}/{name}") as answer:
        return answer.read().decode()


def test_a_build_ends_in_a_tagged_koji_build_with_its_rpms(scene, built):
    info = call(scene, "getBuild", int(built.result["koji_builds"][0]))
    assert info["name"] == "webserver" and info["version"] == "1.0" and info["owner_name"] == "packager"
    assert info["task_id"] == built.task_id
    assert info["source"].endswith("#" + dist_git.commit(scene, "webserver"))
    assert info["nvr"] in [row["nvr"] for row in call(scene, "listTagged", DEST_TAG)]
    archives = call(scene, "listArchives", info["id"], None, None, None, "image")
    (archive,) = (a for a in archives if a["filename"].startswith("docker-image"))
    components = {rpm["name"] for rpm in call(scene, "listRPMs", None, None, archive["id"])}
    assert {"nginx-light", "nginx", "bash", "filesystem"} <= components
    assert "jq" not in components, "jq is only in the first stage"


def test_the_report_proves_every_rpm_of_the_image(scene, built):
    report = json.loads(task_file(scene, built.task_id, f"provenance-{os.uname().machine}.json"))
    assert report["all_proven"] is True and not report["problems"]
    assert {p["verdict"] for p in report["packages"]} == {"proven"}
    assert "nginx-light" in {p["nvra"].rsplit("-", 2)[0] for p in report["packages"]}


def test_the_pushed_image_runs_and_answers(scene, built):
    page = run_image.answer(scene, built.result["repositories"][0], 8080)
    assert "Hello from Koji" in page and "<td>jq</td>" in page


def test_the_demo_shows_it_all(scene, built):
    show.show(scene)


def test_a_second_build_of_the_same_commit_gets_the_next_release(scene, built):
    again = build.outcome(scene, build.submit(scene, "webserver"))
    assert again.succeeded, again.fault
    first, second = (call(scene, "getBuild", int(r.result["koji_builds"][0])) for r in (built, again))
    assert first["release"] != second["release"]


@pytest.mark.parametrize("name", sorted(refusals.FAILING))
def test_a_build_that_must_not_succeed_says_why_and_leaves_nothing(scene, name):
    done = build.outcome(scene, build.submit(scene, name))
    assert not done.succeeded
    for word in refusals.FAILING[name]:
        assert word in done.fault
    refusals.nothing_left(scene, name)


def test_the_worker_stays_small(scene, built):
    worker = next(s for s in processes.running(scene) if s.name == "worker")
    with open(f"/proc/{worker.pid}/status") as status:
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    assert peak < 200 * 1024, f"{WORKER_HOST} took {peak} KiB"
