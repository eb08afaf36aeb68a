"""What changes while a build runs, and what one build leaves for the next: neither may reach an image."""

import json
import urllib.request

import pytest

from corpus import BASE, Case, decoded

REPOSITORY = "foreign/moving"
MOVING = f"registry.example.com/{REPOSITORY}:1"


KINDS = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"


def _manifest(scene, repository, reference):
    """A manifest from the scene's registry: media type and bytes."""
    place = f"http://{scene.registry}/v2/{repository}/manifests/{reference}"
    with urllib.request.urlopen(urllib.request.Request(place, headers={"Accept": KINDS})) as answer:
        return answer.headers["Content-Type"], answer.read()


def _layers(text):
    return [layer["digest"] for layer in json.loads(text)["layers"]]


def _copy(scene, repository, reference, to):
    """Gives an image of the registry a tag in the moving repository; returns its layers."""
    kind, text = _manifest(scene, repository, reference)
    for digest in [json.loads(text)["config"]["digest"], *_layers(text)]:
        place = f"http://{scene.registry}/v2/{REPOSITORY}/blobs/uploads/?mount={digest}&from={repository}"
        with urllib.request.urlopen(urllib.request.Request(place, method="POST")) as answer:
            assert answer.status == 201
    place = f"http://{scene.registry}/v2/{REPOSITORY}/manifests/{to}"
    urllib.request.urlopen(urllib.request.Request(place, text, {"Content-Type": kind}, method="PUT")).close()
    return _layers(text)


def test_a_parent_whose_tag_moves_during_the_build_is_the_one_that_was_checked(
    scene, hub, submit, mirror, foreign_images
):
    base = _copy(scene, "f40/base", "40", "1")
    moved = []

    def move(path):
        # The worker reads the request's repositories after it has resolved the parents.
        if path == "/moving.repo":
            moved.append(_copy(scene, "foreign/plain", "1", "1"))

    mirror.define("moving", f"baseurl={mirror.url}/drafted/")
    mirror.on_request = move
    case = Case("tag_moved", ("RUN true", f"COPY --from={MOVING} /etc/os-release /srv/x"), base=MOVING, offer="moving")
    done = hub.outcome(submit(case))
    assert done.succeeded, done.fault
    assert moved and moved[0] != base
    (pull, *_) = [r for r in done.result["repositories"] if "@" not in r]
    _, built = _manifest(scene, *pull.removeprefix(f"{scene.registry}/").rsplit(":", 1))
    assert _layers(built)[: len(base)] == base


def test_a_cache_mount_carries_nothing_from_build_to_build(hub, submit):
    fill = "RUN --mount=type=cache,id=shared,target=/c "
    first = hub.outcome(submit(Case("cache_filled", (fill + decoded("/c/tool"),))))
    assert first.succeeded, first.fault
    second = hub.outcome(submit(Case("cache_emptied", (fill + "test ! -e /c/tool",))))
    assert second.succeeded, second.fault


def test_nobody_moves_the_tags_of_another_component(scene, hub, submit):
    first = hub.outcome(submit(Case("taken", ("COPY Dockerfile /srv/",))))
    assert first.succeeded, first.fault
    before = _manifest(scene, "f40/taken", "latest")
    label = 'LABEL com.redhat.component="demo-base" name="f40/taken" version="other"'
    task = submit(Case("taken_by_another", ("COPY Dockerfile /srv/", label)))
    for done in (hub.outcome(task), hub.outcome(hub.submit("taken_by_another", scratch=True))):
        assert not done.succeeded
        assert "the repository f40/taken holds images of webserver" in done.fault
        assert "was not built of the component demo-base" in done.fault
    assert _manifest(scene, "f40/taken", "latest") == before
    again = hub.outcome(hub.submit("taken"))
    assert again.succeeded, again.fault
    assert _manifest(scene, "f40/taken", "latest") != before


@pytest.mark.parametrize("suffix", ["json", "txt"])
def test_the_report_of_a_refused_build_names_what_it_was_refused_for(hub, submit, suffix):
    case = Case(f"report_{suffix}", (f"RUN {decoded('/srv/tool')}",), base=BASE)
    task = submit(case)
    assert not hub.outcome(task).succeeded
    assert "/srv/tool" in hub.report(task, suffix)
