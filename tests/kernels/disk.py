"""The machine's disk and its first file system. The disk holds this build's programs with their libraries, crun, a static
busybox under all its names, and the guest's scripts; nothing is installed, no root file system is downloaded.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

from kernel import Kernel

SCRIPTS = Path(__file__).parent / "guest"
# Room for the builds; the file is sparse.
SIZE = "3G"


def make(path: Path, programs: dict[str, Path], data: list[Path], workdir: Path) -> None:
    """Writes an ext4 file system with `programs` (by the name they get in /usr/bin) and the directories `data` (where they
    are here, too) to `path`."""
    root = workdir / "root"
    shutil.rmtree(root, ignore_errors=True)
    for name in ("usr/bin", "usr/lib", "usr/lib64", "etc", "proc", "sys", "dev", "run", "tmp", "root", "var/tmp", "guest"):
        (root / name).mkdir(parents=True)
    for name in ("bin", "lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    (root / "sbin").symlink_to("usr/bin")
    (root / "tmp").chmod(0o1777)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")
    (root / "etc/group").write_text("root:x:0:\nnogroup:x:65534:\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n")
    busybox = _busybox()
    shutil.copy(busybox, root / "usr/bin/busybox")
    for name in subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True).stdout.split():
        target = root / "usr/bin" / name
        if not target.exists():
            target.symlink_to("busybox")
    for name, program in programs.items():
        target = root / "usr/bin" / name
        target.unlink(missing_ok=True)
        # A tenth of the size; the tests read no debugging information.
        subprocess.run(["strip", "-o", str(target), str(program)], check=True)
        for library in _libraries(program):
            place = root / str(library).lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, place)
    for script in SCRIPTS.iterdir():
        shutil.copy(script, root / "guest" / script.name)
    for directory in data:
        shutil.copytree(directory, root / str(directory).lstrip("/"))
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-d", str(root), str(path), SIZE], check=True, capture_output=True)
    shutil.rmtree(root)


def _busybox() -> Path:
    return next(p for p in (Path("/usr/bin/busybox"), Path("/bin/busybox")) if p.exists())


def _libraries(program: Path) -> set[Path]:
    """The libraries a program is linked with and the loader, by the paths they are looked for at."""
    text = subprocess.run(["ldd", str(program)], capture_output=True, text=True).stdout
    return {Path(os.path.realpath(os.path.dirname(p))) / os.path.basename(p) for p in re.findall(r"(/[^\s()]+)", text)}


def first_file_system(kernel: Kernel) -> bytes:
    """An initramfs (buffer-format.rst of the kernel: cpio of format `newc`) that loads modules and goes on to the disk."""
    load = "".join(f"insmod /modules/{name}.ko\n" for name, _ in kernel.modules)
    init = f"""#!/busybox sh
/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs dev /dev
{load}until mount -t ext4 /dev/vda /disk 2>/dev/null; do usleep 50000; done
mount -o move /dev /disk/dev
exec switch_root /disk /bin/sh /guest/init "$@"
"""
    entries = [(name, 0o40755, b"") for name in ("bin", "dev", "disk", "modules")]
    entries += [("busybox", 0o100755, _busybox().read_bytes()), ("init", 0o100755, init.encode())]
    entries += [(f"modules/{name}.ko", 0o100644, content) for name, content in kernel.modules]
    return b"".join(_cpio(n, *entry) for n, entry in enumerate(entries, 1)) + _cpio(0, "TRAILER!!!", 0, b"")


def _cpio(inode: int, name: str, mode: int, content: bytes) -> bytes:
    fields = [inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0]
    header = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    padded = header + b"\0" * (-len(header) % 4)
    return padded + content + b"\0" * (-len(content) % 4)
