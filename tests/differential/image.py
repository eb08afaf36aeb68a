"""An image in an OCI layout (image-spec: image-layout.md, layer.md): written for the bases, read back from both engines.

Layers are applied by this file and not by either engine: a whiteout or a link that only its own writer understands would
show as a difference.
"""

import gzip
import hashlib
import io
import json
import os
import platform
import subprocess
import tarfile
from dataclasses import dataclass, field

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
ZSTD = bytes.fromhex("28b52ffd")


@dataclass
class Entry:
    """One file of an image. Names that are the same file share one Entry."""

    kind: str
    mode: int
    owner: str
    mtime: int
    content: bytes = b""
    target: str = ""
    xattrs: dict = field(default_factory=dict)


@dataclass
class Image:
    """The tree (paths without leading slash, `` for the root) and the config's `config` object."""

    tree: dict
    config: dict
    layers: int
    document: dict


def architecture():
    """This machine's, in the words of Go."""
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def write_layout(layout, name, root, config):
    """Makes a layout with one image of one layer: the tree below `root`."""
    blobs = layout / "blobs/sha256"
    blobs.mkdir(parents=True)

    def blob(data, media_type):
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    tar = layer_of(root)
    layer = blob(gzip.compress(tar, compresslevel=1, mtime=0), LAYER)
    document = {
        "architecture": architecture(),
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(tar).hexdigest()}"]},
        "history": [{"created_by": "base"}],
    }
    config = blob(json.dumps(document).encode(), CONFIG)
    manifest = blob(
        json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}).encode(), MANIFEST
    )
    manifest["annotations"] = {"org.opencontainers.image.ref.name": name}
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


def layer_of(root):
    """A tar of a directory, attributes included."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for directory, directories, names in os.walk(root):
            directories.sort()
            links = [name for name in directories if os.path.islink(os.path.join(directory, name))]
            here = [] if directory == str(root) else [directory]
            for path in here + sorted(os.path.join(directory, name) for name in names + links):
                info = tar.gettarinfo(path, os.path.relpath(path, root))
                info.uname = info.gname = ""
                if not info.issym():
                    values = {name: os.getxattr(path, name) for name in os.listxattr(path)}
                    info.pax_headers = {f"SCHILY.xattr.{k}": v.decode("utf-8", "surrogateescape") for k, v in values.items()}
                if info.isreg():
                    with open(path, "rb") as file:
                        tar.addfile(info, file)
                else:
                    tar.addfile(info)
    return buffer.getvalue()


def read(directory):
    """The one image of an OCI layout, or of a directory as containers-transports(5) describes `dir:`."""
    in_layout = (directory / "oci-layout").exists()

    def blob(descriptor):
        algorithm, digest = descriptor["digest"].split(":")
        data = (directory / "blobs" / algorithm / digest if in_layout else directory / digest).read_bytes()
        if hashlib.sha256(data).hexdigest() != digest:
            raise ValueError(f"the blob {digest} has another content")
        return data

    if in_layout:
        (entry,) = json.loads((directory / "index.json").read_text())["manifests"]
        manifest = json.loads(blob(entry))
    else:
        manifest = json.loads((directory / "manifest.json").read_text())
    document = json.loads(blob(manifest["config"]))
    tree = {}
    for descriptor, diff_id in zip(manifest["layers"], document["rootfs"]["diff_ids"], strict=True):
        tar = plain(blob(descriptor))
        if f"sha256:{hashlib.sha256(tar).hexdigest()}" != diff_id:
            raise ValueError(f"the layer {diff_id} has another content")
        apply(tree, tar)
    return Image(tree, document.get("config") or {}, len(manifest["layers"]), document)


def plain(data):
    """A layer without its compression."""
    if data[:2] == b"\x1f\x8b":
        return gzip.decompress(data)
    if data[:4] == ZSTD:
        return subprocess.run(["zstd", "-dc"], input=data, stdout=subprocess.PIPE, check=True).stdout
    return data


def apply(tree, data):
    """Puts a layer over a tree. Whiteouts hide what is below the layer, never what the layer itself brings."""
    below = set(tree)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            name = os.path.normpath("/" + member.name).lstrip("/")
            directory, base = os.path.split(name)
            if base == ".wh..wh..opq":
                hide(tree, directory, below, itself=False)
            elif base.startswith(".wh."):
                hide(tree, os.path.join(directory, base.removeprefix(".wh.")), below, itself=True)
            else:
                place(tree, name, member, tar, below)


def hide(tree, path, below, itself):
    """Removes what lower layers have at and under `path`."""
    prefix = f"{path}/" if path else ""
    for name in [n for n in tree if n in below and n.startswith(prefix) and n != path]:
        del tree[name]
    if itself and path in below:
        tree.pop(path, None)


def place(tree, name, member, tar, below):
    """Puts one entry into the tree."""
    parent = os.path.dirname(name)
    if parent and (parent not in tree or tree[parent].kind != "dir"):
        raise ValueError(f"/{name} has no parent directory in the layers")
    if member.islnk():
        target = os.path.normpath("/" + member.linkname).lstrip("/")
        tree[name] = tree[target]
        return
    if name in tree and tree[name].kind == "dir" and not member.isdir():
        hide(tree, name, set(tree), itself=True)
    below.discard(name)
    kind = {tarfile.DIRTYPE: "dir", tarfile.SYMTYPE: "symlink", tarfile.FIFOTYPE: "fifo", tarfile.CHRTYPE: "char"}
    entry = Entry(kind.get(member.type, "file"), member.mode & 0o7777, f"{member.uid}:{member.gid}", int(member.mtime))
    if member.isreg():
        entry.content = tar.extractfile(member).read()
    elif member.ischr() or member.isblk():
        entry.target = f"{member.devmajor}:{member.devminor}"
    else:
        entry.target = member.linkname
    prefix = "SCHILY.xattr."
    xattrs = {k.removeprefix(prefix): v for k, v in member.pax_headers.items() if k.startswith(prefix)}
    entry.xattrs = {k: v.encode("utf-8", "surrogateescape") for k, v in xattrs.items()}
    tree[name] = entry
