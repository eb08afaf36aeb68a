"""What a case is, and the words cases are made of."""

import base64
import hashlib
import platform
from dataclasses import dataclass, field
from pathlib import Path

BASE = "registry.example.com/f40/base:40"
# Machine code nobody could review: the first bytes of an ELF file and some noise, never run.
ELF = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\x00\x3e\x00" + hashlib.sha256(b"tool").digest() * 40
ELF_BASE64 = base64.b64encode(ELF).decode()
# An architecture that is not this machine's.
STRANGE = "x86_64" if platform.machine() == "aarch64" else "aarch64"
NOTKOJI = "notkoji/notkoji-*.rpm"
TAMPERED = "tampered/hello-*.rpm"
RPMDB = "/usr/lib/sysimage/rpm/rpmdb.sqlite"
# Programs a case runs inside its build.
SCRIPTS = Path(__file__).parent / "scripts"

UNEXPLAINED = "unexplained programs: "
ALTERED = "programs altered after an RPM brought them: "
RIGHTS = "with rights that no RPM gives: "
CONTRADICTION = "where rpmdb and files contradict each other: "
NOT_KOJI = "the image holds what this Koji did not build"
OUTSIDE = "(rule host-not-allowed)"
NOT_FETCHED = "is not in the build context, and images are made of what is in dist-git and in Koji"


@dataclass(frozen=True)
class Case:
    """One dist-git repository, and what must become of it.

    `instructions` follow FROM and LABEL; `before` are earlier stages. `files` are texts or bytes beside the Dockerfile,
    `foreign` are files (by a pattern) or directories below the scene's foreign repositories, `rpms` are RPMs of the
    adversary's (offers.packages) by their names. `offer` is a repository of
    the adversary's (offers.py) that the request names with --repo-url. `words` must be in the fault of a refused build,
    in the warnings of a reported one; `words_by_hub` replaces them on a hub that knows less or more.
    """

    name: str
    instructions: tuple[str, ...]
    words: tuple[str, ...] = ()
    files: dict[str, str | bytes] = field(default_factory=dict)
    foreign: dict[str, str] = field(default_factory=dict)
    rpms: dict[str, str] = field(default_factory=dict)
    base: str = BASE
    before: tuple[str, ...] = ()
    offer: str = ""
    words_by_hub: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def dockerfile(self) -> str:
        """Earlier stages, FROM, the labels, the instructions."""
        labels = f'LABEL com.redhat.component="webserver" name="f40/{self.name}" version="{self.name}"'
        return "\n".join([*self.before, f"FROM {self.base}", labels, *self.instructions]) + "\n"

    def expected(self, hub: str) -> tuple[str, ...]:
        """The words for one kind of hub, `dev` or `real`."""
        return self.words_by_hub.get(hub, self.words)


def python(code: str) -> str:
    """A RUN of one line of Python."""
    return f"RUN {python_command(code)}"


def python_command(code: str) -> str:
    """The same as a shell command."""
    assert "'" not in code and "\n" not in code
    return f"python3 -c '{code}'"


def sql(statement: str, database: str = RPMDB) -> str:
    """A shell command that changes a rpmdb."""
    assert '"' not in statement
    return f'sqlite3 {database} "pragma foreign_keys=off; {statement}"'


def script(name: str) -> str:
    """The text of a program in scripts/."""
    return (SCRIPTS / name).read_text()


def decoded(path: str) -> str:
    """A shell command that writes the machine code to a path."""
    return f"echo {ELF_BASE64} | base64 -d > {path}"
