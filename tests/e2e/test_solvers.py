"""Package managers of other ages than this machine's, in real builds through the gate: dnf 5 with rpm 6 under all its
names and on both its databases, dnf 4.5 with rpm 4.16 on Berkeley DB. What they install is read back and held against
their own `rpm -qa`. The roots are those of solver_roots.py; where their suite cannot be had, the tests say so and are
skipped.

No suite has microdnf or yum 3. They were tried by hand in November 2026 against this mirror: microdnf 3.10.2, built
from its source on bookworm's libdnf 0.69 with rpm 4.18 and sqlite; yum 3.4.3 with Python 2.7, urlgrabber 3.10, the
bindings of rpm 4.15 and its metadata parser, built from source in bullseye with rpm 4.16 and Berkeley DB. Lists,
install, reinstall, remove, and an update with nothing newer work through the gate, as do microdnf's modules and
download and yum's groups and history; the rpmdb reads as its own `rpm -qa` has it, nothing of the repositories'
definitions stays, a second build asks the mirror for repomd.xml alone, an unsigned package is not installed, and
another repository is refused by its host.
"""

import subprocess

import pytest
from demo import run_image
from distribution import rpm_spec, signing_key
from file_server import serving

import rich_repository
import solver_roots
from gated_build import PROGRAM, GatedBuild

# Of programs of a root.
INSIDE = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "HOME": "/root"}
SPEC = """\
Name: {name}
Version: 2.10
Release: 3
Epoch: 1
Summary: Greets
License: MIT
BuildArch: noarch
AutoReqProv: no
%global __os_install_post %{{nil}}
%description
Greets.
%install
mkdir -p %{{buildroot}}/usr/bin %{{buildroot}}/etc/{name}
echo '#!/bin/sh' > %{{buildroot}}/usr/bin/{name}
echo "echo hello" >> %{{buildroot}}/usr/bin/{name}
echo a=1 > %{{buildroot}}/etc/{name}/{name}.conf
%files
%attr(0755,root,root) /usr/bin/{name}
%config(noreplace) /etc/{name}/{name}.conf
"""
# Of every package, with digests and file lists: enough that a tag read in another way shows.
FORMAT = (
    "%{name} %{epoch} %{version} %{release} %{arch} %{sigmd5} %{sha1header} %{sha256header} %{sha3_256header} "
    "%{rsaheader:pgpsig} %{openpgp} %{payloadsha256} %{payloadsha512} %{payloadsha3_256} %{filedigestalgo} "
    "%{rpmformat} %{rpmversion} [%{filenames}=%{filedigests}=%{filemodes:octal}=%{fileflags:fflags};]"
)
# As rpm 4.16 knows it.
EARLIER = (
    "%{name} %{epoch} %{version} %{release} %{arch} %{sigmd5} %{sha1header} %{sha256header} %{rsaheader:pgpsig} "
    "%{payloaddigest} %{filedigestalgo} %{rpmversion} [%{filenames}=%{filedigests}=%{filemodes:octal};]"
)
# Where rpm keeps its database, by its name of the format.
FILES = {"sqlite": "rpmdb.sqlite", "ndb": "Packages.db", "bdb": "Packages"}


def rpmbuild(top, home, name, *defines):
    """One package, made by this machine's rpmbuild."""
    top.mkdir(parents=True)
    spec = top / f"{name}.spec"
    spec.write_text(SPEC.format(name=name))
    options = [f"--define={define}" for define in (f"_topdir {top}", f"_rpmdir {top}", *defines)]
    command = ["rpmbuild", "-bb", "--quiet", *options, str(spec)]
    subprocess.run(command, env=rpm_spec.environment(home), check=True, capture_output=True, text=True)
    return next(top.glob("**/*.noarch.rpm"))


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """Two signed packages, one without a signature, and the public key. Of a module stream is `hello` alone."""
    directory = tmp_path_factory.mktemp("packages")
    home = directory / "home"
    rpm_spec.write_macros(home)
    hello, plain, unsigned = (rpmbuild(directory / name, home, name) for name in ("hello", "plain", "unsigned"))
    public = directory / "KEY"
    with signing_key.SigningKey(directory / "gnupg", home) as key:
        key.sign([hello, plain], 1)
        key.export(public)
    return [hello, plain, unsigned], public


