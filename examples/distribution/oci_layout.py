"""Writes a directory tree as an OCI image layout of one layer.

A layer tar is made with sorted entries, numeric owners and clamped time stamps, so that an equal tree gives an equal
digest. See the OCI image specification, image-layout.md, layer.md and config.md. Called by steps.py.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import stat
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

MEDIA_TYPES = {
    "layer": "application/vnd.oci.image.layer.v1.tar+gzip",
    "config": "application/vnd.oci.image.config.v1+json",
    "manifest": "application/vnd.oci.image.manifest.v1+json",
}


class HashingWriter:
    """A write-only file that knows the SHA-256 and size of what went through it."""

    def __init__(self, out: BinaryIO) -> None:
        self.out, self.sha256, self.size = out, hashlib.sha256(), 0

    def write(self, data: bytes) -> int:
        """Hash, count and pass on."""
        self.sha256.update(data)
        self.size += len(data)
        return self.out.write(data)

    def flush(self) -> None:
        """Asked for by gzip."""
        self.out.flush()

    @property
    def digest(self) -> str:
        """`sha256:…` of what was written so far."""
        return "sha256:" + self.sha256.hexdigest()


def walk(root: Path) -> Iterator[str]:
    """All paths below `root`, parents first, in byte order."""

    def visit(directory: str) -> Iterator[str]:
        for name in sorted(os.listdir(root / directory)):
            path = f"{directory}/{name}" if directory else name
            yield path
            if stat.S_ISDIR(os.lstat(root / path).st_mode):
                yield from visit(path)

    yield from visit("")


def write_layer(root: Path, out: BinaryIO, newest: int) -> str:
    """Write the tree as a tar; returns the diff id. No time stamp in it is later than `newest`."""
    plain = HashingWriter(out)
    first_of: dict[tuple[int, int], str] = {}
    with tarfile.open(fileobj=plain, mode="w|", format=tarfile.PAX_FORMAT, bufsize=1 << 20) as tar:  # type: ignore
        for path in walk(root):
            item = tar.gettarinfo(root / path, path)
            status = os.lstat(root / path)
            if stat.S_ISSOCK(status.st_mode):
                continue
            # tarfile finds hard links by itself, but names the first one by its path on the host.
            if item.islnk():
                item.linkname = first_of[(status.st_dev, status.st_ino)]
            else:
                first_of[(status.st_dev, status.st_ino)] = path
            item.uname = item.gname = ""
            item.mtime = min(int(status.st_mtime), newest)
            if item.isreg():
                with (root / path).open("rb") as data:
                    tar.addfile(item, data)
            else:
                tar.addfile(item)
    return plain.digest


class Layout:
    """An OCI layout directory being written."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.blobs = directory, directory / "blobs/sha256"
        self.blobs.mkdir(parents=True)
        (directory / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')

    def put(self, kind: str, data: bytes) -> dict[str, object]:
        """Store a blob; returns its descriptor."""
        digest = hashlib.sha256(data).hexdigest()
        (self.blobs / digest).write_bytes(data)
        return {"mediaType": MEDIA_TYPES[kind], "digest": f"sha256:{digest}", "size": len(data)}

    def put_layer(self, root: Path, newest: int) -> tuple[dict[str, object], str]:
        """Pack the tree; returns the layer's descriptor and diff id. Level 1: this layer never leaves the machine."""
        temporary = self.directory / "layer.tmp"
        with temporary.open("wb") as file:
            packed = HashingWriter(file)
            with gzip.GzipFile("", "wb", 1, packed, mtime=0) as compressor:  # type: ignore[arg-type]
                diff_id = write_layer(root, compressor, newest)  # type: ignore[arg-type]
        temporary.rename(self.blobs / packed.digest.removeprefix("sha256:"))
        return {"mediaType": MEDIA_TYPES["layer"], "digest": packed.digest, "size": packed.size}, diff_id


def write_image(
    root: Path, directory: Path, architecture: str, config: dict[str, object], newest: int, reference: str
) -> dict[str, object]:
    """Write the image; `config` is the OCI `config` object. Returns digests and sizes for the Koji import."""
    layout = Layout(directory)
    layer, diff_id = layout.put_layer(root, newest)
    created = datetime.fromtimestamp(newest, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    image = {
        "created": created,
        "architecture": architecture,
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [{"created": created, "created_by": "base image of the demo distribution"}],
    }
    encode = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
    config_descriptor = layout.put("config", encode(image).encode())
    manifest = {
        "schemaVersion": 2,
        "mediaType": MEDIA_TYPES["manifest"],
        "config": config_descriptor,
        "layers": [layer],
    }
    descriptor = layout.put("manifest", encode(manifest).encode())
    named = descriptor | {
        "annotations": {"org.opencontainers.image.ref.name": reference},
        "platform": {"architecture": architecture, "os": "linux"},
    }
    (directory / "index.json").write_text(encode({"schemaVersion": 2, "manifests": [named]}))
    return {
        "manifest": descriptor,
        "config": config_descriptor,
        "layer": layer,
        "diff_id": diff_id,
        "container_config": config,
    }
