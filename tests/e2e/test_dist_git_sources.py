"""What belongs to a dist-git repository besides its commit: lookaside files, submodules; and who may build from it."""

import io
import json
import re
import subprocess
import tarfile
import urllib.request

import pytest
from demo import build, dist_git
from demo.koji_client import call, koji
from demo.koji_setup import CONTAINER_TAG, DEST_TAG
from demo.refusals import nothing_left
from demo.scene import ADMIN, PACKAGER, TAG, TARGET

from beside_the_commit import LOOKASIDE, add_submodule, lookaside_cache
from worker_settings import changed

BASE = "registry.example.com/f40/base:40"
DATA = b"a large file\n" * 1000


def submit(scene, name, *options):
    return build.outcome(scene, build.submit(scene, name, *options))


def dockerfile(tree, version, *instructions, component="webserver"):
    lines = [f"FROM {BASE}", f'LABEL com.redhat.component="{component}" name="f40/{version}" version="{version}"']
    (tree / "Dockerfile").write_text("\n".join([*lines, *instructions]) + "\n")


def task_log(scene, task_id, name="build.log"):
    with urllib.request.urlopen(f"{scene.top_url}/work/tasks/{task_id % 10000}/{task_id}/{name}") as answer:
        return answer.read().decode()


def file_in(scene, spec, path):
    """A file of an image in the registry."""
    repository, _, digest = spec.partition("/")[2].partition("@")
    request = urllib.request.Request(f"http://{scene.registry}/v2/{repository}/manifests/{digest}")
    request.add_header("Accept", "application/vnd.docker.distribution.manifest.v2+json")
    with urllib.request.urlopen(request) as answer:
        layers = [layer["digest"] for layer in json.load(answer)["layers"]]
    for layer in reversed(layers):
        with urllib.request.urlopen(f"http://{scene.registry}/v2/{repository}/blobs/{layer}") as answer:
            data = answer.read()
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            if path in tar.getnames():
                return tar.extractfile(path).read()
    raise AssertionError(f"{spec} has no {path}")


@pytest.fixture
def lookaside(tmp_path_factory):
    """A lookaside cache, empty."""
    with lookaside_cache(tmp_path_factory.mktemp("lookaside")) as put:
        yield put


def test_lookaside_files_of_both_forms_come_into_the_image_and_count_as_the_commits(scene, lookaside, tmp_path):
    lines = lookaside("cached", "data-1.tar", "sha512", DATA) + lookaside("cached", "old.bin", "md5", b"old")
    (tmp_path / "sources").write_text(lines)
    dockerfile(tmp_path, "cached", "COPY data-1.tar old.bin /usr/share/cached/")
    dist_git.create(scene, "cached", tmp_path)
    with changed(scene, more=LOOKASIDE.format(url=lookaside.url, more="")):
        done = submit(scene, "cached")
    assert done.succeeded, done.fault
    assert file_in(scene, done.result["repositories"][0], "usr/share/cached/data-1.tar") == DATA
    assert "2 files of the lookaside cache" in task_log(scene, done.task_id)
    # They are in no source RPM, so there is no source container of this image.
    options = ["--nowait", "--koji-build-id", done.result["koji_builds"][0], TARGET]
    output = koji(scene, "source-container-build", *options, user=PACKAGER)
    refused = build.outcome(scene, int(re.search(r"Created task: (\d+)", output)[1]))
    assert not refused.succeeded
    assert "made with 2 files of the lookaside cache (data-1.tar, old.bin)" in refused.fault


