"""The scheduler: gives free tasks to hosts, and takes tasks from hosts that fell silent.

The rules are the real hub's (a host must be enabled, ready, subscribed to the task's channel, of its arch, below maxjobs and
below its capacity), but it runs whenever a task is made or asked for, not once a minute: nobody should wait for a demonstration.
"""

import time

import koji

from . import older
from .database import db

# Seconds; the defaults of a real hub. Set from the configuration.
LIMITS = {"assign_timeout": 300, "host_timeout": 900, "ready_timeout": 180, "soft_refusal": 900}
CAPACITY_OVERCOMMIT = 5
MAX_JOBS = 15
LOG_KEPT = 2000


def log(msg, task_id=None, host_id=None):
    """One line for `koji scheduler-logs`; old ones go."""
    number = db().insert("scheduler_log", task_id=task_id, host_id=host_id, msg=msg, msg_time=time.time())
    db().run("DELETE FROM scheduler_log WHERE id <= :old", old=number - LOG_KEPT)


def run():
    """Frees what hangs, then assigns what is free."""
    from .hosts import all_hosts, channel_ids, silence
    from .tasks import Task

    if older.is_before(1, 34):
        return  # hosts choose; nobody takes a task from a silent one
    hosts = {host["id"]: host for host in all_hosts()}
    for host in hosts.values():
        if host["ready"] and silence(host) > LIMITS["ready_timeout"]:
            log("Marking host not ready", host_id=host["id"])
            db().update("host", host["id"], ready=False)
            host["ready"] = False
    _free_hanging(hosts)
    free = db().all(
        "SELECT id, channel_id, arch, weight FROM task WHERE state = :free ORDER BY priority, id",
        free=koji.TASK_STATES["FREE"],
    )
    if not free:
        return
    load = {host_id: _load(host_id) for host_id in hosts}
    ready = [host for host in hosts.values() if host["enabled"] and host["ready"]]
    for task in free:
        refused = _refused(task["id"])
        room_needed = max(0, task["weight"] - CAPACITY_OVERCOMMIT)
        able = [
            host
            for host in ready
            if host["id"] not in refused
            and task["channel_id"] in channel_ids(host["id"])
            and task["arch"] in (host["arches"] or "").split() + ["noarch"]
            and load[host["id"]][1] < ((host["data"] or {}).get("maxjobs") or MAX_JOBS)
            and host["capacity"] - load[host["id"]][0] > room_needed
        ]
        if able:
            host = max(able, key=lambda h: h["capacity"] - load[h["id"]][0])
            Task(task["id"]).assign(host["id"], by_scheduler=True)
            log(f"Assigning task {task['id']} to host {host['name']}", task["id"], host["id"])
            weight, jobs = load[host["id"]]
            load[host["id"]] = (weight + task["weight"], jobs + 1)


def refuse(host_id, task_id, soft, msg, by_host):
    """Keeps a host from getting a task: for a while (soft) or for good."""
    db().run("DELETE FROM task_refusals WHERE task_id = :task AND host_id = :host", task=task_id, host=host_id)
    db().insert("task_refusals", task_id=task_id, host_id=host_id, soft=soft, by_host=by_host, msg=msg, time=time.time())
    log(f"Host refused task: {msg}", task_id, host_id)


def _refused(task_id):
    rows = db().all(
        "SELECT host_id FROM task_refusals WHERE task_id = :task AND (NOT soft OR time > :since)",
        task=task_id,
        since=time.time() - LIMITS["soft_refusal"],
    )
    return {row["host_id"] for row in rows}


def _load(host_id):
    """Weight of the tasks that are not waiting, and number of all tasks of a host."""
    rows = db().all(
        "SELECT weight, waiting FROM task WHERE host_id = :host AND state IN :held",
        host=host_id,
        held=[koji.TASK_STATES["OPEN"], koji.TASK_STATES["ASSIGNED"]],
    )
    return sum(row["weight"] for row in rows if not row["waiting"]), len(rows)


def _free_hanging(hosts):
    from .hosts import silence
    from .tasks import Task

    held = db().all(
        "SELECT id, state, host_id, assign_time FROM task WHERE state IN :held AND assign_time IS NOT NULL",
        held=[koji.TASK_STATES["OPEN"], koji.TASK_STATES["ASSIGNED"]],
    )
    for task in held:
        host = hosts.get(task["host_id"])
        if host is None or not host["enabled"]:
            continue
        if task["state"] == koji.TASK_STATES["OPEN"]:
            if silence(host) > LIMITS["host_timeout"]:
                log("Host is silent, freeing its task", task["id"], host["id"])
                Task(task["id"]).free()
        elif time.time() - task["assign_time"] > LIMITS["assign_timeout"]:
            if silence(host) < LIMITS["assign_timeout"]:
                refuse(host["id"], task["id"], soft=True, msg="assignment timeout", by_host=False)
            log("Task was assigned but not opened, freeing it", task["id"], host["id"])
            Task(task["id"]).free()
