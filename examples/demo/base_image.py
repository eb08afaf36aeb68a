"""Publishes the base image: pushes it to the registry, imports it into Koji as an image build, tags it.

The import metadata is what a content generator writes (Koji's docs/source/content_generator_metadata.rst): the image
archive, the RPMs in it with their SIGMD5, and the registry digests by which a child's FROM is recognised later.
Called by `up`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from pathlib import Path

from . import acts
from .koji_client import call, koji
from .koji_setup import CONTAINER_TAG, facts
from .scene import ADMIN, BASE_GENERATOR, Scene, program

REPOSITORY_NAME = "f40/base"


def publish(scene: Scene) -> str:
    """Push, import and tag; returns the NVR."""
    base = facts(scene)["base_image"]
    assert isinstance(base, dict) and scene.distribution
    name, version, release = base["nvr"]
    tags = [f"{version}-{release}", version, "latest"]
    layout = f"oci:{scene.distribution / 'base-image'}:{version}-{release}"
    for tag in tags:
        acts.run(
            [
                program("skopeo"),
                "copy",
                "-q",
                "--preserve-digests",
                "--dest-tls-verify=false",
                layout,
                f"docker://{scene.registry}/{REPOSITORY_NAME}:{tag}",
            ]
        )
    upload = scene.state / "base-import"
    upload.mkdir()
    # A loadable archive of the image; skopeo would pack it to the byte the same, only slower.
    identifier = str(base["config"]["digest"]).removeprefix("sha256:")
    machine = os.uname().machine
    archive = upload / f"docker-image-{identifier}.{machine}.tar"
    acts.run([program("skopeo"), "copy", "-q", layout, f"oci-archive:{archive}:{version}-{release}"])
    metadata = scene.state / "base-import.json"
    metadata.write_text(json.dumps(_metadata(scene, base, archive, tags), indent=1))
    koji(scene, "import-cg", "--noprogress", str(metadata), str(upload))
    nvr = f"{name}-{version}-{release}"
    call(scene, "tagBuildBypass", CONTAINER_TAG, nvr)
    shutil.rmtree(upload)
    acts.say(f"{nvr}: {len(base['components'])} RPMs, {scene.registry}/{REPOSITORY_NAME}@{base['manifest']['digest']}")
    return nvr


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _metadata(scene: Scene, base: dict[str, dict], archive: Path, tags: list[str]) -> dict[str, object]:
    name, version, release = base["nvr"]
    machine = os.uname().machine
    digest, media_type = str(base["manifest"]["digest"]), str(base["manifest"]["mediaType"])
    repository = f"{scene.registry}/{REPOSITORY_NAME}"
    pull = [f"{repository}@{digest}", f"{repository}:{version}-{release}"]
    now = time.time()
    components = [
        {
            "type": "rpm",
            "signature": None,
            **{k: rpm[k] for k in ("name", "version", "release", "epoch", "arch", "sigmd5")},
        }
        for rpm in base["components"]
    ]
    return {
        "metadata_version": 0,
        "build": {
            "name": name,
            "version": version,
            "release": release,
            "source": None,
            "owner": ADMIN,
            "start_time": now,
            "end_time": now,
            "extra": {
                "image": {
                    "isolated": False,
                    "parent_images": [],
                    "parent_image_builds": {},
                    "parent_build_id": None,
                    "yum_repourls": [],
                    "media_types": [media_type],
                    "index": {
                        "pull": pull,
                        "tags": tags[:1],
                        "floating_tags": tags[1:],
                        "unique_tags": [],
                        "digests": {media_type: digest},
                    },
                },
                "osbs_build": {"kind": "container_build", "subtypes": [], "engine": "demo"},
                "submitter": ADMIN,
            },
        },
        "buildroots": [
            {
                "id": f"{machine}-1",
                "host": {"os": "Linux", "arch": machine},
                "content_generator": {"name": BASE_GENERATOR, "version": "demo"},
                "container": {"type": "none", "arch": machine},
                "tools": [],
                "components": [],
            }
        ],
        "output": [
            {
                "buildroot_id": f"{machine}-1",
                "filename": archive.name,
                "filesize": archive.stat().st_size,
                "arch": machine,
                "checksum_type": "sha256",
                "checksum": _sha256(archive),
                "type": "docker-image",
                "components": components,
                "extra": {
                    "image": {"arch": machine},
                    "docker": {
                        "id": base["config"]["digest"],
                        "parent_id": None,
                        "repositories": pull,
                        "tags": tags,
                        "layer_sizes": [{"diff_id": base["diff_id"], "size": base["layer"]["size"]}],
                        "digests": {media_type: digest},
                        "config": {"config": base["container_config"]},
                    },
                },
            }
        ],
    }
