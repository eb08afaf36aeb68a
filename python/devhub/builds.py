"""Builds: the rows, their states, and how they are looked up."""

import shutil
import time

import koji
import koji.plugin
from koji.context import context

from .database import db
from .events import event
from .lookups import lookup_name
from .registry import rpc
from .users import getUser
from .values import apply_query_opts, convert_value, matches_glob, timestamp

BUILDING, COMPLETE, DELETED, BUILD_FAILED, BUILD_CANCELED = (
    koji.BUILD_STATES[name] for name in ("BUILDING", "COMPLETE", "DELETED", "FAILED", "CANCELED")
)
COLUMNS = (
    "build.id, build.id AS build_id, package.id AS package_id, package.name AS package_name, package.name AS name,"
    " build.version, build.release, package.name || '-' || build.version || '-' || build.release AS nvr, build.epoch,"
    " build.state, build.task_id, build.source, build.extra, build.cg_id, volume.id AS volume_id, volume.name AS volume_name,"
    " users.id AS owner_id, users.name AS owner_name, born.id AS creation_event_id, born.time AS creation_time,"
    " born.time * 1.0 AS creation_ts, build.start_time, build.start_time * 1.0 AS start_ts, build.completion_time,"
    " build.completion_time * 1.0 AS completion_ts"
)
JOINS = (
    "JOIN package ON package.id = build.pkg_id JOIN volume ON volume.id = build.volume_id"
    " JOIN users ON users.id = build.owner JOIN events AS born ON born.id = build.create_event"
)
# Nothing here is ever a draft or promoted; clients expect the keys.
NOT_PROMOTED = {"draft": False, "promoter_id": None, "promoter_name": None, "promotion_time": None, "promotion_ts": None}


def find_build(info, strict=False):
    """One build by id, N-V-R, or struct; None when there is none."""
    if isinstance(info, dict):
        if info.get("id") is not None and not info.get("name"):
            info = info["id"]
        else:
            missing = [key for key in ("name", "version", "release") if not info.get(key)]
            if missing:
                raise koji.GenericError(f"did not provide {', '.join(missing)}")
    if isinstance(info, str):
        info = {"id": int(info)} if info.isdigit() else koji.parse_NVR(info)
    if isinstance(info, int):
        info = {"id": info}
    if not isinstance(info, dict):
        raise koji.GenericError(f"Invalid type for buildInfo: {type(info)}")
    if "id" in info and "name" not in info:
        clause, values = "build.id = :id", {"id": info["id"]}
    else:
        clause = "package.name = :name AND build.version = :version AND build.release = :release"
        values = {key: str(info[key]) for key in ("name", "version", "release")}
    row = db().one(f"SELECT {COLUMNS} FROM build {JOINS} WHERE {clause}", **values)
    if row is None:
        if strict:
            raise koji.GenericError(f"No such build: {info!r}")
        return None
    row.update(NOT_PROMOTED)
    row["cg_name"] = lookup_name("content_generator", row["cg_id"])["name"] if row["cg_id"] else None
    return row


def new_build(data, state):
    """Adds a build, or takes over the row of a failed or canceled one; its id. `data`: name, version, release, …"""
    for key in ("name", "version", "release"):
        convert_value(data.get(key), str, check_only=True)
    koji.check_NVR(data, strict=True)
    row = {
        "version": data["version"],
        "release": data["release"],
        "epoch": data.get("epoch"),
        "source": data.get("source"),
        "extra": data.get("extra"),
        "task_id": data.get("task_id"),
        "cg_id": data.get("cg_id"),
        "state": state,
        "owner": data.get("owner") or context.session.user_id,
        "start_time": data.get("start_time"),
        "completion_time": data.get("completion_time"),
    }
    if row["completion_time"] is None and state == COMPLETE:
        row["completion_time"] = time.time()
    koji.plugin.run_callbacks("preBuildStateChange", attribute="state", old=None, new=state, info=data)
    old = find_build(data)
    if old is not None:
        _check_reusable(old, data)
        build_id = old["id"]
        db().update("build", build_id, create_event=event(), volume_id=0, **row)
        db().run("DELETE FROM build_types WHERE build_id = :id", id=build_id)
        db().run("DELETE FROM image_builds WHERE build_id = :id", id=build_id)
        db().run("DELETE FROM build_reservations WHERE build_id = :id", id=build_id)
        shutil.rmtree(koji.pathinfo.build(old), ignore_errors=True)
    else:
        pkg_id = lookup_name("package", data["name"], create=True)["id"]
        build_id = db().insert("build", pkg_id=pkg_id, create_event=event(), **row)
    new = find_build(build_id)
    koji.plugin.run_callbacks("postBuildStateChange", attribute="state", old=None, new=state, info=new)
    return build_id


