"""A repository of 121 RPMs with 656 MB in 32 000 files, as large as what a real service image installs: the programs
do not matter, rpm's work with them does. One spec, one rpmbuild; payloads in zstd as in Fedora.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from . import content
from .errors import BenchError

PACKAGES = 121
FILES = 32_000
BYTES = 656 << 20

HEAD = """Name: bulk
Version: 1
Release: 1
Summary: Files to install
License: MIT
BuildArch: noarch
AutoReqProv: no
%global _binary_payload w3.zstdio
%global __os_install_post %{nil}
%global debug_package %{nil}
%description
Files to install.
"""
PART = """
%package -n bulk-{n:03d}
Summary: Part {n}
%description -n bulk-{n:03d}
Files to install.
%files -n bulk-{n:03d}
/usr/share/bulk/{n:03d}
"""


def make(target: Path, work: Path) -> None:
    """Make the repository in `target`; `work` is a scratch directory."""
    root = work / "tree"
    pool = content.soft()
    for number, (_, data) in enumerate(content.files(pool, 5, FILES, BYTES)):
        # A dozen files to a directory, as in a distribution.
        package, place = f"{number % PACKAGES:03d}", number // PACKAGES
        file = root / "usr/share/bulk" / package / f"d{place // 12:02d}" / f"file-{place:03d}.bin"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    spec = work / "bulk.spec"
    install = f"\n%install\nmkdir -p %{{buildroot}}\ncp -al {root}/usr %{{buildroot}}/\n"
    spec.write_text(HEAD + "".join(PART.format(n=n) for n in range(PACKAGES)) + install, encoding="utf-8")
    target.mkdir(parents=True)
    defines = [
        f"_topdir {work}",
        f"_rpmdir {target}",
        "_build_name_fmt %%{NAME}-%%{VERSION}.rpm",
        "_build_id_links none",
    ]
    flags = [word for define in defines for word in ("--define", define)]
    for command in (["rpmbuild", "--quiet", "-bb", *flags, spec], ["createrepo_c", "--quiet", target]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BenchError(f"cannot make the packages to install: {done.stderr[-2000:]}")
