"""Tasks as users see them: making, listing, cancelling, freeing."""

import koji
import pytest

from scene import result_document


def test_only_admins_make_tasks_of_any_method(scene, packager):
    with pytest.raises(koji.ActionNotAllowed):
        packager.makeTask("sleep", [1])
    with pytest.raises(koji.ActionNotAllowed, match="owner"):
        scene.task(scene.channel(), owner="packager")
    info = packager.getTaskInfo(scene.task(scene.channel()), request=True)
    assert info["request"] == [1]
    assert info["state"] == koji.TASK_STATES["FREE"]
    assert info["create_ts"] > 0 and info["completion_ts"] is None and info["host_id"] is None


def test_an_unknown_task_is_none_or_a_fault(packager):
    assert packager.getTaskInfo(99999999) is None
    with pytest.raises(koji.GenericError):
        packager.getTaskInfo(99999999, strict=True)
    assert packager.getTaskInfo([99999999]) == [None]


def test_tasks_are_listed_by_state_owner_and_method(scene, admin):
    channel = scene.channel()
    task_id = scene.task(channel, method=scene.name("method"))
    found = admin.listTasks({"method": scene.name("method"), "state": [koji.TASK_STATES["FREE"]], "decode": True})
    assert [task["id"] for task in found] == [task_id]
    assert found[0]["request"] == [1] and found[0]["owner_name"] == "kojiadmin"
    assert admin.listTasks({"method": scene.name("method"), "not_state": [koji.TASK_STATES["FREE"]]}) == []
    assert admin.listTasks({"method": scene.name("method")}, {"countOnly": True}) == 1
    second = scene.task(channel, method=scene.name("method"))
    newest = admin.listTasks({"method": scene.name("method")}, {"order": "-id", "limit": 1})
    assert [task["id"] for task in newest] == [second]


def test_an_owner_cancels_a_stranger_does_not(scene, admin, packager):
    mine = scene.build_task(packager, scene.channel())
    with pytest.raises(koji.ActionNotAllowed):
        scene.session("other").cancelTask(mine)
    packager.cancelTask(mine)
    assert packager.getTaskInfo(mine)["state"] == koji.TASK_STATES["CANCELED"]
    with pytest.raises(koji.GenericError, match="is canceled"):
        packager.getTaskResult(mine)
    # once more does nothing, and a closed one stays closed
    packager.cancelTask(mine)
    with pytest.raises(koji.GenericError, match="Cannot free task"):
        admin.freeTask(mine)


def test_a_cancelled_parent_cancels_its_children_and_the_host_notices(scene, admin):
    host = scene.host()
    parent = scene.task(host.channel)
    host.take(parent)
    child = host.session.host.subtask("sleep", [1], parent, label="one")
    admin.cancelTask(parent)
    assert admin.getTaskInfo(child)["state"] == koji.TASK_STATES["CANCELED"]
    assert host.session.host.getHostTasks() == []
    with pytest.raises(koji.ActionNotAllowed) as refused:
        host.session.host.closeTask(parent, result_document("done"))
    assert refused.value.faultCode == 1004
    with pytest.raises(koji.ActionNotAllowed):
        host.session.host.setTaskWeight(parent, 2.0)


def test_a_host_may_cancel_what_it_runs(scene, admin):
    host = scene.host()
    task_id = scene.task(host.channel)
    host.take(task_id)
    host.session.cancelTask(task_id)
    assert admin.getTaskInfo(task_id)["state"] == koji.TASK_STATES["CANCELED"]


def test_cancel_full_follows_a_family_from_its_top(scene, admin):
    host = scene.host()
    parent = scene.task(host.channel)
    host.take(parent)
    child = host.session.host.subtask("sleep", [1], parent)
    with pytest.raises(koji.GenericError, match="not top-level"):
        admin.cancelTaskFull(child)
    admin.cancelTaskFull(child, strict=False)
    assert admin.getTaskInfo(parent)["state"] == koji.TASK_STATES["CANCELED"]
    assert list(admin.getTaskDescendents(parent)) == [str(parent), str(child)]
    assert [row["id"] for row in admin.getTaskChildren(parent)] == [child]


def test_a_freed_task_runs_again_under_the_same_id(scene, admin):
    host = scene.host()
    task_id = scene.task(host.channel)
    host.take(task_id)
    admin.freeTask(task_id)
    with pytest.raises(koji.ActionNotAllowed):
        host.session.host.closeTask(task_id, result_document("too late"))
    host.take(task_id)
    host.session.host.closeTask(task_id, result_document("second run"))
    assert admin.getTaskResult(task_id) == "second run"


def test_only_admins_set_priorities(scene, admin, packager):
    task_id = scene.build_task(packager, scene.channel())
    with pytest.raises(koji.ActionNotAllowed):
        packager.setTaskPriority(task_id, 1)
    admin.setTaskPriority(task_id, 7)
    assert admin.getTaskInfo(task_id)["priority"] == 7
