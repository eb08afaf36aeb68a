"""Every option of a build through the `koji` command, seen on the result; and what a dry run tells."""

import json
import re
import subprocess

import pytest
from demo import build, dist_git
from demo.koji_client import call, command, koji
from demo.koji_setup import DEST_TAG
from demo.refusals import nothing_left
from demo.scene import ADMIN, PACKAGER, TARGET

BASE = "registry.example.com/f40/base:40"
FREE, PRIO_DEFAULT = 0, 20  # koji.TASK_STATES, koji.PRIO_DEFAULT
NAME = "webserver"


@pytest.fixture(scope="module")
def repository(scene, tmp_path_factory):
    """A repository whose image holds what it was told."""

    def create(name, *instructions, base=BASE):
        tree = tmp_path_factory.mktemp(name)
        lines = [f"FROM {base}", f'LABEL com.redhat.component="{NAME}" name="f40/{name}" version="{name}"']
        (tree / "Dockerfile").write_text("\n".join([*lines, *instructions]) + "\n")
        dist_git.create(scene, name, tree)
        return name

    return create


def koji_build(scene, name, *options):
    """`koji container-build`, waited for: exit status, output, task."""
    url = scene.scm_url(name, dist_git.commit(scene, name))
    arguments = ["container-build", "--git-branch", dist_git.BRANCH, *options, TARGET, url]
    done = subprocess.run(
        command(scene, arguments, PACKAGER), capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300
    )
    task = re.search(r"Created task: (\d+)", done.stdout)
    return done.returncode, done.stdout + done.stderr, int(task[1]) if task else None


def tags_of(result):
    return {spec.rpartition(":")[2] for spec in result["repositories"] if "@" not in spec}


def build_of(scene, result):
    return call(scene, "getBuild", int(result["koji_builds"][0]))


def test_release_and_userdata_are_in_the_build(scene, repository):
    name = repository("kindrelease")
    done = build.outcome(scene, build.submit(scene, name, "--release", "7.fc40", "--userdata", '{"ticket": [7, "x"]}'))
    assert done.succeeded, done.fault
    info = build_of(scene, done.result)
    assert info["nvr"] == f"{NAME}-{name}-7.fc40"
    assert info["extra"]["custom_user_metadata"] == {"ticket": [7, "x"]}
    assert {f"{name}-7.fc40", "latest", name} <= tags_of(done.result)
    again = build.outcome(scene, build.submit(scene, name, "--release", "7.fc40"))
    assert not again.succeeded and f"{NAME}-{name}-7.fc40 exists already" in again.fault
    assert "raise the `release` label" in again.fault


def test_an_isolated_build_has_its_own_release_and_moves_no_tag(scene, repository):
    name = repository("kindisolated")
    done = build.outcome(
        scene, build.submit(scene, name, "--isolated", "--release", "1.2", "--arch-override", "x86_64")
    )
    assert done.succeeded, done.fault
    info = build_of(scene, done.result)
    assert info["release"] == "1.2" and info["extra"]["image"]["isolated"] is True
    assert f"{name}-1.2" in tags_of(done.result) and not {"latest", name} & tags_of(done.result)


def test_a_scratch_build_for_an_arch_nobody_offers_is_refused(scene, repository):
    name = repository("kindarch")
    done = build.outcome(scene, build.submit(scene, name, "--scratch", "--arch-override", "s390x"))
    assert not done.succeeded and "none of the requested arches (s390x)" in done.fault


def test_a_parent_build_replaces_the_base(scene, repository):
    parent = build.outcome(scene, build.submit(scene, repository("kindparent", "RUN echo parent > /usr/share/parent")))
    assert parent.succeeded, parent.fault
    info = build_of(scene, parent.result)
    child = build.submit(
        scene, repository("kindchild", "RUN test -e /usr/share/parent"), "--koji-parent-build", info["nvr"]
    )
    done = build.outcome(scene, child)
    assert done.succeeded, done.fault
    assert build_of(scene, done.result)["extra"]["image"]["parent_build_id"] == info["id"]
    bad = build.outcome(scene, build.submit(scene, "kindchild", "--koji-parent-build", "jq-0-0"))
    assert not bad.succeeded and "koji_parent_build: jq-0-0 is not a build in this Koji" in bad.fault


