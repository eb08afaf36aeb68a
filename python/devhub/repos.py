"""Repositories of a tag's RPMs: requests for them, and what there is. They are made by repo_maker.py."""

import json
import time

import koji
import koji.util
from koji.context import context

from .database import db
from .events import event, getEvent, tagLastChangeEvent
from .registry import rpc
from .tags import get_tag
from .values import apply_query_opts, convert_value, query_view

READY = koji.REPO_STATES["READY"]
COLUMNS = (
    "repo.id, repo.tag_id, tag.name AS tag_name, repo.create_event, born.time * 1.0 AS create_ts, repo.creation_time,"
    " repo.creation_time * 1.0 AS creation_ts, repo.state_time, repo.state_time * 1.0 AS state_ts, repo.state, repo.dist,"
    " repo.opts, repo.custom_opts, repo.task_id"
)
JOINS = "JOIN tag ON tag.id = repo.tag_id JOIN events AS born ON born.id = repo.create_event"
REQUEST = (
    "SELECT repo_queue.id, create_time, create_time * 1.0 AS create_ts, update_time, update_time * 1.0 AS update_ts, owner,"
    " users.name AS owner_name, priority, tag_id, tag.name AS tag_name, at_event, min_event, opts, tries, active, repo_id,"
    " task_id FROM repo_queue JOIN users ON users.id = owner JOIN tag ON tag.id = tag_id"
)
# What every repo here is: no source RPMs, no debuginfo, no maven.
OPTS = {"src": False, "debuginfo": False, "separate_src": False, "maven": False}


def _full(row):
    """A repo's row with the keys clients expect: nothing here is made by a task, and validity ends are not tracked."""
    if row is not None:
        row.update(begin_event=None, begin_ts=None, end_event=None, end_ts=None, task_state=None)
    return row


def find_repo(repo_id):
    """One repo, or None."""
    return _full(db().one(f"SELECT {COLUMNS} FROM repo {JOINS} WHERE repo.id = :id", id=repo_id))


def newest_repo(tag_id, min_event=None, at_event=None, state=READY, dist=False):
    """The newest repo of a tag that fits, or None."""
    return _full(
        db().one(
            f"SELECT {COLUMNS} FROM repo {JOINS} WHERE repo.tag_id = :tag AND repo.state = :state AND repo.dist = :dist"
            " AND (:at IS NULL OR repo.create_event = :at) AND (:min IS NULL OR repo.create_event >= :min)"
            " ORDER BY repo.create_event DESC, repo.id DESC",
            tag=tag_id,
            state=state,
            dist=dist,
            at=at_event,
            min=min_event,
        )
    )


def _check_opts(opts):
    wanted = convert_value(opts or {}, dict, check_only=True)
    for key, value in wanted.items():
        if key not in OPTS:
            raise koji.ParameterError(f"Invalid repo option: {key}")
        if value:
            raise koji.GenericError(f"the development hub does not make repos with {key}")


def _check_event(number):
    if getEvent(convert_value(number, int)) is None:
        raise koji.ParameterError(f"Invalid event: {number}")
    return int(number)


@rpc
def getRepo(tag, state=None, event=None, dist=False, min_event=None):
    """The newest ready repo of a tag, or None; with `event` the one that holds what the tag held then"""
    tag_id = get_tag(tag, strict=True, event=event)["id"]
    state = READY if state is None else state
    if event is None:
        return newest_repo(tag_id, min_event=min_event, state=state, dist=dist)
    return _full(
        db().one(
            f"SELECT {COLUMNS} FROM repo {JOINS}"
            " WHERE repo.tag_id = :tag AND repo.state IN :states AND repo.create_event <= :event"
            " ORDER BY repo.create_event DESC, repo.id DESC",
            tag=tag_id,
            event=event,
            states=[READY, koji.REPO_STATES["EXPIRED"]],
        )
    )


@rpc("repo.get")
def repo_get(tag, min_event=None, at_event=None, opts=None):
    """The newest ready repo of a tag that fits, or None"""
    _check_opts(opts)
    return newest_repo(get_tag(tag, strict=True)["id"], min_event, at_event)


