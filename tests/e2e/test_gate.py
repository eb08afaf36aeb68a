"""The gate as package managers see it: `containerbuild build` of images made by the distribution's own dnf, with the
repository behind a web server that counts what is asked of it.
"""

import json

import pytest
from distribution import steps
from file_server import serving

import rich_repository
from gated_build import GatedBuild


@pytest.fixture(scope="module")
def distribution():
    return steps.make()


@pytest.fixture
def mirror(distribution):
    with serving(distribution / "repo") as server:
        yield server


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    """Store and gate cache of the whole module, as a worker has them."""
    return tmp_path_factory.mktemp("state")


def build_of(directory, state, distribution, mirror, base, lines):
    """On the distribution's base image, or on the image that an earlier build of the same test left in `prepared`."""
    bases = (
        f"--base=demo-base=oci:{distribution}/base-image",
        f"--base=prepared=oci:{directory.parent}/prepared/image",
    )
    return GatedBuild(directory, state, mirror, [f"FROM {base}", *lines], *bases)


@pytest.fixture
def build(tmp_path, state, distribution, mirror):
    numbers = iter(range(100))

    def run(*lines, base="demo-base", name=None):
        directory = tmp_path / (name or f"build{next(numbers)}")
        return build_of(directory, state, distribution, mirror, base, lines)

    return run


def test_a_warm_build_neither_downloads_nor_reads_metadata_again(build):
    # `-C` is dnf without any download: it works where there are warm caches, and only there
    lines = (
        "RUN dnf -C -q repoquery hello",
        "RUN dnf -y install hello && dnf clean all && rm -rf /var/cache/dnf /var/cache/yum",
    )
    first = build(*lines)
    assert first.code == 0, first.said
    again = build(*lines, "RUN dnf -C -q repoquery hello && dnf -y install tree")
    assert again.code == 0, again.said
    assert "made the caches of dnf" not in again.said
    packages = [path for path in again.asked if path.endswith(".rpm")]
    assert len(packages) == 1 and "/tree-" in packages[0], "hello came from the gate's cache"
    assert [path for path in again.asked if path not in packages] == ["/repodata/repomd.xml"]
    # nothing of the caches, and no definition, is in the image
    assert (again.root / "usr/bin/hello").exists() and (again.root / "usr/bin/tree").exists()
    left = [
        path
        for path in (again.root / "var/cache").rglob("*")
        if path.is_file() and path.suffix in (".solv", ".solvx", ".xml")
    ]
    assert left == []


def test_repo_files_of_the_image_are_out_of_sight_and_untouched(build, distribution):
    mine = "[mine]\nname=mine\nbaseurl=http://mirror.example.com/mine\n"
    prepared = build(
        "RUN echo x > /etc/yum.repos.d/lost.repo",
        # COPY is not RUN: this is how an image comes to have definitions of its own
        f'COPY <<"EOF" /etc/yum.repos.d/mine.repo\n{mine}EOF',
        f'COPY <<"EOF" /etc/distro.repos.d/other.repo\n{mine.replace("mine", "other")}EOF',
        f'COPY <<"EOF" /etc/dnf/dnf.conf\n[main]\ntsflags=nodocs\n{mine.replace("mine", "third")}EOF',
        name="prepared",
    )
    assert prepared.code == 0, prepared.said
    built = build(
        "RUN test \"$(dnf -q repolist | grep -v '^repo id' | cut -d' ' -f1)\" = koji",
        "RUN rm -rf /etc/yum.repos.d/* && printf x > /etc/yum.repos.d/new.repo",
        "RUN ls /etc/yum.repos.d | grep -x koji.repo && dnf -y install hello && dnf clean all",
        base="prepared",
    )
    assert built.code == 0, built.said
    names = sorted(path.name for path in (built.root / "etc/yum.repos.d").iterdir())
    assert "mine.repo" in names and not {"koji.repo", "new.repo", "lost.repo"} & set(names)
    assert (built.root / "etc/yum.repos.d/mine.repo").read_text() == mine
    assert (built.root / "etc/distro.repos.d/other.repo").exists()
    assert "third" in (built.root / "etc/dnf/dnf.conf").read_text()


def test_dnf_conf_is_the_image_s_own(build):
    built = build("RUN echo 'install_weak_deps=0' >> /etc/dnf/dnf.conf && dnf -y install hello && dnf clean all")
    assert built.code == 0, built.said
    text = (built.root / "etc/dnf/dnf.conf").read_text()
    assert text.endswith("install_weak_deps=0\n") and "3128" not in text


def test_a_run_cannot_poison_the_caches_of_another_build(build):
    spoil = "RUN for f in /var/cache/dnf/*.solv /var/cache/dnf/*/repodata/*; do echo spoilt > $f; done"
    spoilt = build(spoil, "RUN grep -q spoilt /var/cache/dnf/*.solv; dnf -C -q repoquery hello")
    assert spoilt.code == 0, spoilt.said
    clean = build("RUN ! grep -q spoilt /var/cache/dnf/*.solv && dnf -C -q repoquery hello && dnf -y install hello")
    assert clean.code == 0, clean.said


def test_groups_modules_and_advisories_come_through(distribution, tmp_path, state):
    (hello,) = (distribution / "repo").glob("hello-*.rpm")
    with serving(rich_repository.make(hello, directory=tmp_path)) as mirror:
        built = build_of(
            tmp_path / "built",
            state,
            distribution,
            mirror,
            "demo-base",
            [
                "RUN dnf -q group list --hidden | grep Greeters",
                "RUN dnf -q module list | grep greet && dnf -y module install greet:1/default && rpm -q hello",
                "RUN dnf -q updateinfo list --all | grep DEMO-2026-1",
                "RUN dnf -y remove hello && dnf -y install @greeters",
            ],
        )
    assert built.code == 0, built.said
    assert "gate: refused" not in built.said
    assert any("modules" in path for path in built.asked) and any("comps" in path for path in built.asked)


def test_every_verdict_stands_in_the_log_with_its_rule(build):
    built = build("RUN dnf -y install hello", "RUN curl -sf http://mirror.example.com/x || true", base="demo-base")
    assert "gate: released (not-checked): GET /repo/koji/hello-" in built.said
    # curl is not in the base image, so nothing was asked for: the build passes
    assert built.code == 0, built.said
    refused = build("RUN dnf -y install curl", "RUN curl -s http://mirror.example.com/x || true")
    assert refused.code != 0
    assert "gate: refused (host-not-allowed): GET http://mirror.example.com/x" in refused.said
    assert json.dumps(refused.said).count("a build reaches only the content sources of its target") >= 1
