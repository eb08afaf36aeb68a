"""Tasks: how they are made, and every change of their state."""

import base64
import time

import koji
import koji.plugin
import koji.util
import koji.xmlrpcplus
from koji.context import context

from . import builtin_tasks, policy, scheduler
from .channels import getChannel
from .database import db
from .hosts import find_host
from .users import getUser
from .values import convert_value

FREE, OPEN, CLOSED, CANCELED, ASSIGNED, FAILED = (
    koji.TASK_STATES[name] for name in ("FREE", "OPEN", "CLOSED", "CANCELED", "ASSIGNED", "FAILED")
)
ENDED = (CLOSED, CANCELED, FAILED)
COLUMNS = ", ".join(
    f"task.{name}" + (f", task.{name} * 1.0 AS {name[:-4]}ts" if name.endswith("_time") else "")
    for name in (
        "id",
        "state",
        "create_time",
        "start_time",
        "completion_time",
        "channel_id",
        "host_id",
        "parent",
        "label",
        "waiting",
        "awaited",
        "owner",
        "method",
        "arch",
        "priority",
        "weight",
    )
)


def make_task(method, arglist, **opts):
    """Creates a task; its id. The same function, with the same options, that plugins find in `kojihub`.

    Options: parent and label (subtask), owner (user id or name), channel, arch, priority (absolute), assign (host).
    GenericError when a channel or parent does not allow it.
    """
    convert_value(method, str, check_only=True)
    for key, kind in (("parent", int), ("priority", int)):
        if key in opts:
            opts[key] = convert_value(opts[key], kind)
    if "label" in opts and opts["label"] is not None:
        convert_value(opts["label"], str, check_only=True)
    if "owner" in opts and not isinstance(opts["owner"], int):
        opts["owner"] = getUser(opts["owner"], strict=True)["id"]
    if "arch" in opts:
        opts["arch"] = koji.parse_arches(opts["arch"], strict=True, allow_none=True)
    if "assign" in opts:
        opts["assign"] = find_host(opts["assign"], strict=True)["id"]
    parent = _apply_defaults(opts)
    data = {"method": method, "user_id": opts["owner"], **{key: opts[key] for key in ("arch", "parent", "label", "owner")}}
    if "channel" in opts:
        data["req_channel"] = opts["channel"]
        requested = _open_channel(opts["channel"])
    else:
        requested = None
    data.update(policy.policy_data_from_task_args(method, arglist))
    opts["channel_id"] = _channel_by_policy(data, requested, parent)
    opts["priority"] = _priority_by_policy(data, opts["priority"])
    opts["request"] = koji.xmlrpcplus.dumps(tuple(arglist), methodname=method)
    opts["state"] = FREE
    opts["method"] = method
    koji.plugin.run_callbacks("preTaskStateChange", attribute="state", old=None, new="FREE", info=opts)
    row = {key: opts[key] for key in ("owner", "method", "request", "priority", "parent", "label", "channel_id", "arch")}
    if opts.get("assign"):
        row.update(state=ASSIGNED, host_id=opts["assign"])
    else:
        row.update(state=FREE)
    opts["id"] = db().insert("task", create_time=time.time(), **row)
    koji.plugin.run_callbacks("postTaskStateChange", attribute="state", old=None, new="FREE", info=opts)
    builtin_tasks.run(opts["id"], method, arglist)
    # A real hub's scheduler runs at most once a minute; here nobody should have to wait for it.
    scheduler.run()
    return opts["id"]


def _apply_defaults(opts):
    """Fills what was not asked for, from the parent if there is one; the parent's row."""
    if opts.get("parent") is None:
        opts.setdefault("priority", koji.PRIO_DEFAULT)
        opts.setdefault("arch", "noarch")
        if "owner" not in opts:
            if not context.session.logged_in:
                raise koji.GenericError("task must have an owner")
            opts["owner"] = context.session.user_id
        opts["label"] = opts["parent"] = None
        return None
    parent = db().one("SELECT state, owner, channel_id, priority, arch FROM task WHERE id = :id", id=opts["parent"])
    if parent is None:
        raise koji.GenericError(f"Invalid parent task: {opts['parent']}")
    if parent["state"] != OPEN:
        raise koji.GenericError(f"Parent task (id {opts['parent']}) is not open")
    opts.setdefault("priority", parent["priority"] - 1)
    opts.setdefault("owner", parent["owner"])
    opts.setdefault("arch", parent["arch"])
    opts.setdefault("label", None)
    return parent


def _open_channel(name):
    channel = getChannel(name)
    if channel is None:
        raise koji.GenericError(f"No such channel: {name}")
    if not channel["enabled"]:
        raise koji.GenericError(f"Channel {name} is disabled.")
    return channel["id"]


def _channel_by_policy(data, requested, parent):
    words = (policy.apply_rules("channel", data) or "use default").split()
    if words[0] == "use" and len(words) == 2:
        return _open_channel(words[1])
    if words[0] == "parent" and parent:
        return parent["channel_id"]
    if words[0] == "req" and requested is not None:
        return requested
    raise koji.GenericError("invalid channel policy")


def _priority_by_policy(data, priority):
    words = (policy.apply_rules("priority", data) or "stay").split()
    if words[0] == "stay":
        return priority
    if words[0] in ("set", "adjust") and len(words) == 2:
        number = convert_value(words[1], int, "invalid priority policy", koji.GenericError)
        return number if words[0] == "set" else priority + number
    raise koji.GenericError("invalid priority policy")


