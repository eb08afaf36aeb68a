"""Koji hub plugin of containerbuild: the calls `buildContainer` and `buildSourceContainer`, and the import check.

Koji loads this file as module `_koji_plugin__containerbuild` and takes the whole hub offline when loading fails, so nothing
happens at import but definitions. The decisions are made in the installed extension module `containerbuild_hub` (Rust); it is
imported at the first use, because a compiled file cannot be the plugin itself and a missing one must fail one call, not the hub.

The development hub (`python/devhub`) loads this same file.
"""

import difflib
import fnmatch
import ipaddress
import logging
import os
import socket
import urllib.parse

import koji
import koji.policy
import koji.tasks
import kojihub
from koji.context import context
from koji.plugin import callback, export, ignore_error

# An argument list [src, target, opts], so that the hub's `channel` policy sees source, target and scratch.
koji.tasks.LEGACY_SIGNATURES["buildContainer"] = [[["src", "target", "opts"], None, None, (None,)]]
koji.tasks.LEGACY_SIGNATURES["buildSourceContainer"] = [[["target", "opts"], None, None, (None,)]]

DEFAULT_CONFIG = "/etc/koji-hub/plugins/containerbuild.conf"

# Every key of the configuration. What each means stands in containerbuild.conf.
DEFAULTS = {
    "channel": "container",
    "source_channel": "",
    "check_imports": "yes",
    "content_generators": "containerbuild",
    "task_methods": "buildContainer buildSourceContainer",
    "check_components": "refuse",
    "check_parents": "refuse",
    "check_task": "refuse",
    "check_host": "refuse",
    "import_batch": "500",
    "wake": "",
}
# Tasks that the addresses of `wake` do.
WAKING_METHODS = ("buildContainer", "buildSourceContainer", "createContainer")

logger = logging.getLogger("koji.plugin.containerbuild")
# What is in such a datagram. Nothing in it is believed: the builder asks the hub.
WAKE = b"containerbuild: a task\n"

_config = None
_columns = None


@export
def buildContainer(src, target, opts=None, priority=None, channel=None):
    """Create a task that builds a container image

    :param str src: SCM URL of the Dockerfile's repository, git+https://HOST/container/NAME.git#COMMIT
    :param str target: name of the build target
    :param dict opts: options of the build; git_branch is required
    :param int priority: relative to the default; a negative number runs sooner and needs the admin permission
    :param str channel: channel of the task; None takes the one of the plugin's configuration
    :returns int: the id of the task
    :raises koji.ParameterError: when an argument cannot lead to a build; no task exists then
    """
    context.session.assertLogin()
    checked = _extension().check_build_container(src, target, opts, priority)
    _assert_priority(checked)
    found = _known_target(checked["target"])
    kojihub.assert_policy("container_build", _policy_data("buildContainer", checked["src"], checked, found, channel))
    channel = _settings()["channel"] if channel is None else channel
    return _make_task("buildContainer", [checked["src"], checked["target"], checked["opts"]], checked, channel)


def _policy_data(method, src, checked, target, channel):
    """What the rules of the policy `container_build` can ask about. `src` is the image's source for a source container, too."""
    source = urllib.parse.urlsplit(src)
    opts = checked["opts"]
    data = {
        "method": method,
        "user_id": context.session.user_id,
        "source": src,
        "target": checked["target"],
        "build_tag": target.get("build_tag_name"),
        "scratch": bool(opts.get("scratch")),
        "isolated": bool(opts.get("isolated")),
        "scm_host": source.netloc.rpartition("@")[2],
        "scm_repository": source.path,
        "scm_revision": source.fragment,
        "container_options": opts,
    }
    if not data["scratch"]:
        data["tag"] = target.get("dest_tag_name")
    if channel:
        data["req_channel"] = channel
    return data


class ContainerNamespaceTest(koji.policy.BaseSimpleTest):
    """container_namespace PATTERN...: the first part of the repository's path, `container` of /container/web.git"""

    name = "container_namespace"
    policy = "container_build"

    def run(self, data):
        parts = [part for part in (data.get("scm_repository") or "").split("/") if part]
        namespace = parts[0] if len(parts) > 1 else ""
        return any(fnmatch.fnmatchcase(namespace, pattern) for pattern in self.str.split()[1:])


class ContainerOptionTest(koji.policy.BaseSimpleTest):
    """container_option NAME...: the request gives one of these options, koji_parent_build for example"""

    name = "container_option"
    policy = "container_build"

    def run(self, data):
        options = data.get("container_options") or {}
        return any(options.get(name) for name in self.str.split()[1:])


