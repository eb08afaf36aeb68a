"""The benchmark's own mount and process namespace, entered by running itself again below unshare(1).

When the benchmark ends, however it ends, the kernel takes down its mounts, its loop device and its processes. crun
refuses hosts with both cgroup versions ("hybrid mode"), so the v2 tree is unmounted in here and nowhere else.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from .errors import BenchError

MARK = "CONTAINERBUILD_BENCH_NAMESPACE"
UNIFIED = Path("/sys/fs/cgroup/unified")
BUILDAH_CACHE = Path("/var/lib/containers/cache")


def enter() -> None:
    """Return inside the namespaces; outside of them, this process becomes unshare(1)."""
    if os.environ.get(MARK) and os.getpid() == 1:
        _prepare()
        return
    if os.geteuid() != 0:
        raise BenchError("the benchmark mounts and unshares: run it as root")
    unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"]
    environment = {**os.environ, MARK: "1"}
    os.execvpe("unshare", [*unshare, sys.executable, "-m", "bench", *sys.argv[1:]], environment)


def _prepare() -> None:
    if UNIFIED.is_dir() and os.path.ismount(UNIFIED):
        subprocess.run(["umount", "--lazy", UNIFIED], check=True)
    # Buildah remembers where it pushed which blob and would push nothing the second time (engine.md T4).
    BUILDAH_CACHE.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "bench-blob-cache", BUILDAH_CACHE], check=True)
