"""The adversary's repositories: what the builds of cases/koji_state.py are offered by --repo-url.

Real RPMs, made by rpmbuild and partly known to the scene's Koji, in repositories whose metadata is written here by
hand, because createrepo_c writes no lies. Served from memory by a thread, so that answers can be endless.
"""

from __future__ import annotations

import gzip
import hashlib
import http.server
import shutil
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from distribution.deb_archive import Entry
from distribution.rpm_spec import RpmPackage, environment, file_line, spec_text, write_macros
from distribution.signing_key import SigningKey

from corpus import STRANGE

Answer = bytes | Callable[[], Iterator[bytes]]
FOREIGN_HOST = "http://mirror.example.com/"


@dataclass
class Listed:
    """One package in the metadata: what it says, and the file behind it."""

    name: str
    content: bytes
    arch: str = "noarch"
    epoch: int = 0
    version: str = "1"
    release: str = "1"
    listed: bytes | None = None
    algorithm: str = "sha256"
    base: str = ""

    @property
    def location(self) -> str:
        """The file's name."""
        return f"{self.name}-{self.version}-{self.release}.{self.arch}.rpm"

    def xml(self) -> str:
        """Its element of primary.xml."""
        said = self.content if self.listed is None else self.listed
        checksum = hashlib.new(self.algorithm, said).hexdigest()
        base = f' xml:base="{self.base}"' if self.base else ""
        return (
            f'<package type="rpm"><name>{self.name}</name><arch>{self.arch}</arch>'
            f'<version epoch="{self.epoch}" ver="{self.version}" rel="{self.release}"/>'
            f'<checksum type="{self.algorithm}" pkgid="YES">{checksum}</checksum><summary>s</summary>'
            f'<description>d</description><packager/><url/><time file="1" build="1"/>'
            f'<size package="{len(said)}" installed="1" archive="1"/><location{base} href="{self.location}"/>'
            f"<format><rpm:license>l</rpm:license><rpm:group>g</rpm:group><rpm:buildhost>h</rpm:buildhost>"
            f"<rpm:sourcerpm>{self.name}-{self.version}-{self.release}.src.rpm</rpm:sourcerpm>"
            f'<rpm:header-range start="1" end="2"/><rpm:provides><rpm:entry name="{self.name}" flags="EQ"'
            f' epoch="{self.epoch}" ver="{self.version}" rel="{self.release}"/></rpm:provides></format></package>'
        )


@dataclass
class Repository:
    """The files of a repository by path."""

    files: dict[str, Answer] = field(default_factory=dict)

    @classmethod
    def of(cls, *packages: Listed) -> Repository:
        """A repository with these packages, as its metadata says."""
        head = '<?xml version="1.0"?><metadata xmlns="http://linux.duke.edu/metadata/common" '
        head += f'xmlns:rpm="http://linux.duke.edu/metadata/rpm" packages="{len(packages)}">'
        primary = head + "".join(p.xml() for p in packages) + "</metadata>"
        return cls.with_primary(primary.encode(), {p.location: p.content for p in packages})

    @classmethod
    def with_primary(cls, primary: bytes, files: dict[str, Answer] | None = None) -> Repository:
        """A repository with any text for its primary.xml."""
        packed = gzip.compress(primary, 6, mtime=0)
        return cls({**(files or {}), "repodata/primary.xml.gz": packed, "repodata/repomd.xml": repomd(packed, primary)})


def repomd(packed: bytes, plain: bytes, location: str = "repodata/primary.xml.gz") -> bytes:
    """A repomd.xml that lists one file."""
    return (
        '<?xml version="1.0"?><repomd xmlns="http://linux.duke.edu/metadata/repo"><revision>1</revision>'
        f'<data type="primary"><checksum type="sha256">{hashlib.sha256(packed).hexdigest()}</checksum>'
        f'<open-checksum type="sha256">{hashlib.sha256(plain).hexdigest()}</open-checksum>'
        f'<location href="{location}"/><timestamp>1</timestamp><size>{len(packed)}</size>'
        f"<open-size>{len(plain)}</open-size></data></repomd>"
    ).encode()


# Packages of the adversary; those of KNOWN are imported into Koji.
KNOWN = ("offered", "swapped", "drafted", "vanished", "strange", "bare", "old", "lost", "profiles")