def test_repo_urls_are_offered_from_allowed_hosts_only(scene, repository):
    name = repository("kindrepo", "RUN dnf repolist | grep -q request0-extra")
    file = scene.kojidir / "extra.repo"
    content = call(scene, "getRepo", "f40-build")
    url = f"{scene.top_url}/repos/f40-build/{content['id']}/$basearch/"
    file.write_text(f"[extra]\nname=extra\nbaseurl={url.replace('localhost', '127.0.0.1')}\nenabled=1\n")
    at = f"{scene.top_url}/extra.repo".replace("localhost", "127.0.0.1")
    done = build.outcome(scene, build.submit(scene, name, "--scratch", "--repo-url", at))
    assert done.succeeded, done.fault
    other = at.replace("127.0.0.1", "localhost")
    done = build.outcome(scene, build.submit(scene, name, "--scratch", "--repo-url", other))
    assert not done.succeeded
    assert "repositories from the host `localhost` are not allowed here" in done.fault and "127.0.0.1" in done.fault


def test_background_and_channel_are_the_tasks(scene, repository):
    name = repository("kindchannel")
    done = build.outcome(scene, build.submit(scene, name, "--scratch", "--background"))
    assert done.succeeded and call(scene, "getTaskInfo", done.task_id)["priority"] == PRIO_DEFAULT + 5
    koji(scene, "add-channel", "spare", user=ADMIN)
    task = build.submit(scene, name, "--scratch", "--channel-override", "spare")
    info = call(scene, "getTaskInfo", task)
    assert call(scene, "getChannel", info["channel_id"])["name"] == "spare"
    assert info["state"] == FREE, "no host is in it"
    koji(scene, "cancel", str(task), user=PACKAGER)


def test_a_failed_name_is_free_again(scene, repository):
    name = repository("kindfails", "RUN false")
    done = build.outcome(scene, build.submit(scene, name, "--release", "3"))
    assert not done.succeeded
    nothing_left(scene, name)
    tree = dist_git.directory(scene, name)
    subprocess.run(["rm", "-rf", str(tree)], check=True)
    repository(name, "RUN true")
    done = build.outcome(scene, build.submit(scene, name, "--release", "3"))
    assert done.succeeded, done.fault
    assert build_of(scene, done.result)["release"] == "3"


def test_a_dry_run_tells_what_would_be_and_makes_nothing(scene, repository):
    name = repository("kinddry", "RUN false")
    status, output, task = koji_build(scene, name, "--dry-run")
    assert status == 0, output
    result = call(scene, "getTaskResult", task)
    plan = result["dry_run"]
    assert (result["koji_builds"], result["repositories"]) == ([], [])
    assert plan["nvr"] == f"{NAME}-{name}-1" and plan["koji_tag"] == DEST_TAG
    assert plan["source"].endswith("#" + dist_git.commit(scene, name))
    assert {tag.rpartition(":")[2] for tag in plan["tags"]} >= {f"{name}-1", "latest", name}
    assert plan["parents"][BASE]["build"].startswith("demo-base-40-") and "@sha256:" in plan["parents"][BASE]["pinned"]
    assert all("/repos/f40-build/" in urls["f40-build"] for urls in plan["repositories"].values())
    for word in (plan["nvr"], f"{name}-1", "demo-base-40-", "/repos/f40-build/"):
        assert word in output
    assert call(scene, "getBuild", plan["nvr"]) is None
    assert call(scene, "getTaskDescendents", task) in ({}, {str(task): []})
    nothing_left(scene, name)


def test_a_dry_run_tells_every_refusal_and_has_status_1(scene, repository):
    name = repository("kindrefused")
    done = build.outcome(scene, build.submit(scene, name, "--release", "1"))
    assert done.succeeded, done.fault
    koji(scene, "block-pkg", DEST_TAG, NAME, user=ADMIN)
    try:
        status, _, task = koji_build(scene, name, "--dry-run", "--release", "1")
    finally:
        koji(scene, "unblock-pkg", DEST_TAG, NAME, user=ADMIN)
    assert status == 1
    fault = call(scene, "getTaskResult", task, False)["faultString"]
    assert "the build would be refused" in fault
    assert f"package {NAME} is blocked in tag {DEST_TAG}" in fault
    assert f"{NAME}-{name}-1 exists already" in fault


def test_a_dry_run_of_a_dockerfile_with_errors_fails_as_the_build_would(scene, repository):
    status, _, task = koji_build(scene, repository("kindbad", base="registry.example.com/f40/nosuch:1"), "--dry-run")
    assert status == 1 and "nosuch" in json.dumps(call(scene, "getTaskResult", task, False))
