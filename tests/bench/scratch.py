"""Where everything is measured: an XFS image on a loop device, because the host's own file system may be anything
(an ext4 without a journal creates files ten times slower after a large removal, engine.md T1). A tmpfs where there is
no loop device or no mkfs.xfs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from .errors import BenchError

IMAGE_SIZE = 30 << 30  # sparse: some 6 GB are written
NEEDED = 10 << 30


class Scratch:
    """A fresh file system; unmounted and forgotten at the end."""

    def __init__(self, parent: Path) -> None:
        free = shutil.disk_usage(parent).free
        if free < NEEDED:
            raise BenchError(
                f"{parent} has {free >> 30} GB free, {NEEDED >> 30} are needed (--work-dir names another place)"
            )
        self.path = Path(tempfile.mkdtemp(prefix="containerbuild-bench-", dir=parent))
        self.kind = ""

    def __enter__(self) -> Scratch:
        image = self.path.with_suffix(".xfs")
        try:
            self.kind = self._mount_xfs(image)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"no XFS on a loop device ({error}): measuring on tmpfs", flush=True)
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=75%", "bench", self.path], check=True)
            self.kind = "tmpfs"
        finally:
            image.unlink(missing_ok=True)  # the loop device keeps it alive until the unmount
        return self

    def _mount_xfs(self, image: Path) -> str:
        with image.open("wb") as file:
            os.truncate(file.fileno(), IMAGE_SIZE)
        subprocess.run(["mkfs.xfs", "-q", "-m", "reflink=1", image], check=True)
        find = ["losetup", "--find", "--show", "--direct-io=on", image]
        device = subprocess.run(find, check=True, capture_output=True, text=True).stdout.strip()
        try:
            subprocess.run(["mount", "-t", "xfs", device, self.path], check=True)
        finally:
            # While it is mounted, this only marks the device: the last unmount frees it.
            subprocess.run(["losetup", "--detach", device], check=True)
        return "XFS (reflink) on a loop device with direct I/O"

    def directory(self, name: str) -> Path:
        """A directory in it, made when missing."""
        path = self.path / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def __exit__(self, *_: object) -> None:
        # Buildah leaves its storage mounted on itself. What is still open here dies with the namespace.
        subprocess.run(["umount", "--recursive", "--lazy", self.path], check=False)
        self.path.rmdir()


def remove(tree: Path) -> None:
    """Delete a tree with everything that is mounted in it."""
    table = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    mounted = [line.split()[1] for line in table]
    for point in sorted((m for m in mounted if m == str(tree) or m.startswith(f"{tree}/")), reverse=True):
        subprocess.run(["umount", "--lazy", point], check=True)
    shutil.rmtree(tree, ignore_errors=True)
