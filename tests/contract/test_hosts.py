"""The life of a builder host: check-in, assignment, running, ending, giving back, subtasks."""

import koji
import pytest

from scene import fault_document, result_document


def test_host_calls_need_a_host_with_an_exclusive_session(hub, scene, packager):
    with pytest.raises(koji.AuthError):
        packager.host.getID()
    host = scene.host()
    host.session.logout()
    shared = hub.login_password(host.name, "secret")
    with pytest.raises(koji.AuthError, match="exclusive") as refused:
        shared.host.getID()
    assert refused.value.faultCode == 1002
    shared.logout()


def test_a_host_sees_itself_and_checks_in(scene, admin):
    host = scene.host(checked_in=False)
    assert host.session.host.getID() == host.id
    before = host.session.host.getHost()
    assert (before["name"], before["arches"], before["enabled"], before["ready"]) == (host.name, "x86_64", True, False)
    assert before["capacity"] == 2.0
    earlier = admin.getLastHostUpdate(host.id, ts=True)
    host.check_in(load=0.5)
    after = admin.getHost(host.name)
    assert (after["ready"], after["task_load"]) == (True, 0.5)
    assert admin.getLastHostUpdate(host.id, ts=True) > earlier
    assert host.session.host.isEnabled() is True


def test_a_subsession_acts_for_the_host(scene):
    host = scene.host()
    job = host.session.subsession()
    assert job.host.getID() == host.id
    host.session.logoutChild(job.sinfo["session-id"])
    with pytest.raises(koji.AuthError):
        job.host.getID()
    job.logged_in = False


def test_tasks_go_to_a_ready_host_of_their_channel_and_arch(scene):
    host = scene.host("host")
    elsewhere = scene.host("elsewhere", channel=scene.channel("another"))
    arm = scene.host("arm", arches=["aarch64"], channel=host.channel)
    native = scene.task(host.channel, arch="x86_64")
    assigned = host.session.host.getTasks()
    assert [task["id"] for task in assigned] == [native]
    assert assigned[0]["state"] == koji.TASK_STATES["ASSIGNED"] and assigned[0]["host_id"] == host.id
    assert (assigned[0]["arch"], assigned[0]["method"]) == ("x86_64", "sleep")
    assert elsewhere.session.host.getTasks() == []
    assert arm.session.host.getTasks() == []


def test_a_host_that_is_not_ready_or_disabled_gets_nothing(scene, admin):
    host = scene.host()
    host.check_in(ready=False)
    task_id = scene.task(host.channel)
    assert host.session.host.getTasks() == []
    admin.disableHost(host.name)
    host.check_in(ready=True)
    assert host.session.host.getTasks() == []
    assert host.session.host.isEnabled() is False
    admin.enableHost(host.name)
    assert [task["id"] for task in host.session.host.getTasks()] == [task_id]


def test_a_host_gets_no_more_than_its_maximum_of_jobs(scene):
    host = scene.host(checked_in=False)
    host.check_in(maxjobs=1)
    first, second = scene.task(host.channel), scene.task(host.channel)
    assert [task["id"] for task in host.session.host.getTasks()] == [first]
    host.take(first)
    assert host.session.host.getTasks() == []
    host.session.host.closeTask(first, result_document(None))
    assert [task["id"] for task in host.session.host.getTasks()] == [second]


def test_a_task_is_opened_once_and_closed_with_its_result(scene, admin):
    host = scene.host()
    task_id = scene.task(host.channel, arglist=["a", {"b": None}])
    opened = host.take(task_id)
    # the raw request here, the decoded one in getTaskInfo
    assert opened["request"].startswith("<?xml")
    assert koji.xmlrpcplus.loads(opened["request"])[0] == ("a", {"b": None})
    assert host.session.host.openTask(task_id) is None
    host.session.host.setTaskWeight(task_id, 1.5)
    assert host.session.host.getHostTasks() == [{"id": task_id, "waiting": None, "weight": 1.5}]
    host.session.host.closeTask(task_id, result_document({"repositories": ["r/x:1"], "koji_builds": ["12"]}))
    assert admin.getTaskResult(task_id) == {"repositories": ["r/x:1"], "koji_builds": ["12"]}
    info = admin.getTaskInfo(task_id)
    assert (info["state"], info["host_id"], info["weight"]) == (koji.TASK_STATES["CLOSED"], host.id, 1.5)
    assert info["completion_ts"] >= info["start_ts"]
    assert admin.taskFinished(task_id) is True


def test_a_failed_task_raises_its_fault(scene, admin):
    host = scene.host()
    task_id = scene.task(host.channel)
    host.take(task_id)
    host.session.host.failTask(task_id, fault_document(2001, "Image build failed. No such file."))
    with pytest.raises(koji.xmlrpcplus.Fault) as fault:
        admin.getTaskResult(task_id)
    assert (fault.value.faultCode, fault.value.faultString) == (2001, "Image build failed. No such file.")
    neutral = admin.getTaskResult(task_id, raise_fault=False)
    assert neutral == {"faultCode": 2001, "faultString": "Image build failed. No such file."}
    assert admin.getTaskInfo(task_id)["state"] == koji.TASK_STATES["FAILED"]


def test_a_result_that_cannot_be_read_is_refused_at_once(scene, admin):
    host = scene.host()
    task_id = scene.task(host.channel)
    host.take(task_id)
    with pytest.raises(koji.xmlrpcplus.Fault):
        host.session.host.closeTask(task_id, "<?xml version='1.0'?><methodResponse><params>")
    assert admin.getTaskInfo(task_id)["state"] == koji.TASK_STATES["OPEN"]


