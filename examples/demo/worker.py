"""Configures and starts containerbuild workers: the Koji host `builder1`, called by `up`; tests start more of them."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from . import acts, processes
from .koji_client import call
from .scene import BUILD_TAG, CONTENT_GENERATOR, REGISTRY_NAME, REPOSITORY, TARGET, WORKER_HOST, Scene, SceneError

CONFIG = """\
# The worker of the demo. `containerbuild check-config FILE` explains every key.
policy_file = "{policy_file}"

[hub]
url = "{hub_url}"
{login}
ca = "{ca}/ca.crt"
topurl = "{top_url}"

[worker]
state_dir = "{state}/{name}"
{settings}

[registry]
push = "{registry}"
insecure = ["{registry}"]
aliases = [{{ prefix = "{registry_name}", location = "{registry}" }}]

[scm]
allowed = "127.0.0.1*:/container/*"

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
[policy]
repo_url_hosts = ["127.0.0.1"]

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


# A small disk will do, and the machine does other things besides.
SETTINGS = {"min_free_mb": 1024, "max_load_per_cpu": 0}


@dataclass(frozen=True)
class Worker:
    """One worker: service name, Koji host, `[worker]` settings; a password instead of a certificate, or another login;
    a policy; a registry that is reached by a detour."""

    name: str = "worker"
    host: str = WORKER_HOST
    settings: tuple[tuple[str, object], ...] = (("max_jobs", 2), ("poll_seconds", 1))
    hub_url: str = ""
    password: str = ""
    policy: str = ""
    registry: str = ""
    login: str = ""

    @property
    def policy_file(self) -> str:
        """Beside the configuration. The demo's worker has the one that tests change."""
        return "policy.toml" if self.name == "worker" else f"{self.name}-policy.toml"


def write_config(scene: Scene, which: Worker) -> Path:
    """The worker's TOML file."""
    config = scene.state / f"{which.name}.toml"
    settings = SETTINGS | dict(which.settings)
    login = which.login or f'cert = "{scene.ca}/{which.host}.pem"'
    if which.password:
        file = scene.state / f"{which.name}.password"
        file.write_text(which.password)
        login = f'user = "{which.host}"\npassword_file = "{file}"'
    config.write_text(
        CONFIG.format(
            hub_url=which.hub_url or scene.hub_url,
            top_url=scene.top_url,
            ca=scene.ca,
            login=login,
            name=which.name,
            policy_file=which.policy_file,
            settings="\n".join(f"{key} = {json.dumps(value)}" for key, value in settings.items()),
            state=scene.state,
            registry=which.registry or scene.registry,
            registry_name=REGISTRY_NAME,
            target=TARGET,
            build_tag=BUILD_TAG,
            mirror=scene.mirror_url,
            content_generator=CONTENT_GENERATOR,
        )
    )
    (scene.state / which.policy_file).write_text(which.policy or policy(scene))
    return config


def start(scene: Scene, which: Worker = Worker()) -> processes.Service:
    """Start the worker; returns when the hub has seen its host ready."""
    config = write_config(scene, which)
    service = processes.start(scene, which.name, [str(binary()), "worker", "--config", str(config)])
    began = time.time()

    def checked_in() -> bool:
        host = call(scene, "getHost", which.host)
        assert isinstance(host, dict)
        updated = call(scene, "getLastHostUpdate", host["id"], True)
        # A restarted worker's host is still marked ready from before; a second for rounding.
        return bool(host["ready"]) and isinstance(updated, int | float) and updated >= began - 1

    processes.wait_until(scene, service, checked_in)
    acts.say(f"host {which.host} is ready (log: {scene.logs / (which.name + '.log')})")
    return service
