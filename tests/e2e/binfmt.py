"""Programs of another architecture on this kernel: qemu's static emulator, registered with binfmt_misc for a while.

The kernel opens the emulator when it is registered (flag F), so it works inside images too, which do not hold it, and
leaves the program its own name (P): busybox goes by it.
Used by test_arches.py.
"""

import contextlib
import shutil
import subprocess
from pathlib import Path

MISC = Path("/proc/sys/fs/binfmt_misc")
NAME = "containerbuild-e2e-aarch64"
# The ELF header of a 64-bit little-endian AArch64 program, and the bits of it that count (Debian's qemu-binfmt-conf).
MAGIC = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"


def why_not():
    """None when aarch64 programs can be run here, else the reason why not."""
    if not shutil.which("qemu-aarch64-static"):
        return "qemu-aarch64-static is not installed"
    if "binfmt_misc" not in Path("/proc/filesystems").read_text():
        return "this kernel has no binfmt_misc"
    return None


@contextlib.contextmanager
def aarch64():
    """Inside the block this kernel runs aarch64 programs. What was registered by others is left alone."""
    mounted = not (MISC / "register").exists()
    if mounted:
        subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", MISC], check=True)
    try:
        if any("aarch64" in entry.name for entry in MISC.iterdir()):
            yield
            return
        interpreter = shutil.which("qemu-aarch64-static")
        (MISC / "register").write_text(f":{NAME}:M::{MAGIC}:{MASK}:{interpreter}:PF")
        try:
            yield
        finally:
            (MISC / NAME).write_text("-1")
    finally:
        if mounted:
            subprocess.run(["umount", MISC], check=True)
