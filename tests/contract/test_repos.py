"""Requests for repositories, the same on both hubs; and the making of them, which a real hub leaves to builders."""

import gzip
import json
import re

import koji
import pytest
import requests

from hubs import wait_for
from scene import import_rpms, make_rpms


def test_a_tag_without_a_repo_has_none(scene, packager):
    tag = scene.tag(arches="x86_64")
    assert packager.getRepo(tag) is None
    assert packager.repo.get(tag) is None
    assert packager.repoInfo(99999999) is None


def test_a_request_is_made_once(scene, packager, hub):
    tag = scene.tag(arches="x86_64")
    # Both in one transaction, so that nobody can meet the first request before the second is made.
    with packager.multicall() as calls:
        first = calls.repo.request(tag, min_event="last")
        again = calls.repo.request(tag, min_event="last")
    assert (first.result["repo"], first.result["duplicate"]) == (None, False)
    request = first.result["request"]
    assert (request["tag_name"], request["owner_name"], request["at_event"]) == (tag, "packager", None)
    assert request["min_event"] <= packager.getLastEvent()["id"]
    known = packager.repo.checkRequest(request["id"])
    assert known["request"]["id"] == request["id"]
    assert again.result["duplicate"] is True and again.result["request"]["id"] == request["id"]


def test_bad_requests_are_faults(scene, hub, packager):
    tag = scene.tag(arches="x86_64")
    with pytest.raises(koji.ParameterError):
        packager.repo.request(tag, min_event=99999999)
    with pytest.raises(koji.ParameterError):
        packager.repo.request(tag, min_event=1, at_event=1)
    with pytest.raises(koji.ParameterError):
        packager.repo.request(tag, opts={"no-such-option": True})
    with pytest.raises(koji.GenericError, match="No such request"):
        packager.repo.checkRequest(99999999)
    with pytest.raises(koji.ActionNotAllowed):
        hub.anonymous().repo.request(tag)


@pytest.fixture
def only_devhub(hub):
    if hub.name != "devhub":
        pytest.skip("a real hub leaves the making of repos to kojira and a builder")


def request_and_wait(session, tag, **options):
    answer = session.repo.request(tag, **options)
    if answer["repo"]:
        return answer["repo"]
    number = answer["request"]["id"]
    ended = wait_for(
        lambda: (lambda known: known if not known["request"]["active"] else None)(session.repo.checkRequest(number)), "a repo"
    )
    return ended["repo"]


def test_a_requested_repo_holds_the_latest_rpms(only_devhub, hub, scene, admin, packager, tmp_path):
    name, tag = scene.name("app"), scene.tag(arches="x86_64 aarch64")
    scene.package(tag, name)
    import_rpms(admin, make_rpms(tmp_path, name), scene.name("import"))
    admin.tagBuildBypass(tag, f"{name}-1.0-1")
    repo = request_and_wait(packager, tag)
    assert (repo["state"], repo["tag_name"]) == (koji.REPO_STATES["READY"], tag)
    assert repo["create_event"] >= packager.tagLastChangeEvent(tag)
    assert packager.getRepo(tag)["id"] == packager.repoInfo(repo["id"])["id"] == repo["id"]
    assert request_and_wait(packager, tag)["id"] == repo["id"]

    for arch in ("x86_64", "aarch64"):
        top = f"{hub.topurl}/repos/{tag}/{repo['id']}/{arch}"
        rows = [json.loads(line) for line in requests.get(f"{top}/rpmlist.jsonl", timeout=30).text.splitlines()]
        assert [(row["name"], row["arch"]) for row in rows] == [(name, "noarch")]
        assert rows[0]["payloadhash"] == packager.getRPM(f"{name}-1.0-1.noarch")["payloadhash"]
        repomd = requests.get(f"{top}/repodata/repomd.xml", timeout=30).text
        location = re.search(r'href="(repodata/[^"]*primary.xml[^"]*)"', repomd)
        primary = requests.get(f"{top}/{location[1]}", timeout=30).content
        text = gzip.decompress(primary).decode() if location[1].endswith(".gz") else primary.decode("latin-1")
        package = re.search(r'location href="([^"]+)"', text)[1]
        assert requests.get(f"{top}/{package}", timeout=30).content[:4] == b"\xed\xab\xee\xdb"
    summary = requests.get(f"{hub.topurl}/repos/{tag}/latest/repo.json", timeout=30).json()
    assert (summary["id"], summary["tag"], summary["event_id"]) == (repo["id"], tag, repo["create_event"])


def test_a_repo_at_an_event_shows_the_past(only_devhub, hub, scene, admin, packager, tmp_path):
    name, tag = scene.name("app"), scene.tag(arches="x86_64")
    scene.package(tag, name)
    import_rpms(admin, make_rpms(tmp_path, name), scene.name("import"))
    before = packager.getLastEvent()["id"]
    admin.tagBuildBypass(tag, f"{name}-1.0-1")
    past, present = request_and_wait(packager, tag, at_event=before), request_and_wait(packager, tag)
    listings = [
        requests.get(f"{hub.topurl}/repos/{tag}/{repo['id']}/x86_64/rpmlist.jsonl", timeout=30).text for repo in (past, present)
    ]
    assert listings[0] == "" and name in listings[1]
    assert past["create_event"] == before


def test_a_request_that_cannot_be_met_ends_without_a_repo(only_devhub, scene, packager):
    assert request_and_wait(packager, scene.tag()) is None
