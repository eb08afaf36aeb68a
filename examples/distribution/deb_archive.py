"""Reads a .deb file and unpacks it below a directory as an RPM build root, with merged /usr.

A .deb is an `ar` archive of control.tar and data.tar (deb(5)). Read here and not with dpkg-deb, so that owners and
modes of the files are known by name without being root and without Debian's user ids on the host. Called by convert.py.
"""

from __future__ import annotations

import io
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path

from .contents import UNWANTED
from .errors import RecipeError

# Top-level directories that are links into /usr here and in every current distribution.
MERGED = ("bin", "sbin", "lib", "lib64")


class ArchiveError(RecipeError):
    """The file is not a .deb as deb(5) describes."""


@dataclass(frozen=True)
class Entry:
    """One path of a package, relative to the root, with what `%attr` needs. A link has mode 0: none of its own."""

    path: str
    mode: int
    user: str
    group: str
    is_directory: bool


def members(deb: Path) -> dict[str, bytes]:
    """The members of an ar archive: a 60-byte header each, data padded to even length."""
    data = deb.read_bytes()
    if data[:8] != b"!<arch>\n":
        raise ArchiveError(f"{deb.name} is not an ar archive")
    found, offset = {}, 8
    while offset + 60 <= len(data):
        header = data[offset : offset + 60]
        if header[58:60] != b"`\n":
            raise ArchiveError(f"{deb.name}: damaged member header at byte {offset}")
        size = int(header[48:58])
        found[header[:16].decode().strip().rstrip("/")] = data[offset + 60 : offset + 60 + size]
        offset += 60 + size + size % 2
    return found


def _tar(deb: Path, parts: dict[str, bytes], stem: str) -> tarfile.TarFile:
    for name, data in parts.items():
        if name.startswith(stem):
            if name.endswith(".zst"):
                raise ArchiveError(f"{deb.name}: {name} is zstd-compressed, which Python cannot read")
            return tarfile.open(fileobj=io.BytesIO(data), mode="r:*")
    raise ArchiveError(f"{deb.name} has no {stem}")


def merged(path: str) -> str:
    """`bin/ls` → `usr/bin/ls`; everything else as it is."""
    top, slash, rest = path.partition("/")
    return f"usr/{path}" if top in MERGED and (slash or rest) else path


def unwanted(path: str) -> bool:
    """True for manuals, translations and the like; licences (…/copyright) always stay."""
    if path.startswith("usr/share/doc/"):
        return not path.endswith("/copyright") and path.count("/") > 3
    return any(path.startswith(prefix) or path + "/" == prefix for prefix in UNWANTED)


def conffiles(parts: dict[str, bytes], deb: Path) -> set[str]:
    """Paths Debian treats as configuration, relative to the root."""
    with _tar(deb, parts, "control.tar") as control:
        for name in ("./conffiles", "conffiles"):
            try:
                stream = control.extractfile(name)
            except KeyError:
                continue
            if stream:
                lines = stream.read().decode().split()
                return {merged(line.lstrip("/")) for line in lines if line.startswith("/")}
    return set()


def unpack(deb: Path, root: Path) -> tuple[list[Entry], set[str], int]:
    """Unpack below `root`; returns the entries, the configuration files, and the newest time stamp (epoch seconds)."""
    parts = members(deb)
    entries: dict[str, Entry] = {}
    newest = 0
    with _tar(deb, parts, "data.tar") as data:
        for item in data:
            path = merged(item.name.removeprefix("./").strip("/"))
            if path in ("", ".", *MERGED) or unwanted(path):
                continue
            if ".." in path.split("/"):
                raise ArchiveError(f"{deb.name} has a path that leaves the root: {item.name}")
            _write(data, item, path, root)
            newest = max(newest, int(item.mtime))
            mode = 0 if item.issym() else item.mode & 0o7777
            entries[path] = Entry(path, mode, item.uname or "root", item.gname or "root", item.isdir())
    return sorted(entries.values(), key=lambda e: e.path), conffiles(parts, deb), newest


def _write(data: tarfile.TarFile, item: tarfile.TarInfo, path: str, root: Path) -> None:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    if item.isdir():
        target.mkdir(exist_ok=True)
        return
    if target.is_symlink() or target.exists():
        target.unlink()
    if item.issym():
        target.symlink_to(item.linkname)
    elif item.islnk():
        os.link(root / merged(item.linkname.removeprefix("./")), target)
    elif item.isfile():
        stream = data.extractfile(item)
        with target.open("wb") as out:
            while stream and (chunk := stream.read(1 << 20)):
                out.write(chunk)
        target.chmod(item.mode & 0o7777)
        os.utime(target, (item.mtime, item.mtime))
    else:
        raise ArchiveError(f"{item.name} is neither file, directory nor link")
