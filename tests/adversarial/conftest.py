"""Fixtures of the adversarial corpus: the end-to-end scene with a state and a worker of its own, the adversary's
repositories, and images pushed past Koji.
"""

import importlib.util
import json
import shutil
import subprocess
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest
from demo import dist_git
from demo import scene as scenes
from demo.down import down
from demo.up import up
from demo.worker import binary
from distribution import steps
from distribution.rpm_spec import write_macros
from distribution.signing_key import SigningKey

import offers
from hub import Hub

_SPEC = importlib.util.spec_from_file_location("e2e_scene", Path(__file__).parents[1] / "e2e/conftest.py")
_E2E = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_E2E)
pytest_report_header = _E2E.pytest_report_header

# Instead of the demo's policy. Requests may name repositories on this machine: those of the adversary.
SETTINGS = """\
[policy]
repo_url_hosts = ["127.0.0.1"]

[[policy.signing_keys]]
name = "ours"
reason = "the site signs what it ships"
allowed = ["{distribution}", "{site}"]

[[policy.content_tags]]
name = "built-here"
reason = "what was tagged was tested"
allowed = ["*"]
except = ["strange", "swapped", "old", "lost", "profiles"]

[[policy.packages]]
name = "orphan"
reason = "nobody looks after it"
remedy = "use find"
forbidden = ["tree"]

[[policy.packages]]
name = "no-jq"
reason = "jq is for build stages"
forbidden = ["jq"]
scope = "image"
"""
# More builds than processors: half of each one's time is waiting.
JOBS = 4

_IMAGE = 'FROM scratch\nCOPY os-release /etc/os-release\nLABEL com.redhat.component="{name}" name="f40/base"'
_IMAGE += ' version="{version}" release="{release}" architecture="x86_64"\n'


@pytest.fixture(scope="session")
def keys(tmp_path_factory):
    """Two keys to sign RPMs with, and rpm's home: the site allows the first one."""
    work = tmp_path_factory.mktemp("keys")
    write_macros(work / "home")
    with SigningKey(work / "site", work / "home") as site, SigningKey(work / "other", work / "home") as other:
        yield site, other


@pytest.fixture(scope="session", params=_E2E.hubs())
def scene(request, keys):
    """The scene of the end-to-end suite, with a state of its own: both suites may run in one session."""
    source = Path(_E2E.os.environ["KOJI_SRC"]).resolve() if request.param == "real" else None
    state = _E2E.STATE.with_name(_E2E.STATE.name + "-adversarial") / request.param
    made = json.loads((steps.make() / "distribution.json").read_text())
    settings = SETTINGS.format(distribution=made["gpg_key_id"], site=keys[0].key_id())
    try:
        yield up(scenes.Scene(state, _E2E.free_base_port(), source), jobs=JOBS, settings=settings)
    finally:
        if (state / "scene.json").exists():
            down(scenes.load(state))


@pytest.fixture(scope="session")
def hub(scene):
    """The hub, logged in to."""
    return Hub(scene)


@pytest.fixture(scope="session")
def rpms(keys, tmp_path_factory):
    """The adversary's RPMs by their names."""
    return offers.packages(tmp_path_factory.mktemp("offers"), *keys)


@pytest.fixture(scope="session")
def mirror(hub, rpms):
    """The adversary's repositories. What Koji must know of their RPMs, it is told."""
    hub.know(rpms[name] for name in offers.KNOWN)
    hub.make_draft("drafted")
    hub.delete_build("vanished-1-1")
    hub.lose_file("lost-1-1.noarch.rpm")
    hub.know_external(rpms["outside"])
    mirror = offers.Mirror(offers.repositories(rpms))
    yield mirror
    mirror.stop()


def _push(scene, work, name, dockerfile):
    """Pushes an image that no Koji knows; returns its name and its digest."""
    work.mkdir()
    (work / "Dockerfile").write_text(dockerfile)
    (work / "os-release").write_text(f"ID=foreign\nNAME={name}\n")
    store = work.with_name(f"{name}-store")
    arguments = ["--store", str(store), "--network", "none", "--insecure-registry", scene.registry]
    arguments += ["--push", f"{scene.registry}/foreign/{name}:1"]
    subprocess.run([str(binary()), "build", *arguments, str(work)], check=True, capture_output=True, text=True)
    request = urllib.request.Request(f"http://{scene.registry}/v2/foreign/{name}/manifests/1", method="HEAD")
    request.add_header("Accept", "application/vnd.docker.distribution.manifest.v2+json")
    with urllib.request.urlopen(request) as answer:
        return f"registry.example.com/foreign/{name}:1", answer.headers["Docker-Content-Digest"]


@pytest.fixture(scope="session")
def foreign_images(scene, hub, tmp_path_factory):
    """Images nobody built in Koji: one without labels, one with those of the base image's build, one of no build."""
    work = tmp_path_factory.mktemp("foreign")
    package = hub.admin.getPackageID("demo-base")
    base = max(hub.admin.listBuilds(package), key=lambda build: build["build_id"])
    plain, digest = _push(scene, work / "plain", "plain", "FROM scratch\nCOPY os-release /etc/os-release\n")
    invented = {"name": "invented", "version": "1", "release": "1"}
    return {
        "plain": plain,
        "plain_by_digest": plain.rpartition(":")[0] + "@" + digest,
        "forged": _push(scene, work / "forged", "forged", _IMAGE.format(**base))[0],
        "invented": _push(scene, work / "invented", "invented", _IMAGE.format(**invented))[0],
        "registry": scene.registry,
    }


def _filled(text, values):
    """Named values in a text; braces that name none of them stay."""
    for name, value in values.items():
        text = text.replace("{" + name + "}", value)
    return text


def _tree(scene, case, rpms, values, directory):
    """The repository of a case as a directory."""
    directory.mkdir(parents=True)
    instructions, before = ([_filled(i, values) for i in lines] for lines in (case.instructions, case.before))
    named = replace(case, base=_filled(case.base, values), instructions=tuple(instructions), before=tuple(before))
    (directory / "Dockerfile").write_text(named.dockerfile())
    for name, content in case.files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    for name, rpm in case.rpms.items():
        shutil.copy(rpms[rpm], directory / name)
    for name, pattern in case.foreign.items():
        (found,) = (scene.distribution / "foreign").glob(pattern)
        for path in [p for p in found.rglob("*") if p.is_file()] if found.is_dir() else [found]:
            target = directory / name / path.relative_to(found) if found.is_dir() else directory / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return directory


@pytest.fixture(scope="session")
def submit(scene, hub, foreign_images, rpms, mirror, tmp_path_factory):
    """Makes the repository of a case and asks for its build."""
    work = tmp_path_factory.mktemp("trees")

    def submit(case):
        dist_git.create(scene, case.name, _tree(scene, case, rpms, foreign_images, work / case.name))
        return hub.submit(case.name, mirror.repo_file(case.offer) if case.offer else "")

    return submit
