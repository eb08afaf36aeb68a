"""The contract suite: the same assertions on the development hub and on a real Koji hub.

    PYTHONPATH=python .venv/bin/pytest tests/contract                       the development hub
    KOJI_SRC=DIR .venv/bin/pytest tests/contract                            both; DIR holds Koji's source

The real hub is started by the program REAL_HUB_UP names (default ../shared/tools/real-hub/up beside the repository); it needs
root, Apache with mod_wsgi and PostgreSQL. CONTAINERBUILD_WHEEL names a wheel of the hub extension; without it one is built.
`--hub devhub` or `--hub real` chooses one.
"""

import io
import itertools
import tarfile

import pytest

from hubs import DevelopmentHub, RealHub, why_no_real_hub
from scene import Scene, import_rpms, make_rpms


def pytest_addoption(parser):
    parser.addoption("--hub", choices=["devhub", "real"], help="run on this hub only")


def pytest_terminal_summary(terminalreporter):
    # Not in the header, which -q hides.
    missing = why_no_real_hub()
    chosen = terminalreporter.config.getoption("--hub")
    if missing or chosen == "devhub":
        terminalreporter.write_line(f"real hub: NOT tested ({missing or '--hub devhub'})")


def pytest_generate_tests(metafunc):
    if "hub" in metafunc.fixturenames:
        chosen = metafunc.config.getoption("--hub")
        names = [chosen] if chosen else ["devhub"] if why_no_real_hub() else ["devhub", "real"]
        metafunc.parametrize("hub", names, indirect=True, scope="session")


@pytest.fixture(scope="session")
def hub(request, tmp_path_factory):
    """A running hub with the plugin loaded; stopped at the end."""
    if request.param == "real" and why_no_real_hub():
        pytest.fail(why_no_real_hub())
    kind = {"devhub": DevelopmentHub, "real": RealHub}[request.param]
    running = kind(tmp_path_factory.mktemp("hub"))
    try:
        running.start()
        yield running
    finally:
        running.stop()


_numbers = itertools.count(1)


@pytest.fixture
def scene(hub):
    """Names and hosts of this test alone, on the shared hub."""
    made = Scene(hub, next(_numbers))
    yield made
    made.close()


@pytest.fixture
def admin(scene):
    """A session of an administrator."""
    return scene.session("kojiadmin")


@pytest.fixture
def packager(scene):
    """A session of an ordinary user."""
    return scene.session("packager")


@pytest.fixture
def files(scene, tmp_path):
    """An image archive and a log."""
    image = tmp_path / f"docker-image-{scene.number}.x86_64.tar.gz"
    with tarfile.open(image, "w:gz") as archive:
        entry = tarfile.TarInfo("README")
        entry.size = 5
        archive.addfile(entry, io.BytesIO(b"image"))
    log = tmp_path / "x86_64.log"
    log.write_text("built\n")
    return [(image, "docker-image"), (log, "log")]


@pytest.fixture
def rpm(scene, admin, tmp_path):
    """A Koji-built RPM, as a component of an image."""
    name = scene.name("part")
    import_rpms(admin, make_rpms(tmp_path, name), scene.name("import"))
    found = admin.getRPM(f"{name}-1.0-1.noarch")
    return {key: found[key] for key in ("name", "version", "release", "arch")} | {"sigmd5": found["payloadhash"]}


@pytest.fixture
def builder(scene):
    """A host that runs an OPEN buildContainer task of `packager` and may import."""
    return scene.builder()
