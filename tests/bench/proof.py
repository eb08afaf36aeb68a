"""The proof of an image with 500 RPMs and 40 000 files against a hub on loopback, beside what a script would do:
`rpm -qa` and one `getRPM` for each package; `containerbuild rpms` beside `rpm -qa`; XML-RPC decoding beside Python's.

The packages are made by one rpmbuild, installed by rpm, and imported into the development hub, which records no header
digests: so the headers of its own files are asked for too, which is the longest way the proof can go. Called by
__main__.py; `python3 -m bench --rows proof` measures this alone.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from . import content
from .errors import BenchError

ROW = "proof"
DECODE = "decode"
ROOT = Path(__file__).parents[2]
PACKAGES = 500
FILES = 40_000
BYTES = 400 << 20
QUERY = r"%{name} %{epoch} %{version} %{release} %{arch} %{sigmd5}"

HEAD = """Name: image
Version: 1
Release: 1
Summary: Files to prove
License: MIT
BuildArch: noarch
AutoReqProv: no
%global _binary_payload w0.ufdio
%global __os_install_post %{nil}
%global debug_package %{nil}
%description
Files to prove.
"""
PART = """
%package -n image-{n:03d}
Summary: Part {n}
%description -n image-{n:03d}
Files to prove.
%files -n image-{n:03d}
/usr/share/image/{n:03d}
"""
SCRIPT = """
import subprocess, sys, koji
root, hub = sys.argv[1:]
query = "%{name} %{version} %{release} %{arch} %{sigmd5}\\n"
session = koji.ClientSession(hub)
command = ["rpm", "--root", root, "--dbpath", "/var/lib/rpm", "-qa", "--qf", query]
for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
    name, version, release, arch, sigmd5 = line.split()
    found = session.getRPM({"name": name, "version": version, "release": release, "arch": arch})
    assert found["payloadhash"] == sigmd5, line
"""
SECTION = """
## The proof

| | containerbuild | compared with | times as fast | target | |
|---|---|---|---|---|---|
| {rpms} RPMs and {files} files proven, warm | {warm} | `rpm -qa` and one `getRPM` per RPM (no files): {script} \
| **{factor:.1f}×** | 10×, under 1 s | {warm_met} |
| the same, page cache dropped and nothing kept of Koji's answers | {cold} | | | under 2 s | {cold_met} |
| list of these RPMs (`containerbuild rpms`) | {ours} | `rpm -qa`: {rpm} | {list_factor:.1f}× | | |

Medians (smallest) of {rounds} rounds, whole processes. Of the warm proof {read:.0f} ms are the rpmdb with all file
lists, {koji:.0f} ms the hub's, {account:.0f} ms every file read and hashed. At most {calls} calls reach the hub: the
RPMs' rows and, on a hub that records no header digests as here, the headers of its own files, in batches of 500; the
latter are kept on the builder's disk.
"""
DECODE_SECTION = """
## XML-RPC

| | containerbuild | Python's xmlrpc.client | times as fast | target | |
|---|---|---|---|---|---|
| an answer of {megabytes:.0f} MB decoded | {ours} MB/s | {python} MB/s | **{factor}×** | 10× | {fast} |
| memory while it is decoded, the answer included | {memory} × the answer | | | under 2 | {small} |
"""


@dataclass
class Results:
    """Seconds."""

    warm: list[dict] = field(default_factory=list)
    cold: list[dict] = field(default_factory=list)
    script: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)
    rpm: list[float] = field(default_factory=list)


def measure(binary: Path, directory: Path, rounds: int) -> Results:
    """Everything of this module but the decoding."""
    sys.path.insert(0, str(ROOT / "tests" / "contract"))
    from hubs import DevelopmentHub  # noqa: PLC0415 (a suite's module, found by its path)
    from scene import import_rpms  # noqa: PLC0415

    packages, root = _packages(directory), directory / "root"
    _install(packages, root)
    (directory / "hub").mkdir()
    hub = DevelopmentHub(directory / "hub")
    results = Results()
    try:
        hub.start()
        import_rpms(hub.login("kojiadmin"), packages, "bench")
        for number in range(-1, rounds):
            one = _round(binary, root, hub.plain_url, directory / f"state-{number}")
            print(f"{ROW:<18} {'warm-up' if number < 0 else f'{number + 1}/{rounds}':<8} {one}", flush=True)
            if number >= 0:
                for key, value in one.items():
                    getattr(results, key).append(value)
    finally:
        hub.stop()
    return results


def _round(binary: Path, root: Path, hub: str, state: Path) -> dict:
    list_ours = [str(binary), "rpms", str(root), "--format", QUERY]
    list_rpm = ["rpm", "--root", str(root), "--dbpath", "/var/lib/rpm", "-qa", "--qf", QUERY + r"\n"]
    mine, theirs = _output(list_ours), _output(list_rpm)
    if sorted(mine[1].splitlines()) != sorted(theirs[1].splitlines()):
        raise BenchError("containerbuild rpms and rpm -qa list different packages")
    _forget(root)
    cold = _prove(root, hub, state)
    warm = _prove(root, hub, state)
    script = _output([sys.executable, "-c", SCRIPT, str(root), hub])
    return {"cold": cold, "warm": warm, "script": script[0], "ours": mine[0], "rpm": theirs[0]}


def _output(command: list[str]) -> tuple[float, str]:
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wall = time.monotonic() - started
    if done.returncode != 0:
        raise BenchError(f"exit {done.returncode} of {command[0]}: {done.stderr[-2000:]}")
    return wall, done.stdout


def _prove(root: Path, hub: str, state: Path) -> dict:
    program = _program("proof", "builder-worker")
    wall, text = _output([program, str(root), hub, str(state)])
    return {**json.loads(text), "wall": wall}


def _program(bench: str, package: str) -> str:
    """The built bench itself: cargo's own start is not what is measured."""
    command = ["cargo", "bench", "--locked", "--no-run", "--message-format=json", "-p", package, "--bench", bench]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message.get("target", {}).get("name") == bench:
            return message["executable"]
    raise BenchError(f"the bench {bench} cannot be built: {done.stderr[-2000:]}")


