"""Packages, and the package list of a tag: what may be tagged into it, and who looks after it."""

import koji
from koji.context import context

from . import policy
from .database import db
from .events import add_version, at, revoke_version
from .inheritance import passes, read_full_inheritance
from .lookups import lookup_name
from .registry import rpc
from .tags import get_tag
from .users import getUser
from .values import apply_query_opts, convert_value

QUERY = (
    "SELECT package.id AS package_id, package.name AS package_name, tag.id AS tag_id, tag.name AS tag_name,"
    " users.id AS owner_id, users.name AS owner_name, extra_arches, blocked FROM tag_packages AS listed"
    " JOIN package ON package.id = listed.package_id JOIN tag ON tag.id = listed.tag_id"
    " JOIN tag_package_owners AS owners ON owners.tag_id = listed.tag_id AND owners.package_id = listed.package_id"
    " JOIN users ON users.id = owners.owner"
)


def read_package_list(tag_id=None, package_id=None, user_id=None, event=None, inherit=False):
    """Package list entries by package id, the nearest tag winning; with no tag: all entries as a list."""
    where = f"{at(event, 'listed')} AND {at(event, 'owners')}"
    if package_id is not None:
        where += " AND listed.package_id = :package"
    if user_id is not None:
        where += " AND owners.owner = :user"
    query = f"{QUERY} WHERE {where}"
    if tag_id is None:
        return db().all(f"{query} ORDER BY package.name, tag.id", package=package_id, user=user_id)
    entries = {}
    links = [{"parent_id": tag_id, "filter": [], "noconfig": False}]
    links += read_full_inheritance(tag_id, event) if inherit else []
    for link in links:
        if link["noconfig"]:
            continue
        rows = db().all(f"{query} AND listed.tag_id = :tag", tag=link["parent_id"], package=package_id, user=user_id)
        for row in rows:
            if row["package_id"] not in entries and passes(link["filter"], row["package_name"]):
                entries[row["package_id"]] = row
    return entries


def _allowed(action, tag, package_name, force):
    data = {"tag": tag["id"], "action": action, "package": package_name, "force": force}
    policy.assert_policy("package_list", data, force=force)
    if tag["locked"] and not (force and context.session.hasPerm("admin")):
        raise koji.ActionNotAllowed(f"tag {tag['name']} is locked")


@rpc
def packageListAdd(taginfo, pkginfo, owner=None, block=None, extra_arches=None, force=False, update=False):
    """Adds a package to a tag's list, or changes its entry"""
    context.session.assertLogin()
    tag = get_tag(taginfo, strict=True)
    name = pkginfo["name"] if isinstance(pkginfo, dict) else pkginfo
    _allowed("update" if update else "block" if block else "add", tag, name, force)
    known = lookup_name("package", pkginfo)
    if known is None and not isinstance(name, str):
        raise koji.GenericError(f"Invalid package: {pkginfo}")
    package = known or lookup_name("package", name, create=True)
    if extra_arches is not None:
        extra_arches = koji.parse_arches(extra_arches, strict=True)
    previous = read_package_list(tag["id"], package["id"], inherit=True).get(package["id"])
    if previous is None:
        if block:
            raise koji.GenericError(f"cannot block package {package['name']}; not in the list of {tag['name']}")
        if update:
            raise koji.GenericError(f"cannot update: tag {tag['name']} has no data for package {package['name']}")
    elif previous["tag_id"] == tag["id"] and not (update or force):
        if bool(block) == previous["blocked"] and owner is None and extra_arches is None:
            return
        if previous["blocked"] and not block:
            raise koji.GenericError(f"package {package['name']} is blocked in tag {tag['name']}")
    if owner is not None:
        owner_id = getUser(owner, strict=True)["id"]
    else:
        owner_id = previous["owner_id"] if previous else context.session.user_id
    key = {"tag_id": tag["id"], "package_id": package["id"]}
    blocked = bool(block) if block is not None else bool(previous and previous["blocked"])
    add_version("tag_packages", key, blocked=blocked, extra_arches=extra_arches)
    add_version("tag_package_owners", key, owner=owner_id)


