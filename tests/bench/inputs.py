"""What is built: base images in the registry, build contexts on the scratch file system, packages to install.

Large things are made once and kept in ~/.cache/containerbuild, named by the recipe that made them; the rest is made
anew on the fresh file system. Everything is generated, so sizes and contents are the same on every machine.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

from . import bulk_packages, content, oci_image
from .errors import BenchError

LARGE_FILES, LARGE_BYTES = 43_000, 887_000_000
MANY_FILES, MANY_BYTES = 30_000, 522_000_000
COPY_FILES, COPY_BYTES = 20_000, 164_000_000
BIG_COPIES = 16  # of the 64 MiB pool: 1 GiB
RECIPE = ("content.py", "oci_image.py", "bulk_packages.py", "inputs.py")


def cached(name: str, make: Callable[[Path], None]) -> Path:
    """A directory in the cache; `make` fills it when this recipe was not run yet."""
    text = b"".join((Path(__file__).parent / file).read_bytes() for file in RECIPE)
    key = hashlib.sha256(text).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "containerbuild"
    final = cache / f"bench-{name}-{key}"
    if not final.is_dir():
        print(f"making {name} (once; kept in {cache})", flush=True)
        for old in cache.glob(f"bench-{name}-*"):
            shutil.rmtree(old)
        staged = cache / f".bench-{name}.{os.getpid()}"
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir(parents=True)
        try:
            make(staged)
            staged.rename(final)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
    return final


def distribution() -> Path:
    """The demo distribution: its base image has a working dnf."""
    examples = Path(__file__).parents[2] / "examples"
    command = [sys.executable, "-m", "distribution"]
    environment = {**os.environ, "PYTHONPATH": str(examples)}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise BenchError("the demo distribution cannot be made")
    return Path(done.stdout.strip())


class Inputs:
    """Everything on one scratch directory; each piece is made when it is first asked for."""

    def __init__(self, directory: Path, host: str) -> None:
        self.directory, self.host = directory, host
        self.made: set[str] = set()

    def base(self, name: str) -> str:
        """Reference of a base image, pushed when needed: `large`, `tools` or `dnf`."""
        reference = f"{self.host}/base/{name}:1"
        if name not in self.made:
            layout = {"large": _large, "tools": self._tools, "dnf": lambda: distribution() / "base-image"}[name]()
            oci_image.push(layout, self.host, f"base/{name}", "1")
            self.made.add(name)
        return reference

    def _tools(self) -> Path:
        layout = self.directory / "tools-image"
        oci_image.write(layout, _tools_entries())
        return layout

    def packages(self) -> Path:
        """The repository with the large packages."""
        return cached("packages", lambda staged: _packages(staged, self.directory / "rpmbuild")) / "repo"

    def context(self, name: str, base: str, steps: list[str], fill: Callable[[Path], None] | None = None) -> Path:
        """A context directory with a Dockerfile of these steps; `fill` adds files."""
        path = self.directory / name
        if not path.is_dir():
            path.mkdir()
            lines = [f"FROM {self.base(base)}", *steps]
            (path / "Dockerfile").write_text("\n".join(lines) + "\n", encoding="utf-8")
            if fill:
                fill(path)
        return path


def _large() -> Path:
    pool = content.soft()

    def entries() -> Iterator[tuple[tarfile.TarInfo, bytes | memoryview]]:
        for path, data in content.files(pool, 3, LARGE_FILES, LARGE_BYTES):
            yield oci_image.member(f"usr/share/large/{path}"), data

    return cached("large-image", lambda staged: oci_image.write(staged, entries()))


def _tools_entries() -> Iterator[tuple[tarfile.TarInfo, bytes | memoryview]]:
    busybox = shutil.which("busybox")
    if not busybox:
        raise BenchError("busybox is missing (Debian: busybox-static)")
    yield oci_image.member("bin/busybox", mode=0o755), Path(busybox).read_bytes()
    listed = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
    for name in sorted(set(listed) - {"busybox"}):
        yield oci_image.member(f"bin/{name}", tarfile.SYMTYPE, 0o777, "busybox"), b""
    yield oci_image.member("etc/passwd"), b"root:x:0:0:root:/root:/bin/sh\n"
    yield oci_image.member("tmp", tarfile.DIRTYPE, 0o1777), b""


def _packages(staged: Path, work: Path) -> None:
    work.mkdir()
    bulk_packages.make(staged / "repo", work)
    shutil.rmtree(work)


def pool(kind: str) -> Callable[[Path], None]:
    """64 MiB of this kind; RUN makes its files from it."""

    def fill(context: Path) -> None:
        (context / "pool").write_bytes(content.KINDS[kind]().data)

    return fill


def many_files(kind: str) -> Callable[[Path], None]:
    """A tar for RUN to unpack: making the files is then as cheap as it gets."""

    def fill(context: Path) -> None:
        data_pool = content.KINDS[kind]()
        with (context / "files.tar").open("wb") as out:
            files = content.files(data_pool, 4, MANY_FILES, MANY_BYTES)
            oci_image.tar(out, ((oci_image.member(path), data) for path, data in files))

    return fill


def tree(context: Path) -> None:
    """A tree for COPY."""
    for path, data in content.files(content.soft(), 6, COPY_FILES, COPY_BYTES):
        file = context / "tree" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
