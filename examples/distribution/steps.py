"""Makes the distribution, step by step, or takes it from the cache. Called by __main__.py and by the demo.

What comes out (a directory):

    repo/                 all RPMs, signed, with repodata
    foreign/notkoji/      a repository with an RPM Koji does not know
    foreign/tampered/     a repository with a Koji build's NVRA and other content
    base-image/           the base image, an OCI layout
    RPM-GPG-KEY-demo      the public key
    distribution.json     what is in it: RPMs with SIGMD5, the base image's digests and components
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

from . import base_root, cache, convert, debian_packages, oci_layout, own_packages, rpm_spec
from .contents import APPLICATIONS, ARCHITECTURES, BASE_IMAGE, DIST_TAG, DROPPED, OWN_PACKAGES, RELEASEVER
from .errors import RecipeError
from .signing_key import SigningKey

BASE_IMAGE_NVR = ("demo-base", RELEASEVER, "1")
PROGRAMS = ["apt-get", "apt-cache", "rpmbuild", "rpmsign", "gpg", "createrepo_c", "dnf"]
Say = Callable[[str], None]


@contextmanager
def _step(title: str, say: Say) -> Iterator[None]:
    started = time.monotonic()
    yield
    say(f"{title:<58} {time.monotonic() - started:6.1f} s")


def _check_programs() -> None:
    missing = [program for program in PROGRAMS if not shutil.which(program)]
    if missing:
        raise RecipeError(f"these programs are not installed: {', '.join(missing)}")


def host_architecture() -> str:
    """Debian's name of this machine's architecture."""
    machine = os.uname().machine
    for debian, (rpm, _) in ARCHITECTURES.items():
        if rpm == machine:
            return debian
    raise debian_packages.ClosureError(f"the recipe knows no Debian architecture for {machine}")


def make(say: Say = lambda text: print(text, file=sys.stderr, flush=True)) -> Path:
    """Return the distribution's directory; makes it when this recipe with these package versions is not cached."""
    _check_programs()
    index = debian_packages.read_index()
    closure = debian_packages.Closure(index, DROPPED, set(OWN_PACKAGES))
    packages = closure.resolve([*BASE_IMAGE, *APPLICATIONS])
    name = f"distribution-{cache.key(packages)}"
    final = cache.cache_directory() / name
    with cache.being_made(name):
        if final.is_dir():
            cache.used(final)
            say(f"distribution of {len(packages)} packages is cached: {final}")
            return final
        with cache.work_directory() as work:
            _make_in(work, packages, say)
            cache.forget_unused()
            with _step("published in the cache", say):
                return cache.publish(work / "result", name)


def _make_in(work: Path, packages: dict[str, debian_packages.DebianPackage], say: Say) -> None:
    result, home = work / "result", work / "home"
    repo = result / "repo"
    repo.mkdir(parents=True)
    rpm_spec.write_macros(home)
    with _step(f"{len(packages)} Debian packages downloaded", say):
        files = debian_packages.download(packages, work / "debs")
    with _step(f"{len(packages) + len(OWN_PACKAGES)} RPMs built", say):
        _convert_all(work, packages, files, home, repo)
        foreign = _foreign(work, home, repo, result)
    with SigningKey(work / "gnupg", home) as key:
        with _step("RPMs signed", say):
            key.sign([*repo.glob("*.rpm"), *foreign], os.cpu_count() or 1)
            key.export(result / "RPM-GPG-KEY-demo")
        key_id = key.key_id()
    with _step("repositories indexed", say):
        for directory in (repo, *(path.parent for path in foreign)):
            _createrepo(directory)
    with _step("base root assembled with dnf", say):
        base_root.install(repo, result / "RPM-GPG-KEY-demo", work / "root", home)
    with _step("base image written", say):
        image = _base_image(work / "root", result / "base-image")
    (result / "distribution.json").write_text(
        json.dumps(
            {
                "dist_tag": DIST_TAG,
                "gpg_key_id": key_id,
                "arch": os.uname().machine,
                "rpms": base_root.described(sorted(repo.glob("*.rpm")), home),
                "foreign_rpms": base_root.described(foreign, home),
                "base_image": image | {"nvr": BASE_IMAGE_NVR, "components": base_root.installed(work / "root", home)},
            },
            indent=1,
        )
    )


def _convert_all(
    work: Path, packages: dict[str, debian_packages.DebianPackage], files: dict[str, Path], home: Path, repo: Path
) -> None:
    shipped = set(packages) | {p.name for package in packages.values() for p in package.provides} | set(OWN_PACKAGES)
    python = packages["python3"].version.rsplit(".", 1)[0] if "python3" in packages else ""
    # The big ones first, so that no processor waits for the last of them.
    order = sorted(packages.values(), key=lambda p: -files[p.name].stat().st_size)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        tasks = [
            pool.submit(convert.convert, p, files[p.name], shipped, python, work / "convert", home, repo) for p in order
        ]
        tasks.append(pool.submit(own_packages.filesystem, work / "convert", home, repo, os.uname().machine))
        tasks.append(pool.submit(own_packages.demo_release, work / "convert", home, repo))
        for task in as_completed(tasks):
            task.result()


def _foreign(work: Path, home: Path, repo: Path, result: Path) -> list[Path]:
    """The RPMs of the two repositories a build must refuse."""
    hello = next(repo.glob("hello-[0-9]*.rpm")).stem
    made = []
    for name, build in (
        ("notkoji", lambda output: own_packages.notkoji(work / "convert", home, output)),
        ("tampered", lambda output: own_packages.tampered_hello(hello, work / "convert", home, output)),
    ):
        output = result / "foreign" / name
        output.mkdir(parents=True)
        made.append(output / f"{build(output)}.rpm")
    return made


def _createrepo(directory: Path) -> None:
    command = ["createrepo_c", "--quiet", "--revision", "1", str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RecipeError(f"createrepo_c failed on {directory.name}: {done.stderr.strip()[-1000:]}")


def _base_image(root: Path, directory: Path) -> dict[str, object]:
    name, version, release = BASE_IMAGE_NVR
    machine = os.uname().machine
    config = {
        "Env": [
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin",
            "container=oci",
            f"DISTTAG=f{RELEASEVER}container",
            f"FGC=f{RELEASEVER}",
        ],
        "Cmd": ["/bin/bash"],
        "Labels": {
            "com.redhat.component": name,
            "name": f"f{RELEASEVER}/base",
            "version": version,
            "release": release,
            "architecture": machine,
            "vendor": "containerbuild demo distribution",
        },
    }
    newest = max(int(os.lstat(path).st_mtime) for path in (root / "usr/lib/sysimage/rpm").iterdir())
    return oci_layout.write_image(
        root, directory, ARCHITECTURES[host_architecture()][1], config, newest, f"{version}-{release}"
    )
