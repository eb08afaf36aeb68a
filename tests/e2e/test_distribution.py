"""The distribution as a whole: signed, complete, and a base image in which dnf works."""

import json
import subprocess

import pytest
from demo import run_image
from distribution import cache, steps

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(scope="module")
def distribution():
    return steps.make()


@pytest.fixture(scope="module")
def facts(distribution):
    return json.loads((distribution / "distribution.json").read_text())


@pytest.fixture(scope="module")
def root(distribution, tmp_path_factory):
    """The base image, unpacked."""
    directory = tmp_path_factory.mktemp("base") / "root"
    run_image.unpack(distribution / "base-image", directory)
    return directory


def in_root(root, distribution, script):
    """Run a shell script in a root, in mount and network namespaces of its own; the repository is at /run/repo."""
    (root / "run/repo").mkdir(exist_ok=True)
    outside = (
        'mount --bind "$2" "$1/run/repo" && mount -t proc proc "$1/proc" && mount -t tmpfs tmpfs "$1/dev" '
        '&& mknod -m 666 "$1/dev/null" c 1 3 && mknod -m 666 "$1/dev/urandom" c 1 9 '
        '&& exec chroot "$1" /bin/sh -ec "$3"'
    )
    command = ["unshare", "--mount", "--net", "--pid", "--fork", "--propagation", "private", "sh", "-ec", outside, "sh"]
    done = subprocess.run(
        [*command, str(root), str(distribution), script],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_making_it_again_is_a_look_into_the_cache(distribution):
    said = []
    assert steps.make(said.append) == distribution
    assert len(said) == 1 and "cached" in said[0]
    assert distribution.parent == cache.cache_directory()


def test_every_rpm_is_signed_by_the_published_key(distribution, tmp_path):
    key, files = distribution / "RPM-GPG-KEY-demo", sorted(distribution.glob("**/*.rpm"))
    database = ["--define", f"_dbpath {tmp_path}"]
    subprocess.run(["rpmkeys", *database, "--import", str(key)], check=True)
    checked = subprocess.run(["rpmkeys", *database, "-K", *map(str, files)], capture_output=True, text=True, check=True)
    lines = checked.stdout.splitlines()
    assert len(lines) == len(files) > 100
    assert all(line.endswith(": digests signatures OK") for line in lines)


def test_dnf_installs_a_web_server_and_the_database_knows_it(root, distribution, facts):
    out = in_root(
        root,
        distribution,
        """
        printf '%s\\n' '[r]' name=r baseurl=file:///run/repo/repo gpgcheck=1 gpgkey=file:///run/repo/RPM-GPG-KEY-demo \\
            > /etc/yum.repos.d/demo.repo
        dnf -q -y install jq nginx-light tree >/dev/null
        test -f /usr/lib/sysimage/rpm/rpmdb.sqlite
        nginx -t 2>&1
        rpm -Va --noscripts | grep -v demo.repo || true
        echo ==
        rpm -qa --qf '\\{"name":"%{NAME}","sigmd5":"%{SIGMD5}"\\}\\n' | jq -s -c 'map({(.name): .sigmd5}) | add'
        """,
    )
    checks, _, names = out.partition("==\n")
    assert "test is successful" in checks
    assert not [line for line in checks.splitlines() if line.startswith(("missing", "S.", "..", "Unsatisfied"))]
    installed = json.loads(names)
    known = {rpm["name"]: rpm["sigmd5"] for rpm in facts["rpms"]}
    installed.pop("gpg-pubkey", None)
    assert {"jq", "nginx", "nginx-light", "tree", "bash"} <= set(installed)
    assert all(known[name] == sigmd5 for name, sigmd5 in installed.items())


def test_the_tampered_rpm_differs_from_koji_s_only_in_its_content(facts):
    real = next(rpm for rpm in facts["rpms"] if rpm["name"] == "hello")
    fake = next(rpm for rpm in facts["foreign_rpms"] if rpm["name"] == "hello")
    same = ("name", "version", "release", "arch", "epoch")
    assert [real[k] for k in same] == [fake[k] for k in same]
    assert real["sigmd5"] != fake["sigmd5"]


def test_the_base_image_lists_exactly_what_its_database_holds(root, distribution, facts):
    out = in_root(root, distribution, "rpm -qa --qf '%{NAME}\\n' bash filesystem dnf")
    components = {rpm["name"] for rpm in facts["base_image"]["components"]}
    assert set(out.split()) <= components and "gpg-pubkey" not in components
