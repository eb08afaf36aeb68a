"""Fixtures of the adversarial corpus: the end-to-end scene with a state of its own, and images pushed past Koji."""

import importlib.util
import subprocess
from pathlib import Path

import pytest
from demo.koji_client import call
from demo.worker import binary

_SPEC = importlib.util.spec_from_file_location("e2e_scene", Path(__file__).parents[1] / "e2e/conftest.py")
_E2E = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_E2E)
# Both suites may run in one session, each with its scene.
_E2E.STATE = _E2E.STATE.with_name(_E2E.STATE.name + "-adversarial")
scene = _E2E.scene
pytest_report_header = _E2E.pytest_report_header

_FORGED = """\
FROM scratch
COPY os-release /etc/os-release
LABEL com.redhat.component="{name}" name="f40/base" version="{version}" release="{release}" architecture="x86_64"
"""


def _push(scene, work, name, dockerfile):
    work.mkdir()
    (work / "Dockerfile").write_text(dockerfile)
    (work / "os-release").write_text("ID=foreign\n")
    reference = f"{scene.registry}/foreign/{name}:1"
    store = work.with_name(f"{name}-store")
    arguments = ["--store", str(store), "--network", "none", "--push", reference, "--insecure-registry", scene.registry]
    subprocess.run([str(binary()), "build", *arguments, str(work)], check=True, capture_output=True, text=True)
    return f"registry.example.com/foreign/{name}:1"


@pytest.fixture(scope="session")
def foreign_images(scene, tmp_path_factory):
    """Images nobody built in Koji, one of them with the labels of the base image's build."""
    work = tmp_path_factory.mktemp("foreign")
    package = call(scene, "getPackageID", "demo-base")
    base = max(call(scene, "listBuilds", package), key=lambda build: build["build_id"])
    return {
        "plain": _push(scene, work / "plain", "plain", "FROM scratch\nCOPY os-release /etc/os-release\n"),
        "forged": _push(scene, work / "forged", "forged", _FORGED.format(**base)),
    }