def test_a_lookaside_file_that_cannot_be_used_ends_the_build_with_its_line(scene, lookaside, tmp_path):
    cases = {
        "lookgone": (
            f"SHA512 (gone.tar) = {'0' * 128}\n",
            "",
            ["sources:1: cannot fetch gone.tar", "404", "fedpkg upload"],
        ),
        "lookother": (
            "\n" + lookaside("lookother", "a.tar", "sha512", b"other", DATA),
            "",
            ["sources:2: the cache's a.tar has the sha512", "nothing was built of this one"],
        ),
        "lookbig": (
            lookaside("lookbig", "big.tar", "sha512", b"x" * (3 << 20)),
            "max_file_mb = 1\n",
            ["sources:1", "is larger than 1048576 bytes", "lookaside.max_file_mb"],
        ),
        "lookmd5": (
            lookaside("lookmd5", "weak.tar", "md5", DATA),
            "allow_md5 = false\n",
            ["sources:1: the MD5 of weak.tar is too weak for this site"],
        ),
        "lookpath": (f"SHA512 (../x) = {'0' * 128}\n", "", ["sources:1: `../x` cannot be the name of a file"]),
    }
    for name, (lines, more, words) in cases.items():
        tree = tmp_path / name
        tree.mkdir()
        (tree / "sources").write_text(lines)
        dockerfile(tree, name, "COPY . /usr/share/x/")
        dist_git.create(scene, name, tree)
        with changed(scene, more=LOOKASIDE.format(url=lookaside.url, more=more)):
            done = submit(scene, name)
        assert not done.succeeded, name
        for word in words:
            assert word in done.fault, (name, word, done.fault)
        nothing_left(scene, name)


def test_sources_without_a_cache_are_for_the_site_to_solve(scene, tmp_path):
    (tmp_path / "sources").write_text(f"SHA512 (a.tar) = {'0' * 128}\n")
    dockerfile(tmp_path, "nocache")
    dist_git.create(scene, "nocache", tmp_path)
    done = submit(scene, "nocache")
    assert not done.succeeded and "set lookaside.url" in done.fault and "people who run the builders" in done.fault


def test_submodules_are_part_of_the_context_where_asked_for_and_allowed(scene, tmp_path):
    lib, web = tmp_path / "lib", tmp_path / "web"
    lib.mkdir()
    web.mkdir()
    (lib / "lib.txt").write_text("from the submodule\n")
    dist_git.create(scene, "libmodule", lib)
    (web / "container.yaml").write_text("submodules: true\n")
    dockerfile(web, "submod", "COPY vendor/lib/lib.txt /usr/share/lib.txt")
    dist_git.create(scene, "submod", web)
    add_submodule(scene, "submod", "../libmodule.git")

    done = submit(scene, "submod")
    assert not done.succeeded and "git submodules, which this site does not fetch" in done.fault
    with changed(scene, scm="submodules = true\n"):
        done = submit(scene, "submod")
        assert done.succeeded, done.fault
        assert file_in(scene, done.result["repositories"][0], "usr/share/lib.txt") == b"from the submodule\n"
        assert f"/container/libmodule.git#{dist_git.commit(scene, 'libmodule')}" in task_log(scene, done.task_id)


@pytest.mark.parametrize(
    ("name", "url", "words"),
    [
        (
            "subhost",
            "https://elsewhere.example.org/lib.git",
            ["`vendor/lib` may not be fetched", "not in the list of allowed"],
        ),
        ("subrun", "ext::sh -c touch% /ran", ["`vendor/lib` has an address that is none of https"]),
        ("subpass", "https://user:hunter2@127.0.0.1/container/lib.git", ["a password in the URL is not allowed"]),
    ],
)
def test_submodules_of_elsewhere_or_that_would_run_things_are_refused(scene, tmp_path, name, url, words):
    if not dist_git.directory(scene, "libmodule").exists():
        (tmp_path / "lib").mkdir()
        (tmp_path / "lib/x").write_text("x")
        dist_git.create(scene, "libmodule", tmp_path / "lib")
    web = tmp_path / "web"
    web.mkdir()
    (web / "container.yaml").write_text("submodules: true\n")
    dockerfile(web, name)
    dist_git.create(scene, name, web)
    add_submodule(scene, name, url)
    with changed(scene, scm="submodules = true\n"):
        done = submit(scene, name)
    assert not done.succeeded
    for word in words:
        assert word in done.fault
    for log in ("build.log", "checkout.log"):
        assert "hunter2" not in done.fault + task_log(scene, done.task_id, log)


def test_a_password_in_the_source_is_in_no_log_and_no_fault(scene):
    """The hub refuses such a source; a task made by hand gets as far as the worker."""
    source = f"git+https://user:hunter2@127.0.0.1/container/web.git#{'0' * 40}"
    request = [source, build.TARGET, {"git_branch": dist_git.BRANCH}]
    task = call(scene, "makeTask", "buildContainer", request, {"__starstar": True, "channel": "container"})
    done = build.outcome(scene, task)
    assert not done.succeeded and "a password in the URL is not allowed" in done.fault
    assert "hunter2" not in done.fault + task_log(scene, task)
    assert "hunter2" not in (scene.logs / "worker.log").read_text()