@pytest.fixture(scope="module")
def mirror(packages, tmp_path_factory):
    files, _ = packages
    directory = tmp_path_factory.mktemp("repository")
    repo = rich_repository.make(*files, directory=directory, epoch=1)
    with serving(repo) as server:
        yield server


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module", params=sorted(solver_roots.ROOTS))
def base(request):
    """A root's name and its layout."""
    return request.param, layout_of(request.param)


def layout_of(name):
    try:
        return solver_roots.image(name)
    except solver_roots.Missing as missing:
        pytest.skip(f"no {name} root: {missing}")


def build(directory, state, base, mirror, key, lines):
    """On a root's layout, with the key that its packages are signed with."""
    return GatedBuild(
        directory, state, mirror, ["FROM base", *lines], f"--base=base=oci:{base}", f"--repo-key=koji={key}"
    )


def listed(root, query):
    """`containerbuild rpms` and the root's own `rpm -qa`, in the order of names."""
    ours = subprocess.run([PROGRAM, "rpms", root, "--format", query], capture_output=True, text=True, check=True)
    command = ["chroot", root, "rpm", "-qa", "--qf", query + "\\n"]
    theirs = subprocess.run(command, capture_output=True, text=True, check=True, env=INSIDE)
    return sorted(ours.stdout.splitlines()), sorted(theirs.stdout.splitlines())


COMMANDS = {
    "dnf5": [
        "RUN dnf5 -C -q repoquery plain | grep plain && dnf5 -y install plain",
        "RUN dnf5 -q group list --hidden | grep -i greet",
        "RUN dnf5 -q module list | grep greet && dnf5 -y module enable greet:1",
        "RUN dnf5 -y install hello && rpm -q hello && dnf5 -q advisory list --all | grep DEMO-2026-1",
        "RUN dnf5 -y remove hello",
        "RUN microdnf -y install hello && yum -y remove hello && dnf -y group install greeters",
    ],
    "dnf4": [
        "RUN dnf -C -q repoquery plain | grep plain && dnf -y install plain",
        "RUN dnf -q group list --hidden | grep Greeters",
        "RUN dnf -q module list | grep greet && dnf -y module install greet:1/default && rpm -q hello",
        "RUN dnf -q updateinfo list --all | grep DEMO-2026-1",
        "RUN dnf -y remove hello && yum -y install @greeters && rpm -q hello",
    ],
}


@pytest.mark.parametrize(("name", "backend"), [("dnf5", "sqlite"), ("dnf5", "ndb"), ("dnf4", "bdb")])
def test_a_package_manager_of_another_age_installs_through_the_gate(name, backend, mirror, packages, state, tmp_path):
    database = f'COPY <<"EOF" /etc/rpm/macros\n%_dbpath /usr/lib/sysimage/rpm\n%_db_backend {backend}\nEOF'
    lines = [database, *COMMANDS[name]]
    layout = layout_of(name)
    first = build(tmp_path / "first", state, layout, mirror, packages[1], lines)
    assert first.code == 0, first.said[-6000:]
    assert "gate: refused" not in first.said
    root = first.root
    # of the repositories nothing is left: no definition, no key, no cache
    assert not any(path.is_file() for path in (root / "etc/yum.repos.d").glob("*"))
    kept = [path for path in (root / "var/cache").rglob("*") if path.suffix in (".solv", ".solvx", ".xml", ".zck")]
    # dnf 4 unpacks groups there when it is asked for them: what a RUN makes is its own
    assert [path for path in kept if path.parent.name != "gen"] == []
    ours, theirs = listed(root, FORMAT if name == "dnf5" else EARLIER)
    assert ours == theirs and any(line.startswith("hello 1 2.10 3 noarch") for line in ours)
    assert (root / "usr/lib/sysimage/rpm" / FILES[backend]).is_file()
    # warm: neither metadata nor the package are asked for again
    again = build(tmp_path / "again", state, layout, mirror, packages[1], lines)
    assert again.code == 0, again.said[-6000:]
    assert "made the caches of" not in again.said and again.asked == ["/repodata/repomd.xml"]


