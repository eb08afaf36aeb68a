"""The cases as data: `cases/THEME.toml`, one `[[case]]` each. README.md describes the keys.

Every key is known here; an unknown one stops the run, so that no expectation is silently ignored.
"""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent / "cases"


@dataclass(frozen=True)
class Difference:
    """One place where the engines are known to differ: what each has there, and why ours is right."""

    at: str
    ours: str
    buildah: str
    why: str


@dataclass(frozen=True)
class Case:
    """One Dockerfile with its context."""

    name: str
    dockerfile: str
    files: dict = field(default_factory=dict)
    ignore: str = ""
    build_args: dict = field(default_factory=dict)
    target: str = ""
    # What our engine says when the build must fail.
    fails: str = ""
    # The one engine that builds it, when they differ, and the reason.
    only: str = ""
    why: str = ""
    differs: tuple = ()
    # What our image must have, beside being equal: keys as in a difference.
    expect: dict = field(default_factory=dict)


def read(path):
    """The cases of one file."""
    document = tomllib.loads(path.read_text())
    if set(document) != {"case"}:
        raise ValueError(f"{path.name}: only [[case]] tables are read, not {sorted(document)}")
    return [case(path, table) for table in document["case"]]


def case(path, table):
    """One table, checked."""
    differs = tuple(Difference(**entry) for entry in table.pop("differs", []))
    made = Case(**table | {"name": f"{path.stem}/{table['name']}", "differs": differs})
    problem = wrong(made)
    if problem:
        raise ValueError(f"{made.name}: {problem}")
    return made


def wrong(case):
    """What contradicts itself in a case, if anything."""
    if case.only not in ("", "ours", "buildah"):
        return f"`only` is `ours` or `buildah`, not `{case.only}`"
    if case.only and not case.why:
        return "`only` needs `why`"
    if case.only == "ours" and (case.fails or not case.expect):
        return "what buildah does not build needs `expect`, and no `fails`"
    if case.only == "buildah" and not case.fails:
        return "what only buildah builds needs our message in `fails`"
    if (case.fails or case.only) and case.differs:
        return "there are no two images to differ"
    if case.fails and case.expect:
        return "a build that fails leaves nothing to expect"
    if any(not d.why or d.ours == d.buildah for d in case.differs):
        return "a difference has two sides and a reason"
    return ""


def everything():
    """All cases, by name."""
    cases = [case for path in sorted(HERE.glob("*.toml")) for case in read(path)]
    names = [case.name for case in cases]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"two cases have one name: {sorted(twice)}")
    return cases
