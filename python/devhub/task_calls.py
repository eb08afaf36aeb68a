"""Methods about tasks that anybody may call."""

import koji
import koji.xmlrpcplus
from koji.context import context

from . import scheduler
from .database import db, time_text
from .hosts import find_host
from .registry import rpc
from .tasks import CANCELED, COLUMNS, ENDED, FAILED, FREE, Task, decode_response, make_task
from .values import apply_query_opts, query_view, timestamp


@rpc("makeTask")
def make_task_call(*args, **opts):
    """Creates a task of any method (admins)"""
    context.session.assertPerm("admin")
    if "owner" in opts:
        raise koji.ActionNotAllowed("The owner option is not allowed here")
    return make_task(*args, **opts)


@rpc
def getTaskInfo(task_id, request=False, strict=False):
    """One task (or a list of them), with its decoded arguments when `request`; None when there is none"""
    if isinstance(task_id, list):
        return [Task(number).info(strict, request) for number in task_id]
    return Task(task_id).info(strict, request)


@rpc
def getTaskRequest(taskId):
    """A task's arguments"""
    Task(taskId).info()
    return Task(taskId).request()


@rpc
def getTaskResult(taskId, raise_fault=True):
    """A finished task's result; its fault is raised"""
    return Task(taskId).result(raise_fault)


@rpc
def taskFinished(taskId):
    """Whether a task is closed, failed or canceled"""
    return Task(taskId).state() in ENDED


@rpc
def getTaskChildren(task_id, request=False, strict=False):
    """A task's direct subtasks"""
    if strict:
        Task(task_id).info()
    return Task(task_id).children(request)


@rpc
def getTaskDescendents(task_id, request=False):
    """All subtasks below a task: {id as text: [children]}"""
    found, queue = {}, [Task(task_id).id]
    for number in queue:
        children = Task(number).children(request)
        found[str(number)] = children
        queue.extend(child["id"] for child in children)
    return found


@rpc
def listTasks(opts=None, queryOpts=None):
    """Tasks, filtered by arch, state, owner, host_id, channel_id, parent, method and times (opts), with request and result"""
    opts = dict(opts or {})
    clauses, values = [], {}
    for key in ("arch", "state", "owner", "host_id", "channel_id", "parent", "method"):
        for prefix, word in (("", "IN"), ("not_", "NOT IN")):
            name = prefix + key
            if name not in opts:
                continue
            if opts[name] is None:
                clauses.append(f"task.{key} IS {'NOT ' if prefix else ''}NULL")
            else:
                clauses.append(f"task.{key} {word} :{name}")
                values[name] = opts[name] if isinstance(opts[name], list) else [opts[name]]
    for stem, column in (("created", "create_time"), ("started", "start_time"), ("complete", "completion_time")):
        for suffix, sign in (("Before", "<"), ("After", ">")):
            if opts.get(stem + suffix) is not None:
                clauses.append(f"task.{column} {sign} :{stem}{suffix}")
                values[stem + suffix] = timestamp(opts[stem + suffix])
    where = " AND ".join(clauses) or "1"
    rows = db().all(
        f"SELECT {COLUMNS}, task.request, task.result, users.name AS owner_name, users.usertype AS owner_type"
        f" FROM task LEFT JOIN users ON users.id = task.owner WHERE {where} ORDER BY task.id",
        **values,
    )
    if opts.get("decode") and not (queryOpts or {}).get("countOnly"):
        for row in rows:
            row["request"] = koji.xmlrpcplus.loads(row["request"])[0]
            if row["result"]:
                try:
                    row["result"] = [decode_response(row["result"])]
                except koji.xmlrpcplus.Fault as fault:
                    row["result"] = fault
    return apply_query_opts(rows, queryOpts)


def _assert_owner(task):
    """The owner, the host that runs it, or an admin."""
    info = task.info()
    session = context.session
    if session.isUser(info["owner"]) or session.hasPerm("admin"):
        return
    if session.host_id is not None and task.is_with(session.host_id):
        return
    raise koji.ActionNotAllowed("Cannot cancel task, not owner")


