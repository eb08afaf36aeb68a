"""Every module that exports methods, imported once; and the few methods that belong to no noun."""

from importlib import metadata

from . import (  # noqa: F401 (importing registers the methods)
    archives,
    buildroots,
    builds,
    channels,
    content_generator,
    content_import,
    events,
    external_repos,
    history,
    host_calls,
    hosts,
    imports,
    inheritance,
    lookups,
    older,
    packages,
    policy,
    repos,
    rpms,
    sessions,
    tagging,
    tags,
    targets,
    task_calls,
    task_output,
    uploads,
    users,
)
from .registry import rpc


@rpc
def getTagGroups(tag, event=None, inherit=True, incl_pkgs=True, incl_reqs=True, incl_blocked=False):
    """Package groups of a tag: none, the development hub has no groups"""
    tags.get_tag(tag, strict=True, event=event)
    return []


@rpc
def hello(*args):
    """Says hello"""
    return "Hello World"


@rpc
def echo(*args):
    """Gives its arguments back"""
    return list(args)


@rpc
def getAPIVersion():
    """The version of the API: 1"""
    return 1


@rpc
def getKojiVersion():
    """The version of Koji whose behaviour this hub has"""
    return older.version_text() or metadata.version("koji")
