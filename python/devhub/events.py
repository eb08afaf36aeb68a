"""Events: every change of versioned data gets a number; one call makes at most one."""

import time

import koji
from koji.context import context

from .database import db
from .registry import rpc


def event():
    """The event of the running call, made at its first change."""
    if getattr(context, "event_id", None) is None:
        context.event_id = db().insert("events", time=time.time())
    return context.event_id


def at(event_id, table):
    """SQL: the row of a versioned table holds at this event (None: now)."""
    if event_id is None:
        return f"({table}.revoke_event IS NULL)"
    number = int(event_id)
    return f"({table}.create_event <= {number} AND ({table}.revoke_event IS NULL OR {number} < {table}.revoke_event))"


def add_version(table, key, **row):
    """Replaces the row of `key` in a versioned table from now on."""
    revoke_version(table, **key)
    db().insert(table, **key, **row, create_event=event(), creator_id=_caller())


def revoke_version(table, **key):
    """Ends the row of `key` in a versioned table now; how many rows that were."""
    where = " AND ".join(f"{name} = :{name}" for name in key)
    sql = f"UPDATE {table} SET revoke_event = :now, revoker_id = :who WHERE {where} AND revoke_event IS NULL"
    if db().value(f"SELECT count(*) FROM {table} WHERE {where} AND revoke_event IS NULL", **key):
        return db().run(sql, **key, now=event(), who=_caller())
    return 0


def _caller():
    """Who makes the change; None for the hub itself at its start."""
    session = getattr(context, "session", None)
    return session.user_id if session else None


@rpc
def getLastEvent(before=None):
    """The newest event, or the newest before a time (seconds): {id, ts}"""
    if before is None:
        before = float("inf")
    row = db().one("SELECT id, time * 1.0 AS ts FROM events WHERE time < :before ORDER BY id DESC LIMIT 1", before=before)
    if row is None:
        raise koji.GenericError(f"No event before {before}")
    return row


@rpc
def getEvent(id, strict=False):
    """One event: {id, ts}, or None"""
    row = db().one("SELECT id, time * 1.0 AS ts FROM events WHERE id = :id", id=int(id))
    if row is None and strict:
        raise koji.GenericError(f"No event {id}")
    return row


@rpc
def tagLastChangeEvent(tag):
    """The last event that changed a tag or what it inherits from, None without one"""
    from .inheritance import read_full_inheritance
    from .tags import get_tag

    ids = [get_tag(tag, strict=True)["id"]]
    ids += [link["parent_id"] for link in read_full_inheritance(ids[0])]
    tables = ("tag_config", "tag_extra", "tag_inheritance", "tag_packages", "tag_listing", "tag_external_repos")
    found = []
    for table in tables:
        for column in ("create_event", "revoke_event"):
            found.append(db().value(f"SELECT max({column}) AS last FROM {table} WHERE tag_id IN :ids", ids=ids))
    return max((number for number in found if number is not None), default=None)
