"""Configures and starts the containerbuild worker, as the Koji host `builder1`. Called by `up`."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from . import acts, processes
from .koji_client import call
from .scene import BUILD_TAG, CONTENT_GENERATOR, REGISTRY_NAME, REPOSITORY, TARGET, WORKER_HOST, Scene, SceneError

CONFIG = """\
# The worker of the demo. `containerbuild check-config FILE` explains every key.
policy_file = "policy.toml"

[hub]
url = "{hub_url}"
cert = "{ca}/{host}.pem"
ca = "{ca}/ca.crt"
topurl = "{top_url}"

[worker]
state_dir = "{state}/worker"
max_jobs = {jobs}
poll_seconds = 1
min_free_mb = 1024

[registry]
push = "{registry}"
insecure = ["{registry}"]
aliases = [{{ prefix = "{registry_name}", location = "{registry}" }}]

[scm]
allowed = "127.0.0.1*:/container/*"

[policy]
repo_url_hosts = ["127.0.0.1"]

# What RUN instructions of builds for this target are offered. The gate releases of it what Koji has built: the two
# last ones are here to show what it refuses.
[content.{target}]
sources = [
    {{ name = "{build_tag}", tag = "{build_tag}" }},
    {{ name = "notkoji", url = "{mirror}/notkoji/" }},
    {{ name = "tampered", url = "{mirror}/tampered/" }},
]

[content_generator]
name = "{content_generator}"
"""

# What the demo's site demands of images besides the proof: see docs/POLICY.md. Every task reads it anew.
POLICY = """\
[[policy.signing_keys]]
name = "demo-key"
reason = "images hold what the demo distribution has signed"
allowed = ["{key}"]

[[policy.content_tags]]
name = "demo-content"
reason = "RPMs come from the tag that the repository is made of"
allowed = ["{build_tag}"]

[[policy.registries]]
name = "ours"
reason = "other registries move tags without telling us"
allowed = ["{registry_name}"]

[[policy.size]]
name = "small"
decision = "warn"
reason = "large images are slow to pull"
max_mb = 1000
"""


def policy(scene: Scene) -> str:
    """The site's policy."""
    assert scene.distribution
    key = json.loads((scene.distribution / "distribution.json").read_text())["gpg_key_id"]
    return POLICY.format(key=key, build_tag=BUILD_TAG, registry_name=REGISTRY_NAME)


def binary() -> Path:
    """The program under test: CONTAINERBUILD, or what cargo built."""
    path = Path(os.environ.get("CONTAINERBUILD") or REPOSITORY / "target/debug/containerbuild")
    if not path.exists():
        raise SceneError(f"{path} is not built: run `cargo build`")
    return path


def write_config(scene: Scene, jobs: int = 2, settings: str = "") -> Path:
    """The worker's TOML file; `settings` is the site's policy instead of the demo's."""
    config = scene.state / "worker.toml"
    config.write_text(
        CONFIG.format(
            hub_url=scene.hub_url,
            top_url=scene.top_url,
            ca=scene.ca,
            host=WORKER_HOST,
            state=scene.state,
            registry=scene.registry,
            registry_name=REGISTRY_NAME,
            target=TARGET,
            build_tag=BUILD_TAG,
            mirror=scene.mirror_url,
            content_generator=CONTENT_GENERATOR,
            jobs=jobs,
        )
    )
    (scene.state / "policy.toml").write_text(settings or policy(scene))
    return config


def start(scene: Scene, jobs: int = 2, settings: str = "") -> processes.Service:
    """Start the worker; returns when the hub has seen its host ready."""
    config = write_config(scene, jobs, settings)
    service = processes.start(scene, "worker", [str(binary()), "worker", "--config", str(config)])
    began = time.time()

    def checked_in() -> bool:
        host = call(scene, "getHost", WORKER_HOST)
        assert isinstance(host, dict)
        updated = call(scene, "getLastHostUpdate", host["id"], True)
        # A restarted worker's host is still marked ready from before; a second for rounding.
        return bool(host["ready"]) and isinstance(updated, int | float) and updated >= began - 1

    processes.wait_until(scene, service, checked_in)
    acts.say(f"host {WORKER_HOST} is ready (log: {scene.logs / 'worker.log'})")
    return service
