"""Runs the stock `koji` command against the scene's hub. Used by koji_setup.py, base_image.py and the acts."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

from . import acts
from .scene import ADMIN, REPOSITORY, Scene, program

CONFIG = """\
[koji]
server = {hub_url}
weburl = {web_url}
topurl = {top_url}
authtype = ssl
cert = {ca}/{user}.pem
serverca = {ca}/ca.crt
plugin_paths = {plugins}
poll_interval = 1
"""


def write_config(scene: Scene, user: str) -> None:
    """The client's configuration for `user`, with our CLI plugin."""
    scene.koji_conf(user).write_text(
        CONFIG.format(
            hub_url=scene.hub_url,
            web_url=scene.web_url,
            top_url=scene.top_url,
            ca=scene.ca,
            user=user,
            plugins=REPOSITORY / "koji-plugin/cli",
        )
    )


def command(scene: Scene, arguments: list[str], user: str = ADMIN) -> list[str]:
    """The argument list of one koji command."""
    return [program("koji"), "-c", str(scene.koji_conf(user)), *arguments]


def koji(scene: Scene, *arguments: str, user: str = ADMIN, quiet: bool = False) -> str:
    """Run one koji command; shows it short, as one would type it."""
    if not quiet:
        acts.show_command(["koji", *arguments])
    return acts.run(command(scene, list(arguments), user), quiet=True)


def together(scene: Scene, *commands: list[str]) -> list[str]:
    """Run commands that do not depend on each other at the same time; each login alone takes a third of a second."""
    for arguments in commands:
        acts.show_command(["koji", *arguments])
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda arguments: koji(scene, *arguments, quiet=True), commands))


def call(scene: Scene, method: str, *arguments: object, user: str = ADMIN) -> object:
    """One hub call through `koji call`, with JSON in and out."""
    return json.loads(
        koji(
            scene,
            "call",
            "--json-input",
            "--json-output",
            method,
            *(json.dumps(a) for a in arguments),
            user=user,
            quiet=True,
        )
    )


def call_many(scene: Scene, calls: list[tuple[str, list[object]]]) -> list[object]:
    """Many hub calls as one request (system.multicall); the first fault is an error."""
    request = [{"methodName": method, "params": params} for method, params in calls]
    answers = call(scene, "system.multicall", request)
    assert isinstance(answers, list)
    for (method, params), answer in zip(calls, answers, strict=True):
        if isinstance(answer, dict):
            raise acts.SceneError(f"{method}{tuple(params)} failed: {answer.get('faultString')}")
    return [answer[0] for answer in answers]
