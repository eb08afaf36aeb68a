"""Koji command-line plugin: `koji container-build`, `flatpak-build`, `source-container-build`.

Flags, output and exit codes are those people and scripts know from koji-containerbuild. Koji's CLI loads this file from
~/.koji/plugins, from site-packages/koji_cli_plugins, or from a directory in `plugin_paths` of koji.conf.
"""

import json
import sys
import threading
from optparse import OptionParser

import koji
from koji.plugin import export_cli
from koji_cli.lib import _running_in_bg, activate_session, watch_tasks

GLOBAL_HELP = "\n(Specify the --help global option for a list of other help options)"
# Relative to Koji's default, as `koji build --background`.
BACKGROUND_PRIORITY = 5
# The log in which the worker tells the steps of a build (crates/builder-worker/src/task/log.rs).
STEP_LOG = "build.log"
STEP_INTERVAL = 2.0


@export_cli
def handle_container_build(options, session, args):
    "[build] Build a container"
    parser = _container_parser(options)
    flags, args = parser.parse_args(args)
    if len(args) != 2:
        parser.error("Exactly two arguments (a build target and a SCM URL) are required")
    target, source = args
    if "://" not in source:
        parser.error("scm URL does not look like an URL to a source repository")
    if "#" not in source:
        parser.error("scm URL must be of the form <url_to_repository>#<revision>")
    opts = _container_opts(parser, flags)
    if flags.dry_run and flags.wait is None:
        # What it tells is the whole point, and it is quick.
        flags.wait = True

    return _submit(parser, options, session, flags, target, "buildContainer", [source, target, opts])


@export_cli
def handle_flatpak_build(options, session, args):
    "[build] Build a flatpak"
    parser = OptionParser(usage="usage: %prog flatpak-build [options] target <scm url>" + GLOBAL_HELP)
    parser.parse_args(args)
    parser.error("flatpaks are not built by containerbuild; `koji` with the koji-flatpak plugin builds them")


@export_cli
def handle_source_container_build(options, session, args):
    "[build] Build a sourcecontainer"
    parser = OptionParser(usage="usage: %prog source-container-build [options] target" + GLOBAL_HELP)
    _common_flags(parser, options)
    parser.add_option("--koji-build-id", type="int", metavar="ID", help="Build whose sources are wanted")
    parser.add_option("--koji-build-nvr", metavar="NVR", help="NVR of the build whose sources are wanted")
    flags, args = parser.parse_args(args)
    if len(args) != 1:
        parser.error("Exactly one argument (a build target) is required")
    if not (flags.koji_build_id or flags.koji_build_nvr):
        parser.error("at least one of --koji-build-id and --koji-build-nvr has to be specified")
    opts = _given(flags, "scratch", "signing_intent", "koji_build_id", "koji_build_nvr")
    _add_userdata(parser, flags, opts)
    return _submit(parser, options, session, flags, args[0], "buildSourceContainer", [args[0], opts])


def _submit(parser, options, session, flags, target, method, arguments):
    """Makes the task by a call of the hub plugin and follows it."""
    activate_session(session, options)
    _check_target(parser, session, target, flags.scratch)
    kwargs = {"priority": BACKGROUND_PRIORITY if flags.background else None}
    if flags.channel_override:
        kwargs["channel"] = flags.channel_override
    try:
        task_id = session.callMethod(method, *arguments, **kwargs)
    except koji.ParameterError as refused:
        # The hub's sentence is about these arguments: same form and exit code as a bad flag.
        parser.error(str(refused))
    return _follow(session, options, flags, task_id)


def _common_flags(parser, options):
    parser.add_option("--scratch", action="store_true", help="Perform a scratch build")
    parser.add_option("--wait", action="store_true", help="Wait on the build, even if running in the background")
    parser.add_option("--nowait", action="store_false", dest="wait", help="Don't wait on build")
    parser.add_option("--quiet", action="store_true", default=options.quiet, help="Do not print the task information")
    parser.add_option(
        "--progress", action="store_true", help="Print the steps of the build as they happen; the default on a terminal"
    )
    parser.add_option("--no-progress", action="store_false", dest="progress", help="Print the states of the tasks only")
    parser.add_option("--background", action="store_true", help="Run the build at a lower priority")
    parser.add_option("--channel-override", help="Use a non-standard channel")
    parser.add_option("--signing-intent", help="Not available: signing keys are policy of the site")
    parser.add_option("--userdata", metavar="JSON", help="JSON dictionary of custom metadata, stored in the build")


def _container_parser(options):
    parser = OptionParser(usage="usage: %prog container-build [options] target <scm url>" + GLOBAL_HELP)
    _common_flags(parser, options)
    parser.add_option(
        "--isolated", action="store_true", help="Perform an isolated build: own release, no floating tags; needs --release"
    )
    parser.add_option(
        "--arch-override",
        metavar="ARCHES",
        help="Build only for these arches, comma or space separated. Requires --scratch or --isolated",
    )
    parser.add_option(
        "--repo-url",
        dest="yum_repourls",
        metavar="URL",
        action="append",
        help="URL of a yum repo file. May be used multiple times",
    )
    parser.add_option("--git-branch", metavar="BRANCH", help="Branch the commit is on (required)")
    parser.add_option("--release", help="Set the release value")
    parser.add_option(
        "--dry-run",
        action="store_true",
        help="Decide everything on a builder, print it (N-V-R, tags, parents, repositories, what would be refused), and build"
        " nothing. Exit status 1 when the build would be refused",
    )
    parser.add_option("--koji-parent-build", metavar="NVR", help="Use the image of this Koji build as the parent")
    parser.add_option(
        "--compose-id",
        dest="compose_ids",
        action="append",
        type="int",
        metavar="ID",
        help="Not available: there is no compose service",
    )
    parser.add_option(
        "--replace-dependency",
        dest="dependency_replacements",
        action="append",
        metavar="pkg_manager:name:version[:new_name]",
        help="Not available: images hold only RPMs built in this Koji",
    )
    parser.add_option(
        "--operator-csv-modifications-url", metavar="URL", help="Not available: operator bundles are not built here"
    )
    return parser