def test_the_hubs_build_from_scm_policy_is_asked(scene, tmp_path):
    dockerfile(tmp_path, "frozenweb")
    dist_git.create(scene, "frozenweb", tmp_path)
    with changed(scene, scm="use_hub_policy = true\n"):
        done = submit(scene, "frozenweb")
        assert not done.succeeded
        assert "the hub's build_from_scm policy does not allow" in done.fault
        assert "this repository is frozen" in done.fault
        assert submit(scene, "webserver", "--scratch").succeeded


def test_the_hubs_scm_policy_is_told_the_branches_that_hold_the_commit(scene, tmp_path):
    dockerfile(tmp_path, "branchy")
    dist_git.create(scene, "branchy", tmp_path)
    bare = dist_git.directory(scene, "branchy")

    def git(*arguments):
        subprocess.run(["git", *arguments], cwd=bare, check=True, capture_output=True)

    # The same commit on a branch of a release is allowed; with only private branches left, it is not.
    git("branch", "private-me", dist_git.BRANCH)
    with changed(scene, scm="use_scm_policy = true\n"):
        done = submit(scene, "branchy")
        assert done.succeeded, done.fault
        url = scene.scm_url("branchy", dist_git.commit(scene, "branchy"))
        git("symbolic-ref", "HEAD", "refs/heads/private-me")
        git("branch", "-D", dist_git.BRANCH)
        target = ["container-build", "--nowait", "--git-branch", "private-me"]
        for options, allowed in (([], False), (["--scratch"], True)):
            output = koji(scene, *target, *options, build.TARGET, url, user=PACKAGER)
            task = int(output.split("Created task: ")[1].split()[0])
            done = build.outcome(scene, task)
            assert done.succeeded == allowed, done.fault
            if not allowed:
                assert "the hub's scm policy does not allow" in done.fault and "which is on private-me" in done.fault
                assert "commits of private branches are for scratch builds" in done.fault


def test_namespaces_say_what_a_component_may_be_called(scene, tmp_path):
    dockerfile(tmp_path, "named")
    dist_git.create(scene, "named", tmp_path)
    rules = '[[scm.namespaces]]\nname = "container"\ncomponents = ["{name}", "{name}-container"]\n'
    with changed(scene, more=rules):
        done = submit(scene, "named")
        assert not done.succeeded
        assert (
            "com.redhat.component is `webserver`, which does not belong to the repository /container/named.git"
            in done.fault
        )
        assert "this site allows: named, named-container" in done.fault
        assert submit(scene, "webserver", "--scratch").succeeded
    with changed(scene, more='[[scm.namespaces]]\nname = "images"\n'):
        done = submit(scene, "named")
        assert not done.succeeded and "namespace `container`" in done.fault and "one of: images" in done.fault


def test_an_image_does_not_take_the_place_of_an_rpm_package(scene, tmp_path):
    """`jq` is an RPM of this Koji; once its tag is inherited, an image of that name is refused."""
    dockerfile(tmp_path, "jqimage", component="jq")
    dist_git.create(scene, "jqimage", tmp_path)
    koji(scene, "add-pkg", "--owner", PACKAGER, DEST_TAG, "jq")
    koji(scene, "add-tag-inheritance", "--priority", "50", CONTAINER_TAG, TAG)
    try:
        done = submit(scene, "jqimage")
        assert not done.succeeded
        assert f"jq is an RPM package in tag {DEST_TAG} (jq-" in done.fault
        assert "call the component `jq-container`" in done.fault
        rules = '[[scm.namespaces]]\nname = "container"\nrpm_builds = "warn"\n'
        with changed(scene, more=rules):
            done = submit(scene, "jqimage")
        assert done.succeeded, done.fault
        assert "warning: jq is an RPM package" in task_log(scene, done.task_id)
        assert call(scene, "getBuild", int(done.result["koji_builds"][0]))["name"] == "jq"
    finally:
        koji(scene, "remove-tag-inheritance", CONTAINER_TAG, TAG, user=ADMIN)
