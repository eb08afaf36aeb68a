"""BuildKit as it is measured: the one in dockerd (Debian's docker.io), where there is a dockerd and it starts. One
daemon for all rounds, as users have it; its images and its cache are removed before each round.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

from file_server import serving

from . import oci_image, rows
from .errors import BenchError
from .inputs import Inputs
from .measure import Sample, run

# The client that came with dockerd: newer ones build nothing without a plugin.
CLIENT = shutil.which("docker", path="/usr/bin") or "docker"
PATIENCE = 30.0
RUN_DONE = re.compile(r"^#(\d+) (?:\[[^]]*\] (RUN)|DONE ([0-9.]+)s)")
TICKS = os.sysconf("SC_CLK_TCK")


class BuildKit:
    """One method for each kind of work; runs while the object is entered."""

    name = "buildkit"

    def __init__(self, directory: Path, inputs: Inputs) -> None:
        self.directory, self.inputs = directory, inputs
        self.numbers = itertools.count()
        self.socket = f"unix://{directory}/docker.sock"
        self.log = directory / "dockerd.log"

    @staticmethod
    def missing() -> str:
        """Why it cannot be measured; empty when it can be tried."""
        absent = [program for program in ("dockerd", "containerd", CLIENT) if not shutil.which(program)]
        return f"no {', '.join(absent)} in PATH (Debian: docker.io)" if absent else ""

    def __enter__(self) -> BuildKit:
        place = ["--data-root", self.directory / "data", "--exec-root", self.directory / "exec"]
        network = ["--iptables=false", "--ip6tables=false", "--bridge=none", "--insecure-registry", "127.0.0.0/8"]
        rest = ["--pidfile", self.directory / "pid", "-H", self.socket, "--storage-driver", "overlay2"]
        with self.log.open("wb") as log:
            command = [str(word) for word in ["dockerd", *place, *network, *rest]]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE
        while not self.version():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                self.process.wait()
                said = self.log.read_text(encoding="utf-8", errors="replace")[-1500:]
                raise BenchError(f"dockerd does not start: {said}")
            time.sleep(0.1)  # it has no other way to say that it listens
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()

    def version(self) -> str:
        """As the daemon says; empty while it does not answer."""
        command = [CLIENT, "-H", self.socket, "version", "--format", "{{.Server.Version}}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return f"BuildKit in Docker {done.stdout.strip()}" if done.returncode == 0 else ""

    def _call(self, *words: str | Path) -> Sample:
        before = self._daemons()
        sample = run([CLIENT, *words], {"DOCKER_HOST": self.socket, "DOCKER_BUILDKIT": "1"})
        after = self._daemons()
        sample.cpu += sum(cpu - before.get(pid, (0, 0))[0] for pid, (cpu, _) in after.items())
        sample.memory = max([sample.memory, *(memory for _, memory in after.values())])
        return sample

    def _daemons(self) -> dict[int, tuple[float, int]]:
        """Processor seconds (with those of ended children) and peak memory of dockerd and its containerd."""
        found: dict[int, tuple[float, int]] = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                text = stat.read_text(encoding="utf-8")
                name, fields = text[text.index("(") + 1 : text.rindex(")")], text[text.rindex(")") + 2 :].split()
                if name in ("dockerd", "containerd"):
                    status = (stat.parent / "status").read_text(encoding="utf-8")
                    peak = int(re.search(r"VmHWM:\s+(\d+)", status)[1]) << 10  # type: ignore[index]
                    found[int(stat.parent.name)] = (sum(map(int, fields[11:15])) / TICKS, peak)
            except (OSError, TypeError, ValueError):
                continue
        return found

    def _forget(self) -> None:
        environment = {**os.environ, "DOCKER_HOST": self.socket}
        for words in (["builder", "prune", "-af"], ["system", "prune", "-af"]):
            subprocess.run([CLIENT, *words], env=environment, check=True, stdout=subprocess.DEVNULL)

    def _warm(self, base: str) -> None:
        self._forget()
        self._call("pull", "-q", self.inputs.base(base))

    def _build(self, context: Path, *options: str) -> Sample:
        return self._call("build", "--progress", "plain", "--network", "none", "-t", "result", *options, context)

    def _push(self, sample: Sample) -> None:
        repository = f"buildkit/{next(self.numbers)}"
        target = f"{self.inputs.host}/{repository}:1"
        self._call("tag", "result", target)
        sample.add(self._call("push", "-q", target))
        sample.layer = oci_image.layer_size(self.inputs.host, repository, "1")

    def pull(self) -> dict[str, Sample]:
        """`docker pull`, then the small build on what is there."""
        self._forget()
        cold = self._call("pull", "-q", self.inputs.base("large"))
        warm = self._build(rows.pull_context(self.inputs), "--no-cache")
        return {"pull": cold, "pull-warm": warm}

    def _built(self, row: str, context: Path) -> dict[str, Sample]:
        self._warm("tools")
        return {row: self._build(context, "--no-cache")}

    def ten_runs(self) -> dict[str, Sample]:
        """A layer for each."""
        return self._built("ten-runs", rows.ten_runs_context(self.inputs))

    def copy(self) -> dict[str, Sample]:
        """To an image in its storage."""
        return self._built("copy", rows.copy_context(self.inputs))

    def _run_commit_push(self, context: Path) -> Sample:
        self._warm("tools")
        sample = self._build(context, "--no-cache")
        sample.wall -= run_seconds(sample.said)
        self._push(sample)
        return sample

    def big_run(self) -> dict[str, Sample]:
        """What RUN itself took is taken off."""
        return {"big-run": self._run_commit_push(rows.big_run_context(self.inputs, "soft"))}

    def big_run_hard(self) -> dict[str, Sample]:
        """As `big_run`."""
        return {"big-run-hard": self._run_commit_push(rows.big_run_context(self.inputs, "hard"))}

    def many_files(self) -> dict[str, Sample]:
        """What RUN itself took is taken off."""
        return {"many-files": self._run_commit_push(rows.many_files_context(self.inputs, "soft"))}

    def many_files_hard(self) -> dict[str, Sample]:
        """As `many_files`."""
        return {"many-files-hard": self._run_commit_push(rows.many_files_context(self.inputs, "hard"))}

    def install(self) -> dict[str, Sample]:
        """Packages come from a server on loopback: builds have no volumes."""
        self._warm("dnf")
        with serving(self.inputs.packages()) as server:
            context = self.inputs.context(
                f"install-buildkit-{next(self.numbers)}", "dnf", [f"RUN {install(server.url)}"]
            )
            sample = self._build(context, "--no-cache", "--network", "host")
        self._push(sample)
        return {"install": sample}

    def rebuild(self) -> dict[str, Sample]:
        """The second of two equal builds."""
        context = rows.rebuild_context(self.inputs)
        self._warm("tools")
        self._build(context)
        return {"rebuild": self._build(context)}


def install(url: str) -> str:
    """The command of the dnf row with a repository of its own."""
    options = f"--disablerepo='*' --repofrompath=bulk,{url} --setopt=bulk.gpgcheck=0"
    return rows.INSTALL.replace("dnf -y -q install", f"dnf -y -q {options} install")


def run_seconds(lines: list[str]) -> float:
    """What the RUN steps took, by the plain progress."""
    steps: dict[str, bool] = {}
    total = 0.0
    for line in lines:
        found = RUN_DONE.match(line)
        if found and found[2]:
            steps[found[1]] = True
        elif found and steps.get(found[1]):
            total += float(found[3])
    return total
