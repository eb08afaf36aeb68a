"""One boot of a virtual machine (qemu): what the guest printed and how it ended."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from disk import first_file_system
from kernel import Kernel

# The guest's last line; see guest/init.
ENDED = "guest ended with "


@dataclass(frozen=True)
class Boot:
    """What a boot printed; `code` is the script's exit code, `None` when the guest did not come to its end."""

    lines: list[str]
    code: int | None

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


def boot(kernel: Kernel, disk: Path, script: str, *, options: str = "", seconds: int = 900, workdir: Path) -> Boot:
    """Boots `kernel` with more `options` on its command line, and runs the words of `script` in the guest."""
    initramfs = workdir / f"initramfs-{kernel.version}"
    initramfs.write_bytes(first_file_system(kernel))
    # The kernel leaves alone what stands behind the two dashes, and gives it to the first process.
    # On a busy machine an emulated timer is late, and the kernel would take it for broken.
    words = f"console=ttyS0 quiet panic=-1 no_timer_check {options} -- {script}"
    command = ["qemu-system-x86_64", "-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio", "-m", "1536"]
    # The same disk for every boot: what one writes is gone with it.
    command += ["-smp", "2", "-drive", f"file={disk},format=raw,if=virtio,snapshot=on"]
    # Emulated unless asked otherwise: a /dev/kvm inside of a virtual machine is there more often than it works.
    command += ["-accel", os.environ.get("KERNELS_ACCEL", "tcg,thread=multi"), "-cpu", "max"]
    command += ["-kernel", str(kernel.image), "-initrd", str(initramfs), "-append", words]
    try:
        ran = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False)
        output = ran.stdout + ran.stderr
    except subprocess.TimeoutExpired as late:
        output = (late.stdout or b"") + (late.stderr or b"")
    lines = [line.rstrip() for line in output.decode(errors="replace").splitlines()]
    codes = [line.removeprefix(ENDED) for line in lines if line.startswith(ENDED)]
    return Boot(lines, int(codes[-1]) if codes else None)
