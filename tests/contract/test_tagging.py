"""Tagging builds: for the owner of a task, by task, and at once; and what stands against it."""

import koji
import pytest

from scene import result_document


@pytest.fixture
def build(scene, admin):
    """N-V-R of a complete build, its package listed in no tag yet."""
    name = scene.name("image")
    admin.createEmptyBuild(name, "1.0", "1", None)
    return f"{name}-1.0-1"


@pytest.fixture
def task(scene, packager):
    """(host, id of a task of packager's that the host has open)"""
    host = scene.host()
    task_id = scene.build_task(packager, host.channel)
    host.take(task_id)
    return host, task_id


def test_a_host_tags_as_the_owner_of_its_task(scene, admin, packager, build, task):
    host, task_id = task
    tag = scene.tag()
    scene.package(tag, scene.name("image"))
    host.session.host.tagBuild(task_id, tag, build)
    tagged = packager.listTagged(tag)
    assert [(row["nvr"], row["tag_name"]) for row in tagged] == [(build, tag)]
    assert [row["name"] for row in packager.listTags(build)] == [tag]
    with pytest.raises(koji.TagError, match="already tagged") as refused:
        host.session.host.tagBuild(task_id, tag, build)
    assert refused.value.faultCode == 1003


def test_a_package_that_is_not_listed_or_blocked_is_not_tagged(scene, admin, build, task):
    host, task_id = task
    tag = scene.tag()
    with pytest.raises(koji.TagError, match="not in list for") as refused:
        host.session.host.tagBuild(task_id, tag, build)
    assert refused.value.faultCode == 1003
    scene.package(tag, scene.name("image"))
    admin.packageListBlock(tag, scene.name("image"))
    with pytest.raises(koji.TagError, match="blocked in"):
        host.session.host.tagBuild(task_id, tag, build)


def test_locks_and_permissions_of_the_tag_hold_for_the_owner(scene, admin, build, task):
    host, task_id = task
    locked, private = scene.tag("locked"), scene.tag("private", perm=1)
    for tag in (locked, private):
        scene.package(tag, scene.name("image"))
    admin.editTag2(locked, locked=True)
    for tag in (locked, private):
        with pytest.raises(koji.ActionNotAllowed) as refused:
            host.session.host.tagBuild(task_id, tag, build)
        assert refused.value.faultCode == 1004
    # a force of the owner's, who is no admin, changes nothing
    with pytest.raises(koji.ActionNotAllowed):
        host.session.host.tagBuild(task_id, locked, build, force=True)


def test_a_move_takes_the_build_out_of_the_other_tag(scene, admin, packager, build, task):
    host, task_id = task
    candidate, stable = scene.tag("candidate"), scene.tag("stable")
    for tag in (candidate, stable):
        scene.package(tag, scene.name("image"))
    host.session.host.tagBuild(task_id, candidate, build)
    host.session.host.tagBuild(task_id, stable, build, fromtag=candidate)
    assert [row["name"] for row in packager.listTags(build)] == [stable]


def test_tag_build_makes_a_task_that_tags(scene, admin, packager, build):
    tag = scene.tag()
    scene.package(tag, scene.name("image"))
    with pytest.raises(koji.TagError):
        packager.tagBuild(scene.tag("unlisted"), build)
    task_id = packager.tagBuild(tag, build)
    info = packager.getTaskInfo(task_id, request=True)
    assert (info["method"], info["request"][:2]) == ("tagBuild", [packager.getTag(tag)["id"], packager.getBuild(build)["id"]])
    if info["state"] == koji.TASK_STATES["FREE"]:
        # a real hub leaves it to a builder; the development hub has done it already
        host = scene.host()
        admin.assignTask(task_id, host.name, override=True)
        host.take(task_id)
        host.session.host.tagBuild(task_id, *info["request"])
        host.session.host.closeTask(task_id, result_document(None))
    assert packager.getTaskResult(task_id) is None
    assert [row["nvr"] for row in packager.listTagged(tag)] == [build]


def test_tagging_at_once_needs_a_permission(scene, admin, packager, build):
    tag = scene.tag()
    scene.package(tag, scene.name("image"))
    with pytest.raises(koji.ActionNotAllowed):
        packager.tagBuildBypass(tag, build)
    admin.tagBuildBypass(tag, build)
    admin.untagBuildBypass(tag, build)
    assert packager.listTagged(tag) == []
    with pytest.raises(koji.TagError, match="not in tag"):
        admin.untagBuild(tag, build)


def test_a_build_in_progress_is_not_tagged(scene, admin, packager):
    generator, tag = scene.content_generator(), scene.tag()
    name = scene.package(tag, scene.name("image"))
    admin.CGInitBuild(generator, {"name": name, "version": "1.0", "release": "1"})
    with pytest.raises(koji.TagError, match="not complete"):
        packager.tagBuild(tag, f"{name}-1.0-1")


def test_history_tells_who_tagged_what(scene, admin, packager, build):
    tag = scene.tag()
    scene.package(tag, scene.name("image"))
    admin.tagBuildBypass(tag, build)
    admin.untagBuildBypass(tag, build)
    tagged = packager.queryHistory(tables=["tag_listing"], tag=tag)["tag_listing"]
    assert [(row["name"], row["tag.name"], row["creator_name"], row["revoker_name"]) for row in tagged] == [
        (scene.name("image"), tag, "kojiadmin", "kojiadmin"),
    ]
    assert tagged[0]["create_event"] < tagged[0]["revoke_event"] and tagged[0]["active"] is None
    everything = packager.queryHistory(tag=tag, active=True)
    assert [row["package.name"] for row in everything["tag_packages"]] == [scene.name("image")]
    assert everything["tag_listing"] == [] and "user_perms" not in everything
    assert packager.queryHistory(tables=["tag_listing"], build=build, before=1)["tag_listing"] == []
