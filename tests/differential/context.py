"""Writes the files of a case, and of the base image: a table of paths to texts or to tables saying what is there.

    "a.txt" = "text"                                  a file, 0644
    "run" = { text = "…", mode = "4755" }             also: hex, noise = N, repeat = N, capability = true,
                                                      xattrs = { "user.x" = "1" }
    "dir" = { dir = true, mode = "0700" }
    "link" = { symlink = "target" }     "other" = { hardlink = "a.txt" }     "pipe" = { fifo = true }
    "null" = { device = "c 1:3" }       "sock" = { socket = true }
    "a.tar.gz" = { tar = "gz", entries = { … } }      tar, gz, bz2, xz, zst; entries as above, with owner = "U:G"
    "cut.tar.gz" = { …, cut = 100 }                   only the first bytes of what it would be

Everything has the modification time STAMP, long before any build, so that a copied time can be told from a new one.
"""

import bz2
import gzip
import hashlib
import io
import lzma
import os
import socket
import stat
import subprocess
import tarfile
from pathlib import Path

# 2009-02-13T23:31:30Z
STAMP = 1234567890

# CAP_NET_BIND_SERVICE, permitted and effective, revision 2 (linux/capability.h, struct vfs_cap_data).
CAPABILITY = bytes.fromhex("0100000200040000" + "00" * 12)

CONTENT = {"text", "hex", "noise", "repeat", "tar", "entries", "cut"}
KINDS = {"dir", "symlink", "hardlink", "fifo", "device", "socket"}
KEYS = CONTENT | KINDS | {"mode", "owner", "xattrs", "capability"}


def write(root, files):
    """Makes the files below `root`, in the order of the table."""
    for name, spec in files.items():
        spec = described(name, spec)
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        make(root, path, spec)
        if "symlink" in spec or "hardlink" in spec:
            continue
        if "owner" in spec:
            os.chown(path, *map(int, spec["owner"].split(":")))
        for key, value in attributes(spec).items():
            os.setxattr(path, key, value)
        os.chmod(path, int(spec.get("mode", "0755" if "dir" in spec else "0644"), 8))
    for directory, _, names in os.walk(root, topdown=False):
        for path in [*(Path(directory) / name for name in names), Path(directory)]:
            os.utime(path, (STAMP, STAMP), follow_symlinks=False)


def described(name, spec):
    """A bare text is a file with it; unknown keys are refused."""
    spec = {"text": spec} if isinstance(spec, str) else spec
    if set(spec) - KEYS:
        raise ValueError(f"{name}: unknown keys {sorted(set(spec) - KEYS)}")
    return spec


def attributes(spec):
    """Extended attributes."""
    found = {key: value.encode() for key, value in spec.get("xattrs", {}).items()}
    if spec.get("capability"):
        found["security.capability"] = CAPABILITY
    return found


def content(spec):
    """A file's bytes."""
    if "tar" in spec:
        data = archive(spec["tar"], spec.get("entries", {}))
        return data[: spec["cut"]] if "cut" in spec else data
    if "noise" in spec:
        # The same on every run, and nothing that a compressor could make smaller.
        blocks = (hashlib.sha256(str(number).encode()).digest() for number in range(spec["noise"] // 32))
        return b"".join(blocks)
    text = bytes.fromhex(spec["hex"]) if "hex" in spec else spec["text"].encode()
    return text * spec.get("repeat", 1)


def make(root, path, spec):
    """The file itself, without its attributes."""
    if "dir" in spec:
        path.mkdir(exist_ok=True)
    elif "symlink" in spec:
        path.symlink_to(spec["symlink"])
    elif "hardlink" in spec:
        os.link(root / spec["hardlink"], path)
    elif "fifo" in spec:
        os.mkfifo(path)
    elif "device" in spec:
        os.mknod(path, stat.S_IFCHR | 0o600, device(spec))
    elif "socket" in spec:
        # The name of a socket is short: it is bound from its own directory.
        with socket.socket(socket.AF_UNIX) as endpoint:
            here = os.open(path.parent, os.O_RDONLY)
            try:
                endpoint.bind(f"/proc/self/fd/{here}/{path.name}")
            finally:
                os.close(here)
    else:
        path.write_bytes(content(spec))


def device(spec):
    """`c MAJOR:MINOR`"""
    major, minor = spec["device"].removeprefix("c ").split(":")
    return os.makedev(int(major), int(minor))


def archive(compression, entries):
    """A tar of the entries; names are written as they are, `../` and all."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, spec in entries.items():
            tar.addfile(*entry(name, described(name, spec)))
    data = buffer.getvalue()
    if compression == "tar":
        return data
    if compression == "zst":
        return subprocess.run(["zstd", "-q", "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout
    return {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}[compression](data)


def entry(name, spec):
    """A tar header and its content."""
    info = tarfile.TarInfo(name)
    info.mtime = STAMP
    info.mode = int(spec.get("mode", "0755" if "dir" in spec else "0644"), 8)
    info.uid, info.gid = map(int, spec.get("owner", "0:0").split(":"))
    info.pax_headers = {
        f"SCHILY.xattr.{key}": value.decode("utf-8", "surrogateescape") for key, value in attributes(spec).items()
    }
    kinds = {"dir": tarfile.DIRTYPE, "symlink": tarfile.SYMTYPE, "hardlink": tarfile.LNKTYPE, "fifo": tarfile.FIFOTYPE}
    for key, kind in kinds.items():
        if key in spec:
            info.type = kind
            info.linkname = spec[key] if isinstance(spec[key], str) else ""
            return info, None
    if "device" in spec:
        info.type, number = tarfile.CHRTYPE, device(spec)
        info.devmajor, info.devminor = os.major(number), os.minor(number)
        return info, None
    data = content(spec)
    info.size = len(data)
    return info, io.BytesIO(data)