# A package that acts as authselect-libs does: templates of a profile, ghosts, and a scriptlet that makes files of the
# templates with the features of the distribution's choice, and links in /etc/pam.d to them.
PROFILE = 'auth required pam_env.so\nauth sufficient pam_u2f.so {include if "with-u2f"}\n'
PROFILE += 'auth sufficient pam_unix.so {if not "without-nullok":nullok}\nauth required pam_deny.so\n'
_PROFILES_SPEC = """\
Name: profiles
Version: 1
Release: 1
Summary: profiles
License: l
BuildArch: noarch
AutoReqProv: no
%description
d
%posttrans
mkdir -p /etc/pam.d
printf 'local\\nwithout-nullok\\n\\n' > /etc/authselect/authselect.conf
for name in system-auth password-auth; do
    (echo '# Generated by authselect'; echo
     sed -e '/with-u2f/d' -e 's/ {if not.*//' /usr/share/authselect/default/local/$name) > /etc/authselect/$name
    ln -sf /etc/authselect/$name /etc/pam.d/$name
done
exit 0
%files
%dir %attr(0755,root,root) /etc/authselect
%ghost %attr(0644,root,root) /etc/authselect/authselect.conf
%ghost %attr(0644,root,root) /etc/authselect/system-auth
%ghost %attr(0644,root,root) /etc/authselect/password-auth
%ghost %attr(0644,root,root) /etc/pam.d/system-auth
%ghost %attr(0644,root,root) /etc/pam.d/password-auth
%dir %attr(0755,root,root) /usr/share/authselect
%dir %attr(0755,root,root) /usr/share/authselect/default
%dir %attr(0755,root,root) /usr/share/authselect/default/local
%attr(0644,root,root) /usr/share/authselect/default/local/system-auth
%attr(0644,root,root) /usr/share/authselect/default/local/password-auth
"""


def packages(work: Path, site: SigningKey, other: SigningKey) -> dict[str, Path]:
    """Builds the RPMs. The known ones are signed by the site's key, but for `bare`, of which there is a signed copy; of
    `offered` there is one with another epoch, one without a signature, and one signed by the other key."""
    home = work / "home"
    write_macros(home)

    def made(name: str, directory: str = "rpms", arch: str = "noarch", epoch: int | None = None) -> Path:
        root, output = work / f"root-{directory}-{name}", work / directory
        place = Path("usr/share") / name
        (root / place).mkdir(parents=True)
        (root / place / "file").write_text(f"{name}, {directory}\n")
        package = RpmPackage(name, "1", "1", arch, f"{name}, {directory}", epoch=epoch)
        package.entries = [Entry(str(place), 0o755, "root", "root", True)]
        package.entries += [Entry(str(place / "file"), 0o644, "root", "root", False)]
        return _build(package, root, work / f"build-{directory}-{name}", home, output)

    found = {
        name: made(name)
        for name in ("offered", "drafted", "vanished", "outside", "bare", "swapped", "longer", "old", "lost")
    }
    found["strange"] = made("strange", arch=STRANGE)
    found["profiles"] = _profiles(work, home)
    found["epoch"] = made("offered", "epoch", epoch=9)

    def copied(name: str, directory: str) -> Path:
        (work / directory).mkdir()
        return Path(shutil.copy(found[name], work / directory))

    found["unsigned"], found["resigned"] = copied("offered", "unsigned"), copied("offered", "resigned")
    found["signed later"] = copied("bare", "later")
    site.sign([*(found[name] for name in KNOWN if name != "bare"), found["signed later"]], 1)
    other.sign([found["resigned"]], 1)
    found["old"].write_bytes(_aged(found["old"].read_bytes()))
    found["forged"] = made("old", "forged")
    found["forged"].write_bytes(_claiming(found["old"].read_bytes(), found["forged"].read_bytes()))
    found["other key"] = work / "other.asc"
    other.export(found["other key"])
    return found


_LEAD = 96
_SHA1, _SHA256, _BAD_SHA1 = 269, 273, 264  # rpm's tags of the signature header


