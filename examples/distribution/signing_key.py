"""Makes the distribution's throw-away GPG key and signs RPMs with it.

The secret key lives in a private GNUPGHOME below the work directory and is gone when the recipe is done; only the
public half is published. Called by steps.py.
"""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

from .errors import RecipeError
from .rpm_spec import environment

_USER_ID = "demo distribution <demo@example.com>"
# RSA, because every rpm that is still around can verify it; no passphrase, because nobody is there to type one.
_PARAMETERS = f"""\
%no-protection
Key-Type: RSA
Key-Length: 2048
Key-Usage: sign
Name-Real: {_USER_ID.partition(" <")[0]}
Name-Email: {_USER_ID.partition("<")[2][:-1]}
Expire-Date: 0
%commit
"""


class SigningError(RecipeError):
    """gpg or rpmsign failed; the message holds the end of its output."""


class SigningKey:
    """A GPG key in its own home. Use as a context manager: leaving it stops the agent gpg started."""

    def __init__(self, directory: Path, home: Path) -> None:
        self.directory, self.env = directory, environment(home) | {"GNUPGHOME": str(directory)}

    def __enter__(self) -> Self:
        self.directory.mkdir(mode=0o700, parents=True)
        self._run(["gpg", "--batch", "--quiet", "--gen-key"], _PARAMETERS)
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["gpgconf", "--kill", "gpg-agent"], env=self.env, check=False)

    def _run(self, command: list[str], text: str | None = None) -> str:
        done = subprocess.run(command, env=self.env, input=text, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SigningError(f"{command[0]} failed: {(done.stderr + done.stdout).strip()[-1000:]}")
        return done.stdout

    def key_id(self) -> str:
        """The 8 hex digits Koji and RPM call the key by."""
        for line in self._run(["gpg", "--batch", "--with-colons", "--list-keys"]).splitlines():
            fields = line.split(":")
            if fields[0] == "pub":
                return fields[4][-8:].lower()
        raise SigningError("gpg lists no key after making one")

    def export(self, file: Path) -> None:
        """Write the public key, ASCII-armoured."""
        file.write_text(self._run(["gpg", "--batch", "--armor", "--export"]))

    def sign(self, rpms: list[Path], processes: int) -> None:
        """Sign all files in place, spread over `processes` runs of rpmsign."""
        portions = [p for p in (sorted(rpms)[i::processes] for i in range(processes)) if p]
        gpg = self._run(["sh", "-c", "command -v gpg"]).strip()
        command = ["rpmsign", "--addsign", "--define", f"_gpg_name {_USER_ID}", "--define", f"__gpg {gpg}"]
        with ThreadPoolExecutor(processes) as pool:
            list(pool.map(lambda portion: self._run([*command, *map(str, portion)]), portions))
