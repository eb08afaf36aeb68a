"""Assembles the root of the base image with the real dnf, and lists the RPMs in it.

Called by steps.py. The root's RPM database is SQLite, written by the host's librpm under macros of ours.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from .contents import BASE_IMAGE, RELEASEVER
from .errors import RecipeError
from .rpm_spec import environment

# Left by dnf on the host's behalf; an image has no use for them.
_LEAVINGS = ["var/cache/dnf", "var/log", "var/lib/dnf/repos", "var/tmp", "tmp", "root/.rpmdb", "run"]
_QUERY = "%{NAME}\\t%{VERSION}\\t%{RELEASE}\\t%{EPOCH}\\t%{ARCH}\\t%{SIGMD5}\\t%{SIZE}\\n"


class BaseRootError(RecipeError):
    """dnf or rpm failed; the message holds the end of its output."""


def _run(command: list[str], home: Path) -> str:
    done = subprocess.run(command, env=environment(home), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BaseRootError(f"{command[0]} failed ({done.returncode}): {(done.stdout + done.stderr).strip()[-3000:]}")
    return done.stdout


def install(repository: Path, gpg_key: Path, root: Path, home: Path) -> None:
    """Install BASE_IMAGE and what it needs from `repository` into the new directory `root`; needs root rights."""
    root.mkdir(parents=True)
    configuration = home / "dnf.conf"
    configuration.write_text(
        "[main]\ngpgcheck=1\ninstall_weak_deps=0\nkeepcache=0\nplugins=0\nreposdir=/nonexistent\n"
        f"[demo]\nname=demo\nbaseurl=file://{repository}\ngpgkey=file://{gpg_key}\n"
    )
    _run(
        [
            "dnf",
            "-y",
            "-q",
            "-c",
            str(configuration),
            "--installroot",
            str(root),
            "--releasever",
            RELEASEVER,
            "install",
            *BASE_IMAGE,
        ],
        home,
    )
    for path in _LEAVINGS:
        for child in (root / path).iterdir() if (root / path).is_dir() else []:
            if child.is_dir() and not child.is_symlink():
                shutil.rmtree(child)
            else:
                child.unlink()
    shutil.rmtree(root / "root/.rpmdb", ignore_errors=True)
    if not (root / "usr/lib/sysimage/rpm/rpmdb.sqlite").exists():
        raise BaseRootError("the root has no rpmdb.sqlite: does this rpm know the sqlite back end?")


def _rows(text: str) -> list[dict[str, object]]:
    rows = []
    for line in sorted(filter(None, text.splitlines())):
        name, version, release, epoch, arch, sigmd5, size = line.split("\t")
        if name != "gpg-pubkey":
            rows.append(
                {
                    "name": name,
                    "version": version,
                    "release": release,
                    "arch": arch,
                    "sigmd5": sigmd5,
                    "epoch": None if epoch == "(none)" else int(epoch),
                    "size": int(size),
                }
            )
    return rows


def installed(root: Path, home: Path) -> list[dict[str, object]]:
    """The RPMs in the root's database, sorted, without gpg-pubkey."""
    return _rows(_run(["rpm", "--root", str(root), "-qa", "--qf", _QUERY], home))


def described(files: list[Path], home: Path) -> list[dict[str, object]]:
    """The same facts of RPM files."""
    return _rows(_run(["rpm", "-qp", "--nosignature", "--qf", _QUERY, *map(str, files)], home))