def _header(rpm: bytes, start: int) -> tuple[dict[int, tuple[int, int]], int]:
    """A header of an RPM: where the index entry and the value of each tag are, and where the header ends."""
    count, size = struct.unpack_from(">II", rpm, start + 8)
    data = start + 16 + 16 * count
    entries = [(start + 16 + 16 * i, *struct.unpack_from(">IIiI", rpm, start + 16 + 16 * i)) for i in range(count)]
    return {tag: (at, data + offset) for at, tag, _, offset, _ in entries}, data + size


def _aged(rpm: bytes) -> bytes:
    """An RPM as rpm before 4.14 made them: no SHA-256 of the header. Nothing covers the signature header's tags."""
    at, _ = _header(rpm, _LEAD)[0][_SHA256]
    return rpm[:at] + struct.pack(">I", _BAD_SHA1) + rpm[at + 4 :]


def _claiming(true: bytes, other: bytes) -> bytes:
    """Another RPM's header and payload behind the signature header of a true one; SHA1HEADER holds, SIGMD5 cannot."""
    tags, end = _header(true, _LEAD)
    head = bytearray(true[: end + -end % 8])
    start = _header(other, _LEAD)[1]
    start += -start % 8
    digest = hashlib.sha1(other[start : _header(other, start)[1]]).hexdigest().encode()
    place = tags[_SHA1][1]
    head[place : place + len(digest)] = digest
    return bytes(head) + other[start:]


def _profiles(work: Path, home: Path) -> Path:
    """The package of profiles."""
    root = work / "root-profiles"
    place = root / "usr/share/authselect/default/local"
    place.mkdir(parents=True)
    for name in ("system-auth", "password-auth"):
        (place / name).write_text(PROFILE)
    for directory in ("etc/authselect", "etc/pam.d"):
        (root / directory).mkdir(parents=True)
    ghosts = ("etc/authselect/authselect.conf", "etc/authselect/system-auth", "etc/authselect/password-auth")
    for name in (*ghosts, "etc/pam.d/system-auth", "etc/pam.d/password-auth"):
        (root / name).touch()
    return _packed(
        _PROFILES_SPEC, "noarch", root, work / "build-profiles", environment(home, 1_700_000_000), work / "rpms"
    ) / ("profiles-1-1.noarch.rpm")


def _build(package: RpmPackage, root: Path, work: Path, home: Path, output: Path) -> Path:
    """As the recipe's `build`, for any architecture."""
    (work / "BUILD").mkdir(parents=True)
    (work / "BUILD/files.list").write_text("".join(file_line(entry, set()) + "\n" for entry in package.entries))
    env = environment(home, package.timestamp)
    return _packed(spec_text(package), package.arch, root, work, env, output) / f"{package.nvra}.rpm"


def _packed(spec: str, arch: str, root: Path, work: Path, env: dict[str, str], output: Path) -> Path:
    """Runs rpmbuild over a root that is there; gives the directory of the RPM."""
    (work / "BUILD").mkdir(parents=True, exist_ok=True)
    (work / "it.spec").write_text(spec)
    command = ["rpmbuild", "-bb", "--quiet", "--target", arch, "--buildroot", str(root)]
    command += ["--define", f"_topdir {work}", "--define", f"_rpmdir {output}", str(work / "it.spec")]
    subprocess.run(command, env=env, check=True, capture_output=True)
    return output


def _bomb(entries: int, data: int) -> bytes:
    """Lead and signature header of an RPM whose header declares a size and then ends."""
    lead = b"\xed\xab\xee\xdb\x03\x00" + bytes(4) + b"bomb-1-1".ljust(66, b"\0") + struct.pack(">HH", 1, 5) + bytes(16)
    magic = bytes.fromhex("8eade80100000000")
    return lead + magic + struct.pack(">II", 0, 0) + magic + struct.pack(">II", entries, data) + bytes(64)


def _flipped(rpm: bytes) -> bytes:
    """The same header, another payload."""
    return rpm[:-40] + bytes(b ^ 1 for b in rpm[-40:])


def _relabelled(rpm: bytes) -> bytes:
    """The same but for a byte of the lead, which nothing but the file's checksum covers."""
    return rpm[:70] + bytes([rpm[70] ^ 1]) + rpm[71:]


def _endless() -> Iterator[bytes]:
    yield b"<repomd>"
    while True:
        yield b" " * 65536


