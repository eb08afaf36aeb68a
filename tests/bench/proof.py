"""The proof of an image with 500 RPMs and 40 000 files against a hub on loopback, beside what a script would do:
`rpm -qa` and one `getRPM` for each package; `containerbuild rpms` beside `rpm -qa`; XML-RPC decoding beside Python's.

The packages are made by one rpmbuild, installed by rpm, and imported into the development hub, which records no header
digests: so the headers of its own files are asked for too, which is the longest way the proof can go. The root is
packed as a build packs what a RUN left, outside of what is measured: its files' digests are taken in that pass, and the
proof of a build uses them. `verify` has the layers alone, so it is measured too: unpacked, every file hashed on the
way, and beside it with the files hashed in a pass of its own. Called by __main__.py; `python3 -m bench --rows proof`
measures this alone.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from file_server import serving

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
| {rpms} RPMs proven | {part} | `rpm -qa` and one `getRPM` per RPM: {script} | **{factor:.1f}×** | 10× \
| {factor_met} |
| proof of a build, these RPMs and {files} files, warm | {warm} | | {warm_factor:.1f}× | under 1 s | {warm_met} |
| the same, nothing kept of Koji's answers, the image's files not in the page cache | {cold} | | | under 2 s \
| {cold_met} |
| the same image as `verify` proves it: unpacked, every file hashed on the way | {verified} | the same with a pass of \
its own over the unpacked files: {afterwards} | {pass_factor:.1f}× | | |
| list of these RPMs (`containerbuild rpms`) | {ours} | `rpm -qa`: {rpm} | {list_factor:.1f}× | | |

Medians (smallest) of {rounds} rounds, whole processes. The first row is what the script does as well and looks at no
file: it reads the rpmdb, recomputes every header's digests, and holds them against Koji's rows, from the start to the
last RPM proven; {read:.0f} ms pass until rpmdb and rows are read. The rows come as in a build:
from the `rpmlist.jsonl` of the Koji repository that the RPMs are in, one download; then the hub is asked for the
state of their builds and, where it records no header digests, for the headers of its own files, in batches of 500: at
most {calls} calls. The latter are kept on the builder's disk. The whole proof reads all file lists as well and puts
each of the {files} paths into a class ({account:.0f} ms): owner, mode, attributes, link target, and content by the
SHA-256 that was taken when the layer was packed; `verify` takes it when it unpacks the layer ({unpack:.0f} ms of its
time). The script is one Python process that runs `rpm -qa` once and calls
`getRPM` for one RPM after the other over one connection of Koji's own client; it compares SIGMD5. Both ask the same hub
on loopback, {hub}. Without the list, `getRPM` in batches of 500 takes its place: {unlisted}.
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
    """Which hub, and seconds."""

    hub: str
    warm: list[dict] = field(default_factory=list)
    cold: list[dict] = field(default_factory=list)
    verified: list[dict] = field(default_factory=list)
    afterwards: list[dict] = field(default_factory=list)
    rpms: list[dict] = field(default_factory=list)
    unlisted: list[dict] = field(default_factory=list)
    script: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)
    rpm: list[float] = field(default_factory=list)


def measure(binary: Path, directory: Path, rounds: int) -> Results:
    """Everything of this module but the decoding."""
    sys.path.insert(0, str(ROOT / "tests" / "contract"))
    from hubs import DevelopmentHub, RealHub, why_no_real_hub  # noqa: PLC0415 (a suite's module, found by its path)
    from scene import import_rpms  # noqa: PLC0415

    packages, root = _packages(directory), directory / "root"
    _install(packages, root)
    program = _program("proof", "builder-worker")
    (directory / "hub").mkdir()
    real = not why_no_real_hub()
    hub = (RealHub if real else DevelopmentHub)(directory / "hub")
    results = Results("Koji's own" if real else "the development hub")
    try:
        hub.start()
        session = hub.login("kojiadmin")
        imported = import_rpms(session, packages, "bench")
        rows = session.listRPMs(buildID=imported[0]["build_id"])
        with _repository(directory / "repo", rows) as listed:
            packed = Packed(program, root, directory / "store", listed)
            for number in range(-1, rounds):
                one = _round(binary, packed, hub.plain_url, directory / f"state-{number}")
                print(f"{ROW:<18} {'warm-up' if number < 0 else f'{number + 1}/{rounds}':<8} {one}", flush=True)
                if number >= 0:
                    for key, value in one.items():
                        getattr(results, key).append(value)
    finally:
        hub.stop()
    return results


class Packed:
    """The root, the layer it was packed as, and the list of the repository its RPMs are in."""

    def __init__(self, program: str, root: Path, store: Path, listed: str) -> None:
        store.mkdir()
        self.program, self.root, self.listed, self.store = program, root, listed, store
        self.layer = _output([program, "pack", str(root), str(store)])[1].split()

    def prove(self, hub: str, state: Path) -> dict:
        """One proof, a whole process."""
        return self._run("prove", str(self.root), hub, str(state), self.listed, str(self.store), self.layer[0])

    def verify(self, hub: str, state: Path, *options: str) -> dict:
        """The same of the layer alone: it is unpacked, which is undone here."""
        done = self._run("verify", hub, str(state), self.listed, str(self.store), *self.layer, *options)
        for layer in (self.store / "layers").iterdir():
            shutil.rmtree(layer)
        return done

    def prove_rpms(self, hub: str, state: Path, *, listed: bool = True) -> dict:
        """Its part that looks at no file."""
        return self._run("rpms", str(self.root), hub, str(state), self.listed if listed else "")

    def _run(self, *arguments: str) -> dict:
        wall, text = _output([self.program, *arguments])
        return {**json.loads(text), "wall": wall}


@contextmanager
def _repository(directory: Path, rows: list[dict]) -> Iterator[str]:
    """The address of a repository's list: the hub's rows, a line each (kojihub.py repo_init), on a web server."""
    directory.mkdir()
    (directory / "rpmlist.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with serving(directory) as server:
        yield f"{server.url}/rpmlist.jsonl"


def _round(binary: Path, packed: Packed, hub: str, state: Path) -> dict:
    root = packed.root
    list_ours = [str(binary), "rpms", str(root), "--format", QUERY]
    list_rpm = ["rpm", "--root", str(root), "--dbpath", "/var/lib/rpm", "-qa", "--qf", QUERY + r"\n"]
    mine, theirs = _output(list_ours), _output(list_rpm)
    if sorted(mine[1].splitlines()) != sorted(theirs[1].splitlines()):
        raise BenchError("containerbuild rpms and rpm -qa list different packages")
    _forget(root)
    return {
        "cold": packed.prove(hub, state),
        "verified": packed.verify(hub, state),
        "afterwards": packed.verify(hub, state, "afterwards"),
        "unlisted": packed.prove_rpms(hub, state, listed=False),
        "warm": packed.prove(hub, state),
        "rpms": packed.prove_rpms(hub, state),
        "script": _output([sys.executable, "-c", SCRIPT, str(root), hub])[0],
        "ours": mine[0],
        "rpm": theirs[0],
    }


def _output(command: list[str]) -> tuple[float, str]:
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wall = time.monotonic() - started
    if done.returncode != 0:
        raise BenchError(f"exit {done.returncode} of {command[0]}: {done.stderr[-2000:]}")
    return wall, done.stdout


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

    parts = (results.warm, results.cold, results.verified, results.afterwards)
    warm, cold, verified, afterwards = ([one["wall"] for one in part] for part in parts)
    proven = [one["wall"] for one in results.rpms]
    factor = statistics.median(results.script) / statistics.median(proven)
    read = statistics.median(one["read"] for one in results.rpms) * 1000
    account = statistics.median(one["files_seconds"] for one in results.warm) * 1000
    batches = -(-PACKAGES // 500)
    return SECTION.format(
        rpms=results.warm[0]["rpms"],
        files=f"{results.warm[0]['files']:,}".replace(",", " "),
        warm=shown(warm),
        part=shown(proven),
        hub=results.hub,
        cold=shown(cold),
        verified=shown(verified),
        afterwards=shown(afterwards),
        pass_factor=statistics.median(afterwards) / statistics.median(verified),
        unpack=statistics.median(one["unpack"] for one in results.verified) * 1000,
        script=shown(results.script),
        factor=factor,
        factor_met=_word(factor >= 10),
        warm_factor=statistics.median(results.script) / statistics.median(warm),
        warm_met=_word(statistics.median(warm) < 1),
        cold_met=_word(statistics.median(cold) < 2),
        ours=shown(results.ours),
        rpm=shown(results.rpm),
        list_factor=statistics.median(results.rpm) / statistics.median(results.ours),
        rounds=len(warm),
        read=read,
        account=account,
        calls=2 * batches,
        unlisted=shown([one["wall"] for one in results.unlisted]),
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
