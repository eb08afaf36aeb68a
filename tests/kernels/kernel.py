"""A distribution's kernel, out of its Debian package: the image and, for the first file system of the machine, the modules
that have to be loaded before the disk can be. Called by conftest.py.

Nothing is installed: the package is downloaded with apt-get, checked by it, and opened with dpkg-deb.
"""

import lzma
import subprocess
from dataclasses import dataclass
from pathlib import Path

# What a machine of ours needs: its disk, the file systems of a build, a second disk to swap on.
WANTED = ("virtio_pci", "virtio_blk", "ext4", "overlay", "loop", "dummy", "veth")


@dataclass(frozen=True)
class Kernel:
    """A kernel that can be booted."""

    version: str
    image: Path
    # Name and content, in the order they are loaded.
    modules: list[tuple[str, bytes]]


def download(package: str, directory: Path) -> Path:
    """The package file of the kernel that `package` (a meta package) stands for on this distribution."""
    named = _output("apt-cache", "depends", "--important", package)
    found = [line.split()[-1] for line in named.splitlines() if "Depends: linux-image-" in line]
    if not found:
        raise LookupError(f"{package} names no kernel; is it in the lists of apt-get update?")
    directory.mkdir(parents=True, exist_ok=True)
    have = list(directory.glob(f"{found[0]}_*.deb"))
    if not have:
        subprocess.run(["apt-get", "-q", "download", found[0]], cwd=directory, check=True, capture_output=True)
        have = list(directory.glob(f"{found[0]}_*.deb"))
    return have[-1]


def opened(deb: Path, directory: Path) -> Kernel:
    """The kernel in the package file `deb`, unpacked below `directory`."""
    if not directory.exists():
        directory.mkdir(parents=True)
        subprocess.run(["dpkg-deb", "-x", str(deb), str(directory)], check=True)
    image = next(directory.glob("boot/vmlinuz-*"))
    version = image.name.removeprefix("vmlinuz-")
    tree = next(d for d in (directory / "usr/lib/modules" / version, directory / "lib/modules" / version) if d.is_dir())
    files = {path.name.split(".")[0].replace("-", "_"): path for path in tree.rglob("*.ko*")}
    order: dict[str, bytes] = {}

    def add(name: str) -> None:
        # One that is not there is built in.
        if name in order or name not in files:
            return
        content = _module(files[name])
        for needed in _needs(content):
            add(needed)
        order[name] = content

    for name in WANTED:
        add(name)
    return Kernel(version, image, list(order.items()))


def _module(path: Path) -> bytes:
    content = path.read_bytes()
    return lzma.decompress(content) if path.suffix == ".xz" else content


def _needs(module: bytes) -> list[str]:
    """The names behind `depends=` in a module's `.modinfo`, a list of strings that end with a zero byte."""
    start = module.find(b"\0depends=")
    if start < 0:
        return []
    text = module[start + len(b"\0depends=") : module.index(b"\0", start + 1)].decode()
    return [name.replace("-", "_") for name in text.split(",") if name]


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
