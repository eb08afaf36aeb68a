"""`verify` says of a build what the build said of itself: from a machine that has nothing of the builder's, with all
that a dist-git repository may bring, and with the next step where something is away.
"""

import json
import os
import urllib.request

import jsonschema
import pytest
from demo import build, dist_git
from demo.koji_client import call
from demo.scene import REPOSITORY
from demo.show import hub_options

import lying_image
from beside_the_commit import LOOKASIDE, PATTERN, add_submodule, lookaside_cache
from other_machine import OtherMachine
from worker_settings import changed

MACHINE = os.uname().machine
ELF = b"\x7fELF\x02\x01\x01" + bytes(100)
DOCKERFILE = """\
FROM registry.example.com/f40/base:40 AS tools
RUN dnf -y install jq
FROM registry.example.com/f40/base:40
LABEL com.redhat.component="webserver" name="f40/elsewhere" version="elsewhere"
COPY page.html data.tar /srv/
COPY vendor/lib /usr/share/lib
COPY --from=tools /usr/bin/jq /usr/local/bin/jq
RUN dnf -y install nginx-light && cp /srv/data.tar /usr/share/data.tar && echo made > /srv/made && touch /srv/empty
"""


class Built:
    """A build with a file of the lookaside cache and a submodule, and where the cache is."""

    def __init__(self, scene, cache, done):
        self.spec = done.result["repositories"][0]
        self.lookaside = cache.url + PATTERN
        self.nvr = call(scene, "getBuild", int(done.result["koji_builds"][0]))["nvr"]
        name, version, release = self.nvr.rsplit("-", 2)
        url = f"{scene.top_url}/packages/{name}/{version}/{release}/data/logs/provenance-{MACHINE}.json"
        with urllib.request.urlopen(url) as answer:
            self.report = json.load(answer)


@pytest.fixture(scope="module")
def built(scene, tmp_path_factory):
    lib, web = tmp_path_factory.mktemp("lib"), tmp_path_factory.mktemp("web")
    (lib / "lib.txt").write_text("from the submodule\n")
    (lib / "run.sh").write_text("#!/bin/sh\necho from the submodule\n")
    (lib / "run.sh").chmod(0o755)
    dist_git.create(scene, "elsewherelib", lib)
    with lookaside_cache(tmp_path_factory.mktemp("lookaside")) as cache:
        (web / "Dockerfile").write_text(DOCKERFILE)
        (web / "page.html").write_text("<p>elsewhere\n")
        (web / "container.yaml").write_text("submodules: true\n")
        (web / "sources").write_text(cache("elsewhere", "data.tar", "sha512", b"a large file\n" * 1000))
        dist_git.create(scene, "elsewhere", web)
        add_submodule(scene, "elsewhere", "../elsewherelib.git", module="elsewherelib")
        with changed(scene, scm="submodules = true\n", more=LOOKASIDE.format(url=cache.url, more="")):
            done = build.outcome(scene, build.submit(scene, "elsewhere"))
        assert done.succeeded, done.fault
        yield Built(scene, cache, done)


@pytest.fixture
def elsewhere(scene, built, tmp_path):
    """Verifies the image on another machine, with the site's policy: (exit code, the document, standard error)."""
    machine = OtherMachine(tmp_path / "machine")
    policy = machine.put(scene.state / "policy.toml", "/etc/policy.toml")

    def verify(*options, lookaside=built.lookaside, spec=built.spec):
        places = ["--lookaside", lookaside] if lookaside else []
        command = ["verify", spec, "--json", "--config", policy, "--insecure-registry", scene.registry, *places]
        done = machine.run(*command, *hub_options(scene), *options)
        return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr

    return verify


# What a RUN touched without changing it lies in a build's layer directory and is left out when the layer is packed: of
# these classes, which say that nothing is to be said, a build counts more. All others have each path listed.
UNTOLD = {"rpm", "directory", "link", "empty"}


def by_class(report):
    """Class by class: how many paths and bytes, and each record that is listed."""
    files = report["files"]
    counts = {name: count for name, count in files["counts"].items() if name not in UNTOLD}
    listed = {}
    for record in files["paths"]:
        listed.setdefault(record["class"], []).append(record)
    return {name: (count, listed.get(name, [])) for name, count in counts.items()}


def test_another_machine_gives_the_verdicts_and_file_classes_of_the_build(built, elsewhere):
    code, report, error = elsewhere()
    assert code == 0, (error, report and report.get("not_told"))
    jsonschema.validate(report, json.loads((REPOSITORY / "docs/provenance.schema.json").read_text()))
    then, now = by_class(built.report), by_class(report)
    assert then.keys() == now.keys()
    for name, found in then.items():
        assert now[name] == found, name
    commits = {record["path"]: record["source"] for record in now["commit"][1]}
    assert commits["/srv/data.tar"] == "data.tar", "from the lookaside cache"
    assert commits["/usr/share/data.tar"] == "data.tar", "and known by its content where RUN put it"
    assert commits["/usr/share/lib/run.sh"] == "vendor/lib/run.sh", "from the submodule"
    assert "/srv/made" in {record["path"] for record in now["unexplained"][1]}
    keys = ("nvra", "sha256header", "verdict", "by", "origin", "koji", "why")
    packages = [[{key: p[key] for key in keys} for p in r["packages"]] for r in (built.report, report)]
    assert packages[0] == packages[1]
    for key in ("all_proven", "outcome", "manifest_digest", "size", "labels", "source", "problems", "rpmdb", "policy"):
        assert report[key] == built.report[key], key
    paths = [
        {name: r["files"]["counts"].get(name, {"paths": 0})["paths"] for name in UNTOLD} for r in (built.report, report)
    ]
    assert all(paths[0][name] >= paths[1][name] for name in UNTOLD), paths


def test_files_of_a_cache_that_is_not_named_or_away_are_not_told_and_the_rest_is(built, elsewhere):
    for lookaside, words in (
        (None, ["say where it is with --lookaside URL or --config FILE"]),
        (
            "http://127.0.0.1:1" + PATTERN,
            ["sources:1: cannot fetch data.tar", "verify again when the lookaside cache answers"],
        ),
    ):
        code, report, error = elsewhere(lookaside=lookaside)
        assert code == 2, error
        assert report["outcome"] == "not-told"
        (line,) = report["not_told"]
        assert "(classes commit and unexplained)" in line
        for word in words:
            assert word in line, line
        assert report["all_proven"], "the RPMs are proven all the same"
        commits = {record["path"] for record in by_class(report)["commit"][1]}
        assert "/usr/share/lib/run.sh" in commits and "/usr/share/data.tar" not in commits


def test_an_image_whose_history_lies_about_a_layer_is_found_out(scene, built, elsewhere):
    files = {"srv/tool": ELF, "srv/run": b"#!/bin/sh\nexec true\n", "srv/page": b"<p>elsewhere\n"}
    digest = built.report["manifest_digest"]
    spec = lying_image.replace(scene, built.spec, digest, "COPY page.html data.tar /srv/", files)
    code, report, error = elsewhere(spec=spec)
    assert code == 1 and report["outcome"] == "refused", (code, error, report and report["not_told"])
    found = {record["path"]: (record["class"], record["code"]) for record in report["files"]["paths"]}
    assert found["/srv/tool"] == ("unexplained", "binary") and found["/srv/run"] == ("unexplained", "script")
    assert found["/srv/page"][0] == "commit", "what the commit has is the commit's wherever it lies"
    assert found["/srv/page.html"] == ("commit", "none")
