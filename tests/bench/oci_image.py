"""OCI image layouts of one layer (image-spec image-layout.md), written from a stream of files; and their upload to a
registry. The base images of the benchmark come from here.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import platform
import tarfile
from collections.abc import Iterable
from http.client import HTTPConnection
from pathlib import Path

from .errors import BenchError

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
MTIME = 1_700_000_000
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "ppc64le": "ppc64le", "s390x": "s390x"}


class _Hashing(io.RawIOBase):
    """Passes bytes on and hashes them."""

    def __init__(self, out: io.BufferedIOBase) -> None:
        self.out, self.sum = out, hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:
        self.sum.update(data)
        self.out.write(data)
        return len(data)


def member(path: str, kind: bytes = tarfile.REGTYPE, mode: int = 0o644, link: str = "") -> tarfile.TarInfo:
    """A tar entry with fixed owner and time."""
    entry = tarfile.TarInfo(path)
    entry.type, entry.mode, entry.linkname, entry.mtime = kind, mode, link, MTIME
    return entry


def tar(out: object, entries: Iterable[tuple[tarfile.TarInfo, bytes | memoryview]]) -> None:
    """Write a tar of these entries; directories that no entry names are put in before they are needed."""
    seen = {""}
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT, bufsize=1 << 20) as archive:
        for entry, content in entries:
            for parent in [str(p) for p in reversed(Path(entry.name).parents) if str(p) != "."]:
                if parent not in seen:
                    seen.add(parent)
                    archive.addfile(member(parent, tarfile.DIRTYPE, 0o755))
            seen.add(entry.name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content) if entry.size else None)


def write(layout: Path, entries: Iterable[tuple[tarfile.TarInfo, bytes | memoryview]]) -> None:
    """Write an image with one layer of these entries."""
    blobs = layout / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    staged = blobs / "staged"
    with staged.open("wb") as file:
        packed = _Hashing(file)
        with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=6, mtime=0, filename="") as zipped:
            plain = _Hashing(zipped)
            tar(plain, entries)
    layer = {"mediaType": LAYER, "digest": f"sha256:{packed.sum.hexdigest()}", "size": staged.stat().st_size}
    os.replace(staged, blobs / packed.sum.hexdigest())
    config = {
        "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {"Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], "Cmd": ["/bin/sh"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{plain.sum.hexdigest()}"]},
        "history": [{"created_by": "benchmark"}],
    }
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": _blob(blobs, CONFIG, config), "layers": [layer]}
    index = {"schemaVersion": 2, "manifests": [_blob(blobs, MANIFEST, manifest)]}
    (layout / "index.json").write_text(json.dumps(index), encoding="utf-8")
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}', encoding="utf-8")


def _blob(blobs: Path, media_type: str, document: dict) -> dict:
    text = json.dumps(document, sort_keys=True).encode()
    name = hashlib.sha256(text).hexdigest()
    (blobs / name).write_bytes(text)
    return {"mediaType": media_type, "digest": f"sha256:{name}", "size": len(text)}


def push(layout: Path, host: str, repository: str, tag: str) -> None:
    """Upload the only image of a layout."""
    path = {d.name: d for d in (layout / "blobs" / "sha256").iterdir()}
    described = json.loads((layout / "index.json").read_text(encoding="utf-8"))["manifests"][0]
    text = path[described["digest"].removeprefix("sha256:")].read_bytes()
    manifest = json.loads(text)
    for blob in [manifest["config"], *manifest["layers"]]:
        location = _request(host, "POST", f"/v2/{repository}/blobs/uploads/", b"", "", 202)
        target = location.removeprefix(f"http://{host}")
        joint = "&" if "?" in target else "?"
        with path[blob["digest"].removeprefix("sha256:")].open("rb") as file:
            _request(host, "PUT", f"{target}{joint}digest={blob['digest']}", file, "application/octet-stream", 201)
    kind = manifest.get("mediaType") or described["mediaType"]
    _request(host, "PUT", f"/v2/{repository}/manifests/{tag}", text, kind, 201)


def layer_size(host: str, repository: str, tag: str) -> int:
    """Compressed bytes of the top layer of an image in the registry."""
    connection = HTTPConnection(host, timeout=60)
    accept = f"{MANIFEST}, application/vnd.docker.distribution.manifest.v2+json"
    connection.request("GET", f"/v2/{repository}/manifests/{tag}", headers={"Accept": accept})
    manifest = json.loads(connection.getresponse().read())
    connection.close()
    return manifest["layers"][-1]["size"]


def _request(host: str, method: str, path: str, body: object, kind: str, expected: int) -> str:
    headers = {"Content-Type": kind} if kind else {}
    if isinstance(body, io.IOBase):
        headers["Content-Length"] = str(os.fstat(body.fileno()).st_size)
    connection = HTTPConnection(host, timeout=120)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    if answer.status != expected:
        raise BenchError(f"{method} {path} at {host}: {answer.status} {text[:300]!r}")
    return answer.headers.get("Location", "")
