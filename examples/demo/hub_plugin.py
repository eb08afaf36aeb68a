"""The hub plugin's configuration and the hub policies of the scene, the same on both hubs.

Used by dev_hub.py and real_hub.py.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from .scene import CONTENT_GENERATOR, REPOSITORY, Scene, SceneError

PLUGINS = REPOSITORY / "koji-plugin/hub"

# Policy name → rules, as in hub.conf's [policy]. Fedora's rules look the same; theirs match source.fedoraproject.org.
POLICIES = {
    "channel": [
        "has req_channel :: req",
        "is_child_task :: parent",
        "method newRepo :: use createrepo",
        "all :: use default",
    ],
    "build_from_scm": [
        "match scm_repository /container/frozen* :: deny this repository is frozen",
        "match method buildContainer && match scm_repository /container/* :: allow",
        "all :: deny only repositories below /container may be built",
    ],
    # Asked by Koji's builder plugin scmpolicy, and by workers with scm.use_scm_policy.
    "scm": [
        "bool scratch :: allow",
        "match_all branches private-* :: deny commits of private branches are for scratch builds",
        "all :: allow",
    ],
}


def write_config(scene: Scene) -> Path:
    """The file CONTAINERBUILD_HUB_CONF names."""
    path = scene.hub_dir / "containerbuild.conf"
    wake = f"127.0.0.1:{scene.port('wake')}"
    path.write_text(f"[containerbuild]\nchannel = container\ncontent_generators = {CONTENT_GENERATOR}\nwake = {wake}\n")
    return path


def policy_section() -> str:
    """The lines of an INI section."""
    return "".join(f"{name} =\n" + "".join(f"    {rule}\n" for rule in rules) for name, rules in POLICIES.items())


def extension() -> Path:
    """The compiled extension module: where this Python finds it, or where maturin left it in the repository."""
    spec = importlib.util.find_spec("containerbuild_hub")
    built = [Path(spec.origin)] if spec and spec.origin else []
    built += sorted((REPOSITORY / "python").glob("containerbuild_hub*.so"))
    files = [path for path in built if path.suffix == ".so"]
    if not files:
        raise SceneError("the hub extension is not built: run `make` first")
    return files[0]
