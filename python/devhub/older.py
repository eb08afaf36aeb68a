"""The hub as an older one: without what came later, as far as builder hosts notice (`version` of the settings, `--version`).

What came when is told by Koji's release notes; the real hub that tests run on is a new one.
"""

import koji

# Methods by the release that brought them.
SINCE = {
    "host.getTasks": (1, 34),
    "host.refuseTask": (1, 34),
    "host.setHostData": (1, 34),
    "scheduler.getTaskRefusals": (1, 34),
    "scheduler.getLogMessages": (1, 34),
    "repo.get": (1, 35),
    "repo.request": (1, 35),
    "repo.checkRequest": (1, 35),
    "repo.queryQueue": (1, 35),
}
_version = None


def pretend(text):
    """Makes this hub one of the version; an empty text keeps it new."""
    global _version
    _version = tuple(int(part) for part in text.split(".")) if text else None
    return text


def is_before(*version):
    """Whether this hub is older than a release."""
    return _version is not None and _version < version


def version_text():
    """The version this hub is of, None when it is itself."""
    return ".".join(map(str, _version)) if _version else None


def check_method(name):
    """Refuses a method that came later, as a hub refuses any method it does not know."""
    if _version is not None and _version < SINCE.get(name, (0,)):
        raise koji.GenericError(f"Invalid method: {name}")


def check_host_data(data):
    """`host.updateHost` takes data since 1.34.1."""
    if data is not None and is_before(1, 34, 1):
        raise koji.ParameterError("host.updateHost: got an unexpected keyword argument 'data'")


def callnum_header(headers):
    """Releases 1.31 to 1.35 read one name of the header, later ones the other; this hub itself takes either."""
    if _version is None:
        return headers.get("Koji-Session-Callnum") or headers.get("Koji-Callnum")
    return headers.get("Koji-Callnum" if is_before(1, 36) else "Koji-Session-Callnum")
