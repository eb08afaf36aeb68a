"""The same `dnf install` built twice, in other places and at other times, is the same image: digest for digest.

No hub: `containerbuild build` on the demo distribution. What differs between the two builds is what differs between two
builders: the time, the store and work directories, the context's path, times and order of files, the umask, the locale.
"""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest
from distribution import steps

BINARY = Path(__file__).parents[2] / "target/debug/containerbuild"
BASE = "registry.example.org/base:1"
EPOCH = "1700000000"
DOCKERFILE = f"""FROM {BASE}
COPY files /srv/files
RUN dnf -y -q install hello tree && dnf clean all && ldconfig
RUN head -c 512 /dev/urandom > /var/lib/systemd/random-seed 2>/dev/null || true; \\
    tr -d - < /proc/sys/kernel/random/uuid > /etc/machine-id
RUN dnf -y -q install jq && dnf clean all && useradd -r tester 2>/dev/null || true
WORKDIR /srv/work
"""


@pytest.fixture(scope="module")
def distribution():
    return steps.make()


def build(distribution, place, names, compression, umask):
    """Build in a directory of its own; gives manifest digest and the layout."""
    context, layout = place / "context", place / "layout"
    (context / "files").mkdir(parents=True)
    for name in names:
        (context / "files" / name).write_text(f"{name}\n" * 1000)
        (context / "files" / name).chmod(0o644)
    (context / "files").chmod(0o755)
    (context / "Dockerfile").write_text(DOCKERFILE)
    command = [BINARY, "build", context, "--store", place / "store", "--no-cache", "--compression", compression]
    command += ["--repo", f"demo=file://{distribution}/repo", "--base", f"{BASE}=oci:{distribution}/base-image"]
    command += ["--output", f"oci:{layout}"]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": EPOCH, "TMPDIR": str(place)}
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False, env=environment, umask=umask
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout.strip(), layout


def layers(layout):
    """Digests of the layers, bottom first."""
    blobs = layout / "blobs/sha256"
    digest = json.loads((layout / "index.json").read_text())["manifests"][0]["digest"]
    manifest = json.loads((blobs / digest.removeprefix("sha256:")).read_text())
    return [layer["digest"] for layer in manifest["layers"]]


def files(layout, digest):
    """Content of every file of a layer, to name what differs."""
    blob = layout / "blobs/sha256" / digest.removeprefix("sha256:")
    command = ["tar", "--full-time", "-tvf", str(blob)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_two_builds_of_one_dnf_install_have_one_digest(distribution, tmp_path, compression):
    here, there = tmp_path / "here", tmp_path / "a" / "long" / "way" / "there"
    first, one = build(distribution, here, ["a", "b", "c"], compression, 0o022)
    # Times in databases and logs are whole seconds.
    begun = int(time.time())
    while int(time.time()) == begun:
        time.sleep(0.05)
    second, two = build(distribution, there, ["c", "a", "b"], compression, 0o077)
    for left, right in zip(layers(one), layers(two), strict=True):
        assert left == right, "\n".join(set(files(one, left)) ^ set(files(two, right))) or "other contents"
    assert first == second
