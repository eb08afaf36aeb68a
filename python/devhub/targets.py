"""Build targets: a name for the pair of build tag and destination tag."""

import koji
from koji.context import context

from .database import db
from .events import add_version, at, revoke_version
from .lookups import lookup_name
from .registry import rpc
from .tags import get_tag
from .values import apply_query_opts, name_or_id

QUERY = (
    "SELECT build_target.id, build_target.name, build_tag, bt.name AS build_tag_name, dest_tag, dt.name AS dest_tag_name"
    " FROM build_target_config AS config JOIN build_target ON build_target.id = build_target_id"
    " JOIN tag AS bt ON bt.id = build_tag JOIN tag AS dt ON dt.id = dest_tag"
)


def get_build_targets(info=None, event=None, buildTagID=None, destTagID=None, queryOpts=None):
    """Targets at an event: [{id, name, build_tag, build_tag_name, dest_tag, dest_tag_name}]"""
    rows = db().all(f"{QUERY} WHERE {at(event, 'config')} ORDER BY build_target.id")
    if info is not None:
        column, value = name_or_id(info)
        rows = [row for row in rows if row[column] == value]
    for column, tag in (("build_tag", buildTagID), ("dest_tag", destTagID)):
        if tag is not None:
            tag_id = get_tag(tag, strict=True)["id"]
            rows = [row for row in rows if row[column] == tag_id]
    return apply_query_opts(rows, queryOpts)


def get_build_target(info, event=None, strict=False):
    """One target, or None."""
    rows = get_build_targets(info, event=event)
    if rows:
        return rows[0]
    if strict:
        raise koji.GenericError(f"No matching build target found: {info}")
    return None


@rpc
def getBuildTargets(info=None, event=None, buildTagID=None, destTagID=None, queryOpts=None):
    """Targets, filtered by name or id, build tag or destination tag"""
    return get_build_targets(info, event, buildTagID, destTagID, queryOpts)


@rpc
def getBuildTarget(info, event=None, strict=False):
    """One target: {id, name, build_tag, build_tag_name, dest_tag, dest_tag_name}, or None"""
    return get_build_target(info, event, strict)


@rpc
def createBuildTarget(name, build_tag, dest_tag):
    """Adds a target"""
    context.session.assertPerm("target")
    build = get_tag(build_tag)
    if build is None:
        raise koji.GenericError(f"build tag '{build_tag}' does not exist")
    dest = get_tag(dest_tag)
    if dest is None:
        raise koji.GenericError(f"destination tag '{dest_tag}' does not exist")
    if get_build_target(name):
        raise koji.GenericError(f"A build target with the name '{name}' already exists")
    target_id = lookup_name("build_target", name, create=True)["id"]
    add_version("build_target_config", {"build_target_id": target_id}, build_tag=build["id"], dest_tag=dest["id"])


@rpc
def editBuildTarget(buildTargetInfo, name, build_tag, dest_tag):
    """Changes a target"""
    context.session.assertPerm("target")
    target = get_build_target(buildTargetInfo, strict=True)
    build, dest = get_tag(build_tag, strict=True), get_tag(dest_tag, strict=True)
    if name != target["name"]:
        if lookup_name("build_target", name):
            raise koji.GenericError(f'name "{name}" is already taken by build target {lookup_name("build_target", name)["id"]}')
        db().update("build_target", target["id"], name=name)
    add_version("build_target_config", {"build_target_id": target["id"]}, build_tag=build["id"], dest_tag=dest["id"])


@rpc
def deleteBuildTarget(buildTargetInfo):
    """Removes a target"""
    context.session.assertPerm("target")
    target = get_build_target(buildTargetInfo, strict=True)
    revoke_version("build_target_config", build_target_id=target["id"])
