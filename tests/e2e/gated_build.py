"""One `containerbuild build` of a Dockerfile whose packages come through the gate from a mirror. Used by the tests of
the gate and of package managers of other ages.
"""

import os
import subprocess
from pathlib import Path

from demo import run_image

PROGRAM = Path(os.environ.get("CONTAINERBUILD") or Path(__file__).parents[2] / "target/debug/containerbuild")


class GatedBuild:
    """One run of the program: exit code, what it said, what the mirror was asked, and the image's root."""

    def __init__(self, directory, state, mirror, lines, *options):
        """`lines` is the Dockerfile; `state` keeps store and gate cache, as a worker has them."""
        context, self.image, self.root = directory / "context", directory / "image", directory / "root"
        context.mkdir(parents=True)
        (context / "Dockerfile").write_text("\n".join(lines) + "\n")
        command = [
            PROGRAM,
            "build",
            context,
            *options,
            f"--repo=koji={mirror.url}/",
            f"--store={state}/store",
            f"--output=oci:{self.image}",
            "--no-cache",
            "--progress=plain",
        ]
        before = len(mirror.asked)
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        self.code, self.said, self.asked = done.returncode, done.stderr, mirror.asked[before:]
        if self.code == 0:
            run_image.unpack(self.image, self.root)
