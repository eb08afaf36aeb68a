"""Reports and policy through Koji: what a build leaves, `explain`, `verify` on another store, and rules that refuse."""

import contextlib
import json
import os
import subprocess
import urllib.request

import jsonschema
import pytest
from demo import build, dist_git, worker
from demo.koji_client import call
from demo.refusals import nothing_left
from demo.scene import REPOSITORY
from demo.show import hub_options

from services import away

MACHINE = os.uname().machine
BASE = "registry.example.com/f40/base:40"


def tool(scene, tmp_path, *arguments):
    """Runs the program with a store of its own, as on another machine; (exit code, standard output, standard error)."""
    command = [
        str(worker.binary()),
        *arguments,
        "--store",
        str(tmp_path / "store"),
        "--insecure-registry",
        scene.registry,
    ]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def report_of(scene, nvr):
    name, version, release = nvr.rsplit("-", 2)
    url = f"{scene.top_url}/packages/{name}/{version}/{release}/data/logs/provenance-{MACHINE}.json"
    with urllib.request.urlopen(url) as answer:
        return json.load(answer)


@pytest.fixture(scope="module")
def builds(scene, tmp_path_factory):
    """Two builds of a two-stage Dockerfile that differ in a package and a label: (NVR, pull specification) of each."""
    found = []
    for number, extra in enumerate(["", "RUN dnf -y install tree"]):
        directory = tmp_path_factory.mktemp("reports")
        (directory / "Dockerfile").write_text(
            f"FROM {BASE} AS tools\nRUN dnf -y install jq\nFROM {BASE}\n"
            f'LABEL com.redhat.component="webserver" name="f40/reports" version="reports" step="{number}"\n'
            "COPY page.html /srv/page.html\nCOPY --from=tools /usr/bin/jq /usr/local/bin/jq\n"
            f"RUN dnf -y install nginx-light\n{extra}\n"
        )
        (directory / "page.html").write_text("<p>reports\n")
        name = f"reports{number}"
        dist_git.create(scene, name, directory)
        done = build.outcome(scene, build.submit(scene, name))
        assert done.succeeded, done.fault
        found.append(
            (call(scene, "getBuild", int(done.result["koji_builds"][0]))["nvr"], done.result["repositories"][0])
        )
    return found


def test_the_report_says_why_each_rpm_is_there_and_follows_its_schema(scene, builds):
    report = report_of(scene, builds[1][0])
    jsonschema.validate(report, json.loads((REPOSITORY / "docs/provenance.schema.json").read_text()))
    packages = {package["nvra"].rsplit("-", 2)[0]: package for package in report["packages"]}
    nginx, tree = packages["nginx-light"], packages["tree"]
    assert (nginx["why"]["reason"], nginx["why"]["instruction"]) == ("requested", "RUN dnf -y install nginx-light")
    assert tree["why"]["instruction"] == "RUN dnf -y install tree"
    assert (nginx["origin"], nginx["content_source"], nginx["koji"]["build_nvr"].rsplit("-", 2)[0]) == (
        "gate",
        "f40-build",
        "nginx-light",
    )
    assert packages["bash"]["why"]["reason"] == "inherited" and packages["bash"]["origin"] == "inherited"
    needed = [p for p in packages.values() if p["why"]["reason"] == "required"]
    assert needed and all(set(p["why"]["by"]) <= set(packages) for p in needed)
    assert all(package["koji_keys"] for package in packages.values()), "the site has a rule about keys"
    assert all("f40" in package["tags"]["now"] for package in packages.values())
    ruled = {f"{rule['check']}/{rule['name']}": rule["ruling"] for rule in report["policy"]}
    assert (
        ruled["signing_keys/demo-key"]
        == ruled["content_tags/demo-content"]
        == ruled["parent_images/koji-built"]
        == "passed"
    )
    assert ruled["files/unlisted_rpm"] == "warned", "jq is copied and not listed"
    assert report["outcome"] == "warned" and report["target"] and report["source"].startswith("git")
    assert [parent["build"]["nvr"].rsplit("-", 2)[0] for parent in report["parents"]] == ["demo-base"]