def repositories(rpms: dict[str, Path]) -> dict[str, Repository]:
    """Every offer by its name."""
    read = {name: path.read_bytes() for name, path in rpms.items() if path.suffix == ".rpm"}
    offered = read["offered"]
    found = {name: Repository.of(Listed(name, read[name])) for name in ("drafted", "vanished", "outside")}
    entities = (
        b'<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]><repomd><revision>&b;'
    )
    found |= {
        "epoch": Repository.of(Listed("offered", read["epoch"], epoch=9)),
        "strange": Repository.of(Listed("strange", read["strange"], arch=STRANGE)),
        "renamed": Repository.of(Listed("sed", offered, version="99")),
        "renumbered": Repository.of(Listed("offered", offered, epoch=7)),
        "unsigned": Repository.of(Listed("offered", read["unsigned"])),
        "resigned": Repository.of(Listed("offered", read["resigned"])),
        "old": Repository.of(Listed("old", read["old"])),
        "profiles": Repository.of(Listed("profiles", read["profiles"])),
        "untagged": Repository.of(Listed("offered", offered)),
        "bare": Repository.of(Listed("bare", read["signed later"])),
        # Packages of their own: the gate's cache goes by checksum, and would have the true file of another case.
        "swapped": Repository.of(Listed("swapped", _relabelled(read["swapped"]), listed=read["swapped"])),
        "longer": Repository.of(Listed("longer", read["longer"] + bytes(100000), listed=read["longer"])),
        "weak": Repository.of(Listed("offered", offered, algorithm="md5")),
        "based": Repository.of(Listed("offered", offered, base=FOREIGN_HOST)),
        "bomb": Repository.of(Listed("bomb", _bomb(0xFFFFFFFF, 16))),
        "long": Repository.of(Listed("bomb", _bomb(16, 0x7FFFFFFF))),
        "cut": Repository.of(Listed("offered", offered[: len(offered) // 2])),
        "payload": Repository.of(Listed("offered", _flipped(offered))),
        "escaping": Repository({"repodata/repomd.xml": repomd(b"x", b"x", "../../../etc/passwd")}),
        "endless": Repository({"repodata/repomd.xml": _endless}),
        "entities": Repository({"repodata/repomd.xml": entities + b"</revision></repomd>"}),
        "text-bomb": Repository.with_primary(
            b"<metadata><package><name>" + b"a" * (64 << 20) + b"</name></package></metadata>"
        ),
        "nested": Repository.with_primary(b"<metadata>" + b"<package>" * 100),
    }
    lying = Repository.of(Listed("offered", offered, release="2"))
    found["tampered-metadata"] = Repository({**lying.files, "repodata/primary.xml.gz": gzip.compress(b"<metadata/>")})
    return found


class Mirror:
    """An HTTP server over repositories, and the .repo file of each. `on_request` is told every path first."""

    def __init__(self, offers: dict[str, Repository]) -> None:
        self.files: dict[str, Answer] = {}
        self.on_request: Callable[[str], None] = lambda path: None
        mirror = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                mirror.on_request(self.path)
                answer = mirror.files.get(self.path)
                if answer is None:
                    return self.send_error(404)
                self.send_response(200)
                if isinstance(answer, bytes):
                    self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                try:
                    for piece in [answer] if isinstance(answer, bytes) else answer():
                        self.wfile.write(piece)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True  # the reader has had enough, as it should

            def log_message(self, *_: object) -> None:
                """Says nothing: the tests' output is for the tests."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        for name, repository in offers.items():
            self.files |= {f"/{name}/{path}": answer for path, answer in repository.files.items()}
            self.define(name, f"baseurl={self.url}/{name}/")
        self.define("elsewhere", f"baseurl={FOREIGN_HOST}")
        self.define("local", "baseurl=file:///etc/")
        self.define("mirrored", f"mirrorlist={FOREIGN_HOST}list")
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def define(self, name: str, place: str) -> None:
        """Adds the .repo file of an offer."""
        self.files[f"/{name}.repo"] = f"[{name}]\nname={name}\n{place}\nenabled=1\ngpgcheck=0\n".encode()

    def repo_file(self, name: str) -> str:
        """What --repo-url is given."""
        return f"{self.url}/{name}.repo"

    def stop(self) -> None:
        """Ends the server."""
        self.server.shutdown()
        self.server.server_close()
