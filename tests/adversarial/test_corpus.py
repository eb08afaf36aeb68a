"""Every way in that is known: each must be refused with its exact reason, and leave nothing behind.

The cases are in cases/, by theme; README.md lists them. All builds of a run are submitted at once, so that the worker
is never idle.
"""

import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import cases
import readme

COMPLETE = 1  # koji.BUILD_STATES


@pytest.fixture(scope="session")
def tasks(request, submit):
    """The task of every selected case."""
    mine = [item for item in request.session.items if item.path == Path(__file__)]
    parameters = [getattr(getattr(item, "callspec", None), "params", {}) for item in mine]
    selected = {p["case"].name: p["case"] for p in parameters if "case" in p}
    with ThreadPoolExecutor(4) as pool:
        return dict(zip(selected, pool.map(submit, selected.values()), strict=True))


def _by_name(case):
    return case.name


def _left(scene, hub, name):
    """Whether the registry has an image of a case, which builds of it are complete, and in which tags any is."""
    with urllib.request.urlopen(f"http://{scene.registry}/v2/_catalog?n=1000") as answer:
        images = f'/{name}"' in answer.read().decode()
    builds = hub.builds(f"webserver-{name}-*")
    complete = [b["nvr"] for b in builds if b["state"] == COMPLETE]
    tagged = [tag["name"] for b in builds for tag in hub.admin.listTags(b["build_id"])]
    return images, complete, tagged


@pytest.mark.parametrize("case", cases.REFUSED, ids=_by_name)
def test_it_is_refused_with_its_reason(scene, hub, tasks, case):
    done = hub.outcome(tasks[case.name])
    assert not done.succeeded, f"{case.name} was built: {done.result}"
    for word in case.expected(hub.kind):
        assert word in done.fault
    assert _left(scene, hub, case.name) == (False, [], [])


@pytest.mark.parametrize("case", cases.REPORTED, ids=_by_name)
def test_it_is_reported_by_its_name(hub, tasks, case):
    done = hub.outcome(tasks[case.name])
    assert done.succeeded, done.fault
    said = "\n".join(done.result.get("user_warnings") or [])
    for word in case.expected(hub.kind):
        assert word in said


@pytest.mark.parametrize("case", cases.HONEST, ids=_by_name)
def test_an_honest_image_passes_without_noise(scene, hub, tasks, case):
    done = hub.outcome(tasks[case.name])
    assert done.succeeded, done.fault
    assert not done.result.get("user_warnings")
    assert _left(scene, hub, case.name)[0]


def test_the_corpus_does_not_shrink():
    names = [case.name for case in cases.REFUSED + cases.REPORTED + cases.HONEST]
    assert len(set(names)) == len(names)
    assert len(cases.REFUSED) >= 120 and len(cases.HONEST) >= 10
    assert all(case.words for case in cases.REFUSED), "a refusal without a reason proves nothing"


def test_the_readme_lists_the_corpus():
    assert (Path(__file__).parent / "README.md").read_text() == readme.text(), (
        "run `python tests/adversarial/readme.py`"
    )
