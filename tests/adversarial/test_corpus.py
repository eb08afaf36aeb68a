"""Every way in that is known: each must be refused with its exact reason, and leave nothing behind.

The cases are in cases.py. All builds of a run are submitted at once, so that the worker is never idle.
"""

import dataclasses
import urllib.request

import pytest
from demo import build, dist_git
from demo.koji_client import call
from demo.koji_setup import DEST_TAG

import cases

COMPLETE = 1  # koji.BUILD_STATES


def _tree(scene, case, images, directory):
    directory.mkdir()
    named = dataclasses.replace(
        case,
        base=case.base.format(**images) if case.base.startswith("{") else case.base,
        instructions=tuple(i.replace("{plain}", images["plain"]) for i in case.instructions),
    )
    (directory / "Dockerfile").write_text(named.dockerfile())
    for name, content in case.files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    for name, pattern in case.foreign_rpms.items():
        (rpm,) = (scene.distribution / "foreign").glob(pattern)
        (directory / name).write_bytes(rpm.read_bytes())
    return directory


@pytest.fixture(scope="session")
def tasks(request, scene, foreign_images, tmp_path_factory):
    """The task of every selected case."""
    work = tmp_path_factory.mktemp("trees")
    parameters = [getattr(getattr(item, "callspec", None), "params", {}) for item in request.session.items]
    selected = {p["case"].name: p["case"] for p in parameters if "case" in p}
    submitted = {}
    for name, case in selected.items():
        dist_git.create(scene, name, _tree(scene, case, foreign_images, work / name))
        submitted[name] = build.submit(scene, name)
    return submitted


def _by_name(case):
    return case.name


def _left(scene, name):
    with urllib.request.urlopen(f"http://{scene.registry}/v2/_catalog?n=1000") as answer:
        images = f'/{name}"' in answer.read().decode()
    builds = call(scene, "listBuilds", call(scene, "getPackageID", "webserver"))
    complete = [b["nvr"] for b in builds if b["version"] == name and b["state"] == COMPLETE]
    tagged = [b["nvr"] for b in call(scene, "listTagged", DEST_TAG) if b["version"] == name]
    return images, complete, tagged


@pytest.mark.parametrize("case", cases.REFUSED, ids=_by_name)
def test_it_is_refused_with_its_reason(scene, tasks, case):
    done = build.outcome(scene, tasks[case.name])
    assert not done.succeeded, f"{case.name} was built: {done.result}"
    for word in case.words:
        assert word in done.fault
    assert _left(scene, case.name) == (False, [], [])


@pytest.mark.parametrize("case", cases.HONEST, ids=_by_name)
def test_an_honest_image_passes_without_noise(scene, tasks, case):
    done = build.outcome(scene, tasks[case.name])
    assert done.succeeded, done.fault
    assert not done.result.get("user_warnings")
    assert _left(scene, case.name)[0]


def test_the_corpus_does_not_shrink():
    names = [case.name for case in cases.REFUSED + cases.HONEST]
    assert len(set(names)) == len(names)
    assert len(cases.REFUSED) >= 50 and len(cases.HONEST) >= 3
    assert all(case.words for case in cases.REFUSED), "a refusal without a reason proves nothing"
