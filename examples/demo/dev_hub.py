"""Starts the development hub (python/devhub). Called by `up` when no KOJI_SRC is given."""

from __future__ import annotations

import secrets
import sys

from . import hub_plugin, processes
from .scene import ADMIN, REPOSITORY, Scene

CONFIG = """\
[hub]
state_dir = {hub}
topdir = {kojidir}
port = {port}
ssl_port = {ssl_port}
server_cert = {ca}/localhost.pem
client_ca = {ca}/ca.crt
# Who has logged in at an httpd before this hub; only that one knows the name of the header.
login_header = {login_header}
plugins = containerbuild
plugin_path = {plugins}

[users]
{admin} = - admin

[policy]
{policy}"""


def start(scene: Scene) -> None:
    """Start it with an empty database; returns when it answers."""
    hub = scene.hub_dir
    hub.mkdir(parents=True)
    config = hub / "devhub.conf"
    config.touch(mode=0o600)
    config.write_text(
        CONFIG.format(
            hub=hub,
            kojidir=scene.kojidir,
            port=scene.port("hub_http"),
            ssl_port=scene.port("hub_https"),
            ca=scene.ca,
            login_header=f"X-Login-{secrets.token_hex(8)}",
            plugins=hub_plugin.PLUGINS,
            admin=ADMIN,
            policy=hub_plugin.policy_section(),
        )
    )
    service = processes.start(
        scene,
        "hub",
        [sys.executable, "-m", "devhub", "--config", str(config)],
        {
            "PYTHONPATH": f"{REPOSITORY / 'python'}:{hub_plugin.extension().parent}",
            "CONTAINERBUILD_HUB_CONF": str(hub_plugin.write_config(scene)),
        },
    )
    processes.wait_until(scene, service, (hub / "ready.json").exists)
