"""Tags: names for sets of builds, with configuration that repos and builds read."""

import json

import koji
from koji.context import context

from .database import db
from .events import add_version, at, revoke_version
from .inheritance import read_full_inheritance
from .lookups import lookup_name
from .registry import rpc
from .values import apply_query_opts, convert_value, matches_glob, name_or_id

CONFIG = ("perm_id", "arches", "locked", "maven_support", "maven_include_all")
QUERY = (
    "SELECT tag.id, tag.name, perm_id, permissions.name AS perm, arches, locked, maven_support, maven_include_all"
    " FROM tag_config JOIN tag ON tag.id = tag_config.tag_id LEFT JOIN permissions ON permissions.id = perm_id"
)


def get_tag(info, strict=False, event=None, blocked=False):
    """One tag with its own configuration at an event. A tag without configuration then counts as deleted."""
    column, value = name_or_id(info)
    row = db().one(f"{QUERY} WHERE tag.{column} = :value AND {at(event, 'tag_config')}", value=value)
    if row is None:
        if strict:
            raise koji.GenericError(f"No such tagInfo: {info!r}")
        return None
    row["extra"] = tag_extra(row["id"], event)
    if blocked:
        row["extra"] = {key: [False, value] for key, value in row["extra"].items()}
    if event is not None:
        row["query_event"] = event
    return row


def tag_extra(tag_id, event=None):
    """A tag's own extra settings."""
    rows = db().all(f"SELECT key, value FROM tag_extra WHERE tag_id = :tag AND {at(event, 'tag_extra')}", tag=tag_id)
    return {row["key"]: row["value"] for row in rows}


def assert_tag_access(tag_id, user_id=None, force=False):
    """TagError or ActionNotAllowed when the user may not tag into or untag from this tag now."""
    from .users import find_user, user_permissions

    user = find_user(user_id if user_id is not None else context.session.user_id)
    held = user_permissions(user["id"])
    override = force and "admin" in held
    tag = get_tag(tag_id, strict=True)
    if tag["locked"] and not override:
        raise koji.ActionNotAllowed(f"tag {tag['name']} is locked")
    if tag["perm"] and tag["perm"] not in held and not override:
        raise koji.ActionNotAllowed(f"tag requires {tag['perm']} permission")


@rpc
def getTag(tagInfo, strict=False, event=None, blocked=False):
    """One tag: {id, name, perm_id, perm, arches, locked, maven_support, maven_include_all, extra}, or None"""
    return get_tag(tagInfo, strict, event, blocked)


@rpc
def getTagID(info, strict=False, create=False):
    """A tag's id by name"""
    row = lookup_name("tag", info, strict=strict)
    return row["id"] if row else None


@rpc
def listTags(build=None, package=None, perms=True, queryOpts=None, pattern=None):
    """Tags; with `build` those the build is tagged into, with `package` those listing the package"""
    rows = db().all(f"{QUERY} WHERE {at(None, 'tag_config')} ORDER BY tag.id")
    if build is not None:
        from .builds import find_build

        build_id = find_build(build, strict=True)["id"]
        tagged = db().all("SELECT tag_id FROM tag_listing WHERE build_id = :id AND revoke_event IS NULL", id=build_id)
        rows = [row for row in rows if row["id"] in {entry["tag_id"] for entry in tagged}]
    if package is not None:
        package_id = lookup_name("package", package, strict=True)["id"]
        listed = {
            entry["tag_id"]: entry
            for entry in db().all(
                "SELECT tag_packages.tag_id, blocked, extra_arches, users.id AS owner_id, users.name AS owner_name"
                " FROM tag_packages JOIN tag_package_owners AS owners ON owners.tag_id = tag_packages.tag_id"
                " AND owners.package_id = tag_packages.package_id AND owners.revoke_event IS NULL"
                " JOIN users ON users.id = owner"
                " WHERE tag_packages.package_id = :id AND tag_packages.revoke_event IS NULL",
                id=package_id,
            )
        }
        keys = ("owner_id", "owner_name", "blocked", "extra_arches")
        rows = [{**row, **{key: listed[row["id"]][key] for key in keys}} for row in rows if row["id"] in listed]
    if pattern is not None:
        rows = [row for row in rows if matches_glob(row["name"], pattern)]
    if not perms:
        rows = [{key: value for key, value in row.items() if key not in ("perm_id", "perm")} for row in rows]
    return apply_query_opts(rows, queryOpts)