class Task:
    """One task by its id. Access checks are the callers'."""

    def __init__(self, task_id):
        self.id = convert_value(task_id, int)

    def info(self, strict=True, request=False):
        """The task's row; with `request` its decoded arguments."""
        row = db().one(f"SELECT {COLUMNS} FROM task WHERE id = :id", id=self.id)
        if row is None:
            if strict:
                raise koji.GenericError(f"No such task: {self.id}")
            return None
        if request:
            row["request"] = self.request()
        return row

    def state(self):
        return self.info()["state"]

    def request(self):
        """The decoded arguments."""
        text = db().value("SELECT request FROM task WHERE id = :id", id=self.id)
        return koji.xmlrpcplus.loads(text)[0]

    def result(self, raise_fault=True):
        """The decoded result; a fault is raised, or with `raise_fault=False` returned as a struct."""
        row = db().one("SELECT state, result FROM task WHERE id = :id", id=self.id)
        if row is None:
            raise koji.GenericError("No such task")
        if row["state"] == CANCELED:
            raise koji.GenericError(f"Task {self.id} is canceled")
        if row["state"] not in (CLOSED, FAILED):
            raise koji.GenericError(f"Task {self.id} is not finished")
        try:
            return decode_response(row["result"])
        except koji.xmlrpcplus.Fault as fault:
            if raise_fault:
                raise
            return {"faultCode": fault.faultCode, "faultString": fault.faultString}

    def is_with(self, host_id):
        """Whether the task is open on this host."""
        row = db().one("SELECT state, host_id FROM task WHERE id = :id", id=self.id)
        return row is not None and row["state"] == OPEN and row["host_id"] == host_id

    def assert_host(self, host_id):
        """ActionNotAllowed unless the task is open on this host."""
        if not self.is_with(host_id):
            raise koji.ActionNotAllowed(f"host {host_id} does not own task {self.id}")

    def assign(self, host_id, by_scheduler=False):
        """Gives a free task to a host. One that an administrator gave stays there, however silent the host becomes."""
        self.change("state", state=ASSIGNED, host_id=host_id, assign_time=time.time() if by_scheduler else None)

    def open(self, host_id):
        """Starts the task on a host: its row with the raw request; None when it is not this host's to start."""
        row = self.info()
        mine = row["state"] == ASSIGNED and row["host_id"] == host_id
        if not mine and row["state"] != FREE:
            return None
        self.change("state", state=OPEN, host_id=host_id, start_time=time.time())
        opened = self.info()
        opened["request"] = db().value("SELECT request FROM task WHERE id = :id", id=self.id)
        return opened

    def free(self):
        """Gives the task back to be scheduled anew."""
        state = self.state()
        if state in ENDED:
            raise koji.GenericError(f"Cannot free task {self.id}, state is {koji.TASK_STATES[state]}")
        self.change("state", state=FREE, host_id=None, assign_time=None)

    def end(self, result, state):
        """Closes or fails the task with an encoded response."""
        convert_value(result, str, check_only=True)
        if state == CLOSED:
            # As the real hub's callbacks do: a response that cannot be read fails the call, not every later reader.
            decode_response(result)
        self.change("state", state=state, result=result, completion_time=time.time())

    def set_weight(self, weight):
        self.change("weight", weight=convert_value(weight, float))

    def set_priority(self, priority, recurse=False):
        self.change("priority", priority=convert_value(priority, int))
        if recurse:
            for child in self.children():
                Task(child["id"]).set_priority(priority, recurse=True)

    def cancel(self, recurse=True):
        """Cancels the task, builds it has reserved, and its children; False when it had ended otherwise."""
        from .builds import cancel_build

        state = self.state()
        if state in ENDED:
            return state == CANCELED
        self.change("state", state=CANCELED, completion_time=time.time())
        building = koji.BUILD_STATES["BUILDING"]
        for row in db().all("SELECT id FROM build WHERE task_id = :id AND state = :state", id=self.id, state=building):
            cancel_build(row["id"], cancel_task=False)
        if recurse:
            self.cancel_children()
        return True

    def cancel_children(self):
        for child in self.children():
            Task(child["id"]).cancel(recurse=True)

    def cancel_full(self, strict=True):
        """Cancels a whole family of tasks, from its top."""
        parent = self.info()["parent"]
        if parent is not None:
            if strict:
                raise koji.GenericError(f"Task {self.id} is not top-level (parent={parent})")
            Task(parent).cancel_full(strict=False)
            return
        family = [self.id]
        for task_id in family:
            Task(task_id).cancel(recurse=False)
            family.extend(child["id"] for child in Task(task_id).children())

    def children(self, request=False):
        """Rows of the direct children."""
        rows = db().all(f"SELECT {COLUMNS} FROM task WHERE parent = :id ORDER BY id", id=self.id)
        for row in rows:
            if request:
                row["request"] = Task(row["id"]).request()
        return rows

    def change(self, attribute, **changes):
        """Writes a change, between the callbacks a plugin may have for it."""
        before = self.info(request=True)
        if changes.get("result"):
            before["result"] = changes["result"]
        self._callbacks("preTaskStateChange", attribute, before[attribute], changes[attribute], before)
        db().update("task", self.id, **changes)
        after = self.info(request=True)
        if after["state"] == CLOSED:
            after["result"] = self.result()
        self._callbacks("postTaskStateChange", attribute, before[attribute], after[attribute], after)

    def _callbacks(self, kind, attribute, old, new, info):
        if attribute == "state":
            old, new = koji.TASK_STATES[old], koji.TASK_STATES[new]
        koji.plugin.run_callbacks(kind, attribute=attribute, old=old, new=new, info=info)


def decode_response(text):
    """The value of an encoded methodResponse; raises its Fault. Text without an XML prolog is base64, as on a real hub."""
    if text.find("<?xml", 0, 10) == -1:
        text = base64.b64decode(text)
    return koji.xmlrpcplus.loads(text)[0][0]