def _container_opts(parser, flags):
    """The `opts` of buildContainer: only what was given. What the hub knows better, the hub refuses."""
    if not flags.git_branch:
        parser.error("git-branch must be specified")
    if flags.scratch and flags.isolated:
        parser.error("Build cannot be both isolated and scratch")
    if flags.arch_override and not (flags.scratch or flags.isolated):
        parser.error("--arch-override is only allowed for --scratch or --isolated builds")
    if flags.signing_intent and flags.compose_ids:
        parser.error("--signing-intent cannot be used with --compose-id")
    url = flags.operator_csv_modifications_url
    if url and not flags.isolated:
        parser.error("Only --isolated builds support option --operator-csv-modifications-url")
    if url and "://" not in url:
        parser.error("Value provided to --operator-csv-modifications-url does not look like an URL")

    opts = _given(
        flags,
        "scratch",
        "isolated",
        "git_branch",
        "yum_repourls",
        "release",
        "dry_run",
        "koji_parent_build",
        "signing_intent",
        "compose_ids",
        "dependency_replacements",
        "operator_csv_modifications_url",
    )
    if flags.arch_override:
        # Space separated in the task: the form pungi and older builders use.
        opts["arch_override"] = " ".join(flags.arch_override.replace(",", " ").split())
    _add_userdata(parser, flags, opts)
    return opts


def _given(flags, *names):
    """The flags of these names that were given."""
    return {name: getattr(flags, name) for name in names if getattr(flags, name) is not None}


def _add_userdata(parser, flags, opts):
    if flags.userdata is None:
        return
    try:
        opts["userdata"] = json.loads(flags.userdata)
    except ValueError as error:
        parser.error(f"--userdata is not valid JSON: {error}")
    if not isinstance(opts["userdata"], dict):
        parser.error("--userdata must be a JSON dictionary")


def _check_target(parser, session, target, scratch):
    build_target = session.getBuildTarget(target)
    if not build_target:
        parser.error(f"Unknown build target: {target}")
    dest_tag = session.getTag(build_target["dest_tag"])
    if not dest_tag:
        parser.error("Unknown destination tag: " + build_target["dest_tag_name"])
    if dest_tag["locked"] and not scratch:
        parser.error("Destination tag " + dest_tag["name"] + " is locked")


def _follow(session, options, flags, task_id):
    """Prints the task, waits for it if wanted, prints its result. The exit code is the one of watch_tasks."""
    if not flags.quiet:
        print(f"Created task: {task_id}")
        print(f"Task info: {options.weburl}/taskinfo?taskID={task_id}")
    if flags.wait is False or (flags.wait is None and _running_in_bg()):
        return None
    # Watching may take hours and needs no login; an open session would expire meanwhile.
    session.logout()
    progress = sys.stdout.isatty() if flags.progress is None else flags.progress
    with StepFollower(session, task_id, enabled=progress and not flags.quiet):
        failed = watch_tasks(session, [task_id], quiet=flags.quiet, poll_interval=options.poll_interval)
    if failed == 0:
        print(f"Task Result ({task_id}):")
        _print_value(_with_links(session.getTaskResult(task_id), options.weburl), 0)
    return failed


class StepFollower:
    """Prints the lines of a task's step log while `watch_tasks` prints the states, from a thread of its own.

    It has its own anonymous session, because one session is for one thread. What it cannot read it leaves out: the
    outcome of the command is the task's, never the follower's.
    """

    def __init__(self, session, task_id, enabled):
        self.task_id = task_id
        self.offset = 0
        self.partial = b""
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._follow, daemon=True) if enabled else None
        self.session = koji.ClientSession(session.baseurl, session.opts) if enabled else None

    def __enter__(self):
        if self.thread:
            self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        if self.thread:
            self.thread.join()

    def _follow(self):
        last = False
        while not last:
            # The log is complete when the task has ended: once more after that.
            last = self.done.wait(STEP_INTERVAL)
            try:
                self._print_new()
            except (koji.GenericError, OSError) as error:
                if last:
                    print(f"  (the rest of the steps is in {STEP_LOG} of the task: {error})", file=sys.stderr)

    def _print_new(self):
        if STEP_LOG not in self.session.listTaskOutput(self.task_id):
            return
        while True:
            data = self.session.downloadTaskOutput(self.task_id, STEP_LOG, offset=self.offset, size=1 << 20)
            if not data:
                break
            self.offset += len(data)
            *lines, self.partial = (self.partial + data).split(b"\n")
            for line in lines:
                print("  " + line.decode("utf-8", "replace"))
        sys.stdout.flush()


def _with_links(result, weburl):
    """Build ids as pages of the web interface."""
    if isinstance(result, dict) and isinstance(result.get("koji_builds"), list):
        links = [f"{weburl}/buildinfo?buildID={build_id}" for build_id in result["koji_builds"]]
        return dict(result, koji_builds=links)
    return result


def _print_value(value, level):
    """Two blanks per level; dictionaries sorted by key, the key on a line of its own."""
    if isinstance(value, dict):
        for key in sorted(value):
            print("  " * level + f"{key}:")
            _print_value(value[key], level + 1)
    elif isinstance(value, list):
        for item in value:
            _print_value(item, level + 1)
    else:
        print("  " * level + str(value))
