"""buildah as it is measured: whole processes, overlay storage of its own on the same file system, RUN with crun.

The flags are those that make it fastest here. Commit and push are separate programs, as users run them.
"""

from __future__ import annotations

import itertools
import shutil
import subprocess
from pathlib import Path

from . import oci_image, rows, scratch
from .errors import BenchError
from .inputs import Inputs
from .measure import Sample, run
from .namespace import BUILDAH_CACHE

# No limits above our own: without CAP_SYS_RESOURCE newer versions fail on that (engine.md T5).
CONFIG = """[containers]
default_ulimits = ["nofile=1024:1024"]
[engine]
runtime = "crun"
"""
RUN_FLAGS = ["--isolation", "oci", "--runtime", "crun", "--network", "none"]
REPO = "[bulk]\nname=bulk\nbaseurl=file:///packages\ngpgcheck=0\n"
NO_TLS = "--tls-verify=false"


class Buildah:
    """One method for each kind of work; every call starts from the same state."""

    name = "buildah"

    def __init__(self, directory: Path, inputs: Inputs) -> None:
        self.directory, self.inputs = directory, inputs
        self.numbers = itertools.count()
        self.config = directory / "containers.conf"
        self.config.write_text(CONFIG, encoding="utf-8")
        if not shutil.which("buildah"):
            raise BenchError("buildah is missing")

    @staticmethod
    def version() -> str:
        """As it says itself, without what it was built from."""
        said = subprocess.run(["buildah", "--version"], capture_output=True, text=True, check=True).stdout
        return said.split(" (")[0].replace(" version", "").strip()

    def _storage(self) -> Path:
        for cache in BUILDAH_CACHE.iterdir():
            cache.unlink()
        return self.directory / f"storage-{next(self.numbers)}"

    def _call(self, storage: Path, *words: str) -> Sample:
        place = ["--root", str(storage / "root"), "--runroot", str(storage / "run"), "--storage-driver", "overlay"]
        # Its temporary copies of layers belong on the measured file system, too.
        environment = {"CONTAINERS_CONF": str(self.config), "TMPDIR": str(self.directory)}
        return run(["buildah", *place, *words], environment)

    def _warm(self, base: str) -> Path:
        storage = self._storage()
        self._call(storage, "pull", "-q", NO_TLS, self.inputs.base(base))
        return storage

    def _bud(self, context: Path, storage: Path, *options: str) -> Sample:
        return self._call(storage, "bud", "-q", *RUN_FLAGS, NO_TLS, "-t", "result", *options, str(context))

    def _push(self, storage: Path, sample: Sample) -> None:
        repository = f"buildah/{storage.name}"
        target = f"docker://{self.inputs.host}/{repository}:1"
        sample.add(self._call(storage, "push", "-q", NO_TLS, "result", target))
        sample.layer = oci_image.layer_size(self.inputs.host, repository, "1")

    def pull(self) -> dict[str, Sample]:
        """A pull, then the small build on what is there."""
        reference, storage = self.inputs.base("large"), self._storage()
        cold = self._call(storage, "pull", "-q", NO_TLS, reference)
        warm = self._bud(rows.pull_context(self.inputs), storage, "--no-cache")
        scratch.remove(storage)
        return {"pull": cold, "pull-warm": warm}

    def _built(self, row: str, context: Path, *options: str) -> dict[str, Sample]:
        storage = self._warm("tools")
        sample = self._bud(context, storage, "--no-cache", *options)
        scratch.remove(storage)
        return {row: sample}

    def ten_runs(self) -> dict[str, Sample]:
        """A layer for each."""
        return self._built("ten-runs", rows.ten_runs_context(self.inputs), "--layers")

    def ten_runs_squashed(self) -> dict[str, Sample]:
        """One commit at the end."""
        return self._built("ten-runs-squashed", rows.ten_runs_context(self.inputs))

    def copy(self) -> dict[str, Sample]:
        """To an image in its storage."""
        return self._built("copy", rows.copy_context(self.inputs))

    def _run_commit_push(self, context: Path, program: str) -> Sample:
        storage, sample = self._warm("tools"), Sample()
        sample.add(self._call(storage, "from", "-q", "--name", "work", self.inputs.base("tools")), counted=False)
        mount = ["-v", f"{context}:/context:ro"]
        command = ["run", *RUN_FLAGS, *mount, "work", "--", "/bin/sh", "-c", program]
        sample.add(self._call(storage, *command), counted=False)
        sample.add(self._call(storage, "commit", "-q", "work", "result"))
        self._push(storage, sample)
        scratch.remove(storage)
        return sample

    def big_run(self) -> dict[str, Sample]:
        """Commit and push are counted."""
        return self._big_run("big-run", "soft")

    def big_run_hard(self) -> dict[str, Sample]:
        """As `big_run`."""
        return self._big_run("big-run-hard", "hard")

    def _big_run(self, row: str, kind: str) -> dict[str, Sample]:
        sample = self._run_commit_push(rows.big_run_context(self.inputs, kind), rows.BIG)
        # Its zstd pushes are not comparable: the blob cache turns repeated ones into nothing (engine.md T4).
        return {row: sample, f"{row}-zstd": sample}

    def many_files(self) -> dict[str, Sample]:
        """Commit and push are counted."""
        return {"many-files": self._run_commit_push(rows.many_files_context(self.inputs, "soft"), rows.MANY)}

    def many_files_hard(self) -> dict[str, Sample]:
        """As `many_files`."""
        return {"many-files-hard": self._run_commit_push(rows.many_files_context(self.inputs, "hard"), rows.MANY)}

    def install(self) -> dict[str, Sample]:
        """Packages come from a read-only volume: no network, no server."""
        context, storage = rows.install_context(self.inputs), self._warm("dnf")
        repos = self.directory / "yum.repos.d"
        repos.mkdir(exist_ok=True)
        (repos / "bulk.repo").write_text(REPO, encoding="utf-8")
        volumes = ["-v", f"{self.inputs.packages()}:/packages:ro", "-v", f"{repos}:/etc/yum.repos.d:ro"]
        sample = self._bud(context, storage, "--no-cache", *volumes)
        self._push(storage, sample)
        scratch.remove(storage)
        return {"install": sample}

    def rebuild(self) -> dict[str, Sample]:
        """The second of two equal builds."""
        context, storage = rows.rebuild_context(self.inputs), self._warm("tools")
        self._bud(context, storage, "--layers")
        sample = self._bud(context, storage, "--layers")
        scratch.remove(storage)
        return {"rebuild": sample}
