"""containerbuild as it is measured: whole processes of `containerbuild build`, each with a store of its own."""

from __future__ import annotations

import itertools
from pathlib import Path

from . import oci_image, rows, scratch
from .inputs import Inputs
from .measure import Sample, run

EPOCH = "1700000000"


class Containerbuild:
    """One method for each kind of work; every call starts from the same state."""

    name = "containerbuild"

    def __init__(self, binary: Path, directory: Path, inputs: Inputs) -> None:
        self.binary, self.directory, self.inputs = binary, directory, inputs
        self.numbers = itertools.count()

    def _store(self) -> Path:
        return self.directory / f"store-{next(self.numbers)}"

    def build(self, context: Path, store: Path, *options: str) -> Sample:
        """One build of a context with a store."""
        fixed = ["--store", str(store), "--insecure-registry", self.inputs.host, "--progress", "json"]
        # Commit times are in a worker what this variable is here: part of the cache key.
        environment = {"SOURCE_DATE_EPOCH": EPOCH, "TMPDIR": str(self.directory)}
        return run([self.binary, "build", str(context), *fixed, *options], environment)

    def warm(self, base: str) -> Path:
        """A store in which a base image is unpacked."""
        store = self._store()
        self.build(self.inputs.context(f"warm-{base}", base, ["LABEL purpose=warm-up"]), store)
        return store

    def _pushed(self, context: Path, base: str, *options: str) -> Sample:
        store = self.warm(base)
        repository = f"ours/{store.name}"
        sample = self.build(context, store, "--no-cache", "--push", f"{self.inputs.host}/{repository}:1", *options)
        sample.layer = oci_image.layer_size(self.inputs.host, repository, "1")
        scratch.remove(store)
        return sample

    def pull(self) -> dict[str, Sample]:
        """Twice with the same store."""
        context, store = rows.pull_context(self.inputs), self._store()
        samples = {"pull": self.build(context, store), "pull-warm": self.build(context, store, "--no-cache")}
        scratch.remove(store)
        return samples

    def ten_runs(self) -> dict[str, Sample]:
        """A layer for each."""
        store = self.warm("tools")
        sample = self.build(rows.ten_runs_context(self.inputs), store, "--no-cache")
        scratch.remove(store)
        return {"ten-runs": sample}

    def ten_runs_squashed(self) -> dict[str, Sample]:
        """One layer."""
        store = self.warm("tools")
        sample = self.build(rows.ten_runs_context(self.inputs), store, "--no-cache", "--squash")
        scratch.remove(store)
        return {"ten-runs-squashed": sample}

    def big_run(self) -> dict[str, Sample]:
        """What RUN itself took is taken off."""
        return self._big_run("big-run", "soft")

    def big_run_hard(self) -> dict[str, Sample]:
        """As `big_run`."""
        return self._big_run("big-run-hard", "hard")

    def _big_run(self, row: str, kind: str) -> dict[str, Sample]:
        context = rows.big_run_context(self.inputs, kind)
        gzip = _without_run(self._pushed(context, "tools"))
        zstd = _without_run(self._pushed(context, "tools", "--compression", "zstd"))
        return {row: gzip, f"{row}-zstd": zstd}

    def many_files(self) -> dict[str, Sample]:
        """What RUN itself took is taken off."""
        return {"many-files": _without_run(self._pushed(rows.many_files_context(self.inputs, "soft"), "tools"))}

    def many_files_hard(self) -> dict[str, Sample]:
        """As `many_files`."""
        return {"many-files-hard": _without_run(self._pushed(rows.many_files_context(self.inputs, "hard"), "tools"))}

    def copy(self) -> dict[str, Sample]:
        """To an image in the store."""
        store = self.warm("tools")
        sample = self.build(rows.copy_context(self.inputs), store, "--no-cache")
        scratch.remove(store)
        return {"copy": sample}

    def install(self) -> dict[str, Sample]:
        """Packages come through the gate, the only way out of a RUN step."""
        repo = f"bulk=file://{self.inputs.packages()}"
        return {"install": self._pushed(rows.install_context(self.inputs), "dnf", "--repo", repo)}

    def rebuild(self) -> dict[str, Sample]:
        """The second of two equal builds."""
        context, store = rows.rebuild_context(self.inputs), self._store()
        self.build(context, store)
        sample = self.build(context, store)
        scratch.remove(store)
        return {"rebuild": sample}


def _without_run(sample: Sample) -> Sample:
    """Buildah's RUN is a process of its own and not counted; ours is told by its progress."""
    finished = [event for _, event in sample.events if event["event"] == "step-finished"]
    sample.wall -= finished[-1]["seconds"]
    return sample
