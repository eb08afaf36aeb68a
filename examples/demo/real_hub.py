"""Starts a real Koji hub: PostgreSQL, Apache with mod_wsgi, kojihub and kojiweb, from Koji's source (`KOJI_SRC`).

Called by `up` when KOJI_SRC is given. Everything is below the scene's hub directory; the programs are the system's.
Needs (Debian): apache2 libapache2-mod-wsgi-py3 postgresql python3-venv python3-rpm. repo_builder.py adds kojid and
kojira, which make the repos.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from . import acts, hub_plugin, processes
from .real_hub_config import APACHE, HUB, HUB_WSGI, SQL, WEB, WEB_WSGI
from .scene import ADMIN, Scene, SceneError

# What kojihub, kojiweb, kojid and kojira import beyond Debian's Python.
REQUIREMENTS = [
    "psycopg2-binary",
    "defusedxml",
    "requests",
    "requests-gssapi",
    "python-dateutil",
    "six",
    "CT3",
    "python-multilib",
    "jinja2",
]
APACHE_MODULES = [
    "mpm_prefork",
    "authn_core",
    "authz_core",
    "alias",
    "autoindex",
    "dir",
    "mime",
    "env",
    "ssl",
    "socache_shmcb",
    "wsgi",
]
_SERVER_USERS = ["www-data", "postgres"]


def interpreter(scene: Scene) -> Path:
    """The hub's virtual environment, beside the state directory because it outlives a scene."""
    return scene.state.with_name(f"{scene.state.name}-hub-venv") / "bin/python"


def _make_interpreter(scene: Scene) -> None:
    python = interpreter(scene)
    wanted = "\n".join(REQUIREMENTS)
    mark = python.parent.parent / "requirements.txt"
    if mark.exists() and mark.read_text() == wanted:
        return
    directory = python.parent.parent
    shutil.rmtree(directory, ignore_errors=True)
    # The system's Python, because mod_wsgi embeds that one; its rpm module cannot be had from PyPI.
    acts.run(["/usr/bin/python3", "-m", "venv", "--system-site-packages", str(directory)], quiet=True)
    (directory / ".gitignore").write_text("*\n")
    acts.run([str(python), "-m", "pip", "install", "-q", *REQUIREMENTS])
    mark.write_text(wanted)


def _check_readable(scene: Scene) -> None:
    """Apache and PostgreSQL drop root: they must be able to enter our directories and Koji's source."""
    for user in _SERVER_USERS:
        for path in (scene.state, scene.koji_src, hub_plugin.PLUGINS):
            test = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "test", "-r", str(path)]
            if subprocess.run(test, check=False).returncode != 0:
                raise SceneError(
                    f"user {user} cannot read {path}: a real hub needs the repository, KOJI_SRC and the "
                    "state directory (--state) outside of private home directories"
                )


def _postgres(scene: Scene) -> None:
    binaries = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None) or Path("/usr/bin")
    data, port = scene.hub_dir / "pg", str(scene.port("database"))
    data.mkdir()
    shutil.chown(data, "postgres")
    as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--"]
    acts.run([*as_postgres, str(binaries / "initdb"), "-D", str(data), "-A", "trust", "-U", "postgres"], quiet=True)
    sockets = scene.hub_dir / "run"
    service = processes.start(
        scene,
        "postgresql",
        [
            *as_postgres,
            str(binaries / "postgres"),
            "-D",
            str(data),
            "-p",
            port,
            "-k",
            str(sockets),
            "-c",
            "listen_addresses=",
            "-c",
            "fsync=off",
            "-c",
            "synchronous_commit=off",
        ],
        cwd=data,
    )
    psql = ["psql", "-q", "-v", "ON_ERROR_STOP=1", "-h", str(sockets), "-p", port]
    processes.wait_until(
        scene,
        service,
        lambda: (
            subprocess.run([*psql, "-U", "postgres", "-c", "select 1"], capture_output=True, check=False).returncode
            == 0
        ),
    )
    acts.run([*psql, "-U", "postgres", "-c", "create user koji", "-c", "create database koji owner koji"], quiet=True)
    schema = f"{scene.koji_src}/schemas/schema.sql"
    acts.run([*psql, "-U", "koji", "-f", schema, "koji"], quiet=True)
    acts.run([*psql, "-U", "koji", "koji"], quiet=True, stdin=SQL.format(admin=ADMIN))


def _library(scene: Scene) -> Path:
    """A directory with nothing but the plugin's extension module, readable by Apache's user."""
    directory = scene.hub_dir / "lib"
    directory.mkdir()
    shutil.copy(hub_plugin.extension(), directory / "containerbuild_hub.abi3.so")
    return directory


def start(scene: Scene) -> None:
    """Start database and hub; returns when the hub answers."""
    assert scene.koji_src
    for needed in ("kojihub", "koji", "schemas", "www", "builder", "util"):
        if not (scene.koji_src / needed).is_dir():
            raise SceneError(f"KOJI_SRC={scene.koji_src} has no {needed}/: it must be a checkout of Koji's source")
    hub = scene.hub_dir
    hub.mkdir(parents=True)
    _check_readable(scene)
    _make_interpreter(scene)
    for directory in (
        "run",
        "hub.conf.d",
        *(f"kojidir/{d}" for d in ("packages", "repos", "work", "scratch", "repos-dist")),
    ):
        (hub / directory).mkdir(parents=True)
    for directory in [hub / "kojidir", *(hub / "kojidir").iterdir()]:
        shutil.chown(directory, "www-data")
    (hub / "run").chmod(0o1777)
    hub_plugin.write_config(scene)
    _postgres(scene)
    values = {
        "hub": hub,
        "ca": scene.ca,
        "koji_src": scene.koji_src,
        "kojidir": scene.kojidir,
        "lib": _library(scene),
        "plugins": hub_plugin.PLUGINS,
        "policy": hub_plugin.policy_section(),
        "venv": interpreter(scene).parent.parent,
        "port": scene.port("hub_http"),
        "ssl_port": scene.port("hub_https"),
        "db_port": scene.port("database"),
        "web_url": scene.web_url,
        "hub_url": f"http://localhost:{scene.port('hub_http')}/kojihub",
        "top_url": scene.top_url,
        "log": scene.logs / "httpd-error.log",
        "modules": "\n".join(f"LoadModule {m}_module /usr/lib/apache2/modules/mod_{m}.so" for m in APACHE_MODULES),
    }
    for name, template in (
        ("hub.conf", HUB),
        ("web.conf", WEB),
        ("hub.wsgi", HUB_WSGI),
        ("web.wsgi", WEB_WSGI),
        ("apache.conf", APACHE),
    ):
        (hub / name).write_text(template.format(**values))
    service = processes.start(
        scene,
        "hub",
        ["apache2", "-f", str(hub / "apache.conf"), "-D", "FOREGROUND"],
        {"APACHE_RUN_DIR": str(hub / "run")},
    )
    processes.wait_until(scene, service, lambda: processes.answers(scene.port("hub_https")))
