"""The RPMs that come from no Debian package: `filesystem`, `demo-release`, and the two that must be refused.

`filesystem` owns the directories everybody shares, the merged-/usr links and the user database; `demo-release` says
which distribution this is and where it would be mirrored. `notkoji` and a second `hello` are for the foreign
repositories (contents: steps.py): the first is unknown to Koji, the other has the name, version, release and
architecture of a Koji build and other content.
"""

from __future__ import annotations

from pathlib import Path

from . import rpm_spec
from .contents import DIST_TAG, GROUPS, RELEASEVER, USERS
from .deb_archive import MERGED, Entry

_PLAIN = [
    "boot",
    "dev",
    "etc",
    "etc/skel",
    "etc/ld.so.conf.d",
    "etc/profile.d",
    "etc/rpm",
    "etc/yum.repos.d",
    "home",
    "media",
    "mnt",
    "opt",
    "proc",
    "root",
    "run",
    "srv",
    "sys",
    "usr",
    "usr/bin",
    "usr/include",
    "usr/lib",
    "usr/lib64",
    "usr/libexec",
    "usr/local",
    "usr/local/bin",
    "usr/local/lib",
    "usr/local/sbin",
    "usr/local/share",
    "usr/sbin",
    "usr/share",
    "usr/share/doc",
    "usr/lib/rpm",
    "usr/lib/rpm/macros.d",
    "usr/lib/sysimage",
    "usr/lib/sysimage/rpm",
    "usr/src",
    "var",
    "var/cache",
    "var/lib",
    "var/log",
    "var/mail",
    "var/opt",
    "var/spool",
    "var/www",
    "var/www/html",
]
_MODES = {"root": 0o700, "proc": 0o555, "sys": 0o555}
_STICKY = ["tmp", "var/tmp"]
_PROFILE = """\
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin
for f in /etc/profile.d/*.sh; do [ -r "$f" ] && . "$f"; done
"""
BASE_DIRECTORIES = frozenset([*_PLAIN, *_STICKY])
BASE_LINKS = {
    **{name: f"usr/{name}" for name in MERGED},
    "var/run": "../run",
    "var/lock": "../run/lock",
    "etc/mtab": "../proc/self/mounts",
    "var/lib/rpm": "../../usr/lib/sysimage/rpm",
}


def _finish(
    package: rpm_spec.RpmPackage, root: Path, files: dict[str, tuple[str, int]], work: Path, home: Path, output: Path
) -> str:
    """Write plain files (path → text, mode), add them to the package, and pack it."""
    for path, (text, mode) in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
        package.entries.append(Entry(path, mode, "root", "root", False))
        if path.startswith("etc/"):
            package.config.add(path)
    rpm_spec.build(package, root, work / f"{package.name}-rpmbuild", home, output)
    return package.nvra


def filesystem(work: Path, home: Path, output: Path, arch: str) -> str:
    """Directories, links, users and groups. Arch-specific because of /lib64."""
    root = work / "filesystem-root"
    package = rpm_spec.RpmPackage("filesystem", RELEASEVER, "1" + DIST_TAG, arch, "The basic directories and users")
    for path in [*_PLAIN, *_STICKY]:
        (root / path).mkdir(parents=True, exist_ok=True)
        mode = 0o1777 if path in _STICKY else _MODES.get(path, 0o755)
        package.entries.append(Entry(path, mode, "root", "root", True))
    for path, target in BASE_LINKS.items():
        (root / path).symlink_to(target)
        package.entries.append(Entry(path, 0, "root", "root", False))
    shells = {name: shell for name, _, _, _, shell in USERS}
    return _finish(
        package,
        root,
        {
            "etc/passwd": ("".join(f"{n}:x:{u}:{g}:{n}:{home_}:{s}\n" for n, u, g, home_, s in USERS), 0o644),
            "etc/group": ("".join(f"{n}:x:{g}:\n" for n, g in GROUPS), 0o644),
            "etc/shadow": ("".join(f"{n}:*:19000:0:99999:7:::\n" for n in shells), 0o600),
            "etc/shells": ("/bin/sh\n/bin/bash\n/usr/bin/bash\n", 0o644),
            "etc/profile": (_PROFILE, 0o644),
            "etc/services": ("http 80/tcp\nhttps 443/tcp\n", 0o644),
        },
        work,
        home,
        output,
    )


def demo_release(work: Path, home: Path, output: Path) -> str:
    """os-release, RPM's macros, and the repository a user of the distribution would have."""
    root = work / "demo-release-root"
    root.mkdir(parents=True)
    package = rpm_spec.RpmPackage(
        "demo-release",
        RELEASEVER,
        "1" + DIST_TAG,
        "noarch",
        "Identity of the demo distribution",
        requires=["filesystem"],
        provides=[f"system-release = {RELEASEVER}", f"system-release(releasever) = {RELEASEVER}"],
    )
    name = "Containerbuild Demo"
    os_release = (
        f'NAME="{name}"\nID=containerbuild-demo\nVERSION_ID={RELEASEVER}\n'
        f'PRETTY_NAME="{name} {RELEASEVER}"\nHOME_URL="https://example.com/"\n'
    )
    # Nothing answers at this address: what a build installs comes through the site's content sources, never from
    # the repository its base image happens to name.
    repo = (
        f"[demo]\nname={name} {RELEASEVER}\nbaseurl=http://mirror.example.com/f{RELEASEVER}/$basearch/\n"
        "enabled=1\ngpgcheck=1\n"
    )
    # Debian's rpm keeps its database in the home directory unless told otherwise.
    macros = f"%_db_backend sqlite\n%_dbpath /usr/lib/sysimage/rpm\n%dist {DIST_TAG}\n"
    return _finish(
        package,
        root,
        {
            "usr/lib/os-release": (os_release, 0o644),
            "etc/os-release": (os_release, 0o644),
            "etc/system-release": (f"{name} release {RELEASEVER}\n", 0o644),
            "etc/yum.repos.d/demo.repo": (repo, 0o644),
            "usr/lib/rpm/macros.d/macros.demo": (macros, 0o644),
            "etc/rpm/macros": (macros, 0o644),
        },
        work,
        home,
        output,
    )


def notkoji(work: Path, home: Path, output: Path) -> str:
    """An RPM like any other, except that Koji never built it."""
    root = work / "notkoji-root"
    root.mkdir(parents=True)
    package = rpm_spec.RpmPackage(
        "notkoji",
        "1.0",
        "1" + DIST_TAG,
        "noarch",
        "A tool from somebody's own repository",
        requires=["filesystem", "bash"],
    )
    return _finish(
        package, root, {"usr/bin/notkoji": ("#!/bin/sh\necho 'not built in Koji'\n", 0o755)}, work, home, output
    )


def tampered_hello(nvra: str, work: Path, home: Path, output: Path) -> str:
    """A `hello` that says it is the Koji build `nvra` and holds something else."""
    root = work / "hello-root"
    root.mkdir(parents=True)
    nvr, _, arch = nvra.rpartition(".")
    name, version, release = nvr.rsplit("-", 2)
    package = rpm_spec.RpmPackage(
        name, version, release, arch, "example package based on GNU hello", requires=["filesystem", "bash"]
    )
    return _finish(
        package, root, {"usr/bin/hello": ("#!/bin/sh\necho 'Hello, somebody changed me'\n", 0o755)}, work, home, output
    )