@rpc
def packageListRemove(taginfo, pkginfo, force=False):
    """Takes a package off a tag's list"""
    tag, package = get_tag(taginfo, strict=True), lookup_name("package", pkginfo, strict=True)
    _allowed("remove", tag, package["name"], force)
    revoke_version("tag_packages", tag_id=tag["id"], package_id=package["id"])
    revoke_version("tag_package_owners", tag_id=tag["id"], package_id=package["id"])


@rpc
def packageListBlock(taginfo, pkginfo, force=False):
    """Blocks a package in a tag"""
    packageListAdd(taginfo, pkginfo, block=True, force=force)


@rpc
def packageListUnblock(taginfo, pkginfo, force=False):
    """Ends a package's block in a tag"""
    tag, package = get_tag(taginfo, strict=True), lookup_name("package", pkginfo, strict=True)
    _allowed("unblock", tag, package["name"], force)
    entry = read_package_list(tag["id"], package["id"]).get(package["id"])
    if entry is None or not entry["blocked"]:
        raise koji.GenericError(f"package {package['name']} NOT blocked in tag {tag['name']}")
    add_version("tag_packages", {"tag_id": tag["id"], "package_id": package["id"]}, blocked=False)


@rpc
def packageListSetOwner(taginfo, pkginfo, owner, force=False):
    """Sets who looks after a package in a tag"""
    packageListAdd(taginfo, pkginfo, owner=owner, force=force, update=True)


@rpc
def listPackages(
    tagID=None,
    userID=None,
    pkgID=None,
    prefix=None,
    inherited=False,
    with_dups=False,
    event=None,
    queryOpts=None,
    with_owners=True,
    with_blocked=True,
):
    """Package list entries of a tag, or of a user or package; without either: all packages"""
    if tagID is None and userID is None and pkgID is None:
        rows = db().all("SELECT id AS package_id, name AS package_name FROM package ORDER BY name")
    else:
        user_id = getUser(userID, strict=True)["id"] if userID is not None else None
        package_id = None
        if pkgID is not None:
            package = lookup_name("package", pkgID)
            if package is None:
                return apply_query_opts([], queryOpts)
            package_id = package["id"]
        if tagID is None:
            rows = read_package_list(None, package_id, user_id, event)
        else:
            tag_id = get_tag(tagID, strict=True, event=event)["id"]
            rows = list(read_package_list(tag_id, package_id, user_id, event, inherited).values())
        rows = [row for row in rows if with_blocked or not row["blocked"]]
    rows = [row for row in rows if not prefix or row["package_name"].lower().startswith(prefix.lower())]
    return apply_query_opts(rows, queryOpts)


@rpc
def listPackagesSimple(prefix=None, queryOpts=None):
    """All packages: [{package_id, package_name}]"""
    return listPackages(prefix=prefix, queryOpts=queryOpts)


@rpc
def getPackage(info, strict=False, create=False):
    """One package: {id, name}"""
    if create:
        context.session.assertPerm("admin")
    return lookup_name("package", info, strict=strict, create=create)


@rpc
def getPackageID(name, strict=False):
    """A package's id"""
    package = lookup_name("package", convert_value(name, str, check_only=True), strict=strict)
    return package["id"] if package else None


@rpc
def getPackageConfig(tag, pkg, event=None):
    """A package's list entry as it holds for a tag (inherited too), or None"""
    tag_id = get_tag(tag, strict=True, event=event)["id"]
    package = lookup_name("package", pkg)
    return read_package_list(tag_id, package["id"], event=event, inherit=True).get(package["id"]) if package else None


@rpc
def checkTagPackage(tag, pkg):
    """Whether builds of a package may be tagged into a tag"""
    entry = getPackageConfig(tag, pkg)
    return entry is not None and not entry["blocked"]