@rpc
def createTag(name, parent=None, arches=None, perm=None, locked=False, maven_support=False, maven_include_all=False, extra=None):
    """Adds a tag, with inheritance from `parent`; its id"""
    context.session.assertPerm("tag")
    convert_value(name, str, check_only=True)
    if get_tag(name):
        raise koji.GenericError(f"A tag with the name '{name}' already exists")
    parent_id = get_tag(parent, strict=True)["id"] if parent is not None else None
    tag_id = lookup_name("tag", name, create=True)["id"]
    perm_id = perm if perm is None or isinstance(perm, int) else lookup_name("permissions", perm, strict=True)["id"]
    # No arches become an empty text, which is not inherited over; only editTag2(arches=None) makes them so.
    arches = koji.parse_arches(arches, strict=True, allow_none=True)
    add_version(
        "tag_config",
        {"tag_id": tag_id},
        perm_id=perm_id,
        arches=arches,
        locked=bool(locked),
        maven_support=bool(maven_support),
        maven_include_all=bool(maven_include_all),
    )
    for key, value in (extra or {}).items():
        add_version("tag_extra", {"tag_id": tag_id, "key": key}, value=json.dumps(value))
    if parent_id is not None:
        add_version("tag_inheritance", {"tag_id": tag_id, "parent_id": parent_id}, priority=0, noconfig=False)
    return tag_id


@rpc
def editTag2(tagInfo, **kwargs):
    """Changes name, arches, perm, locked, maven flags or extra settings of a tag"""
    context.session.assertPerm("tag")
    tag = get_tag(tagInfo, strict=True)
    known = {
        "name",
        "arches",
        "locked",
        "perm_id",
        "perm",
        "maven_support",
        "maven_include_all",
        "extra",
        "remove_extra",
        "block_extra",
    }
    if set(kwargs) - known:
        raise koji.GenericError(f"Invalid arguments for editTag: {sorted(set(kwargs) - known)}")
    if kwargs.get("name") and kwargs["name"] != tag["name"]:
        if lookup_name("tag", kwargs["name"]):
            raise koji.GenericError(f"Name {kwargs['name']} is already taken")
        db().update("tag", tag["id"], name=kwargs["name"])
    if "perm" in kwargs:
        perm = kwargs.pop("perm")
        kwargs["perm_id"] = lookup_name("permissions", perm, strict=True)["id"] if perm is not None else None
    if kwargs.get("arches"):
        kwargs["arches"] = koji.parse_arches(kwargs["arches"], strict=True)
    changes = {key: kwargs[key] for key in CONFIG if key in kwargs and kwargs[key] != tag[key]}
    if changes:
        add_version("tag_config", {"tag_id": tag["id"]}, **{**{key: tag[key] for key in CONFIG}, **changes})
    for key, value in (kwargs.get("extra") or {}).items():
        if tag["extra"].get(key) != value or key not in tag["extra"]:
            add_version("tag_extra", {"tag_id": tag["id"], "key": key}, value=json.dumps(value))
    for key in kwargs.get("remove_extra") or ():
        if not revoke_version("tag_extra", tag_id=tag["id"], key=key):
            raise koji.GenericError(f"Tag: {tag['name']} doesn't have extra: {key}")


@rpc
def deleteTag(tagInfo):
    """Removes a tag with everything that hangs on it"""
    context.session.assertPerm("tag")
    tag_id = get_tag(tagInfo, strict=True)["id"]
    for table in (
        "tag_config",
        "tag_extra",
        "tag_inheritance",
        "tag_packages",
        "tag_package_owners",
        "tag_listing",
        "tag_external_repos",
    ):
        revoke_version(table, tag_id=tag_id)
    revoke_version("tag_inheritance", parent_id=tag_id)
    revoke_version("build_target_config", build_tag=tag_id)
    revoke_version("build_target_config", dest_tag=tag_id)


@rpc
def getBuildConfig(tag, event=None):
    """A tag with arches and extra settings as inherited, and where they came from (config_inheritance)"""
    config = get_tag(tag, strict=True, event=event)
    config["config_inheritance"] = {"extra": {}, "arches": None}
    for link in read_full_inheritance(config["id"], event):
        if link["noconfig"]:
            continue
        ancestor = get_tag(link["parent_id"], strict=True, event=event)
        origin = {"id": ancestor["id"], "name": ancestor["name"]}
        if config["arches"] is None and ancestor["arches"] is not None:
            config["arches"] = ancestor["arches"]
            config["config_inheritance"]["arches"] = origin
        for key, value in ancestor["extra"].items():
            if key not in config["extra"]:
                config["extra"][key] = value
                config["config_inheritance"]["extra"][key] = origin
    return config
