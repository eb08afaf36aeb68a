"""Keeps finished distributions, named by what went into them.

`${XDG_CACHE_HOME:-~/.cache}/containerbuild/distribution-KEY/`; KEY covers the recipe's own source, the architecture,
and the exact version of every Debian package. A distribution appears there by one rename, so it is whole or absent.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .debian_packages import DebianPackage


def cache_directory() -> Path:
    """Created when missing."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    directory = Path(base) / "containerbuild"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def key(packages: dict[str, DebianPackage]) -> str:
    """16 hex digits."""
    digest = hashlib.sha256("python {}.{}\n".format(*sys.version_info).encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    for package in packages.values():
        digest.update(f"{package.name}={package.version}:{package.architecture}\n".encode())
    return digest.hexdigest()[:16]


@contextmanager
def being_made(name: str) -> Iterator[None]:
    """Hold the lock on a distribution, so that two runs at once make it once."""
    with (cache_directory() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def work_directory(needed: int = 3 << 30) -> Iterator[Path]:
    """A private directory, removed afterwards; in memory when there is room for `needed` bytes.

    The recipe writes and deletes some 20 000 small files, which memory takes ten times faster than some disks.
    """
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > needed
    directory = Path(tempfile.mkdtemp(prefix="demo-distribution-", dir=memory if roomy else None))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def used(directory: Path) -> None:
    """Remember that a distribution was used now."""
    os.utime(directory)


def forget_unused(prefix: str = "distribution-", keep: int = 2, idle: float = 86400) -> None:
    """Delete what of one kind nobody used for a day, but for the `keep` latest: a distribution takes some 130 MB."""
    found = sorted(cache_directory().glob(f"{prefix}*/"), key=lambda path: -path.stat().st_mtime)
    for path in found[keep:]:
        if time.time() - path.stat().st_mtime > idle:
            shutil.rmtree(path, ignore_errors=True)


def publish(made: Path, name: str) -> Path:
    """Move a finished distribution into the cache. `made` may be on another file system."""
    final, staged = cache_directory() / name, cache_directory() / f".{name}.{os.getpid()}"
    shutil.rmtree(staged, ignore_errors=True)
    shutil.copytree(made, staged, symlinks=True)
    staged.rename(final)
    return final