@rpc
def cancelTask(task_id, recurse=True):
    """Cancels a task and its children (owner, admins, the host that runs it)"""
    task = Task(task_id)
    _assert_owner(task)
    task.cancel(recurse=recurse)


@rpc
def cancelTaskFull(task_id, strict=True):
    """Cancels a top-level task and everything below it (admins)"""
    context.session.assertPerm("admin")
    Task(task_id).cancel_full(strict)


@rpc
def cancelTaskChildren(task_id):
    """Cancels the children of a task (owner, admins, the host that runs it)"""
    task = Task(task_id)
    _assert_owner(task)
    task.cancel_children()


@rpc
def freeTask(task_id):
    """Takes a task from its host so that it runs anew (admins)"""
    context.session.assertPerm("admin")
    Task(task_id).free()
    scheduler.run()


@rpc
def setTaskPriority(task_id, priority, recurse=True):
    """Sets the priority of a task (admins)"""
    context.session.assertPerm("admin")
    Task(task_id).set_priority(priority, recurse)


@rpc
def resubmitTask(taskID):
    """Creates a copy of a failed or canceled top-level task; its id"""
    context.session.assertLogin()
    task = Task(taskID)
    info = task.info(request=True)
    if info["state"] not in (CANCELED, FAILED):
        raise koji.GenericError(f"cannot resubmit task {taskID}, state is {koji.TASK_STATES[info['state']]}")
    context.session.assertUser(info["owner"])
    if info["parent"] is not None:
        raise koji.GenericError("resubmit of subtasks is not supported")
    channel = db().value("SELECT name FROM channels WHERE id = :id", id=info["channel_id"])
    return make_task(
        info["method"], info["request"], arch=info["arch"], channel=channel, owner=info["owner"], priority=info["priority"]
    )


@rpc
def assignTask(task_id, host, force=False, override=False):
    """Gives a task to a host, whatever its channels and arches (admins); whether that was possible"""
    context.session.assertPerm("admin")
    task = Task(task_id)
    if task.state() in ENDED:
        raise koji.GenericError(f"Task {task_id} is already finished")
    if task.state() != FREE:
        if not force:
            return False
        task.free()
    task.assign(find_host(host, strict=True)["id"])
    return True


@rpc("scheduler.getTaskRefusals")
def get_task_refusals(clauses=None, fields=None):
    """Which hosts refused which tasks, and why; clauses: [[field, operator, value]]"""
    rows = db().all(
        "SELECT task_refusals.rowid AS id, task_id, host_id, host.name AS host_name, soft, by_host, msg, time * 1.0 AS ts"
        " FROM task_refusals JOIN host ON host.id = host_id ORDER BY time"
    )
    return query_view(rows, clauses, fields)


@rpc("scheduler.getLogMessages")
def get_log_messages(clauses=None, fields=None, opts=None):
    """What the scheduler decided and why; clauses: [[field, operator, value]]"""
    rows = db().all(
        "SELECT log.id, log.task_id, log.host_id, msg, msg_time * 1.0 AS msg_ts, task.method, task.state, task.owner, task.arch,"
        " task.channel_id, host.name AS host_name FROM scheduler_log AS log LEFT JOIN task ON task.id = log.task_id"
        " LEFT JOIN host ON host.id = log.host_id ORDER BY log.id"
    )
    return apply_query_opts(query_view(rows, clauses, fields), opts)


@rpc("scheduler.getHostData")
def get_host_data(hostID=None):
    """What hosts told the scheduler about themselves"""
    rows = db().all("SELECT id AS host_id, data, update_time * 1.0 AS ts FROM host ORDER BY id")
    return [{**row, "time": time_text(row["ts"] or 0)} for row in rows if hostID in (None, row["host_id"])]