def test_a_package_without_a_signature_is_not_installed(base, mirror, packages, state, tmp_path):
    name, layout = base
    program = name.removesuffix("4")
    lines = [f"RUN {program} -y install unsigned"]
    refused = build(tmp_path / "unsigned", state, layout, mirror, packages[1], lines)
    said = refused.said
    assert refused.code != 0 and "unsigned" in said
    assert any(words in said for words in ("is not signed", "The package is not signed", "GPG check FAILED")), said[
        -3000:
    ]


def test_definitions_of_an_image_are_out_of_sight_wherever_they_are(base, mirror, packages, state, tmp_path):
    name, layout = base
    program = name.removesuffix("4")
    places = {
        "dnf5": ["etc/distro.repos.d", "usr/share/dnf5/repos.d", "opt/repos"],
        "dnf": ["etc/distro.repos.d", "opt/repos"],
    }[program]
    conf = "etc/dnf/libdnf5.conf.d/10-x.conf" if program == "dnf5" else "etc/dnf/dnf.conf"
    prepare = [
        f'COPY <<"EOF" /{place}/mine{number}.repo\n[mine{number}]\nname=mine\nbaseurl=http://mirror.example.com/\nEOF'
        for number, place in enumerate(places)
    ]
    prepare.append(f'COPY <<"EOF" /{conf}\n[main]\nreposdir=/opt/repos\nEOF')
    prepared = build(tmp_path / "prepared", state, layout, mirror, packages[1], prepare)
    assert prepared.code == 0, prepared.said[-3000:]
    lines = [
        f"RUN test \"$({program} -q repolist | grep -v '^repo id' | cut -d' ' -f1)\" = koji",
        f"RUN {program} -y install plain",
    ]
    built = build(tmp_path / "built", state, prepared.image, mirror, packages[1], lines)
    assert built.code == 0, built.said[-6000:]
    for path in [*(f"{place}/mine{number}.repo" for number, place in enumerate(places)), conf]:
        assert (built.root / path).read_bytes() == (prepared.root / path).read_bytes()


def test_packages_of_version_6_are_read_as_rpm_6_reads_them(tmp_path):
    layout = layout_of("dnf5")
    run_image.unpack(layout, tmp_path / "root")
    root = tmp_path / "root"
    (root / "tmp/six.spec").write_text(SPEC.format(name="six"))
    for version in ("6", "4"):
        defines = ["_topdir /tmp/b", "_rpmdir /tmp/out", f"_rpmformat {version}", f"_rpmfilename six-{version}.rpm"]
        options = [f"--define={define}" for define in defines]
        command = ["chroot", root, "rpmbuild", "-bb", *options, "/tmp/six.spec"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=INSIDE)
        assert done.returncode == 0, done.stderr[-3000:]
        subprocess.run(["chroot", root, "rpm", "-i", f"/tmp/out/six-{version}.rpm"], check=True, capture_output=True)
        ours, theirs = listed(root, FORMAT)
        assert ours == theirs and ours[0].startswith("six 1 2.10 3 noarch")
        assert f" {version} 6." in ours[0].split("[")[0], "rpmformat and rpmversion"
        subprocess.run(["chroot", root, "rpm", "-e", "six"], check=True, capture_output=True)