class ContainerRepoUrlHostsTest(koji.policy.BaseSimpleTest):
    """container_repo_url_hosts PATTERN...: every repo file the request brings is of such a host; true when it brings none"""

    name = "container_repo_url_hosts"
    policy = "container_build"

    def run(self, data):
        urls = (data.get("container_options") or {}).get("yum_repourls") or ()
        hosts = [urllib.parse.urlsplit(url).hostname or "" for url in urls]
        patterns = self.str.split()[1:]
        return all(any(fnmatch.fnmatchcase(host, pattern) for pattern in patterns) for host in hosts)


@export
def buildSourceContainer(target, opts=None, priority=None, channel=None):
    """Create a task that builds an image of the source packages of everything in a container image

    :param str target: name of the build target
    :param dict opts: options of the build; koji_build_id or koji_build_nvr names the image
    :param int priority: relative to the default; a negative number runs sooner and needs the admin permission
    :param str channel: channel of the task; None takes the one of the plugin's configuration
    :returns int: the id of the task
    :raises koji.ParameterError: when an argument cannot lead to a build; no task exists then
    """
    context.session.assertLogin()
    extension = _extension()
    checked = extension.check_build_source_container(target, opts, priority)
    _assert_priority(checked)
    found = _known_target(checked["target"])
    by_id, by_nvr = (
        None if checked["opts"].get(key) is None else _build(checked["opts"][key]) for key in ("koji_build_id", "koji_build_nvr")
    )
    checked["opts"] = extension.check_source_build(checked["opts"], by_id, by_nvr)
    src = (by_id or by_nvr)["source"] or ""
    kojihub.assert_policy("container_build", _policy_data("buildSourceContainer", src, checked, found, channel))
    if channel is None:
        settings = _settings()
        channel = settings["source_channel"] or settings["channel"]
    return _make_task("buildSourceContainer", [checked["target"], checked["opts"]], checked, channel)


def _assert_priority(checked):
    if checked["needs_admin"] and not context.session.hasPerm("admin"):
        raise koji.ActionNotAllowed("only admins may create high-priority tasks")


def _known_target(name):
    """The build target of that name; a refusal names the nearest one."""
    found = kojihub.get_build_target(name)
    if found is None:
        known = [row["name"] for row in kojihub.get_build_targets()]
        raise koji.ParameterError(_extension().unknown_target(name, known))
    return found


def _build(key):
    """What decides whether a build has sources; None when there is none. Not the whole row: it holds times."""
    row = kojihub.get_build(key)
    return row and {name: row[name] for name in ("id", "name", "version", "release", "state", "extra", "source")}


def _make_task(method, arguments, checked, channel):
    options = {}
    if checked["priority"] is not None:
        options["priority"] = checked["priority"]
    if channel:
        # An empty channel leaves the choice to the hub's `channel` policy alone.
        options["channel"] = channel
    return kojihub.make_task(method, arguments, **options)


@callback("preImport")
def check_container_import(cbtype, *args, **kws):
    """Refuse the import of an image that does not come from its task, or whose RPMs and parents are not all this Koji's."""
    if kws.get("type") != "cg":
        return
    metadata = kws.get("metadata") or {}
    settings = _settings()
    names = {(root.get("content_generator") or {}).get("name") for root in metadata.get("buildroots") or ()}
    if settings["check_imports"] == "no" or not names.intersection(settings["content_generators"]):
        # Somebody else's import: not looked at, whatever state the extension is in.
        return
    extension = _extension()
    claim = extension.container_import(metadata, settings["content_generators"])
    found = {"rpms": [], "parents": [], "task": _task(claim["task_id"]), "importer_host": context.session.host_id}
    for batch in _batches(claim["components"], settings["batch"]):
        found["rpms"].extend(_koji_rpms(batch))
    for batch in _batches(claim["parent_ids"], settings["batch"]):
        found["parents"].extend(_koji_builds(batch))
    rules = dict(settings["rules"])
    if settings["check_imports"] == "warn":
        rules.update({key: "warn" for key, value in settings["rules"].items() if value == "refuse"})
    for warning in extension.check_import(claim, found, rules):
        logger.warning("%s", warning)


@callback("postTaskStateChange")
@ignore_error
def note_task(cbtype, *args, **kws):
    """Notes that this call of the hub left something to do for our builders."""
    waits = kws.get("attribute") == "state" and kws.get("new") in ("FREE", "ASSIGNED")
    if waits and (kws.get("info") or {}).get("method") in WAKING_METHODS:
        context.containerbuild_task = True


