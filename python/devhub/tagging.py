"""Tagging: putting builds into tags, taking them out, and reading what a tag holds."""

import koji
import koji.plugin
from koji.context import context

from . import policy
from .builds import COLUMNS as BUILD_COLUMNS
from .builds import JOINS as BUILD_JOINS
from .builds import find_build
from .database import db
from .events import add_version, at, revoke_version
from .inheritance import passes, read_full_inheritance
from .lookups import lookup_name
from .packages import packageListAdd, read_package_list
from .registry import rpc
from .rpms import RPM_COLUMNS
from .tags import assert_tag_access, get_tag
from .tasks import make_task
from .users import find_user, user_permissions
from .values import apply_query_opts


def _is_tagged(tag_id, build_id):
    return bool(
        db().value(
            "SELECT count(*) FROM tag_listing WHERE tag_id = :tag AND build_id = :build AND revoke_event IS NULL",
            tag=tag_id,
            build=build_id,
        )
    )


def _put(tag, build, user, force):
    """Tags without asking policy or package list."""
    assert_tag_access(tag["id"], user["id"], force)
    if build["state"] != koji.BUILD_STATES["COMPLETE"]:
        raise koji.TagError(f"build {build['nvr']} not complete: state {koji.BUILD_STATES[build['state']]}")
    if _is_tagged(tag["id"], build["id"]) and not force:
        raise koji.TagError(f"build {build['nvr']} already tagged ({tag['name']})")
    koji.plugin.run_callbacks("preTag", tag=tag, build=build, user=user, force=force)
    add_version("tag_listing", {"tag_id": tag["id"], "build_id": build["id"]})
    koji.plugin.run_callbacks("postTag", tag=tag, build=build, user=user, force=force)


def _take(tag, build, user, force, strict=True):
    assert_tag_access(tag["id"], user["id"], force)
    koji.plugin.run_callbacks("preUntag", tag=tag, build=build, user=user, force=force, strict=strict)
    if not revoke_version("tag_listing", tag_id=tag["id"], build_id=build["id"]) and strict:
        raise koji.TagError(f"build {build['nvr']} not in tag {tag['name']}")
    koji.plugin.run_callbacks("postUntag", tag=tag, build=build, user=user, force=force, strict=strict)


def _check_package(tag, build, user, force):
    entry = read_package_list(tag["id"], build["package_id"], inherit=True).get(build["package_id"])
    if entry is not None and not entry["blocked"]:
        return
    if force and "admin" in user_permissions(user["id"]):
        packageListAdd(tag["id"], build["name"], block=False, force=True)
        return
    where = f"blocked in {tag['name']}" if entry else f"not in list for {tag['name']}"
    raise koji.TagError(f"Package {build['name']} {where}")


def tag_as(user_id, tag, build, force=False, fromtag=None):
    """Tags (or moves) a build for a user: policy, package list, locks and permissions."""
    user, tag, build = find_user(user_id), get_tag(tag, strict=True), find_build(build, strict=True)
    source = get_tag(fromtag, strict=True) if fromtag is not None else None
    data = {
        "tag": tag["name"],
        "build": build["id"],
        "user_id": user_id,
        "fromtag": source["name"] if source else None,
        "operation": "move" if source else "tag",
    }
    policy.assert_policy("tag", data, force=force)
    _check_package(tag, build, user, force)
    if source:
        _take(source, build, user, force)
    _put(tag, build, user, force)


@rpc
def tagBuild(tag, build, force=False, fromtag=None):
    """Creates the task that tags a build; its id"""
    context.session.assertLogin()
    user, tag, build = find_user(context.session.user_id), get_tag(tag, strict=True), find_build(build, strict=True)
    source = get_tag(fromtag, strict=True) if fromtag else None
    if build["state"] != koji.BUILD_STATES["COMPLETE"]:
        raise koji.TagError(f"build {build['nvr']} not complete: state {koji.BUILD_STATES[build['state']]}")
    for touched in filter(None, (tag, source)):
        assert_tag_access(touched["id"], force=force)
    _check_package(tag, build, user, force)
    data = {
        "tag": tag["id"],
        "build": build["id"],
        "fromtag": source["id"] if source else None,
        "operation": "move" if source else "tag",
    }
    policy.assert_policy("tag", data, force=force)
    return make_task("tagBuild", [tag["id"], build["id"], force, source["id"] if source else None], priority=10)


@rpc
def moveBuild(tag1, tag2, build, force=False):
    """Creates the task that moves a build from one tag to another; its id"""
    return tagBuild(tag2, build, force=force, fromtag=tag1)


@rpc
def tagBuildBypass(tag, build, force=False, notify=False):
    """Tags a build at once (admins and the tag permission)"""
    context.session.assertPerm("tag")
    tag, build = get_tag(tag, strict=True), find_build(build, strict=True)
    data = {"tag": tag["id"], "build": build["id"], "fromtag": None, "operation": "tag"}
    policy.assert_policy("tag", data, force=force)
    _put(tag, build, find_user(context.session.user_id), force)


@rpc
def untagBuild(tag, build, strict=True, force=False):
    """Untags a build"""
    context.session.assertLogin()
    tag, build = get_tag(tag, strict=True), find_build(build, strict=True)
    policy.assert_policy("tag", {"tag": None, "build": build["id"], "fromtag": tag["id"], "operation": "untag"}, force=force)
    _take(tag, build, find_user(context.session.user_id), force, strict)


