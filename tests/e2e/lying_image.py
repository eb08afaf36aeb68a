"""An image as a builder that lies would make it: one more layer, and a history that calls it an instruction of the
Dockerfile. Koji's record of the build is made to name it.
"""

import gzip
import hashlib
import io
import json
import tarfile
import urllib.request

import hub_session

_KINDS = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
)


def _digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


class Registry:
    """One repository of the scene's registry."""

    def __init__(self, scene, repository):
        self.url = f"http://{scene.registry}/v2/{repository}"

    def _ask(self, method, url, body=None, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(url, method=method, data=body, headers=headers)
        with urllib.request.urlopen(request) as answer:
            return answer.read(), answer.headers

    def manifest(self, reference):
        """A manifest: its bytes and its media type."""
        content, headers = self._ask("GET", f"{self.url}/manifests/{reference}", Accept=", ".join(_KINDS))
        return content, headers["Content-Type"]

    def blob(self, digest):
        """The bytes of a blob."""
        return self._ask("GET", f"{self.url}/blobs/{digest}")[0]

    def put_blob(self, content):
        """Uploads a blob; its digest and size."""
        _, headers = self._ask("POST", f"{self.url}/blobs/uploads/", b"")
        place = headers["Location"]
        place = place if place.startswith("http") else self.url.split("/v2/")[0] + place
        joint = "&" if "?" in place else "?"
        upload = f"{place}{joint}digest={_digest(content)}"
        self._ask("PUT", upload, content, Content_Type="application/octet-stream")
        return {"digest": _digest(content), "size": len(content)}

    def put_manifest(self, content, kind):
        """Uploads a manifest under its digest."""
        self._ask("PUT", f"{self.url}/manifests/{_digest(content)}", content, Content_Type=kind)
        return _digest(content)


def _layer(files):
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            archive.addfile(entry, io.BytesIO(content))
    return plain.getvalue()


def replace(scene, spec, digest, instruction, files):
    """Puts a layer of `files` on the image with this digest and calls it `instruction`; gives the new image's name. Of
    the build's record in Koji the digest alone is changed."""
    registry = Registry(scene, spec.split("/", 1)[1].partition("@")[0].partition(":")[0])
    content, kind = registry.manifest(digest)
    manifest = json.loads(content)
    config = json.loads(registry.blob(manifest["config"]["digest"]))
    plain = _layer(files)
    config["rootfs"]["diff_ids"].append(_digest(plain))
    config["history"].append({"created_by": instruction})
    layer_kind = "application/vnd.docker.image.rootfs.diff.tar.gzip"
    layer_kind = layer_kind if "docker" in kind else "application/vnd.oci.image.layer.v1.tar+gzip"
    manifest["layers"].append({"mediaType": layer_kind, **registry.put_blob(gzip.compress(plain, mtime=0))})
    manifest["config"] = {**manifest["config"], **registry.put_blob(json.dumps(config).encode())}
    made = registry.put_manifest(json.dumps(manifest).encode(), kind)
    for table in ("build", "archiveinfo"):
        hub_session.sql(
            scene, f"UPDATE {table} SET extra = replace(extra, '{digest}', '{made}') WHERE extra IS NOT NULL"
        )
    return f"{scene.registry}/{registry.url.split('/v2/')[1]}@{made}"
