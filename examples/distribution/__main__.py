"""`python3 -m distribution`: make the demo distribution, or find it in the cache, and print its directory.

Progress goes to standard error. Needs root (dnf installs into a root), apt's package lists, and the programs rpmbuild,
rpmsign, gpg, createrepo_c and dnf.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys

from . import steps
from .base_root import BaseRootError
from .deb_archive import ArchiveError
from .debian_packages import ClosureError
from .rpm_spec import RpmBuildError
from .signing_key import SigningError

PROGRAMS = ["apt-get", "apt-cache", "rpmbuild", "rpmsign", "gpg", "createrepo_c", "dnf"]


def main() -> int:
    """Exit 0: printed; 1: could not be made; 2: a program is missing."""
    argparse.ArgumentParser(prog="distribution", description=__doc__).parse_args()
    missing = [program for program in PROGRAMS if not shutil.which(program)]
    if missing:
        print(f"missing programs: {', '.join(missing)}", file=sys.stderr)
        return 2
    try:
        print(steps.make())
    except (
        ArchiveError,
        BaseRootError,
        ClosureError,
        RpmBuildError,
        SigningError,
        subprocess.CalledProcessError,
    ) as error:
        print(f"cannot make the distribution: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
