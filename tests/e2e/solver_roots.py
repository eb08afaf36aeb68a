"""Base images with the package manager and rpm of another age: dnf 4.5 with rpm 4.16, dnf 5 with rpm 6.

They are Debian's builds of them, from other suites of the mirror that this machine's own apt uses. Nothing of such a
root is an RPM; the rpmdb begins with what the test installs. Kept in the cache of examples/distribution by what is in
them. Used by test_solvers.py.
"""

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

from distribution import cache, deb_archive, oci_layout
from distribution.contents import ARCHITECTURES
from distribution.steps import host_architecture

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
ACCOUNTS = {"etc/passwd": "root:x:0:0:root:/root:/bin/sh\n", "etc/group": "root:x:0:\n"}
NEWEST = 1_900_000_000  # no file's time is later


class Missing(Exception):
    """The suite cannot be had here; the message says why."""


@dataclass
class Root:
    """What a suite's root is made of, and what is set up in it."""

    suite: str
    packages: list[str]
    links: dict[str, str]


ROOTS = {
    # microdnf, dnf and yum are names of dnf 5 in the distributions that have it alone
    "dnf5": Root("sid", ["dnf5"], {f"usr/bin/{name}": "dnf5" for name in ("dnf", "yum", "microdnf")}),
    "dnf4": Root("bullseye", ["dnf", "rpm"], {"usr/bin/yum": "dnf-3"}),
}
TOOLS = ["bash", "coreutils", "grep", "sed", "findutils"]


class Apt:
    """apt-get with state of its own, for one suite of the mirror of the machine's own release."""

    def __init__(self, directory, suite):
        for part in ("lists/partial", "cache/archives/partial"):
            (directory / part).mkdir(parents=True, exist_ok=True)
        self.archives = directory / "cache/archives"
        sources = directory / "sources.list"
        sources.write_text(f"deb [signed-by={KEYRING}] {mirror()} {suite} main\n")
        options = {
            "APT::Sandbox::User": "root",
            "APT::Install-Recommends": "0",
            "Dir::State::lists": directory / "lists",
            "Dir::Cache": directory / "cache",
            "Dir::State::status": "/dev/null",
            "Dir::Etc::sourcelist": sources,
            "Dir::Etc::sourceparts": "/dev/null",
            "Acquire::Languages": "none",
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
        }
        self.command = [
            "apt-get",
            "-qq",
            *(part for key, value in options.items() for part in ("-o", f"{key}={value}")),
        ]

    def run(self, *arguments):
        done = subprocess.run([*self.command, *arguments], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Missing(f"apt-get {arguments[0]}: {done.stderr.strip()[-300:]}")
        return done.stdout


def mirror():
    """Where the machine's own apt has its release from."""
    release = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    try:
        targets = subprocess.run(
            ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise Missing(f"no apt: {error}") from error
    for uri, suite, component in (line.split() for line in targets.splitlines()):
        if (suite, component) == (release.get("VERSION_CODENAME", "").strip('"'), "main"):
            return uri
    raise Missing("apt has no lists of this release; run apt-get update")


def image(name):
    """The OCI layout of a root, made when it is not in the cache."""
    root = ROOTS[name]
    with cache.work_directory() as work:
        apt = Apt(work / "apt", root.suite)
        apt.run("update")
        planned = apt.run("install", "-s", *root.packages, *TOOLS)
        key = hashlib.sha256(f"{root} {planned}".encode() + Path(__file__).read_bytes()).hexdigest()[:16]
        entry = f"solver-{name}-{key}"
        final = cache.cache_directory() / entry
        with cache.being_made(entry):
            if final.is_dir():
                cache.used(final)
                return final
            apt.run("install", "-y", "-d", *root.packages, *TOOLS)
            tree, layout = work / "root", work / "layout"
            assemble(root, apt.archives, tree)
            config = {"Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"], "Cmd": ["/bin/sh"]}
            oci_layout.write_image(tree, layout, ARCHITECTURES[host_architecture()][1], config, NEWEST, name)
            cache.forget_unused(prefix=f"solver-{name}-", keep=1)
            return cache.publish(layout, entry)


def assemble(root, archives, tree):
    """The packages' files, without their scripts; `/bin` and its like are links."""
    for name in deb_archive.MERGED:
        (tree / "usr" / name).mkdir(parents=True)
        (tree / name).symlink_to(f"usr/{name}")
    for deb in sorted(archives.glob("*.deb")):
        deb_archive.unpack(deb, tree)
    for path, text in ACCOUNTS.items():
        (tree / path).write_text(text)
    for path, target in root.links.items():
        if not (tree / path).is_symlink():
            (tree / path).symlink_to(target)
    if not (tree / "bin/sh").exists():
        (tree / "bin/sh").symlink_to("bash")
    # Debian switches on a plugin that keeps a repository of all packages in the image, with a program it leaves out.
    plugin = tree / "etc/dnf/libdnf5-plugins/local.conf"
    if plugin.exists():
        plugin.write_text("[main]\nname = local\nenabled = no\n")
    # Debian's rpm keeps databases in home directories; distributions of RPMs do not.
    macros = tree / "etc/rpm/macros"
    macros.parent.mkdir(parents=True, exist_ok=True)
    macros.write_text("%_dbpath /usr/lib/sysimage/rpm\n")