@callback("postCommit")
@ignore_error
def wake_builders(cbtype, *args, **kws):
    """Tells the builders that it is worth asking now: one datagram each, which nobody waits for and which may be lost."""
    if not getattr(context, "containerbuild_task", False):
        return
    context.containerbuild_task = False
    for family, address in _settings()["wake"]:
        with socket.socket(family, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            try:
                sender.sendto(WAKE, address)
            except OSError as error:
                logger.info("cannot wake the builder at %s: %s", address, error)


def _batches(items, size):
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _koji_rpms(components):
    """The rows of rpminfo with the names of these components and the states of their builds, in one query."""
    # What hubs have in common, and what came later: draft in 1.34, header digests in 1.36.
    wanted = ["name", "version", "release", "arch", "epoch", "payloadhash", "external_repo_id"]
    wanted += [name for name in ("draft", "sha1header", "sha256header", "sha3_256header") if name in _rpminfo_columns()]
    query = kojihub.QueryProcessor(
        tables=["rpminfo"],
        joins=["LEFT JOIN build ON rpminfo.build_id = build.id"],
        columns=[f"rpminfo.{name}" for name in wanted] + ["build.state"],
        aliases=[*wanted, "build_state"],
        clauses=["(rpminfo.name, rpminfo.version, rpminfo.release, rpminfo.arch) IN %(nvras)s"],
        values={"nvras": tuple({(c["name"], c["version"], c["release"], c["arch"]) for c in components})},
    )
    return query.execute()


def _koji_builds(ids):
    """Name and state of these builds, in one query."""
    query = kojihub.QueryProcessor(
        tables=["build"],
        joins=["package ON build.pkg_id = package.id"],
        columns=["build.id", "package.name", "build.version", "build.release", "build.state"],
        aliases=["id", "name", "version", "release", "state"],
        clauses=["build.id IN %(ids)s"],
        values={"ids": tuple(ids)},
    )
    return query.execute()


def _task(task_id):
    """State, method, owner and host of a task; None when there is no such task."""
    if task_id is None:
        return None
    query = kojihub.QueryProcessor(
        tables=["task"],
        joins=["LEFT JOIN users ON task.owner = users.id"],
        columns=["task.id", "task.state", "task.method", "users.name", "task.host_id"],
        aliases=["id", "state", "method", "owner_name", "host_id"],
        clauses=["task.id = %(task_id)s"],
        values={"task_id": task_id},
    )
    return query.executeOne()


def _rpminfo_columns():
    """The columns this hub's rpminfo has, read once per process."""
    global _columns
    if _columns is None:
        query = kojihub.QueryProcessor(
            tables=["information_schema.columns"],
            columns=["column_name"],
            clauses=["table_name = %(table)s"],
            values={"table": "rpminfo"},
        )
        _columns = {row["column_name"] for row in query.execute()}
    return _columns


def _extension():
    """The extension module; without it every call is refused, and the hub goes on."""
    try:
        import containerbuild_hub
    except ImportError as error:
        raise koji.PluginError(
            f"the hub lacks containerbuild's extension module (containerbuild_hub): {error}; "
            "the administrators of this hub have to install it"
        ) from error
    return containerbuild_hub


def _settings():
    """The configuration, read once per process at the first use."""
    global _config
    if _config is None:
        # The environment variable is for hubs that are not installed in the system (the development hub, tests).
        path = os.environ.get("CONTAINERBUILD_HUB_CONF", DEFAULT_CONFIG)
        _config = _read_settings(path, koji.read_config_files([(path, False)]))
    return _config


def _read_settings(path, parser):
    section = "containerbuild"
    given = dict(parser.items(section)) if parser.has_section(section) else {}
    unknown = sorted(set(given) - set(DEFAULTS))
    if unknown:
        near = difflib.get_close_matches(unknown[0], DEFAULTS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(DEFAULTS))}"
        raise koji.ConfigurationError(f"{path}: unknown key {unknown[0]} in [{section}]; {hint}")
    value = {key: given.get(key, default).strip() for key, default in DEFAULTS.items()}
    try:
        batch = int(value["import_batch"])
    except ValueError as error:
        raise koji.ConfigurationError(f"{path}: import_batch must be a number") from error
    check = value["check_imports"].lower()
    if check not in ("yes", "warn", "no"):
        raise koji.ConfigurationError(f"{path}: check_imports must be yes, warn or no")
    wake = [_address(path, text) for text in value["wake"].split()]
    rules = {key: value[key].lower() for key in ("check_components", "check_parents", "check_task", "check_host")}
    for key, decision in rules.items():
        if decision not in ("refuse", "warn", "allow"):
            raise koji.ConfigurationError(f"{path}: {key} must be refuse, warn or allow")
    return {
        "channel": value["channel"],
        "source_channel": value["source_channel"],
        "check_imports": check,
        "content_generators": value["content_generators"].split(),
        "batch": max(1, batch),
        "wake": wake,
        "rules": {**rules, "task_methods": value["task_methods"].split()},
    }


def _address(path, text):
    """ADDRESS:PORT as a socket takes it. Numbers alone, so that the hub asks no name server in the middle of a call."""
    host, _, port = text.rpartition(":")
    try:
        address = ipaddress.ip_address(host.strip("[]"))
        family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
        return family, (str(address), int(port))
    except ValueError as error:
        raise koji.ConfigurationError(f"{path}: wake: {text} is not ADDRESS:PORT with a numeric address") from error
