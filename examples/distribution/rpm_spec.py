"""Writes the spec file and file list of one RPM, and runs rpmbuild on it.

No compiling happens: the build root is already there, rpmbuild only packs it. Called by convert.py and
own_packages.py, from several processes at once.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from .contents import VENDOR
from .deb_archive import Entry
from .errors import RecipeError

# zstd at level 3: an eighth of the time of xz. No debug packages, no rewriting of what Debian has built, no
# hashing of the build host into the RPM: an equal input gives an equal header.
MACROS = f"""\
%_binary_payload w3.zstdio
%debug_package %{{nil}}
%__os_install_post %{{nil}}
%__spec_install_pre %{{nil}}
%_build_id_links none
%_buildhost builder.example.com
%vendor {VENDOR}
%use_source_date_epoch_as_buildtime 1
%clamp_mtime_to_source_date_epoch 1
%source_date_epoch_from_changelog 0
%_db_backend sqlite
%_dbpath /usr/lib/sysimage/rpm
%_rpmfilename %%{{NAME}}-%%{{VERSION}}-%%{{RELEASE}}.%%{{ARCH}}.rpm
"""


class RpmBuildError(RecipeError):
    """rpmbuild refused a generated spec."""


@dataclass
class RpmPackage:
    """Everything the spec of one binary RPM says. `timestamp` (epoch seconds) becomes the build time."""

    name: str
    version: str
    release: str
    arch: str
    summary: str
    epoch: int | None = None
    url: str = ""
    timestamp: int = 1_700_000_000
    requires: list[str] = field(default_factory=list)
    provides: list[str] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    config: set[str] = field(default_factory=set)

    @property
    def nvra(self) -> str:
        """`name-version-release.arch`, also the file name without `.rpm`."""
        return f"{self.name}-{self.version}-{self.release}.{self.arch}"


def escape(text: str) -> str:
    """Keep RPM from expanding macros in foreign text."""
    return text.replace("%", "%%")


def file_line(entry: Entry, config: set[str]) -> str:
    """One line of %files; the path is quoted and its glob characters are escaped."""
    path = re.sub(r"([\[*?])", r"[\1]", escape("/" + entry.path))
    prefix = "%dir " if entry.is_directory else "%config(noreplace) " if entry.path in config else ""
    mode = f"{entry.mode:04o}" if entry.mode else "-"
    return f'{prefix}%attr({mode},{entry.user},{entry.group}) "{path}"'


def spec_text(package: RpmPackage) -> str:
    """The spec file. The licence of each package is in the file Debian's policy names."""
    lines = [f"Name: {package.name}", f"Version: {package.version}", f"Release: {package.release}"]
    if package.epoch is not None:
        lines.append(f"Epoch: {package.epoch}")
    lines += [f"Summary: {escape(package.summary)}", f"License: see /usr/share/doc/{package.name}/copyright"]
    if package.url:
        lines.append(f"URL: {escape(package.url)}")
    if package.arch == "noarch":
        lines.append("BuildArch: noarch")
    lines.append("AutoReqProv: no")
    lines += [f"Requires: {r}" for r in package.requires]
    lines += [f"Provides: {p}" for p in package.provides]
    lines += ["", "%description", escape(package.summary), "", "%files -f files.list", ""]
    return "\n".join(lines)


def write_macros(home: Path) -> None:
    """Give rpm a private home, so that the caller's ~/.rpmmacros has no say."""
    home.mkdir(parents=True, exist_ok=True)
    (home / ".rpmmacros").write_text(MACROS)


def environment(home: Path, timestamp: int | None = None) -> dict[str, str]:
    """The environment for rpm's programs."""
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C.UTF-8"}
    if timestamp is not None:
        env["SOURCE_DATE_EPOCH"] = str(timestamp)
    return env


def build(package: RpmPackage, root: Path, work: Path, home: Path, output: Path) -> Path:
    """Pack `root` into `output`/NVRA.rpm. `work` is private to this call and removed; so is `root`."""
    (work / "BUILD").mkdir(parents=True, exist_ok=True)
    (work / "BUILD" / "files.list").write_text("".join(file_line(e, package.config) + "\n" for e in package.entries))
    spec = work / f"{package.name}.spec"
    spec.write_text(spec_text(package))
    done = subprocess.run(
        [
            "rpmbuild",
            "-bb",
            "--quiet",
            "--define",
            f"_topdir {work}",
            "--define",
            f"_rpmdir {output}",
            "--buildroot",
            str(root),
            str(spec),
        ],
        env=environment(home, package.timestamp),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    rpm = output / f"{package.nvra}.rpm"
    if done.returncode != 0 or not rpm.exists():
        raise RpmBuildError(f"rpmbuild failed for {package.nvra}:\n{done.stdout.strip()[-2000:]}")
    shutil.rmtree(work, ignore_errors=True)
    shutil.rmtree(root, ignore_errors=True)
    return rpm
