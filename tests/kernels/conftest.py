"""The scene of the suite: kernels and a disk, in a directory that is kept between runs for the downloads alone.

make test-kernels                                needs root, qemu-system-x86, e2fsprogs, binutils, crun, runc, busybox-static
KERNELS=FILE.deb:FILE.deb …                      these kernel packages instead of the distribution's
KERNELS_ACCEL=kvm …                              a faster machine where it works
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))

import disk  # noqa: E402
import kernel as kernels  # noqa: E402
import machine  # noqa: E402

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "containerbuild-kernels"


def pytest_generate_tests(metafunc):
    if "deb" in metafunc.fixturenames:
        debs = [Path(name) for name in os.environ.get("KERNELS", "").split(":") if name]
        metafunc.parametrize("deb", debs or [None], ids=[d.name.split("_")[0] for d in debs] or ["distribution"], scope="session")


@pytest.fixture(scope="session")
def workdir():
    """Gone at the end."""
    with tempfile.TemporaryDirectory(prefix="kernels-", dir="/var/tmp") as name:
        yield Path(name)


@pytest.fixture(scope="session")
def kernel(deb, workdir):
    """The kernel of this run."""
    package = deb or kernels.download("linux-image-cloud-amd64", CACHE)
    return kernels.opened(package, workdir / package.name)


@pytest.fixture(scope="session")
def boot(kernel, disk_image, workdir):
    """Boots it with a script of the guest."""
    return lambda script, **more: machine.boot(kernel, disk_image, script, workdir=workdir, **more)


@pytest.fixture(scope="session")
def disk_image(workdir):
    """This build's programs on a disk."""
    command = ["cargo", "test", "--locked", "-q", "-p", "image-build", "--test", "engine", "--no-run", "--message-format=json"]
    built = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    messages = [json.loads(line) for line in built.stdout.splitlines()]
    engine = next(m["executable"] for m in messages if m.get("target", {}).get("name") == "engine" and m.get("executable"))
    ours = os.environ.get("CONTAINERBUILD") or ROOT / "target/debug/containerbuild"
    programs = {"engine": engine, "containerbuild": ours}
    programs |= {name: shutil.which(name) for name in ("crun", "runc", "unshare")}
    image = workdir / "disk"
    # The tests look for their data where it was when they were compiled.
    data = [ROOT / "crates/dockerfile/tests/corpus", ROOT / "crates/image-build/tests/corpus"]
    disk.make(image, {name: Path(program) for name, program in programs.items()}, data, workdir)
    return image
