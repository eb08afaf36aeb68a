"""Another machine, as far as a program can tell: a root directory with nothing in it but the program, git, the
libraries they load and what a minimal system has, in mount, process, IPC and host name spaces of their own. Only the
network is shared. Nothing of the builder is to be seen: not its store, not its caches, not its configuration, not its
environment.
"""

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

from demo import worker

PROGRAM = "/usr/bin/containerbuild"
DEVICES = {"null": (1, 3), "zero": (1, 5), "urandom": (1, 9)}
# What of the system's configuration a client of a network needs.
FILES = ("/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/hosts", "/etc/ssl/certs/ca-certificates.crt")


class OtherMachine:
    """The root directory; everything a command leaves stays in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for directory in ("dev", "etc", "proc", "root", "tmp", "usr/bin", "var/lib"):
            (root / directory).mkdir(parents=True)
        for name, numbers in DEVICES.items():
            os.mknod(root / "dev" / name, 0o666 | stat.S_IFCHR, os.makedev(*numbers))
        (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
        for name in FILES:
            if Path(name).exists():
                self._copy(Path(name).resolve(), name)
        self._program(worker.binary(), PROGRAM)
        git = Path(shutil.which("git"))
        self._program(git, "/usr/bin/git")

    def put(self, path: Path, name: str) -> str:
        """A file of the tester's, at the path `name` there."""
        self._copy(path, name)
        return name

    def run(self, *arguments: str) -> subprocess.CompletedProcess:
        """Runs the program under test there."""
        spaces = ["--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child"]
        command = ["unshare", *spaces, f"--root={self.root}", "--wd=/", "--mount-proc=/proc", PROGRAM, *arguments]
        environment = {"PATH": "/usr/bin", "HOME": "/root"}
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, env=environment
        )

    def _program(self, path: Path, name: str) -> None:
        self._copy(path, name)
        loaded = subprocess.run(["ldd", str(path)], capture_output=True, text=True, check=True).stdout
        for library in re.findall(r"(/\S+) \(0x", loaded):
            self._copy(Path(library).resolve(), library)

    def _copy(self, path: Path, name: str) -> None:
        target = self.root / name.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            shutil.copy2(path, target)
