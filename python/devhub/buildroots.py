"""Buildroots of content generators: where the outputs of an import were made. There are no mock buildroots here."""

import koji

from .database import db
from .registry import rpc
from .values import apply_query_opts, convert_value

# Koji's number for buildroots that a content generator described.
EXTERNAL = koji.BR_TYPES["EXTERNAL"]
QUERY = (
    "SELECT buildroot.id, br_type, cg_id, content_generator.name AS cg_name, cg_version, container_arch, container_arch AS arch,"
    " container_type, host_os, host_arch, extra FROM buildroot LEFT JOIN content_generator ON content_generator.id = cg_id"
)
# What only a mock buildroot has.
STANDARD_KEYS = (
    "state",
    "task_id",
    "host_id",
    "host_name",
    "repo_id",
    "repo_state",
    "tag_id",
    "tag_name",
    "create_event_id",
    "create_event_time",
    "create_ts",
    "retire_event_id",
    "retire_event_time",
    "retire_ts",
    "repo_create_event_id",
    "repo_create_event_time",
)


@rpc
def listBuildroots(
    hostID=None, tagID=None, state=None, rpmID=None, archiveID=None, taskID=None, buildrootID=None, repoID=None, queryOpts=None
):
    """Buildroots, by id or by an RPM or archive that was in them; the other filters find only mock buildroots, so none"""
    if any(value is not None for value in (hostID, tagID, state, taskID, repoID)):
        return apply_query_opts([], queryOpts)
    rows = db().all(f"{QUERY} ORDER BY buildroot.id")
    if buildrootID is not None:
        wanted = buildrootID if isinstance(buildrootID, list) else [buildrootID]
        rows = [row for row in rows if row["id"] in wanted]
    for value, table, column in ((rpmID, "buildroot_listing", "rpm_id"), (archiveID, "buildroot_archives", "archive_id")):
        if value is not None:
            found = db().all(f"SELECT buildroot_id FROM {table} WHERE {column} = :value", value=value)
            rows = [row for row in rows if row["id"] in {entry["buildroot_id"] for entry in found}]
    return apply_query_opts([{**row, **dict.fromkeys(STANDARD_KEYS)} for row in rows], queryOpts)


@rpc
def getBuildroot(buildrootID, strict=False):
    """One buildroot"""
    rows = listBuildroots(buildrootID=convert_value(buildrootID, int))
    if rows:
        return {**rows[0], "tools": tools(rows[0]["id"])}
    if strict:
        raise koji.GenericError(f"No such buildroot: {buildrootID}")
    return None


def tools(buildroot_id):
    """[{name, version}] of the tools of a buildroot."""
    return db().all(
        "SELECT tool AS name, version FROM buildroot_tools_info WHERE buildroot_id = :id ORDER BY tool", id=buildroot_id
    )
