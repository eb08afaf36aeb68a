"""External repositories: known by name, and RPMs that were seen in them. Repos made here hold nothing of them."""

import koji
from koji.context import context

from .database import db
from .events import add_version, at, revoke_version
from .inheritance import read_full_inheritance
from .lookups import lookup_name
from .registry import rpc
from .rpms import find_rpms
from .tags import get_tag

CONFIG = (
    "SELECT external_repo.id, external_repo.name, config.url FROM external_repo JOIN external_repo_config AS config"
    " ON config.external_repo_id = external_repo.id"
)


@rpc
def createExternalRepo(name, url):
    """Adds an external repository: {id, name, url}"""
    context.session.assertPerm("admin")
    if getExternalRepo(name):
        raise koji.GenericError(f'An external repo named "{name}" already exists')
    repo_id = lookup_name("external_repo", name, create=True)["id"]
    url = url.rstrip("/") + "/"
    add_version("external_repo_config", {"external_repo_id": repo_id}, url=url)
    return {"id": repo_id, "name": name, "url": url}


@rpc
def listExternalRepos(info=None, url=None, event=None, queryOpts=None):
    """External repositories: [{id, name, url}]"""
    rows = db().all(f"{CONFIG} WHERE {at(event, 'config')} ORDER BY external_repo.id")
    rows = [row for row in rows if info is None or info in (row["id"], row["name"])]
    return [row for row in rows if url is None or row["url"] == url]


@rpc
def getExternalRepo(info, strict=False, event=None):
    """One external repository, or None"""
    rows = listExternalRepos(info, event=event)
    if not rows and strict:
        raise koji.GenericError(f"No such repo: {info}")
    return rows[0] if rows else None


@rpc
def addExternalRepoToTag(tag_info, repo_info, priority, merge_mode="koji", arches=None):
    """Offers an external repository in a tag"""
    context.session.assertPerm("tag")
    key = {"tag_id": get_tag(tag_info, strict=True)["id"], "external_repo_id": getExternalRepo(repo_info, strict=True)["id"]}
    add_version("tag_external_repos", key, priority=priority, merge_mode=merge_mode, arches=arches)


@rpc
def removeExternalRepoFromTag(tag_info, repo_info):
    """Ends the offer of an external repository in a tag"""
    context.session.assertPerm("tag")
    tag, repo = get_tag(tag_info, strict=True), getExternalRepo(repo_info, strict=True)
    if not revoke_version("tag_external_repos", tag_id=tag["id"], external_repo_id=repo["id"]):
        raise koji.GenericError(f"external repo {repo['name']} not associated with tag {tag['name']}")


@rpc
def getTagExternalRepos(tag_info=None, repo_info=None, event=None):
    """Which tags offer which external repositories, without inheritance"""
    rows = db().all(
        "SELECT external_repo.id AS external_repo_id, external_repo.name AS external_repo_name, config.url, tag.id AS tag_id,"
        " tag.name AS tag_name, offered.priority, offered.merge_mode, offered.arches FROM tag_external_repos AS offered"
        " JOIN tag ON tag.id = offered.tag_id JOIN external_repo ON external_repo.id = offered.external_repo_id"
        " JOIN external_repo_config AS config ON config.external_repo_id = external_repo.id"
        f" WHERE {at(event, 'offered')} AND {at(event, 'config')} ORDER BY offered.priority"
    )
    if tag_info is not None:
        tag_id = get_tag(tag_info, strict=True, event=event)["id"]
        rows = [row for row in rows if row["tag_id"] == tag_id]
    return [row for row in rows if repo_info is None or repo_info in (row["external_repo_id"], row["external_repo_name"])]


@rpc
def getExternalRepoList(tag_info, event=None):
    """External repositories of a tag, inherited ones too, in order"""
    tag_id = get_tag(tag_info, strict=True, event=event)["id"]
    rows, seen = [], set()
    for number in [tag_id] + [link["parent_id"] for link in read_full_inheritance(tag_id, event)]:
        for row in getTagExternalRepos(number, event=event):
            if row["external_repo_id"] not in seen:
                seen.add(row["external_repo_id"])
                rows.append(row)
    return rows


@rpc
def addExternalRPM(rpminfo, external_repo, strict=True):
    """Records an RPM that was seen in an external repository (admins)"""
    context.session.assertPerm("admin")
    repo = getExternalRepo(external_repo, strict=True)
    fields = ("name", "version", "release", "epoch", "arch", "payloadhash", "size", "buildtime")
    missing = [field for field in fields if field not in rpminfo]
    if missing:
        raise koji.GenericError(f"{missing[0]} field missing for rpm")
    known = [row for row in find_rpms({key: rpminfo[key] for key in fields}) if row["external_repo_id"] == repo["id"]]
    if known:
        if strict:
            raise koji.GenericError(f"external rpm already exists: {rpminfo}")
        return
    db().insert("rpminfo", external_repo_id=repo["id"], **{key: rpminfo[key] for key in fields})
