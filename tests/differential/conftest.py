"""The scene of the suite: base images and both engines, below one directory in memory that is gone afterwards.

.venv/bin/python -m pytest tests/differential            needs root, buildah, crun, busybox-static
CONTAINERBUILD=FILE …                                    another binary than target/debug/containerbuild
"""

import os
import shutil
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import cases  # noqa: E402
import engines  # noqa: E402


def pytest_generate_tests(metafunc):
    if "case" in metafunc.fixturenames:
        found = cases.everything()
        metafunc.parametrize("case", found, ids=[case.name for case in found])


@pytest.fixture(scope="session")
def scene():
    """Both engines with their bases. At the end nothing is left of them: no mount, no container, no file."""
    if os.geteuid():
        pytest.fail("both engines mount file systems: run the suite as root", pytrace=False)
    # In memory: creating and removing trees on disk would take most of the time.
    # The name becomes part of an image reference, which not every name of mkdtemp(3) can be.
    state = Path(f"/dev/shm/differential-{os.getpid()}")
    state.mkdir(mode=0o700)
    try:
        bases = engines.base_layouts(state, tomllib.loads((HERE / "bases.toml").read_text()))
        buildah = engines.Buildah(state)
        try:
            buildah.pull(bases)
            with ThreadPoolExecutor(2) as pool:
                yield SimpleNamespace(state=state, ours=engines.Ours(state, bases), buildah=buildah, pool=pool)
        finally:
            buildah.close()
    finally:
        shutil.rmtree(state)