def test_the_difference_to_the_build_before_is_told(scene, builds):
    previous = report_of(scene, builds[1][0])["previous"]
    assert previous["nvr"] == builds[0][0] and not previous.get("unavailable")
    assert "tree" in {change["name"] for change in previous["packages"] if change["before"] is None}
    assert previous["installed"]["after"] > previous["installed"]["before"]
    assert {"label": "step", "before": "0", "after": "1"} in previous["labels"]


def test_explain_prints_it_for_a_build_and_for_an_image(scene, builds, tmp_path):
    nvr, spec = builds[1]
    code, by_nvr, error = tool(scene, tmp_path, "explain", nvr, *hub_options(scene))
    assert code == 0, error
    assert by_nvr.startswith(f"{nvr} ({MACHINE}): proven, with warnings\n")
    assert f"Since {builds[0][0]}" in by_nvr and "RUN dnf -y install nginx-light\n" in by_nvr
    code, by_image, error = tool(scene, tmp_path, "explain", spec, *hub_options(scene))
    assert code == 0, error
    assert by_image == by_nvr
    code, one, _ = tool(scene, tmp_path, "explain", nvr, "--package", "tree", *hub_options(scene))
    assert code == 0 and "tree: requested in `RUN dnf -y install tree`" in one
    code, _, error = tool(scene, tmp_path, "explain", nvr, "--package", "absent", *hub_options(scene))
    assert code == 1 and "has no package absent" in error
    code, _, error = tool(scene, tmp_path, "explain", "webserver-1.0-999", *hub_options(scene))
    assert code == 1 and "webserver-1.0-999 is not a complete build" in error
    code, _, error = tool(scene, tmp_path, "explain", nvr, "--hub", "http://127.0.0.1:1/kojihub")
    assert code == 2 and "127.0.0.1:1" in error
    recorded = tmp_path / "recorded.json"
    recorded.write_text(json.dumps(report_of(scene, nvr)))
    code, from_file, error = tool(scene, tmp_path, "explain", str(recorded))
    assert code == 0 and from_file == by_nvr, error
    code, _, error = tool(scene, tmp_path, "explain", nvr)
    assert code == 2 and "name it with --hub URL" in error


def told(report):
    """What a build and a verification must say alike."""
    keys = ("all_proven", "outcome", "manifest_digest", "size", "labels", "source", "problems", "rpmdb")
    packages = [
        {key: package[key] for key in ("nvra", "sha256header", "verdict", "by", "origin", "koji", "why")}
        for package in report["packages"]
    ]
    rules = [(rule["check"], rule["name"], rule["ruling"], rule["count"]) for rule in report["policy"]]
    # What a RUN touched without changing it is counted in a build, and is left out of the layer when it is packed.
    same = {"rpm", "directory", "link", "empty"}
    counts = {name: count for name, count in report["files"]["counts"].items() if name not in same}
    return [{key: report[key] for key in keys}, packages, rules, counts, report["files"]["paths"]]


def test_verify_says_the_same_on_another_machine(scene, builds, tmp_path):
    nvr, spec = builds[1]
    policy = ("--config", str(scene.state / "policy.toml"))
    code, output, error = tool(scene, tmp_path, "verify", spec, "--json", *policy, *hub_options(scene))
    report = json.loads(output)
    assert code == 0, (error, report.get("not_told"))
    jsonschema.validate(report, json.loads((REPOSITORY / "docs/provenance.schema.json").read_text()))
    assert told(report) == told(report_of(scene, nvr))


def test_verify_names_what_it_cannot_tell_without_dist_git(scene, builds, tmp_path):
    with away(scene, "dist-git"):
        code, output, _ = tool(scene, tmp_path, "verify", builds[1][1], *hub_options(scene))
    assert code == 2
    assert "NOT TOLD" in output.splitlines()[0]
    assert "(classes commit, stage and unexplained): the commit cannot be had" in output
    assert "every RPM was built in this Koji" in output, "the RPMs are proven all the same"


