"""Methods a builder host calls about itself and its tasks (`host.*`).

The caller must be a host's user with an exclusive session.
"""

import json
import time

import koji
from koji.context import context

from . import older, policy, scheduler
from .database import db
from .hosts import all_hosts, channel_ids, find_host, silence
from .registry import rpc
from .tasks import ASSIGNED, CANCELED, CLOSED, ENDED, FAILED, FREE, OPEN, Task, make_task
from .values import convert_value


def calling_host():
    """Id of the calling host; AuthError when the caller is none, or not exclusive."""
    host_id = context.session.host_id
    if host_id is None:
        user = context.session.user_id
        raise koji.AuthError("Not logged-in" if user is None else f"User {user} is not a host")
    if not context.session.exclusive:
        raise koji.AuthError("This method requires an exclusive session")
    return host_id


def held_task(task_id):
    """A task the calling host has open."""
    task = Task(task_id)
    task.assert_host(calling_host())
    return task


@rpc("host.getID")
def get_id():
    """The calling host's id"""
    return calling_host()


@rpc("host.getHost")
def get_host():
    """The calling host"""
    return find_host(calling_host(), strict=True)


@rpc("host.isEnabled")
def is_enabled():
    """Whether the calling host may get tasks"""
    return find_host(calling_host(), strict=True)["enabled"]


@rpc("host.updateHost")
def update_host(task_load, ready, data=None):
    """Checks in: load, readiness, and data for the scheduler (methods, maxjobs)"""
    host_id = calling_host()
    older.check_host_data(data)
    load = convert_value(task_load, float)
    db().update("host", host_id, task_load=load, ready=bool(ready), update_time=time.time())
    if data is not None:
        set_host_data(data)


@rpc("host.setHostData")
def set_host_data(hostdata):
    """Stores data for the scheduler (a struct, or JSON text)"""
    if isinstance(hostdata, str):
        hostdata = json.loads(hostdata)
    db().update("host", calling_host(), data=convert_value(hostdata, dict, check_only=True))


@rpc("host.getTasks")
def get_tasks():
    """Tasks assigned to the calling host and not yet open, soonest first"""
    host_id = calling_host()
    query = (
        "SELECT id, state, channel_id, host_id, arch, method, priority, create_time * 1.0 AS create_ts FROM task"
        " WHERE host_id = :host AND state = :assigned ORDER BY priority, id"
    )
    # Hung tasks are looked for even when this host has enough to do.
    scheduler.run()
    return db().all(query, host=host_id, assigned=ASSIGNED)


@rpc("host.getLoadData")
def get_load_data():
    """[[the calling host], [tasks assigned to it]], the form old builders know; before 1.34, what to choose from"""
    host = find_host(calling_host(), strict=True)
    if older.is_before(1, 34):
        return _choice(host)
    host["channels"] = channel_ids(host["id"])
    return [[host], get_tasks()]


def _choice(host):
    """Ready hosts, and the free and assigned tasks of the calling host's channels and arches."""
    ready = [row for row in all_hosts() if row["enabled"] and row["ready"] and silence(row) < 300]
    hosts = [{key: row[key] for key in ("id", "name", "arches", "task_load", "capacity")} for row in ready]
    for row in hosts:
        row["channels"] = channel_ids(row["id"])
    tasks = db().all(
        "SELECT id, state, channel_id, host_id, arch, method, priority, create_time FROM task"
        " WHERE state IN :states AND channel_id IN :channels AND arch IN :arches ORDER BY priority, id LIMIT 100",
        states=[FREE, ASSIGNED],
        channels=channel_ids(host["id"]),
        arches=[*(host["arches"] or "").split(), "noarch"],
    )
    return [hosts, tasks]


@rpc("host.getHostTasks")
def get_host_tasks():
    """The calling host's open tasks: [{id, waiting, weight, alert when a child it waits for has ended}]"""
    rows = db().all(
        "SELECT id, waiting, weight FROM task WHERE host_id = :host AND state = :open ORDER BY id",
        host=calling_host(),
        open=OPEN,
    )
    for row in rows:
        if row["waiting"] and _awaited(row["id"])[0]:
            row["alert"] = True
    return rows


@rpc("host.openTask")
def open_task(task_id):
    """Starts a task: its row with the request as XML text; None when it is not this host's to start"""
    return Task(task_id).open(calling_host())


@rpc("host.closeTask")
def close_task(task_id, response):
    """Ends a task with a result (a methodResponse document as text)"""
    held_task(task_id).end(response, CLOSED)


@rpc("host.failTask")
def fail_task(task_id, response):
    """Ends a task with a fault (a methodResponse document as text)"""
    held_task(task_id).end(response, FAILED)


@rpc("host.freeTasks")
def free_tasks(tasks):
    """Gives tasks back; those that are not this host's any more are left alone"""
    host_id = calling_host()
    for task_id in tasks:
        if Task(task_id).is_with(host_id):
            Task(task_id).free()


