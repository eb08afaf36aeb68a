"""`python3 -m distribution`: make the demo distribution, or find it in the cache, and print its directory.

Progress goes to standard error. Needs root (dnf installs into a root), apt's package lists, and the programs rpmbuild,
rpmsign, gpg, createrepo_c and dnf.
"""

from __future__ import annotations

import argparse
import sys

from . import steps
from .errors import RecipeError


def main() -> int:
    """Exit 0: printed; 1: could not be made."""
    argparse.ArgumentParser(prog="distribution", description=__doc__).parse_args()
    try:
        print(steps.make())
    except RecipeError as error:
        print(f"cannot make the distribution: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
