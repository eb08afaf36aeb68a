"""Builder hosts, as administrators and clients see them. What hosts call themselves is in host_calls.py."""

import time

import koji
from koji.context import context

from .channels import getChannel
from .database import db, time_text
from .events import add_version, at
from .registry import rpc
from .users import create_user, find_user
from .values import apply_query_opts, convert_value, name_or_id

COLUMNS = (
    "host.id, host.user_id, host.name, host.update_time * 1.0 AS update_ts, host.ready, host.task_load,"
    " host_config.arches, host_config.capacity, host_config.description, host_config.comment, host_config.enabled"
)
CONFIG = ("arches", "capacity", "description", "comment", "enabled")


def find_host(info, strict=False, event=None):
    """One host with its configuration at an event."""
    column, value = name_or_id(info)
    row = db().one(
        f"SELECT {COLUMNS} FROM host JOIN host_config ON host_config.host_id = host.id"
        f" WHERE host.{column} = :value AND {at(event, 'host_config')}",
        value=value,
    )
    if row is None and strict:
        raise koji.GenericError(f"Invalid hostInfo: {info}")
    return row


def all_hosts():
    """All hosts with their present configuration."""
    return db().all(
        f"SELECT {COLUMNS}, host.data FROM host JOIN host_config ON host_config.host_id = host.id"
        f" WHERE {at(None, 'host_config')} ORDER BY host.id"
    )


def channel_ids(host_id):
    """Ids of the channels a host is subscribed to."""
    rows = db().all("SELECT channel_id FROM host_channels WHERE host_id = :id AND revoke_event IS NULL", id=host_id)
    return [row["channel_id"] for row in rows]


@rpc
def getHost(hostInfo, strict=False, event=None):
    """One host: {id, user_id, name, update_ts, arches, task_load, capacity, description, comment, ready, enabled}"""
    return find_host(hostInfo, strict, event)


@rpc
def listHosts(arches=None, channelID=None, ready=None, enabled=None, userID=None, queryOpts=None):
    """Hosts, filtered by arch, channel, readiness, enabledness or user"""
    rows = all_hosts()
    if arches is not None:
        wanted = {arches} if isinstance(arches, str) else set(arches)
        rows = [row for row in rows if wanted & set((row["arches"] or "").split())]
    if channelID is not None:
        channel = getChannel(channelID, strict=True)["id"]
        rows = [row for row in rows if channel in channel_ids(row["id"])]
    if userID is not None:
        users = userID if isinstance(userID, list) else [userID]
        rows = [row for row in rows if row["user_id"] in users]
    rows = [row for row in rows if ready is None or row["ready"] == ready]
    rows = [row for row in rows if enabled is None or row["enabled"] == enabled]
    for row in rows:
        del row["data"]
        row["update_time"] = None if row["update_ts"] is None else time_text(row["update_ts"])
    return apply_query_opts(rows, queryOpts)


@rpc
def addHost(hostname, arches, krb_principal=None, force=False):
    """Adds a host and its user, subscribed to the channel `default`; its id"""
    context.session.assertPerm("host")
    convert_value(hostname, str, check_only=True)
    if find_host(hostname):
        raise koji.GenericError(f"host already exists: {hostname}")
    user = find_user(hostname)
    if user and not force:
        raise koji.GenericError(f"user {hostname} already exists (use force to override)")
    if user and user["usertype"] != koji.USERTYPES["HOST"]:
        db().update("users", user["id"], usertype=koji.USERTYPES["HOST"])
    user_id = user["id"] if user else create_user(hostname, koji.USERTYPES["HOST"], krb_principal=krb_principal)
    text = " ".join(arches) if isinstance(arches, list) else arches
    host_id = db().insert("host", user_id=user_id, name=hostname, update_time=time.time())
    add_version("host_config", {"host_id": host_id}, arches=koji.parse_arches(text, strict=True), capacity=2.0)
    add_version("host_channels", {"host_id": host_id, "channel_id": getChannel("default", strict=True)["id"]})
    return host_id


@rpc
def editHost(hostInfo, **kw):
    """Changes arches, capacity, description or comment; whether anything changed"""
    context.session.assertPerm("host")
    host = find_host(hostInfo, strict=True)
    unknown = set(kw) - set(CONFIG) - {"user_id"}
    if unknown:
        raise koji.GenericError(f"Invalid changes: {sorted(unknown)}")
    changes = {key: value for key, value in kw.items() if key in CONFIG and value != host[key]}
    if not changes:
        return False
    add_version("host_config", {"host_id": host["id"]}, **{**{key: host[key] for key in CONFIG}, **changes})
    return True


def _set_enabled(name, enabled):
    context.session.assertPerm("host")
    host = find_host(name)
    if host is None:
        raise koji.GenericError(f"host does not exist: {name}")
    add_version("host_config", {"host_id": host["id"]}, **{**{key: host[key] for key in CONFIG}, "enabled": enabled})


@rpc
def enableHost(hostname):
    """Lets a host get tasks"""
    _set_enabled(hostname, True)


@rpc
def disableHost(hostname):
    """Stops a host from getting tasks"""
    _set_enabled(hostname, False)


@rpc
def getLastHostUpdate(hostID, ts=False):
    """When a host last checked in: text, or seconds with `ts`"""
    host = find_host(hostID, strict=True)
    if host["update_ts"] is None:
        return None
    return host["update_ts"] if ts else time_text(host["update_ts"])


def silence(host):
    """Seconds since the last check-in of a host; endless when it never did."""
    return float("inf") if host["update_ts"] is None else time.time() - host["update_ts"]
