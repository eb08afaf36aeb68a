"""Makes requested repositories in a thread of its own, as kojira and a createrepo builder would.

A repo is `repos/TAG/ID/ARCH/` with repodata (createrepo_c), `rpmlist.jsonl` (one JSON object per RPM), `pkglist` and the link
`toplink` to the top directory, over which the repodata's locations lead; `repos/TAG/ID/repo.json` says what it holds, and
`repos/TAG/latest` leads to the newest.
"""

import json
import logging
import os
import shutil
import subprocess
import threading
import time

import koji

from .builds import find_build
from .external_repos import getExternalRepoList
from .repos import READY, find_request, new_repo
from .tagging import read_tagged_rpms
from .tags import getBuildConfig

logger = logging.getLogger(__name__)
# A request is given up after so many failures.
TRIES = 3


class RepoMaker:
    """One thread; `wake` it after a request was committed."""

    def __init__(self, hub):
        self._hub = hub
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="repo-maker", daemon=True)

    def start(self):
        self._wake.set()
        self._thread.start()

    def wake(self):
        self._wake.set()

    def stop(self):
        """Ends the thread after the repo it is making."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self):
        while not self._stopping:
            self._wake.wait()
            self._wake.clear()
            while not self._stopping and self._make_next():
                pass

    def _make_next(self):
        with self._hub.call_context("repo", {}, {}) as _:
            from .database import db

            number = db().value("SELECT id FROM repo_queue WHERE active ORDER BY priority, id")
            if number is None:
                return False
            request = find_request(number)
        try:
            self._make(request)
        except Exception:  # noqa: BLE001 (one broken repo must not end the thread; the request says that it failed)
            logger.exception("repo for tag %s failed", request["tag_name"])
            with self._hub.call_context("repo", {}, {}):
                tries = request["tries"] + 1
                db().update("repo_queue", number, tries=tries, active=tries < TRIES, update_time=time.time())
        return True

    def _make(self, request):
        with self._hub.call_context("repo", {}, {}):
            repo = new_repo(request)
            arches, by_arch, links = _contents(repo)
        top = koji.pathinfo.repo(repo["id"], repo["tag_name"])
        for arch in arches:
            make_arch(os.path.join(top, arch), by_arch[arch], links)
        summary = {
            "id": repo["id"],
            "tag": repo["tag_name"],
            "tag_id": repo["tag_id"],
            "task_id": None,
            "event_id": repo["create_event"],
            "opts": repo["opts"],
            "custom_opts": {},
            "with_src": False,
            "with_separate_src": False,
            "with_debuginfo": False,
        }
        with open(os.path.join(top, "repo.json"), "w", encoding="utf-8") as file:
            json.dump(summary, file, indent=2)
        from .database import db

        with self._hub.call_context("repo", {}, {}):
            newest = db().value(
                "SELECT max(create_event) FROM repo WHERE tag_id = :tag AND state = :ready", tag=repo["tag_id"], ready=READY
            )
            if newest is None or repo["create_event"] >= newest:
                _point_latest(top)
            db().update("repo", repo["id"], state=READY, state_time=time.time())
            db().update("repo_queue", request["id"], active=False, repo_id=repo["id"], update_time=time.time())
        logger.info("repo %s of tag %s is ready", repo["id"], repo["tag_name"])


def _contents(repo):
    """(arches, {arch: RPM rows}, {build id: its directory below the top directory})"""
    tag, event = repo["tag_id"], repo["create_event"]
    config = getBuildConfig(tag, event=event)
    arches = sorted({koji.canonArch(arch) for arch in (config["arches"] or "").split()})
    if not arches:
        raise koji.GenericError(f"tag {repo['tag_name']} has no arches")
    if getExternalRepoList(tag, event=event):
        raise koji.GenericError(f"tag {repo['tag_name']} has external repos, which the development hub does not merge")
    everything = bool(config["extra"].get("repo_include_all"))
    rpms, builds = read_tagged_rpms(tag, event=event, inherit=True, latest=not everything)
    links = {build["id"]: os.path.relpath(koji.pathinfo.build(find_build(build["id"])), koji.pathinfo.topdir) for build in builds}
    by_arch = {arch: [] for arch in arches}
    for rpm in rpms:
        if rpm["arch"] == "src" or koji.is_debuginfo(rpm["name"]):
            continue
        targets = arches if rpm["arch"] == "noarch" else [koji.canonArch(rpm["arch"])]
        for arch in targets:
            if arch in by_arch:
                by_arch[arch].append(rpm)
    return arches, by_arch, links


def make_arch(directory, rpms, links):
    """Writes one architecture's repo. What an earlier, failed try left is removed first."""
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    os.symlink(os.path.relpath(koji.pathinfo.topdir, directory), os.path.join(directory, "toplink"))
    with open(os.path.join(directory, "rpmlist.jsonl"), "w", encoding="utf-8") as file:
        for rpm in rpms:
            file.write(json.dumps(rpm) + "\n")
    pkglist = os.path.join(directory, "pkglist")
    with open(pkglist, "w", encoding="utf-8") as file:
        for rpm in rpms:
            file.write(f"toplink/{links[rpm['build_id']]}/{koji.pathinfo.rpm(rpm)}\n")
    with open(os.path.join(directory, "blocklist"), "w", encoding="utf-8"):
        pass
    command = ["createrepo_c", "--quiet", "--no-database", "--pkglist", pkglist, directory]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise koji.GenericError(f"createrepo_c failed in {directory}: {done.stderr.strip()}")


def _point_latest(top):
    """Leads repos/TAG/latest to a repo, in one step."""
    link = os.path.join(os.path.dirname(top), "latest")
    fresh = f"{link}.new"
    if os.path.lexists(fresh):
        os.unlink(fresh)
    os.symlink(os.path.basename(top), fresh)
    os.replace(fresh, link)