def _check_reusable(old, data):
    """The rules under which an N-V-R may be used again."""
    if old["state"] == BUILDING:
        if old["task_id"] is not None and old["task_id"] == data.get("task_id"):
            raise koji.GenericError(f"Build is already reserved: {old['nvr']}")
        raise koji.GenericError(f"Build already in progress (task {old['task_id']})")
    if old["state"] not in (BUILD_FAILED, BUILD_CANCELED):
        raise koji.GenericError(f"Build already exists (id={old['id']}, state={koji.BUILD_STATES[old['state']]}): {old['nvr']}")
    history = {"tag_listing": "Build was tagged", "rpminfo": "Build has rpms", "archiveinfo": "Build has archives"}
    for table, what in history.items():
        if db().value(f"SELECT count(*) FROM {table} WHERE build_id = :id", id=old["id"]):
            raise koji.GenericError(f"{what}, cannot be built again: {old['nvr']}")


def set_state(build_id, state, **changes):
    """Moves a build to a state, between the callbacks."""
    old = find_build(build_id, strict=True)
    koji.plugin.run_callbacks("preBuildStateChange", attribute="state", old=old["state"], new=state, info=old)
    db().update("build", build_id, state=state, completion_time=time.time(), **changes)
    new = find_build(build_id)
    koji.plugin.run_callbacks("postBuildStateChange", attribute="state", old=old["state"], new=state, info=new)
    return new


def cancel_build(build_id, cancel_task=True):
    """Cancels a build that is not complete, and its task; whether it was canceled."""
    from .tasks import Task

    build = find_build(build_id, strict=True)
    if build["state"] != BUILDING:
        return False
    set_state(build["id"], BUILD_CANCELED)
    db().run("DELETE FROM build_reservations WHERE build_id = :id", id=build["id"])
    if build["task_id"] is not None and cancel_task:
        Task(build["task_id"]).cancel_full(strict=False)
    return True


@rpc
def deleteBuild(build, strict=True, min_ref_age=604800):
    """Marks a build nobody uses as deleted and removes its files; the rows of its RPMs stay, as on a real hub"""
    context.session.assertPerm("admin")
    found = find_build(build, strict=True)
    if found["state"] == DELETED:
        return None
    users = {
        "tagged": "SELECT count(*) FROM tag_listing WHERE build_id = :id AND revoke_event IS NULL",
        "used as component": "SELECT count(*) FROM archive_rpm_components"
        " JOIN rpminfo ON rpminfo.id = rpm_id WHERE build_id = :id",
    }
    used = [how for how, sql in users.items() if db().value(sql, id=found["id"])]
    if used:
        if strict:
            raise koji.GenericError(f"Cannot delete build, {used[0]}: {found['nvr']}")
        return False
    set_state(found["id"], DELETED)
    db().run("DELETE FROM rpmsigs WHERE rpm_id IN (SELECT id FROM rpminfo WHERE build_id = :id)", id=found["id"])
    shutil.rmtree(koji.pathinfo.build(found), ignore_errors=True)
    return True


def add_build_type(build_id, btype):
    """Marks a build as having a type."""
    btype_id = lookup_name("btype", btype, strict=True)["id"]
    db().run("INSERT OR IGNORE INTO build_types (build_id, btype_id) VALUES (:build, :btype)", build=build_id, btype=btype_id)
    if btype == "image":
        db().run("INSERT OR IGNORE INTO image_builds (build_id) VALUES (:build)", build=build_id)


def build_types(build):
    """{type name: its data in the build's extra}"""
    rows = db().all(
        "SELECT name FROM btype JOIN build_types ON btype_id = btype.id WHERE build_id = :id ORDER BY btype.id", id=build["id"]
    )
    info = (build["extra"] or {}).get("typeinfo") or {}
    types = {row["name"]: info.get(row["name"]) for row in rows}
    if "image" in types:
        types["image"] = {"build_id": build["id"]}
    return types


@rpc
def getBuild(buildInfo, strict=False):
    """One build by id, N-V-R or struct, or None"""
    return find_build(buildInfo, strict)


@rpc
def getBuildType(buildInfo, strict=False):
    """A build's types with their data"""
    build = find_build(buildInfo, strict)
    return build_types(build) if build else None


