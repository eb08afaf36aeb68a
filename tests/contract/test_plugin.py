"""buildContainer as clients call it: what becomes a task, and what is refused before one exists."""

import koji
import pytest

from scene import SOURCE


@pytest.fixture
def channel(admin):
    """The channel the plugin sends tasks to by default."""
    if admin.getChannel("container") is None:
        admin.addChannel("container")
    return "container"


def test_a_build_becomes_a_task_with_normalised_options(scene, packager, channel):
    target, _, _ = scene.target()
    # what rpkg sends, nulls and all
    opts = {"git_branch": "f40", "scratch": False, "isolated": False, "release": None, "skip_build": False, "compose_ids": None}
    task_id = packager.buildContainer(SOURCE, target, opts)
    info = packager.getTaskInfo(task_id, request=True)
    assert info["method"] == "buildContainer"
    assert info["request"] == [SOURCE, target, {"git_branch": "f40"}]
    assert (info["state"], info["arch"], info["priority"]) == (koji.TASK_STATES["FREE"], "noarch", koji.PRIO_DEFAULT)
    assert packager.getChannel(info["channel_id"])["name"] == channel
    assert info["owner"] == packager.getLoggedInUser()["id"]


def test_a_channel_can_be_chosen_and_must_exist(scene, packager):
    target, _, _ = scene.target()
    other = scene.channel()
    task_id = packager.buildContainer(SOURCE, target, {"git_branch": "f40"}, channel=other)
    assert packager.getChannel(packager.getTaskInfo(task_id)["channel_id"])["name"] == other
    with pytest.raises(koji.GenericError, match="no-such-channel"):
        packager.buildContainer(SOURCE, target, {"git_branch": "f40"}, channel="no-such-channel")


def test_priority_is_relative_and_sooner_needs_an_admin(scene, admin, packager, channel):
    target, _, _ = scene.target()
    later = packager.buildContainer(SOURCE, target, {"git_branch": "f40"}, priority=5)
    assert packager.getTaskInfo(later)["priority"] == koji.PRIO_DEFAULT + 5
    with pytest.raises(koji.ActionNotAllowed) as refused:
        packager.buildContainer(SOURCE, target, {"git_branch": "f40"}, priority=-5)
    assert refused.value.faultCode == 1004
    sooner = admin.buildContainer(SOURCE, target, {"git_branch": "f40"}, priority=-5)
    assert admin.getTaskInfo(sooner)["priority"] == koji.PRIO_DEFAULT - 5


def test_a_caller_must_be_logged_in(hub, scene):
    target, _, _ = scene.target()
    with pytest.raises(koji.ActionNotAllowed) as refused:
        hub.anonymous().buildContainer(SOURCE, target, {"git_branch": "f40"})
    assert refused.value.faultCode == 1004


BAD = {
    "an unknown key": ({"git_branch": "f40", "scrtach": True}, "did you mean `scratch`"),
    "no branch": ({}, "git_branch"),
    "a branch that is an option": ({"git_branch": "--upload-pack=x"}, "git_branch"),
    "scratch and isolated": ({"git_branch": "f40", "scratch": True, "isolated": True}, "both isolated and scratch"),
    "arches of a normal build": ({"git_branch": "f40", "arch_override": "x86_64"}, "arch_override"),
    "a dash in the release": ({"git_branch": "f40", "release": "1-2"}, "release"),
    "a number for a flag": ({"git_branch": "f40", "scratch": 1}, "must be a boolean, not a number"),
    "a feature that is not there": ({"git_branch": "f40", "compose_ids": [7]}, "compose_ids` is not supported"),
    "a list of options": ([1, 2], "must be a struct"),
    "bytes": ({"git_branch": "f40", "userdata": {"key": b"value"}}, 'opts["userdata"]["key"]'),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_options_are_refused_by_name_before_a_task_exists(scene, packager, channel, case):
    opts, text = BAD[case]
    target, _, _ = scene.target()
    with pytest.raises(koji.ParameterError) as refused:
        packager.buildContainer(SOURCE, target, opts)
    assert refused.value.faultCode == 1019
    assert text in str(refused.value)
    mine = {"owner": packager.getLoggedInUser()["id"], "method": "buildContainer", "decode": True}
    assert target not in [task["request"][1] for task in packager.listTasks(mine)]


@pytest.mark.parametrize(
    "source",
    [
        "https://src.example.org/container/web.git#f40",
        "git+https://src.example.org/container/web.git",
        "git+https://user:hunter2@src.example.org/container/web.git#f40",
        "git+https://src.example.org/../web#f40",
        "",
        7,
    ],
)
def test_a_source_that_cannot_be_checked_out_is_refused(scene, packager, source):
    target, _, _ = scene.target()
    with pytest.raises(koji.ParameterError) as refused:
        packager.buildContainer(source, target, {"git_branch": "f40"})
    assert refused.value.faultCode == 1019
    assert "hunter2" not in str(refused.value)


def test_an_unknown_target_is_refused_with_the_nearest_one(scene, packager):
    target, _, _ = scene.target("containers-of-a-test")
    with pytest.raises(koji.ParameterError, match=f"Did you mean `{target}`") as refused:
        packager.buildContainer(SOURCE, target.replace("test", "tset"), {"git_branch": "f40"})
    assert refused.value.faultCode == 1019


REFUSED_BY_POLICY = {
    "a namespace": ({}, "git+https://src.example.org/secret-things/web.git#f40", "the secret namespace is not built here"),
    "an option": ({"koji_parent_build": "base-40-1"}, SOURCE, "parents are not replaced here"),
    "a host": ({"yum_repourls": ["http://evil.example.net/x.repo"]}, SOURCE, "repositories come from example.org"),
}


@pytest.mark.parametrize("case", REFUSED_BY_POLICY)
def test_the_policy_container_build_refuses_with_its_reason_before_a_task_exists(scene, packager, channel, case):
    opts, source, reason = REFUSED_BY_POLICY[case]
    other = scene.session("other")
    target, _, _ = scene.target()
    before = len(other.listTasks({"owner": other.getLoggedInUser()["id"]}))
    with pytest.raises(koji.ActionNotAllowed, match=reason) as refused:
        other.buildContainer(source, target, {"git_branch": "f40", **opts})
    assert refused.value.faultCode == 1004
    assert len(other.listTasks({"owner": other.getLoggedInUser()["id"]})) == before
    # It is a rule about who asks.
    assert packager.buildContainer(source, target, {"git_branch": "f40", **opts})


def test_the_policy_container_build_allows_what_no_rule_denies_and_knows_target_and_scratch(scene, channel):
    other = scene.session("other")
    target, _, _ = scene.target("locked-down")
    with pytest.raises(koji.ActionNotAllowed, match="only administrators build for it"):
        other.buildContainer(SOURCE, target, {"git_branch": "f40"})
    # A scratch build has no destination.
    assert other.buildContainer(SOURCE, target, {"git_branch": "f40", "scratch": True})
    fine = {"git_branch": "f40", "yum_repourls": ["https://repos.example.org/x.repo"]}
    assert other.buildContainer(SOURCE, scene.target("plain")[0], fine)
