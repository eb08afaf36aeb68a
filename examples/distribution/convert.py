"""Turns one Debian package into one RPM: unpack, add what scripts would have made, pack.

Called by steps.py, one call per package, on as many processes as there are processors.
"""

from __future__ import annotations

import importlib.util
import os
import py_compile
import re
import sys
from pathlib import Path

from . import rpm_names, rpm_spec
from .contents import ARCHITECTURES, DIRECTORIES_BY_SCRIPT, FILES_BY_SCRIPT, LINKS_BY_SCRIPT, UNWANTED
from .deb_archive import Entry, unpack
from .debian_packages import DebianPackage
from .own_packages import BASE_DIRECTORIES, BASE_LINKS

_MODULE = re.compile(r"usr/lib/python3(\.\d+)?/")


def convert(
    package: DebianPackage, deb: Path, shipped: set[str], python: str, work: Path, home: Path, output: Path
) -> str:
    """Returns the NVRA of the RPM written to `output`. `python` is the distribution's version, like `3.11`."""
    root = work / package.name / "root"
    root.mkdir(parents=True)
    entries, config, newest = unpack(deb, root)
    entries = [e for e in entries if not (e.is_directory and (e.path in BASE_DIRECTORIES or e.path in BASE_LINKS))]
    entries = without_empty_unwanted(entries)
    entries += made_by_scripts(package.name, root)
    if python == "{}.{}".format(*sys.version_info):
        entries += compiled_modules(entries, root)
    epoch, version, release = rpm_names.split_version(package.version)
    rpm = rpm_spec.RpmPackage(
        package.name,
        version,
        release,
        "noarch" if package.architecture == "all" else ARCHITECTURES[package.architecture][0],
        package.summary,
        epoch,
        package.homepage,
        newest,
        ["filesystem", *rpm_names.requires(package, shipped)],
        rpm_names.provides(package),
        list({e.path: e for e in entries}.values()),
        config,
    )
    rpm_spec.build(rpm, root, work / package.name / "rpmbuild", home, output)
    return rpm.nvra


def without_empty_unwanted(entries: list[Entry]) -> list[Entry]:
    """Leave out the directories whose whole content the recipe leaves out (`usr/share/man` itself)."""
    return [e for e in entries if not (e.is_directory and e.path + "/" in UNWANTED)]


def made_by_scripts(name: str, root: Path) -> list[Entry]:
    """Write the links, directories and files of contents.py into the build root."""
    entries = []
    for path, target in LINKS_BY_SCRIPT.get(name, {}).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).unlink(missing_ok=True)
        (root / path).symlink_to(target)
        entries.append(Entry(path, 0, "root", "root", False))
    for path, mode, user, group in DIRECTORIES_BY_SCRIPT.get(name, []):
        (root / path).mkdir(parents=True, exist_ok=True)
        entries.append(Entry(path, mode, user, group, True))
    for path, text in FILES_BY_SCRIPT.get(name, {}).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
        entries.append(Entry(path, 0o644, "root", "root", False))
    return entries


def compiled_modules(entries: list[Entry], root: Path) -> list[Entry]:
    """Compile Python modules as Debian's scripts would at installation.

    Otherwise dnf, run as root in an image, would write byte code nobody owns into the image's layers. The code carries
    a hash instead of a time stamp, so that it is the same whenever it is made.
    """
    made: dict[str, Entry] = {}
    for entry in entries:
        if not (entry.path.endswith(".py") and _MODULE.match(entry.path)):
            continue
        source = root / entry.path
        if source.is_symlink():  # sitecustomize.py is a link into /etc: follow it inside the build root
            target = os.readlink(source)
            source = root / target.lstrip("/") if target.startswith("/") else source.parent / target
        if not source.is_file():
            continue
        cached = importlib.util.cache_from_source(entry.path)
        (root / cached).parent.mkdir(exist_ok=True)
        try:
            py_compile.compile(
                str(source),
                str(root / cached),
                "/" + entry.path,
                doraise=True,
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )
        except (py_compile.PyCompileError, SyntaxError, UnicodeDecodeError):
            continue  # a template or a test of bad syntax: nothing imports it
        directory = str(Path(cached).parent)
        made[directory] = Entry(directory, 0o755, "root", "root", True)
        made[cached] = Entry(cached, 0o644, "root", "root", False)
    return list(made.values())