def test_verify_refuses_an_image_with_a_foreign_rpm(scene, tmp_path):
    (tmp_path / "Dockerfile").write_text(f"FROM {BASE}\nCOPY *.rpm /tmp/\nRUN rpm -i /tmp/*.rpm && rm /tmp/*.rpm\n")
    (rpm,) = (scene.distribution / "foreign").glob("notkoji/notkoji-*.rpm")
    (tmp_path / rpm.name).write_bytes(rpm.read_bytes())
    layout = tmp_path / "layout"
    base = f"{scene.registry}/f40/base:40"
    text = (tmp_path / "Dockerfile").read_text().replace(BASE, base)
    (tmp_path / "Dockerfile").write_text(text)
    code, _, error = tool(scene, tmp_path, "build", "--network", "none", "-o", f"oci:{layout}:x", str(tmp_path))
    assert code == 0, error
    code, output, _ = tool(scene, tmp_path, "verify", f"oci:{layout}:x", *hub_options(scene))
    assert code == 1
    assert "REFUSED" in output.splitlines()[0] and "Koji has no RPM notkoji" in output


@contextlib.contextmanager
def site_policy(scene, change):
    """The site's policy is another one inside the block: `change` makes it of the text that was. Tasks read it anew."""
    policy = scene.state / "policy.toml"
    before = policy.read_text()
    policy.write_text(change(before))
    try:
        yield
    finally:
        policy.write_text(before)


def built(scene, directory, name, *instructions):
    """How the build of a repository with these instructions ends."""
    labels = f'LABEL com.redhat.component="webserver" name="f40/{name}" version="{name}"'
    (directory / "Dockerfile").write_text("\n".join([f"FROM {BASE}", labels, *instructions]) + "\n")
    dist_git.create(scene, name, directory)
    return build.outcome(scene, build.submit(scene, name))


NO_TREE = """
[[policy.packages]]
name = "no-tree"
reason = "trees are not containers"
remedy = "use ls -R"
forbidden = ["tree"]
scope = "{scope}"
"""


def test_a_rule_refuses_at_the_gate_with_line_and_url(scene, tmp_path):
    with site_policy(scene, lambda text: text + NO_TREE.format(scope="build")):
        done = built(scene, tmp_path, "notree", "RUN true", "RUN dnf -y install tree")
    assert not done.succeeded
    assert "Dockerfile:4: asked for what may not go into this image" in done.fault
    assert "/repo/f40-build/" in done.fault and "/tree-" in done.fault
    assert "`tree` is forbidden (rule packages/no-tree: trees are not containers)" in done.fault
    assert "use ls -R" in done.fault
    nothing_left(scene, "notree")


def test_a_rule_over_the_image_refuses_with_name_reason_and_remedy_and_leaves_nothing(scene, tmp_path):
    with site_policy(scene, lambda text: text + NO_TREE.format(scope="image")):
        done = built(scene, tmp_path, "stilltree", "RUN dnf -y install tree")
        gone = built(scene, tmp_path, "treegone", "RUN dnf -y install tree && dnf -y remove tree")
    assert not done.succeeded
    assert (
        "`tree` is forbidden; requested in `RUN dnf -y install tree` (rule packages/no-tree: trees are not containers)"
        in done.fault
    )
    assert "use ls -R" in done.fault
    nothing_left(scene, "stilltree")
    assert gone.succeeded, gone.fault


def test_inherited_rpms_are_held_to_the_keys_of_today(scene, tmp_path):
    key = json.loads((scene.distribution / "distribution.json").read_text())["gpg_key_id"]
    with site_policy(scene, lambda text: text.replace(key, "deadbeef")):
        done = built(scene, tmp_path, "oldkey", "COPY Dockerfile /srv/")
    assert not done.succeeded
    assert "the site's policy refuses this image" in done.fault
    assert "which is not an allowed key" in done.fault and "(rule signing_keys/demo-key" in done.fault
    nothing_left(scene, "oldkey")


def test_a_registry_that_is_not_allowed_is_not_even_asked(scene, tmp_path):
    (tmp_path / "Dockerfile").write_text(
        'FROM foreign.example.org/base:1\nLABEL com.redhat.component="webserver" name="f40/noreg" version="noreg"\n'
    )
    dist_git.create(scene, "noreg", tmp_path)
    done = build.outcome(scene, build.submit(scene, "noreg"))
    assert not done.succeeded
    assert (
        "foreign.example.org/base:1: its registry is not among registry.example.com (rule registries/ours" in done.fault
    )
