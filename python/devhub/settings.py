"""Settings of the development hub: from flags, or from an INI file with the same names."""

import configparser
from dataclasses import dataclass, field
from pathlib import Path


class SettingsError(Exception):
    """A setting that cannot be used; the message names it."""


@dataclass
class Settings:
    """What the hub needs to know. Ports 0 take free ones."""

    state_dir: Path
    topdir: Path = None
    listen: str = "127.0.0.1"
    port: int = 0
    ssl_port: int = 0
    server_cert: Path = None
    server_key: Path = None
    client_ca: Path = None
    # the name of a header, kept secret, in which an httpd before this hub says who has logged in there (GSSAPI)
    login_header: str = ""
    # the release to behave like, as far as builder hosts notice; empty: the newest
    version: str = ""
    plugins: list = field(default_factory=list)
    plugin_path: list = field(default_factory=list)
    # (name, password or None, [permissions])
    users: list = field(default_factory=list)
    policies: dict = field(default_factory=dict)
    # seconds; 0: sessions do not expire
    session_lifetime: float = 1440 * 60
    scheduler: dict = field(default_factory=dict)
    log_level: str = "INFO"

    def __post_init__(self):
        self.state_dir = Path(self.state_dir).resolve()
        self.topdir = Path(self.topdir).resolve() if self.topdir else self.state_dir / "kojidir"
        if bool(self.server_cert) != bool(self.client_ca):
            raise SettingsError("TLS needs both server_cert and client_ca")
        for path in filter(None, (self.server_cert, self.server_key, self.client_ca)):
            if not Path(path).is_file():
                raise SettingsError(f"there is no file {path}")


SCHEDULER_KEYS = ("assign_timeout", "host_timeout", "ready_timeout", "soft_refusal")
INTEGERS = ("port", "ssl_port")
PATHS = ("state_dir", "topdir", "server_cert", "server_key", "client_ca")
TEXTS = ("listen", "log_level", "login_header", "version")
LISTS = ("plugins",)


def read_file(path):
    """Settings of an INI file as a dictionary: sections [hub], [users] (name = password permission…), [policy], [scheduler]."""
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",))
    parser.optionxform = str
    if not parser.read(path, encoding="utf-8"):
        raise SettingsError(f"cannot read {path}")
    unknown = set(parser.sections()) - {"hub", "users", "policy", "scheduler"}
    if unknown:
        raise SettingsError(f"{path}: unknown sections {sorted(unknown)}")
    found = {}
    for key, value in parser["hub"].items() if "hub" in parser else ():
        if key in INTEGERS:
            found[key] = number(value, f"{path}: {key}", int)
        elif key == "session_lifetime":
            found[key] = number(value, f"{path}: {key}", float)
        elif key in PATHS:
            found[key] = Path(value)
        elif key in TEXTS:
            found[key] = value
        elif key in LISTS:
            found[key] = value.split()
        elif key == "plugin_path":
            found[key] = [Path(part) for part in value.split(":") if part]
        else:
            raise SettingsError(f"{path}: unknown setting {key}")
    if "users" in parser:
        found["users"] = [user(f"{name}:{':'.join(value.split())}") for name, value in parser["users"].items()]
    if "policy" in parser:
        found["policies"] = dict(parser["policy"].items())
    if "scheduler" in parser:
        found["scheduler"] = dict(scheduler_limit(f"{key}={value}") for key, value in parser["scheduler"].items())
    return found


def user(text):
    """NAME[:PASSWORD[:PERMISSION...]]; an empty password means certificate only."""
    name, _, rest = text.partition(":")
    password, *permissions = rest.split(":") if rest else [""]
    if not name:
        raise SettingsError(f"a user needs a name: {text!r}")
    return name, password if password not in ("", "-") else None, permissions


def scheduler_limit(text):
    """KEY=SECONDS"""
    key, _, value = text.partition("=")
    if key not in SCHEDULER_KEYS:
        raise SettingsError(f"unknown scheduler setting {key!r}; known: {', '.join(SCHEDULER_KEYS)}")
    return key, number(value, key, float)


def number(text, what, kind):
    try:
        return kind(text)
    except ValueError:
        raise SettingsError(f"{what} must be a number, not {text!r}") from None