def test_tasks_of_others_cannot_be_opened_or_ended(scene):
    host = scene.host("host")
    thief = scene.host("thief", channel=scene.channel("another"))
    task_id = scene.task(host.channel)
    assert [task["id"] for task in host.session.host.getTasks()] == [task_id]
    assert thief.session.host.openTask(task_id) is None
    host.take(task_id)
    with pytest.raises(koji.ActionNotAllowed) as refused:
        thief.session.host.closeTask(task_id, result_document(None))
    assert refused.value.faultCode == 1004
    # giving back what one does not hold does nothing
    thief.session.host.freeTasks([task_id])
    assert [task["id"] for task in host.session.host.getHostTasks()] == [task_id]


def test_given_back_tasks_are_scheduled_anew(scene, admin):
    host = scene.host()
    task_id = scene.task(host.channel)
    host.take(task_id)
    host.session.host.freeTasks([task_id])
    assert host.session.host.getHostTasks() == []
    assert [task["id"] for task in host.session.host.getTasks()] == [task_id]


def test_a_refused_task_goes_to_another_host(scene, admin):
    host = scene.host("host")
    task_id = scene.task(host.channel)
    assert [task["id"] for task in host.session.host.getTasks()] == [task_id]
    host.session.host.refuseTask(task_id, soft=False, msg="unknown method")
    assert host.session.host.getTasks() == []
    assert admin.getTaskInfo(task_id)["state"] == koji.TASK_STATES["FREE"]
    refusals = admin.scheduler.getTaskRefusals([["task_id", "=", task_id]])
    assert [(row["host_id"], row["soft"], row["msg"]) for row in refusals] == [(host.id, False, "unknown method")]
    other = scene.host("other-host", channel=host.channel)
    other.take(task_id)


def test_a_silent_host_loses_its_task(hub, scene, admin):
    host = scene.host("host")
    task_id = scene.task(host.channel)
    host.take(task_id)
    hub.silence_host(host.name, 1000)
    other = scene.host("other-host", channel=host.channel)
    # the first run of the scheduler frees the task, the next one assigns it
    other.session.host.getTasks()
    other.take(task_id)
    with pytest.raises(koji.ActionNotAllowed):
        host.session.host.closeTask(task_id, result_document(None))
    assert admin.getHost(host.name)["ready"] is False


def test_an_admin_may_assign_a_task_against_channels(scene, admin):
    host = scene.host("host")
    task_id = scene.task(scene.channel("another"))
    assert host.session.host.getTasks() == []
    assert admin.assignTask(task_id, host.name, override=True) is True
    host.take(task_id)


def test_a_labelled_subtask_exists_once(scene, admin):
    host = scene.host()
    parent = scene.task(host.channel, priority=30)
    host.take(parent)
    request = {"__method__": "createContainer", "arch": "x86_64"}
    child = host.session.host.subtask("createContainer", [request], parent, label="x86_64", arch="x86_64")
    assert host.session.host.subtask("createContainer", [request], parent, label="x86_64", arch="x86_64") == child
    other = host.session.host.subtask("createContainer", [request], parent, label="aarch64", arch="aarch64")
    assert other != child
    info, family = admin.getTaskInfo(child, request=True), admin.getTaskInfo(parent)
    assert (info["parent"], info["label"], info["arch"]) == (parent, "x86_64", "x86_64")
    assert (info["priority"], info["owner"], info["channel_id"]) == (29, family["owner"], family["channel_id"])
    assert info["request"] == [request]
    with pytest.raises(koji.ActionNotAllowed):
        host.session.host.subtask("sleep", [1], parent, owner="packager")


def test_a_waiting_parent_is_alerted_and_reads_results(scene):
    host = scene.host()
    calls = host.session.host
    parent = scene.task(host.channel)
    host.take(parent)
    good = calls.subtask("sleep", [1], parent, label="good")
    bad = calls.subtask("sleep", [1], parent, label="bad")
    calls.taskSetWait(parent, [good, bad])
    waiting = {row["id"]: row for row in calls.getHostTasks()}[parent]
    assert waiting["waiting"] is True and "alert" not in waiting
    finished, unfinished = calls.taskWait(parent)
    assert (finished, sorted(unfinished)) == ([], [good, bad])
    host.take(good)
    calls.closeTask(good, result_document("fine"))
    assert {row["id"]: row for row in calls.getHostTasks()}[parent]["alert"] is True
    assert calls.taskWait(parent) == [[good], [bad]]
    host.take(bad)
    calls.failTask(bad, fault_document(1005, "broken"))
    assert calls.taskWait(parent) == [[bad], []]
    with pytest.raises(koji.BuildError):
        calls.taskWaitResults(parent, [good, bad])
    assert calls.taskWaitResults(parent, [good, bad], canfail=[bad]) == [
        [good, "fine"],
        [bad, {"faultCode": 1005, "faultString": "broken"}],
    ]
    assert {row["id"]: row for row in calls.getHostTasks()}[parent]["waiting"] is False


def test_policies_can_be_asked_by_a_host(scene, packager):
    host = scene.host()
    data = {"user_id": packager.getLoggedInUser()["id"], "scm_host": "src.example.org", "scratch": False}
    assert host.session.evalPolicy("build_from_scm", data).startswith("deny")
    assert host.session.host.checkPolicy("build_from_scm", data)[0] is False
    with pytest.raises(koji.ActionNotAllowed):
        host.session.host.assertPolicy("build_from_scm", data)
