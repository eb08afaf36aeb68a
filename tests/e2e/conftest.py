"""End-to-end tests: the scene of `make demo`, played by assertions.

    PYTHONPATH=examples:python .venv/bin/python -m pytest tests/e2e                 on the development hub
    KOJI_SRC=DIR PYTHONPATH=examples:python .venv/bin/python -m pytest tests/e2e    on the real hub as well

Needs root and the programs of `make demo`. One scene per hub is set for all tests; its state is below E2E_STATE
(default /var/tmp/containerbuild-e2e, because the real hub's servers must be able to enter it).
"""

import os
import random
import socket
from pathlib import Path

import pytest
from demo import scene as scenes
from demo.down import down
from demo.up import up

STATE = Path(os.environ.get("E2E_STATE") or "/var/tmp/containerbuild-e2e")


def hubs():
    """The hubs to test on."""
    return ["dev", "real"] if os.environ.get("KOJI_SRC") else ["dev"]


def pytest_report_header():
    return f"end-to-end: hubs {', '.join(hubs())}" + ("" if os.environ.get("KOJI_SRC") else " (KOJI_SRC is not set)")


def free_base_port():
    """The first of as many consecutive free ports as a scene takes."""
    for _ in range(100):
        base = random.randrange(20000, 30000, 10)
        try:
            for offset in scenes.PORTS.values():
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", base + offset))
        except OSError:
            continue
        return base
    raise RuntimeError("no free ports")


@pytest.fixture(scope="session", params=hubs())
def scene(request):
    """A scene that is up, with its worker; down again at the end, where `down` itself checks that nothing is left."""
    source = Path(os.environ["KOJI_SRC"]).resolve() if request.param == "real" else None
    state = STATE / request.param
    try:
        yield up(scenes.Scene(state, free_base_port(), source))
    finally:
        if (state / "scene.json").exists():
            down(scenes.load(state))