@rpc
def repoInfo(repo_id, strict=False):
    """One repo"""
    found = find_repo(convert_value(repo_id, int))
    if found is None and strict:
        raise koji.GenericError(f"No such repo: {repo_id}")
    return found


@rpc
def getActiveRepos():
    """All repos that are not deleted"""
    rows = db().all(
        f"SELECT {COLUMNS} FROM repo {JOINS} WHERE repo.state != :deleted ORDER BY repo.id", deleted=koji.REPO_STATES["DELETED"]
    )
    return [_full(row) for row in rows]


@rpc("repo.request")
def repo_request(tag, min_event=None, at_event=None, opts=None, priority=None, force=False):
    """Asks for a repo of a tag: {repo: one that fits already, request: one to be made, duplicate}

    `min_event` None means that the last change of the tag must be in it: no staleness, unlike a real hub's default.
    """
    context.session.assertLogin()
    found = get_tag(tag, strict=True)
    _check_opts(opts)
    if at_event is not None:
        if min_event is not None:
            raise koji.ParameterError("The min_event and at_event options conflict")
        at_event = _check_event(at_event)
    elif min_event in (None, "last"):
        min_event = tagLastChangeEvent(found["id"])
    else:
        min_event = _check_event(min_event)
    relative = convert_value(priority or 0, int)
    if relative < 0 and not context.session.hasPerm("admin"):
        raise koji.ActionNotAllowed("only admins may create high-priority requests")
    answer = {"repo": None, "request": None, "duplicate": False}
    if not force:
        answer["repo"] = newest_repo(found["id"], min_event, at_event)
        if answer["repo"]:
            return answer
    same = db().one(
        f"{REQUEST} WHERE tag_id = :tag AND active AND ((:at IS NULL AND min_event >= :min) OR at_event = :at) ORDER BY 1",
        tag=found["id"],
        at=at_event,
        min=min_event,
    )
    if same:
        return {**answer, "request": _request(same), "duplicate": True}
    now = time.time()
    number = db().insert(
        "repo_queue",
        create_time=now,
        update_time=now,
        owner=context.session.user_id,
        tag_id=found["id"],
        at_event=at_event,
        min_event=min_event,
        opts=json.dumps(opts or {}),
        priority=koji.PRIO_DEFAULT + relative,
    )
    answer["request"] = find_request(number)
    context.after_commit = "repo"
    return answer


def _request(row):
    return {**row, "task_state": None}


def find_request(number):
    """One request for a repo, or None."""
    row = db().one(f"{REQUEST} WHERE repo_queue.id = :id", id=number)
    return _request(row) if row else None


@rpc("repo.checkRequest")
def check_request(req_id):
    """How a request stands: {repo, request}; inactive without a repo means that it failed"""
    request = find_request(convert_value(req_id, int))
    if request is None:
        raise koji.GenericError("No such request")
    return {"repo": find_repo(request["repo_id"]) if request["repo_id"] else None, "request": request}


@rpc("repo.queryQueue")
def query_queue(clauses=None, fields=None, opts=None):
    """All requests for repos; clauses: [[field, operator, value]]"""
    rows = [_request(row) for row in db().all(f"{REQUEST} ORDER BY repo_queue.id")]
    return apply_query_opts(query_view(rows, clauses, fields), opts)


def _set_state(repo_id, state):
    context.session.assertPerm("repo")
    found = repoInfo(repo_id, strict=True)
    db().update("repo", found["id"], state=koji.REPO_STATES[state], state_time=time.time())


@rpc
def repoExpire(repo_id):
    """Marks a repo as expired"""
    _set_state(repo_id, "EXPIRED")


@rpc
def repoDelete(repo_id):
    """Marks a repo as deleted; its files stay"""
    _set_state(repo_id, "DELETED")


@rpc
def repoProblem(repo_id):
    """Marks a repo as broken"""
    _set_state(repo_id, "PROBLEM")


def new_repo(request):
    """Starts the repo of a request: its row, in state INIT, at the event it will show."""
    now = time.time()
    repo_id = db().insert(
        "repo",
        tag_id=request["tag_id"],
        create_event=request["at_event"] or event(),
        creation_time=now,
        state_time=now,
        state=koji.REPO_STATES["INIT"],
        opts=dict(OPTS),
        custom_opts={},
    )
    return find_repo(repo_id)
