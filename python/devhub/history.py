"""queryHistory: who changed what when, out of the versioned tables (`koji list-history`, `koji untag-build`)."""

import koji

from .builds import find_build
from .database import db
from .lookups import lookup_name
from .registry import rpc
from .tags import get_tag
from .users import getUser
from .values import apply_query_opts, timestamp

# The fields of each table that identify something, and the tables that hold its name.
TABLES = {
    "user_perms": ("user_id", "perm_id"),
    "cg_users": ("user_id", "cg_id"),
    "tag_inheritance": ("tag_id", "parent_id", "priority", "maxdepth", "intransitive", "noconfig", "pkg_filter"),
    "tag_config": ("tag_id", "arches", "perm_id", "locked", "maven_support", "maven_include_all"),
    "tag_extra": ("tag_id", "key", "value"),
    "build_target_config": ("build_target_id", "build_tag", "dest_tag"),
    "external_repo_config": ("external_repo_id", "url"),
    "host_config": ("host_id", "arches", "capacity", "description", "comment", "enabled"),
    "host_channels": ("host_id", "channel_id"),
    "tag_external_repos": ("tag_id", "external_repo_id", "priority", "merge_mode", "arches"),
    "tag_listing": ("build_id", "tag_id"),
    "tag_packages": ("package_id", "tag_id", "blocked", "extra_arches"),
    "tag_package_owners": ("package_id", "tag_id", "owner"),
}
# field: (table of names, prefix of the name's key in the answer)
NAMES = {
    "user_id": ("users", "user"),
    "perm_id": ("permissions", "permission"),
    "cg_id": ("content_generator", "content_generator"),
    "tag_id": ("tag", "tag"),
    "parent_id": ("tag", "parent"),
    "build_tag": ("tag", "build_tag"),
    "dest_tag": ("tag", "dest_tag"),
    "build_target_id": ("build_target", "build_target"),
    "external_repo_id": ("external_repo", "external_repo"),
    "host_id": ("host", "host"),
    "channel_id": ("channels", "channels"),
    "package_id": ("package", "package"),
    "owner": ("users", "owner"),
}
# option: (fields it is compared with, how its value is looked up)
SUBJECTS = {
    "tag": (("tag_id", "parent_id"), lambda value: get_tag(value, strict=True)["id"]),
    "build": (("build_id",), lambda value: find_build(value, strict=True)["id"]),
    "package": (("package_id", "pkg_id"), lambda value: lookup_name("package", value, strict=True)["id"]),
    "user": (("user_id", "owner"), lambda value: getUser(value, strict=True)["id"]),
    "permission": (("perm_id",), lambda value: lookup_name("permissions", value, strict=True)["id"]),
    "cg": (("cg_id",), lambda value: lookup_name("content_generator", value, strict=True)["id"]),
    "external_repo": (("external_repo_id",), lambda value: lookup_name("external_repo", value, strict=True)["id"]),
    "build_target": (("build_target_id",), lambda value: lookup_name("build_target", value, strict=True)["id"]),
    "host": (("host_id",), lambda value: lookup_name("host", value, strict=True)["id"]),
    "channel": (("channel_id",), lambda value: lookup_name("channels", value, strict=True)["id"]),
    "xkey": (("key",), str),
}
# option: (suffix of the event's column, suffix of the flags in the answer, comparison)
MOMENTS = {
    "after": ("ts", "after", lambda number, limit: number > limit),
    "before": ("ts", "before", lambda number, limit: number < limit),
    "afterEvent": ("event", "after_event", lambda number, limit: number > limit),
    "beforeEvent": ("event", "before_event", lambda number, limit: number < limit),
}


@rpc
def queryHistory(tables=None, **kwargs):
    """{table: rows with create_event, revoke_event, who and when} of versioned tables

    Filters: active, editor, before, after, beforeEvent, afterEvent, and what it is about (tag, build, package, user,
    permission, cg, external_repo, build_target, host, channel, xkey). Tables that have none of that are left out. Other
    filters change nothing, as on a real hub; the stock client sends some.
    """
    unknown = set(tables or ()) - set(TABLES)
    if unknown:
        raise koji.GenericError(f"No such history table: {sorted(unknown)[0]}")
    options = kwargs.pop("queryOpts", None)
    wanted = {key: SUBJECTS[key][1](value) for key, value in kwargs.items() if key in SUBJECTS}
    found = {}
    for table in tables or sorted(TABLES):
        fields = {*TABLES[table], *(("pkg_id",) if "build_id" in TABLES[table] else ())}
        if all(fields & set(SUBJECTS[key][0]) for key in wanted):
            rows = [row for row in _rows(table) if _concerns(row, wanted) and _happened(row, kwargs)]
            found[table] = apply_query_opts([_with_names(table, row) for row in rows], options)
    return found


def _rows(table):
    build = ", build.pkg_id" if table == "tag_listing" else ""
    join = " JOIN build ON build.id = build_id" if table == "tag_listing" else ""
    fields = ", ".join(f"{table}.{name}" for name in TABLES[table])
    return db().all(
        f"SELECT {fields}, {table}.create_event, {table}.revoke_event, {table}.creator_id, {table}.revoker_id,"
        f" began.time * 1.0 AS create_ts, ended.time * 1.0 AS revoke_ts{build} FROM {table}"
        f" JOIN events AS began ON began.id = {table}.create_event"
        f" LEFT JOIN events AS ended ON ended.id = {table}.revoke_event{join} ORDER BY {table}.create_event"
    )


def _concerns(row, wanted):
    return all(any(row.get(field) == value for field in SUBJECTS[key][0]) for key, value in wanted.items())


def _happened(row, given):
    """Whether the row fits the filters of time and editor; sets the flags that say which end of it does."""
    if given.get("active") is not None and bool(given["active"]) != (row["revoke_event"] is None):
        return False
    if "editor" in given:
        editor = getUser(given["editor"], strict=True)["id"]
        row["_created_by"], row["_revoked_by"] = row["creator_id"] == editor, row["revoker_id"] == editor
        if not (row["_created_by"] or row["_revoked_by"]):
            return False
    for option, (column, suffix, fits) in MOMENTS.items():
        if option in given:
            limit = timestamp(given[option])
            for verb, stem in (("created", "create"), ("revoked", "revoke")):
                number = row[f"{stem}_{column}"]
                row[f"_{verb}_{suffix}"] = number is not None and fits(number, limit)
            if not (row[f"_created_{suffix}"] or row[f"_revoked_{suffix}"]):
                return False
    return True


def _with_names(table, row):
    for field in TABLES[table]:
        if field in NAMES:
            names, prefix = NAMES[field]
            known = lookup_name(names, row[field]) if row[field] is not None else None
            row[f"{prefix}.name"] = known["name"] if known else None
    if "build_id" in row:
        build = find_build(row["build_id"], strict=True)
        row.update({key: build[key] for key in ("name", "version", "release", "epoch")}, **{"build.state": build["state"]})
        del row["pkg_id"]
    for who in ("creator", "revoker"):
        user = lookup_name("users", row[f"{who}_id"]) if row[f"{who}_id"] is not None else None
        row[f"{who}_name"] = user["name"] if user else None
    row["active"] = True if row["revoke_event"] is None else None
    return row
