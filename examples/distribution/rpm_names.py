"""Debian versions and dependencies in RPM's terms: epoch, version, release, Requires and Provides.

Pure functions; called by rpm_spec.py. Debian's `1:2.3-4+b1` becomes epoch 1, version 2.3, release `4+b1.demo40`.
"""

from __future__ import annotations

from .contents import DIST_TAG
from .debian_packages import DebianPackage, Relation

OPERATORS = {"<<": "<", "<=": "<=", "=": "=", ">=": ">=", ">>": ">"}


def split_version(debian: str) -> tuple[int | None, str, str]:
    """(epoch, version, release with dist tag). A native package, which has no revision, gets release 1."""
    epoch, colon, rest = debian.partition(":")
    if not colon:
        epoch, rest = "", debian
    version, hyphen, revision = rest.rpartition("-")
    if not hyphen:
        version, revision = rest, "1"
    # RPM allows no hyphen inside a version; Debian allows it in the upstream part.
    return (int(epoch) if epoch else None, version.replace("-", "."), revision + DIST_TAG)


def requirement_version(debian: str) -> str:
    """The version of a constraint. Without a revision no release is named, so that any release meets it."""
    epoch, version, release = split_version(debian)
    prefix = "" if epoch is None else f"{epoch}:"
    has_revision = "-" in debian.partition(":")[2 if ":" in debian else 0]
    return f"{prefix}{version}-{release}" if has_revision else f"{prefix}{version}"


def relation(item: Relation) -> str:
    """`libc6 >= 2.34`"""
    if not item.operator:
        return item.name
    version = requirement_version(item.version)
    operator = OPERATORS[item.operator]
    # Debian's 2.36-9 is later than 2.36; to RPM a constraint without release leaves the release open.
    if operator == ">" and "-" not in version:
        operator = ">="
    return f"{item.name} {operator} {version}"


def requires(package: DebianPackage, shipped: set[str]) -> list[str]:
    """The Requires of one package; alternatives nobody ships are left out, several become a rich dependency.

    `shipped` holds the names and virtual names of the distribution. A dependency none of which is shipped was dropped
    by the recipe (contents.py).
    """
    result = []
    for alternatives in package.depends:
        present = [relation(a) for a in alternatives if a.name in shipped]
        if len(present) == 1:
            result.append(present[0])
        elif present:
            result.append("(" + " or ".join(present) + ")")
    return sorted(set(result))


def provides(package: DebianPackage) -> list[str]:
    """Virtual names; RPM provides the package's own name by itself."""
    return sorted({relation(p) for p in package.provides})
