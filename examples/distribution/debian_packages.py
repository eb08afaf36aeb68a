"""Reads apt's package index, computes the closure of the wanted packages, and downloads it.

The closure is computed here and not by `apt-get install --print-uris`, because apt would bring Debian's packaging
machinery along (dpkg, debconf, perl), which an RPM distribution has no use for. Called by steps.py.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from .errors import RecipeError

FIELDS = (
    "Package",
    "Version",
    "Architecture",
    "Depends",
    "Pre-Depends",
    "Provides",
    "Description",
    "Homepage",
    "Section",
    "Filename",
)
_RELATION = re.compile(r"^\s*([a-z0-9][a-z0-9+.\-]*)(?::[a-z0-9]+)?\s*(?:\(\s*(<<|<=|=|>=|>>)\s*([^\s)]+)\s*\))?")


class ClosureError(RecipeError):
    """A wanted package, or what it depends on, is not in apt's index."""


@dataclass(frozen=True)
class Relation:
    """One `name (operator version)` of a Depends or Provides field; operator and version may be empty."""

    name: str
    operator: str = ""
    version: str = ""


@dataclass
class DebianPackage:
    """One stanza of the index. `depends` is a list of alternatives, all of which must be met."""

    name: str
    version: str
    architecture: str
    summary: str
    homepage: str
    depends: list[list[Relation]] = field(default_factory=list)
    provides: list[Relation] = field(default_factory=list)


def parse_relations(text: str) -> list[list[Relation]]:
    """Split a Depends-like field into its conjunction of alternatives; an unreadable word is an error."""
    groups = []
    for part in filter(None, (p.strip() for p in text.split(","))):
        alternatives = []
        for word in part.split("|"):
            match = _RELATION.match(word)
            if not match:
                raise ClosureError(f"cannot read the dependency {word.strip()!r}")
            alternatives.append(Relation(match[1], match[2] or "", match[3] or ""))
        groups.append(alternatives)
    return groups


def parse_index(text: str) -> dict[str, DebianPackage]:
    """The first stanza of each name wins: `apt-cache dumpavail` prints the candidate version first."""
    packages: dict[str, DebianPackage] = {}
    for stanza in text.split("\n\n"):
        values: dict[str, str] = {}
        for line in stanza.split("\n"):
            key, colon, value = line.partition(": ")
            if colon and key in FIELDS:
                values[key] = value
        name = values.get("Package")
        if not name or name in packages:
            continue
        packages[name] = DebianPackage(
            name,
            values["Version"],
            values.get("Architecture", "all"),
            values.get("Description", name),
            values.get("Homepage", ""),
            parse_relations(", ".join(values[k] for k in ("Pre-Depends", "Depends") if k in values)),
            [r for group in parse_relations(values.get("Provides", "")) for r in group],
        )
    return packages


def read_index() -> dict[str, DebianPackage]:
    """All packages apt knows, newest candidates. Fails when apt is missing or `apt-get update` never ran."""
    done = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, check=False)
    if done.returncode != 0:
        raise ClosureError(f"apt-cache dumpavail failed: {done.stderr.decode(errors='replace').strip()[-500:]}")
    return parse_index(done.stdout.decode("utf-8", "replace"))


class Closure:
    """The wanted packages and everything they need, without what the recipe drops or writes itself."""

    def __init__(self, index: dict[str, DebianPackage], dropped: set[str], own: set[str]) -> None:
        self.index, self.dropped, self.own = index, dropped, own
        self.chosen: dict[str, DebianPackage] = {}
        self.wanted: set[str] = set()
        self.providers: dict[str, list[str]] = {}
        for package in index.values():
            for provided in package.provides:
                self.providers.setdefault(provided.name, []).append(package.name)

    def resolve(self, names: list[str]) -> dict[str, DebianPackage]:
        """Of alternatives, one that is wanted or chosen already is taken."""
        self.wanted = set(names)
        queue = [(name, "the recipe") for name in names if name not in self.own]
        while queue:
            name, because = queue.pop(0)
            if name in self.chosen:
                continue
            if name not in self.index:
                raise ClosureError(f"package {name}, needed by {because}, is not in apt's index: run `apt-get update`")
            package = self.chosen[name] = self.index[name]
            for alternatives in package.depends:
                answer = self._answer(alternatives, name)
                if answer:
                    queue.append((answer, name))
        return dict(sorted(self.chosen.items()))

    def _answer(self, alternatives: list[Relation], because: str) -> str | None:
        """The package that meets one dependency; None when it is dropped or already met."""
        wanted = [r.name for r in alternatives if r.name not in self.dropped]
        if not wanted:
            return None
        for name in wanted:
            candidates = {name, *self.providers.get(name, [])}
            if candidates & (self.chosen.keys() | self.wanted):
                return None
        for name in wanted:
            if name in self.index:
                return name
            for provider in sorted(self.providers.get(name, [])):
                if provider not in self.dropped:
                    return provider
        raise ClosureError(f"nothing provides {' or '.join(wanted)}, needed by {because}")


def download(packages: dict[str, DebianPackage], directory: Path) -> dict[str, Path]:
    """Fetch every package with apt, which checks the archive's signatures; returns name → .deb file."""
    directory.mkdir(parents=True, exist_ok=True)
    wanted = [f"{p.name}={p.version}" for p in packages.values()]
    # apt would drop its privileges for the download; our directory is private to root, so tell it not to.
    done = subprocess.run(
        ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *wanted],
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ClosureError(f"apt-get download failed: {done.stdout.strip().splitlines()[-1:]}; try `apt-get update`")
    files = {path.name.split("_", 1)[0]: path for path in directory.glob("*.deb")}
    missing = sorted(set(packages) - set(files))
    if missing:
        raise ClosureError(f"apt-get download left out {', '.join(missing)}")
    return files
