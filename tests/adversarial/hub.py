"""The scene's hub as the corpus uses it: a session for hundreds of calls, and rows as an adversary finds them."""

from __future__ import annotations

import sqlite3
import subprocess
import threading
import time
from dataclasses import dataclass

import koji
from demo import dist_git
from demo.koji_client import koji as command
from demo.scene import ADMIN, PACKAGER, TARGET, Scene

PATIENCE = 900  # seconds for one task; the worker's queue may be long


@dataclass(frozen=True)
class Outcome:
    """How a task ended: its result, or the text of its fault."""

    succeeded: bool
    result: dict
    fault: str


class Hub:
    """Sessions of the packager and of the administrator."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.kind = "real" if scene.koji_src else "dev"
        self.packager, self.admin = self._session(PACKAGER), self._session(ADMIN)
        self._calling = threading.Lock()

    def _session(self, user: str) -> koji.ClientSession:
        session = koji.ClientSession(self.scene.hub_url, {"serverca": str(self.scene.ca / "ca.crt")})
        session.ssl_login(str(self.scene.ca / f"{user}.pem"), None, str(self.scene.ca / "ca.crt"))
        return session

    def submit(self, name: str, repo_url: str = "", **more: object) -> int:
        """Asks for a build of a repository of the scene's dist-git, with more options; returns the task's number."""
        url = self.scene.scm_url(name, dist_git.commit(self.scene, name))
        options = {"git_branch": dist_git.BRANCH, **({"yum_repourls": [repo_url]} if repo_url else {}), **more}
        # A session counts its calls, so one thread at a time.
        with self._calling:
            return self.packager.buildContainer(url, TARGET, options)

    def outcome(self, task: int) -> Outcome:
        """Waits for the task's end, which nothing announces."""
        began = time.monotonic()
        while not self.packager.taskFinished(task):
            assert time.monotonic() - began < PATIENCE, f"task {task} has not ended after {PATIENCE} s"
            time.sleep(0.3)
        info = self.packager.getTaskInfo(task)
        if info["state"] == koji.TASK_STATES["CLOSED"]:
            return Outcome(True, self.packager.getTaskResult(task), "")
        fault = self.packager.getTaskResult(task, raise_fault=False)
        return Outcome(False, {}, str(fault.get("faultString") if isinstance(fault, dict) else fault))

    def builds(self, pattern: str) -> list[dict]:
        """The builds whose NVR has a form, whatever their states."""
        return self.admin.listBuilds(pattern=pattern)

    def report(self, task: int, suffix: str) -> str:
        """The text of a report among the task's logs."""
        (name,) = [n for n in self.packager.listTaskOutput(task) if n.startswith("provenance-") and n.endswith(suffix)]
        return self.packager.downloadTaskOutput(task, name).decode()

    def know(self, rpms) -> None:
        """Imports RPMs as builds of their own, as the administrator."""
        paths = [str(path) for path in rpms]
        said = command(self.scene, "import", "--create-build", *paths, quiet=True)
        assert said.count("importing ") == len(paths), said

    def delete_build(self, nvr: str) -> None:
        """Deletes a build that is in no tag."""
        assert self.admin.deleteBuild(nvr)

    def lose_file(self, name: str) -> None:
        """Takes an RPM's file out of the hub's storage, signed copies included; its rows stay."""
        found = list(self.scene.hub_dir.rglob(name))
        assert found, f"no {name} below {self.scene.hub_dir}"
        for path in found:
            path.unlink()

    def know_external(self, rpm) -> None:
        """Records an RPM that was only seen in an external repository."""
        fields = ("name", "version", "release", "epoch", "arch", "size", "buildtime", "sigmd5")
        header = koji.get_header_fields(str(rpm), fields)
        header["payloadhash"] = koji.hex_string(header.pop("sigmd5"))
        self.admin.createExternalRepo("outside", "http://mirror.example.com/outside/")
        self.admin.addExternalRPM(header, "outside")

    def make_draft(self, name: str) -> None:
        """Marks the RPMs of a package as those of a draft build, which `koji import` cannot make."""
        if self.kind == "dev":
            with sqlite3.connect(self.scene.hub_dir / "hub.sqlite", timeout=60) as database:
                assert database.execute("UPDATE rpminfo SET draft = 1 WHERE name = ?", (name,)).rowcount == 1
            return
        # Its RPMs follow by a foreign key.
        statement = "UPDATE build SET draft = true, release = release || ',draft_' || build.id FROM package"
        statement += f" WHERE package.id = pkg_id AND package.name = '{name}'"
        run = [
            "psql",
            "-q",
            "-h",
            str(self.scene.hub_dir / "run"),
            "-p",
            str(self.scene.port("database")),
            "-U",
            "koji",
        ]
        subprocess.run([*run, "-c", statement, "koji"], check=True, capture_output=True)