@rpc("host.setTaskWeight")
def set_task_weight(task_id, weight):
    """Sets how much of the host's capacity a task takes"""
    held_task(task_id).set_weight(weight)


@rpc("host.refuseTask")
def refuse_task(task_id, soft=True, msg=""):
    """Declines a task; it goes to another host. A soft refusal holds for a while only"""
    host_id = calling_host()
    task = Task(task_id)
    info = task.info()
    if info["host_id"] != host_id:
        return
    scheduler.refuse(host_id, info["id"], bool(soft), convert_value(msg, str), by_host=True)
    task.free()
    scheduler.run()


@rpc("host.subtask")
def subtask(method, arglist, parent, **opts):
    """Creates a child of a task this host has open; with a known label, the id of the child that has it"""
    held_task(parent)
    if "owner" in opts:
        raise koji.ActionNotAllowed("The owner option is not allowed here")
    if opts.get("label") is not None:
        known = db().value("SELECT id FROM task WHERE parent = :parent AND label = :label", parent=parent, label=opts["label"])
        if known:
            return known
    if "kwargs" in opts:
        arglist = koji.encode_args(*arglist, **opts.pop("kwargs"))
    return make_task(method, arglist, parent=parent, **opts)


@rpc("host.subtask2")
def subtask2(__parent, __taskopts, __method, *args, **opts):
    """host.subtask with the arguments spelled out"""
    return subtask(__method, koji.encode_args(*args, **opts), __parent, **__taskopts)


def _awaited(parent):
    """Awaited children of a task: ended ones and others."""
    rows = db().all("SELECT id, state FROM task WHERE parent = :parent AND awaited ORDER BY id", parent=parent)
    ended = [row["id"] for row in rows if row["state"] in ENDED]
    return ended, [row["id"] for row in rows if row["id"] not in ended]


@rpc("host.taskSetWait")
def task_set_wait(parent, tasks):
    """Marks a task as waiting for some (None: all) of its children"""
    calling_host()
    convert_value(tasks, list, none_allowed=True, check_only=True)
    db().run("UPDATE task SET waiting = 1 WHERE id = :parent", parent=parent)
    if tasks is None:
        db().run("UPDATE task SET awaited = 1 WHERE parent = :parent", parent=parent)
    else:
        db().run("UPDATE task SET awaited = (id IN :tasks) WHERE parent = :parent", parent=parent, tasks=tasks)


@rpc("host.taskUnwait")
def task_unwait(parent):
    """Ends the waiting of a task"""
    calling_host()
    _unwait(parent)


def _unwait(parent):
    db().run("UPDATE task SET waiting = 0 WHERE id = :parent", parent=parent)
    db().run("UPDATE task SET awaited = 0 WHERE parent = :parent", parent=parent)


@rpc("host.taskWait")
def task_wait(parent):
    """[ended, others] of the awaited children; ended ones are not awaited any more"""
    calling_host()
    ended, others = _awaited(parent)
    db().run("UPDATE task SET awaited = 0 WHERE id IN :ended", ended=ended)
    return [ended, others]


@rpc("host.taskWaitResults")
def task_wait_results(parent, tasks, canfail=None):
    """[[id, result]] of children (None: all that ended); a fault is raised unless the child is in canfail"""
    calling_host()
    _unwait(parent)
    if tasks is None:
        rows = db().all("SELECT id FROM task WHERE parent = :parent AND state IN :ended ORDER BY id", parent=parent, ended=ENDED)
        tasks = [row["id"] for row in rows]
    results = []
    for task_id in tasks:
        task = Task(task_id)
        may_fail = task_id in (canfail or [])
        try:
            results.append([task_id, task.result(raise_fault=not may_fail)])
        except koji.GenericError as error:
            if not (may_fail and task.state() == CANCELED):
                raise
            results.append([task_id, {"faultCode": error.faultCode, "faultString": str(error)}])
    return results


@rpc("host.tagBuild")
def tag_build(task_id, tag, build, force=False, fromtag=None):
    """Tags a build as the owner of a task this host has open; `fromtag` makes it a move"""
    from .tagging import tag_as

    owner = held_task(task_id).info()["owner"]
    tag_as(owner, tag, build, force=force, fromtag=fromtag)


@rpc("host.tagNotification")
def tag_notification(is_successful, tag_id, from_id, build_id, user_id, ignore_success=False, failure_msg=""):
    """Tells people about a tagging; nobody is told here"""
    calling_host()


@rpc("host.checkPolicy")
def check_policy(name, data, default="deny", strict=False):
    """[allowed, reason] of an allow/deny policy"""
    calling_host()
    return list(policy.check_policy(name, data, default=default, strict=strict))


@rpc("host.assertPolicy")
def assert_policy(name, data, default="deny"):
    """Faults unless the policy allows"""
    calling_host()
    policy.check_policy(name, data, default=default, strict=True)


@rpc("host.evalPolicy")
def eval_policy(name, data):
    """The action line of a policy"""
    calling_host()
    return policy.eval_policy(name, data)