@rpc
def untagBuildBypass(tag, build, strict=True, force=False, notify=False):
    """Untags a build at once (admins and the tag permission)"""
    context.session.assertPerm("tag")
    untagBuild(tag, build, strict, force)


def read_tagged_builds(tag_id, event=None, inherit=False, latest=False, package=None, owner=None, type=None, extra=False):
    """Builds in a tag, newest tagging first; `latest`: one (or that many) per package."""
    packages = read_package_list(tag_id, event=event, inherit=True)
    links = [{"parent_id": tag_id, "filter": []}] + (read_full_inheritance(tag_id, event) if inherit else [])
    limit = None if not latest else int(latest)
    joins, values = "", {}
    if type is not None:
        joins = " JOIN build_types ON build_types.build_id = build.id AND build_types.btype_id = :btype"
        values["btype"] = lookup_name("btype", type, strict=True)["id"]
    builds, seen = [], {}
    for link in links:
        rows = db().all(
            f"SELECT tag.id AS tag_id, tag.name AS tag_name, tag_listing.create_event, {BUILD_COLUMNS} FROM tag_listing"
            f" JOIN tag ON tag.id = tag_listing.tag_id JOIN build ON build.id = tag_listing.build_id {BUILD_JOINS}{joins}"
            f" WHERE tag_listing.tag_id = :tag AND {at(event, 'tag_listing')} AND build.state = :complete"
            " ORDER BY tag_listing.create_event DESC, build.id DESC",
            tag=link["parent_id"],
            complete=koji.BUILD_STATES["COMPLETE"],
            **values,
        )
        for row in rows:
            entry = packages.get(row["package_id"])
            if entry is None or entry["blocked"] or not passes(link["filter"], row["name"]):
                continue
            if package is not None and row["name"] != package or owner is not None and row["owner_name"] != owner:
                continue
            if row["id"] in [known["id"] for known in seen.get(row["package_id"], [])] and limit is not None:
                continue
            taken = seen.setdefault(row["package_id"], [])
            if limit is not None and len(taken) >= limit:
                continue
            taken.append(row)
            if not extra:
                del row["extra"]
            builds.append(row)
    return builds


def read_tagged_rpms(
    tag_id, event=None, inherit=False, latest=False, package=None, arch=None, rpmsigs=False, owner=None, type=None, extra=True
):
    """[RPMs, builds] of a tag."""
    builds = read_tagged_builds(tag_id, event, inherit, latest, package, owner, type)
    arches = None if arch is None else [arch] if isinstance(arch, str) else list(arch)
    rpms = []
    ids = [build["id"] for build in builds]
    for start in range(0, len(ids), 500):
        join = " LEFT JOIN rpmsigs ON rpmsigs.rpm_id = rpminfo.id" if rpmsigs else ""
        rows = db().all(
            f"SELECT {RPM_COLUMNS}{', rpmsigs.sigkey' if rpmsigs else ''} FROM rpminfo{join}"
            " WHERE rpminfo.build_id IN :ids ORDER BY rpminfo.id",
            ids=ids[start : start + 500],
        )
        rpms.extend(row for row in rows if arches is None or row["arch"] in arches)
    if not extra:
        for row in rpms:
            del row["extra"]
    return [rpms, builds]


@rpc
def listTagged(
    tag,
    event=None,
    inherit=False,
    prefix=None,
    latest=False,
    package=None,
    owner=None,
    type=None,
    strict=True,
    extra=False,
    draft=None,
):
    """Builds in a tag"""
    found = get_tag(tag, strict=strict, event=event)
    if found is None:
        return []
    builds = read_tagged_builds(found["id"], event, inherit, latest, package, owner, type, extra)
    return [row for row in builds if not prefix or row["name"].lower().startswith(prefix.lower())]


@rpc
def listTaggedRPMS(
    tag,
    event=None,
    inherit=False,
    latest=False,
    package=None,
    arch=None,
    rpmsigs=False,
    owner=None,
    type=None,
    strict=True,
    extra=True,
    draft=None,
):
    """[RPMs, builds] in a tag"""
    found = get_tag(tag, strict=strict, event=event)
    if found is None:
        return [[], []]
    return read_tagged_rpms(found["id"], event, inherit, latest, package, arch, rpmsigs, owner, type, extra)


@rpc
def untaggedBuilds(name=None, queryOpts=None, draft=None):
    """Complete builds that are in no tag: [{id, name, version, release, draft}]"""
    rows = db().all(
        "SELECT build.id, package.name, version, release, 0 AS draft FROM build JOIN package ON package.id = pkg_id"
        " WHERE state = :complete AND (:name IS NULL OR package.name = :name) AND build.id NOT IN"
        " (SELECT build_id FROM tag_listing WHERE revoke_event IS NULL) ORDER BY build.id",
        complete=koji.BUILD_STATES["COMPLETE"],
        name=name,
    )
    return apply_query_opts([{**row, "draft": False} for row in rows], queryOpts)


@rpc
def getLatestBuilds(tag, event=None, package=None, type=None, draft=None):
    """The latest build of each package in a tag, inherited ones too"""
    return read_tagged_builds(get_tag(tag, strict=True, event=event)["id"], event, True, True, package, None, type)


@rpc
def getLatestRPMS(tag, package=None, arch=None, event=None, rpmsigs=False, type=None, draft=None):
    """[RPMs, builds] of the latest builds in a tag"""
    tag_id = get_tag(tag, strict=True, event=event)["id"]
    return read_tagged_rpms(tag_id, event, True, True, package, arch, rpmsigs, None, type)
