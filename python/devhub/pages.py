"""/koji: the addresses clients print (taskinfo, buildinfo) answered with the bare facts as a page. No web interface."""

import html
import json
from urllib.parse import parse_qs

import koji
from koji.context import context

from .builds import find_build
from .database import db
from .tasks import Task


def send(handler, url_path, query):
    """Answers GET or HEAD for a page."""
    args = {key: values[0] for key, values in parse_qs(query).items()}
    with handler.server.hub.call_context("page", {}, handler.environ()):
        title, body = _page(url_path.strip("/"), args)
    page = (
        f"<!DOCTYPE html><title>{html.escape(title)}</title>\n<h1>{html.escape(title)}</h1>\n"
        f'<p><a href="/koji/">Development hub</a>, for trying and testing. <a href="/kojifiles/">Files</a></p>\n'
        f"{body}\n"
    )
    handler.send_body(200, "text/html; charset=utf-8", page.encode("utf-8"))


def _page(name, args):
    try:
        if name == "taskinfo":
            info = Task(args.get("taskID", "")).info(request=True)
            files = f"/kojifiles/work/{koji.pathinfo.taskrelpath(info['id'])}/"
            return f"Task {info['id']}: {info['method']} ({koji.TASK_STATES[info['state']]})", _facts(info, files)
        if name == "buildinfo":
            build = find_build(args.get("buildID", ""), strict=True)
            files = koji.pathinfo.build(build).replace(koji.pathinfo.topdir, "/kojifiles") + "/"
            return f"Build {build['nvr']} ({koji.BUILD_STATES[build['state']]})", _facts(build, files)
    except koji.GenericError as error:
        return str(error), ""
    tasks = context.db.all("SELECT id, method, state, arch FROM task ORDER BY id DESC LIMIT 50")
    builds = db().all(
        "SELECT build.id, state, package.name || '-' || version || '-' || release AS nvr FROM build"
        " JOIN package ON package.id = pkg_id ORDER BY build.id DESC LIMIT 50"
    )
    task_lines = "".join(
        f'<li><a href="/koji/taskinfo?taskID={row["id"]}">{row["id"]}</a> {html.escape(row["method"])}'
        f" ({html.escape(row['arch'])}) {koji.TASK_STATES[row['state']]}</li>\n"
        for row in tasks
    )
    build_lines = "".join(
        f'<li><a href="/koji/buildinfo?buildID={row["id"]}">{html.escape(row["nvr"])}</a>'
        f" {koji.BUILD_STATES[row['state']]}</li>\n"
        for row in builds
    )
    return "Koji", f"<h2>Tasks</h2>\n<ul>{task_lines}</ul>\n<h2>Builds</h2>\n<ul>{build_lines}</ul>"


def _facts(row, files):
    text = json.dumps(row, indent=2, sort_keys=True, default=str)
    return f'<p><a href="{html.escape(files)}">Files</a></p>\n<pre>{html.escape(text)}</pre>'
