"""Tag inheritance: the links of a tag, and the ordered list of everything it inherits from."""

import re

import koji
from koji.context import context

from .database import db
from .events import add_version, at, revoke_version
from .registry import rpc

FIELDS = ("parent_id", "priority", "maxdepth", "intransitive", "noconfig", "pkg_filter")


def read_inheritance(tag_id, event=None):
    """A tag's own links, by priority."""
    rows = db().all(
        "SELECT parent_id, tag.name, priority, maxdepth, intransitive, noconfig, pkg_filter FROM tag_inheritance AS link"
        f" JOIN tag ON tag.id = parent_id WHERE tag_id = :tag AND {at(event, 'link')} ORDER BY priority",
        tag=tag_id,
    )
    return [{**row, "child_id": tag_id} for row in rows]


def read_full_inheritance(tag_id, event=None):
    """Every link that counts for a tag, nearest first, with nextdepth, currdepth and the package filters on the way."""
    order = []
    _walk(tag_id, event, order, seen={}, path=(tag_id,), maxdepth=None, noconfig=False, filters=[])
    return order


def _walk(tag_id, event, order, seen, path, maxdepth, noconfig, filters):
    if maxdepth is not None and maxdepth < 1:
        return
    for link in read_inheritance(tag_id, event):
        parent = link["parent_id"]
        if parent in path or (link["intransitive"] and len(path) > 1):
            continue
        depths = [depth for depth in (maxdepth, link["maxdepth"]) if depth is not None]
        link["nextdepth"] = min(depths) - 1 if maxdepth is not None and depths else link["maxdepth"]
        if maxdepth is None and link["maxdepth"] is not None:
            link["nextdepth"] = link["maxdepth"]
        link["currdepth"] = len(path)
        link_noconfig = noconfig or link["noconfig"]
        link["noconfig"] = link_noconfig
        link["filter"] = filters + ([link["pkg_filter"]] if link["pkg_filter"] else [])
        if any(_covers(previous, link) for previous in seen.get(parent, ())):
            continue
        seen.setdefault(parent, []).append(link)
        order.append(link)
        _walk(parent, event, order, seen, path + (parent,), link["nextdepth"], link_noconfig, link["filter"])


def _covers(previous, link):
    """Whether an earlier visit of the same tag already brought everything this one would."""
    deep_enough = previous["nextdepth"] is None or (link["nextdepth"] is not None and previous["nextdepth"] >= link["nextdepth"])
    return deep_enough and not (previous["noconfig"] and not link["noconfig"]) and not previous["filter"]


def passes(filters, package):
    """Whether a package name passes the filters of a link."""
    return all(re.match(pattern, package) for pattern in filters)


@rpc
def getInheritanceData(tag, event=None):
    """A tag's own inheritance links"""
    from .tags import get_tag

    return read_inheritance(get_tag(tag, strict=True, event=event)["id"], event)


@rpc
def getFullInheritance(tag, event=None, reverse=False):
    """All links a tag inherits through, nearest first; `reverse`: what inherits from it"""
    from .tags import get_tag

    tag_id = get_tag(tag, strict=True, event=event)["id"]
    if not reverse:
        return read_full_inheritance(tag_id, event)
    found, queue = [], [(tag_id, 1)]
    while queue:
        parent, depth = queue.pop(0)
        rows = db().all(
            "SELECT tag_id, parent_id, tag.name, priority, maxdepth, intransitive, noconfig, pkg_filter"
            " FROM tag_inheritance AS link JOIN tag ON tag.id = tag_id"
            f" WHERE parent_id = :parent AND {at(event, 'link')} ORDER BY priority",
            parent=parent,
        )
        for row in rows:
            if row["tag_id"] not in [link["tag_id"] for link in found]:
                found.append({**row, "child_id": row["tag_id"], "currdepth": depth, "nextdepth": None, "filter": []})
                queue.append((row["tag_id"], depth + 1))
    return found


@rpc
def setInheritanceData(tag, data, clear=False):
    """Adds, changes or (`delete link`) removes inheritance links; `clear` replaces all"""
    from .tags import get_tag

    context.session.assertPerm("tag")
    tag_id = get_tag(tag, strict=True)["id"]
    changes = [data] if isinstance(data, dict) else data
    links = {} if clear else {link["parent_id"]: link for link in read_inheritance(tag_id)}
    for change in changes:
        required = ("parent_id",) if change.get("delete link") else FIELDS
        for field in required:
            if field not in change:
                raise koji.GenericError(f"No value for {field}")
        get_tag(change["parent_id"], strict=True)
        if change.get("delete link"):
            links.pop(change["parent_id"], None)
        else:
            links[change["parent_id"]] = change
    priorities = [link["priority"] for link in links.values()]
    if len(priorities) != len(set(priorities)):
        raise koji.GenericError("Inheritance priorities must be unique")
    revoke_version("tag_inheritance", tag_id=tag_id)
    for parent_id, link in links.items():
        row = {field: link[field] for field in FIELDS if field != "parent_id"}
        add_version("tag_inheritance", {"tag_id": tag_id, "parent_id": parent_id}, **row)
