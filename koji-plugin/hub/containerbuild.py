"""Koji hub plugin of containerbuild: the calls `buildContainer` and `buildSourceContainer`, and the import check.

Koji loads this file as module `_koji_plugin__containerbuild` and takes the whole hub offline when loading fails, so nothing
happens at import but definitions. The decisions are made in the installed extension module `containerbuild_hub` (Rust); it is
imported at the first use, because a compiled file cannot be the plugin itself and a missing one must fail one call, not the hub.

The development hub (`python/devhub`) loads this same file.
"""

import os

import koji
import koji.tasks
import kojihub
from koji.context import context
from koji.plugin import callback, export

# An argument list [src, target, opts], so that the hub's `channel` policy sees source, target and scratch.
koji.tasks.LEGACY_SIGNATURES["buildContainer"] = [[["src", "target", "opts"], None, None, (None,)]]
koji.tasks.LEGACY_SIGNATURES["buildSourceContainer"] = [[["target", "opts"], None, None, (None,)]]

DEFAULT_CONFIG = "/etc/koji-hub/plugins/containerbuild.conf"

_config = None


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
    extension = _extension()
    checked = extension.check_build_container(src, target, opts, priority)
    if checked["needs_admin"] and not context.session.hasPerm("admin"):
        raise koji.ActionNotAllowed("only admins may create high-priority tasks")
    if kojihub.get_build_target(checked["target"]) is None:
        known = [row["name"] for row in kojihub.get_build_targets()]
        raise koji.ParameterError(extension.unknown_target(checked["target"], known))

    options = {}
    if checked["priority"] is not None:
        options["priority"] = checked["priority"]
    channel = _settings()["channel"] if channel is None else channel
    if channel:
        # An empty channel leaves the choice to the hub's `channel` policy alone.
        options["channel"] = channel
    return kojihub.make_task("buildContainer", [checked["src"], checked["target"], checked["opts"]], **options)


@export
def buildSourceContainer(target, opts=None, priority=None, channel=None):
    """Refuse: source containers are not available yet

    The call exists because clients know it; they get a sentence instead of "Invalid method".
    """
    context.session.assertLogin()
    raise koji.GenericError("Source containers are not available yet on this hub; only buildContainer is")


@callback("preImport")
def check_container_import(cbtype, *args, **kws):
    """Refuse the import of an image whose RPMs are not all RPMs of this Koji, compared by SIGMD5."""
    if kws.get("type") != "cg":
        return
    metadata = kws.get("metadata")
    extra = ((metadata or {}).get("build") or {}).get("extra") or {}
    if "image" not in extra and "container_koji_task_id" not in extra:
        # Somebody else's import: not looked at, whatever state the extension is in.
        return
    settings = _settings()
    if not settings["check_imports"]:
        return
    extension = _extension()
    components = extension.container_components(metadata, settings["content_generators"])
    if not components:
        return
    known = []
    batch = settings["batch"]
    for start in range(0, len(components), batch):
        known.extend(_koji_rpms(components[start : start + batch]))
    extension.check_components(components, known)


def _koji_rpms(components):
    """The rows of rpminfo with the names of these components, in one query."""
    columns = ["name", "version", "release", "arch", "payloadhash", "external_repo_id"]
    if hasattr(kojihub, "reject_draft"):
        # hub 1.34 and later
        columns.append("draft")
    nvras = tuple({(c["name"], c["version"], c["release"], c["arch"]) for c in components})
    query = kojihub.QueryProcessor(
        tables=["rpminfo"],
        columns=columns,
        clauses=["(name, version, release, arch) IN %(nvras)s"],
        values={"nvras": nvras},
    )
    return query.execute()


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
        parser = koji.read_config_files([(path, False)])
        get = parser.get if parser.has_section("containerbuild") else (lambda section, key, fallback: fallback)
        try:
            batch = int(get("containerbuild", "import_batch", fallback="500"))
        except ValueError as error:
            raise koji.ConfigurationError(f"{path}: import_batch must be a number") from error
        check = get("containerbuild", "check_imports", fallback="yes").strip().lower()
        if check not in ("yes", "true", "on", "1", "no", "false", "off", "0"):
            raise koji.ConfigurationError(f"{path}: check_imports must be yes or no")
        _config = {
            "channel": get("containerbuild", "channel", fallback="container").strip(),
            "check_imports": check in ("yes", "true", "on", "1"),
            "content_generators": get("containerbuild", "content_generators", fallback="containerbuild atomic-reactor").split(),
            "batch": max(1, batch),
        }
    return _config
