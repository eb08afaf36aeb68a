"""Every module that exports methods, imported once; and the few methods that belong to no noun."""

from importlib import metadata

from . import (  # noqa: F401 (importing registers the methods)
    builds,
    channels,
    events,
    host_calls,
    hosts,
    inheritance,
    lookups,
    packages,
    policy,
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
    return metadata.version("koji")