def _forget(root: Path) -> None:
    """Drop the image's files, and only them, from the page cache."""
    os.sync()
    for directory, _, names in os.walk(root):
        for name in names:
            handle = os.open(os.path.join(directory, name), os.O_RDONLY)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(handle)


def _packages(work: Path) -> list[Path]:
    tree = work / "tree"
    for number, (path, data) in enumerate(content.files(content.soft(), 9, FILES, BYTES)):
        # Neighbours go together: the other way round each file would bring directories of its own.
        file = tree / "usr/share/image" / f"{number * PACKAGES // FILES:03d}" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    spec = work / "image.spec"
    install = f"\n%install\nmkdir -p %{{buildroot}}\ncp -al {tree}/usr %{{buildroot}}/\n"
    spec.write_text(HEAD + "".join(PART.format(n=n) for n in range(PACKAGES)) + install, encoding="utf-8")
    defines = [f"_topdir {work}", "_build_id_links none"]
    _output(["rpmbuild", "--quiet", "-ba", *(word for define in defines for word in ("--define", define)), str(spec)])
    return sorted(work.glob("SRPMS/*.rpm")) + sorted(work.glob("RPMS/*/*.rpm"))


def _install(packages: list[Path], root: Path) -> None:
    root.mkdir()
    binary = [str(path) for path in packages if not path.name.endswith(".src.rpm")]
    _output(["rpm", "--root", str(root), "--dbpath", "/var/lib/rpm", "-i", "--nodeps", "--noscripts", *binary])


def _word(good: bool) -> str:
    return "met" if good else "**missed**"


def section(results: Results) -> str:
    """Its part of the page."""

    def shown(walls: list[float]) -> str:
        return f"{statistics.median(walls) * 1000:.0f} ms ({min(walls) * 1000:.0f})"

    warm, cold = ([one["wall"] for one in part] for part in (results.warm, results.cold))
    factor = statistics.median(results.script) / statistics.median(warm)
    part = {
        key: statistics.median(one[key] for one in results.warm) * 1000 for key in ("read", "koji", "files_seconds")
    }
    batches = -(-PACKAGES // 500)
    return SECTION.format(
        rpms=results.warm[0]["rpms"],
        files=f"{results.warm[0]['files']:,}".replace(",", " "),
        warm=shown(warm),
        cold=shown(cold),
        script=shown(results.script),
        factor=factor,
        warm_met=_word(factor >= 10 and statistics.median(warm) < 1),
        cold_met=_word(statistics.median(cold) < 2),
        ours=shown(results.ours),
        rpm=shown(results.rpm),
        list_factor=statistics.median(results.rpm) / statistics.median(results.ours),
        rounds=len(warm),
        read=part["read"],
        koji=part["koji"],
        account=part["files_seconds"],
        calls=2 * batches,
    )


def decode_section() -> str:
    """The Rust bench, which runs Python in turn with itself."""
    _, text = _output([_program("decode", "koji-session")])
    found = json.loads(text.splitlines()[-1])
    print(f"{DECODE:<18} {found}", flush=True)
    return DECODE_SECTION.format(
        megabytes=found["bytes"] / 1e6,
        fast=_word(found["factor"] >= 10),
        small=_word(found["memory"] < 2),
        **{key: found[key] for key in ("ours", "python", "factor", "memory")},
    )
