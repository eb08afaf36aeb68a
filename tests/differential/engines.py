"""The two engines: each builds a context on the same base layouts. Ours writes an OCI layout; buildah a directory with an
image in Docker's format, because it leaves HEALTHCHECK, SHELL and ONBUILD out of OCI images."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import context
import image

ROOT = Path(__file__).parents[2]
SECONDS = 60


@dataclass
class Outcome:
    """What came of a build: the image, or only what the engine said."""

    image: object
    output: str

    @property
    def built(self):
        return self.image is not None


class Ours:
    """`containerbuild build`"""

    def __init__(self, state, bases):
        self.state, self.bases = state, bases
        self.program = Path(os.environ.get("CONTAINERBUILD") or ROOT / "target/debug/containerbuild")

    def build(self, case, directory, out, *flags, network="none"):
        """Builds a case."""
        command = [*self.command(directory, out, network), *flags]
        command += [f"--build-arg={key}={value}" for key, value in case.build_args.items()]
        command += [f"--target={case.target}"] if case.target else []
        return run(command, dict(os.environ), out)

    def command(self, directory, out, network):
        """The command line of a build."""
        command = [self.program, "build", directory, "--store", self.state / "store", "--no-cache", f"--network={network}"]
        command += ["--progress=plain", f"--output=oci:{out}"]
        return command + [f"--base={name}=oci:{layout}" for name, layout in self.bases.items()]


class Buildah:
    """`buildah bud`, with storage and configuration of its own."""

    def __init__(self, state):
        self.state = state
        etc = state / "etc"
        etc.mkdir()
        (etc / "policy.json").write_text(json.dumps({"default": [{"type": "insecureAcceptAnything"}]}))
        (etc / "registries.conf").write_text("unqualified-search-registries = []\n")
        (etc / "containers.conf").write_text("")
        (etc / "storage.conf").write_text(
            f'[storage]\ndriver = "overlay"\ngraphroot = "{state}/graph"\nrunroot = "{state}/run"\n'
        )
        (state / "tmp").mkdir()
        self.environment = dict(
            os.environ,
            CONTAINERS_STORAGE_CONF=str(etc / "storage.conf"),
            CONTAINERS_REGISTRIES_CONF=str(etc / "registries.conf"),
            CONTAINERS_CONF=str(etc / "containers.conf"),
            TMPDIR=str(state / "tmp"),
        )

    def pull(self, bases):
        """Gives it the base images. What it mounted for them is there until `close`, also when this fails."""
        policy = f"--signature-policy={self.state}/etc/policy.json"
        for name, layout in bases.items():
            pulled = self.call("pull", "-q", "--policy=always", policy, f"oci:{layout}")
            self.call("tag", pulled.stdout.split()[-1], name)

    def call(self, *arguments):
        """One buildah command that must work."""
        done = subprocess.run(["buildah", *arguments], env=self.environment, capture_output=True, text=True, timeout=SECONDS)
        if done.returncode:
            raise RuntimeError(f"buildah {' '.join(arguments)}: {done.stderr}")
        return done

    def build(self, case, directory, out):
        """Builds a case. Chroot isolation: crun and buildah's cgroup set-up refuse hybrid hosts."""
        command = ["buildah", "bud", "--layers=false", "--isolation=chroot", "--pull-never", "--identity-label=false"]
        command += ["--format=docker"]
        command += [f"--signature-policy={self.state}/etc/policy.json", "--tag", f"dir:{out}"]
        command += [f"--build-arg={key}={value}" for key, value in case.build_args.items()]
        command += [f"--target={case.target}"] if case.target else []
        return run([*command, directory], self.environment, out)

    def close(self):
        """Removes containers, images and mounts. Failed builds of 1.28 leave their containers; `--force-rm` would take the
        base images with them."""
        self.call("rm", "--all")
        self.call("rmi", "--all", "--force")
        mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        for mount in sorted((m for m in mounts if m.startswith(f"{self.state}/")), reverse=True):
            subprocess.run(["umount", mount], check=True)


def run(command, environment, out):
    """Runs a build; an image only when it says that it worked."""
    shutil.rmtree(out, ignore_errors=True)
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=SECONDS,
    )
    output = done.stdout.decode(errors="replace")
    return Outcome(None if done.returncode else image.read(out), output)


def base_layouts(state, bases):
    """Writes the base images; `{reference: layout}`."""
    layouts = {}
    for name, base in bases.items():
        root, layout = state / f"{name}-root", state / f"{name}-layout"
        root.mkdir()
        (root / "bin").mkdir()
        shutil.copy(static_busybox(), root / "bin/busybox")
        context.write(root, base["files"])
        image.write_layout(layout, name, root, base["config"])
        layouts[f"localhost/{name}:1"] = layout
    return layouts


def static_busybox():
    """The program of RUN steps: one file that needs no library."""
    for path in (Path("/bin/busybox"), Path("/usr/bin/busybox"), Path("/sbin/busybox")):
        # A static program names no interpreter.
        if path.exists() and b"/ld-linux" not in path.read_bytes()[:4096]:
            return path
    raise RuntimeError("a static busybox is needed: apt-get install busybox-static")