@rpc
def getMavenBuild(buildInfo, strict=False):
    """None: there are no maven builds here"""
    if strict:
        raise koji.GenericError(f"No such Maven build: {buildInfo}")


@rpc
def getWinBuild(buildInfo, strict=False):
    """None: there are no Windows builds here"""
    if strict:
        raise koji.GenericError(f"No such Windows build: {buildInfo}")


@rpc
def listBuilds(
    packageID=None,
    userID=None,
    taskID=None,
    prefix=None,
    state=None,
    volumeID=None,
    source=None,
    createdBefore=None,
    createdAfter=None,
    completeBefore=None,
    completeAfter=None,
    type=None,
    typeInfo=None,
    queryOpts=None,
    pattern=None,
    cgID=None,
    draft=None,
    promotedBefore=None,
    promotedAfter=None,
    promoter=None,
):
    """Builds, filtered"""
    clauses, values = [], {}
    for clause, value in (
        ("build.task_id = :task", taskID if taskID != -1 else None),
        ("build.state = :state", state),
        ("volume.id = :volume", volumeID),
        ("born.time < :before", timestamp(createdBefore)),
        ("born.time > :after", timestamp(createdAfter)),
        ("build.completion_time < :complete_before", timestamp(completeBefore)),
        ("build.completion_time > :complete_after", timestamp(completeAfter)),
    ):
        if value is not None:
            clauses.append(clause)
            values[clause.rpartition(":")[2]] = value
    named = (("package.id = :package", "package", packageID), ("build.cg_id = :cg", "content_generator", cgID))
    for clause, table, info in named:
        if info is not None:
            found = lookup_name(table, info)
            if found is None:
                return apply_query_opts([], queryOpts)
            clauses.append(clause)
            values[clause.rpartition(":")[2]] = found["id"]
    if userID is not None:
        user = getUser(userID)
        if user is None:
            return apply_query_opts([], queryOpts)
        clauses.append("users.id = :user")
        values["user"] = user["id"]
    if taskID == -1:
        clauses.append("build.task_id IS NOT NULL")
    if type is not None:
        clauses.append("build.id IN (SELECT build_id FROM build_types WHERE btype_id = :btype)")
        values["btype"] = lookup_name("btype", type, strict=True)["id"]
    if draft or promoter is not None:
        return apply_query_opts([], queryOpts)
    rows = db().all(f"SELECT {COLUMNS} FROM build {JOINS} WHERE {' AND '.join(clauses) or '1'} ORDER BY build.id", **values)
    rows = [{**row, **NOT_PROMOTED} for row in rows]
    rows = [row for row in rows if not prefix or row["name"].lower().startswith(prefix.lower())]
    rows = [row for row in rows if not pattern or matches_glob(row["nvr"], pattern)]
    rows = [row for row in rows if not source or matches_glob(row["source"], source)]
    for row in rows:
        del row["id"], row["cg_id"]
    return apply_query_opts(rows, queryOpts)


@rpc
def getNextRelease(build_info, incr=1):
    """The release after the newest one of this name and version"""
    release = db().value(
        "SELECT release FROM build JOIN package ON package.id = build.pkg_id"
        " WHERE package.name = :name AND version = :version AND state IN :states ORDER BY build.id DESC",
        name=build_info["name"],
        version=build_info["version"],
        states=[BUILDING, COMPLETE, DELETED],
    )
    step = convert_value(incr, int)
    if not release:
        return str(step)
    parts = release.split(".")
    position = {1: 0, 2: 0, 3: 2}.get(len(parts))
    if position is None or not parts[position].isdigit():
        raise koji.BuildError(f"Unable to increment release value: {release}")
    parts[position] = str(int(parts[position]) + step)
    return ".".join(parts)


@rpc
def cancelBuild(buildID, strict=False):
    """Cancels a build that is in progress, and its task (owner, admins); whether it was canceled"""
    context.session.assertLogin()
    build = find_build(buildID, strict)
    if build is None:
        return False
    if build["owner_id"] != context.session.user_id and not context.session.hasPerm("admin"):
        if strict:
            raise koji.ActionNotAllowed("Cannot cancel build, not owner")
        return False
    return cancel_build(build["id"])


@rpc
def setBuildOwner(build, user):
    """Changes a build's owner (admins)"""
    context.session.assertPerm("admin")
    db().update("build", find_build(build, strict=True)["id"], owner=getUser(user, strict=True)["id"])
