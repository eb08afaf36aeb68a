"""Channels: groups of hosts that tasks are sent to."""

import koji
from koji.context import context

from .database import db
from .events import add_version, revoke_version
from .registry import rpc
from .values import convert_value, name_or_id

COLUMNS = "channels.id, channels.name, description, enabled, comment"


@rpc
def getChannel(channelInfo, strict=False):
    """One channel: {id, name, description, enabled, comment}"""
    column, value = name_or_id(channelInfo)
    row = db().one(f"SELECT {COLUMNS} FROM channels WHERE {column} = :value", value=value)
    if row is None and strict:
        raise koji.GenericError(f"Invalid type for channelInfo: {channelInfo}")
    return row


@rpc
def listChannels(hostID=None, event=None, enabled=None):
    """Channels, or those of a host"""
    if hostID is None:
        rows = db().all(f"SELECT {COLUMNS} FROM channels ORDER BY id")
    else:
        from .events import at

        rows = db().all(
            f"SELECT {COLUMNS} FROM channels JOIN host_channels ON channel_id = channels.id"
            f" WHERE host_id = :host AND {at(event, 'host_channels')} ORDER BY channels.id",
            host=hostID,
        )
    return [row for row in rows if enabled is None or row["enabled"] == enabled]


@rpc
def addChannel(channel_name, description=None):
    """Adds a channel; its id"""
    context.session.assertPerm("admin")
    convert_value(channel_name, str, check_only=True)
    if getChannel(channel_name):
        raise koji.GenericError(f"channel {channel_name} already exists (id={getChannel(channel_name)['id']})")
    return db().insert("channels", name=channel_name, description=description)


@rpc
def editChannel(channelInfo, **kw):
    """Changes name, description or comment of a channel"""
    context.session.assertPerm("admin")
    channel = getChannel(channelInfo, strict=True)
    changes = {key: value for key, value in kw.items() if key in ("name", "description", "comment")}
    if set(kw) - set(changes):
        raise koji.GenericError(f"Invalid changes: {sorted(set(kw) - set(changes))}")
    if changes:
        db().update("channels", channel["id"], **changes)
    return True


def _set_enabled(name, enabled, comment):
    context.session.assertPerm("host")
    channel = getChannel(name, strict=True)
    db().update("channels", channel["id"], enabled=enabled, comment=comment)


@rpc
def enableChannel(channelname, comment=None):
    """Lets tasks be sent to a channel"""
    _set_enabled(channelname, True, comment)


@rpc
def disableChannel(channelname, comment=None):
    """Stops tasks from being sent to a channel"""
    _set_enabled(channelname, False, comment)


@rpc
def addHostToChannel(hostname, channel_name, create=False, force=False):
    """Subscribes a host to a channel"""
    from .hosts import find_host

    context.session.assertPerm("host")
    host = find_host(hostname, strict=True)
    channel = getChannel(channel_name)
    if channel is None:
        if not create:
            raise koji.GenericError(f"channel does not exist: {channel_name}")
        channel = {"id": db().insert("channels", name=channel_name)}
    elif create:
        raise koji.GenericError(f"channel {channel_name} already exists")
    if any(known["id"] == channel["id"] for known in listChannels(host["id"])):
        raise koji.GenericError(f"host {hostname} is already subscribed to the {channel_name} channel")
    add_version("host_channels", {"host_id": host["id"], "channel_id": channel["id"]})


@rpc
def removeHostFromChannel(hostname, channel_name):
    """Ends a host's subscription to a channel"""
    from .hosts import find_host

    context.session.assertPerm("host")
    host = find_host(hostname, strict=True)
    channel = getChannel(channel_name, strict=True)
    if not revoke_version("host_channels", host_id=host["id"], channel_id=channel["id"]):
        raise koji.GenericError(f"host {hostname} is not subscribed to the {channel_name} channel")
