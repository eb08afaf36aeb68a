"""pungi's `osbs` phase, unmodified, against the service: what a compose sends and what it reads back.

pungi is in no package registry: the test runs where PUNGI_SRC names a directory with its source and PUNGI_PYTHON
an interpreter that has what it needs (jsonschema, kobo, lxml, productmd, six, dogpile.cache, koji). Its own check
wants the programs implantisomd5, genisoimage, isohybrid and createrepo_c to be there.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from demo import dist_git
from demo.koji_client import call
from demo.scene import PACKAGER, TARGET
from file_server import serving

SOURCE, PYTHON = os.environ.get("PUNGI_SRC"), os.environ.get("PUNGI_PYTHON")
pytestmark = pytest.mark.skipif(not (SOURCE and PYTHON), reason="PUNGI_SRC and PUNGI_PYTHON are not set")

# pungi reads the option `ca` of the koji client's configuration, which newer clients do not have any more; pungi itself
# is as it is.
MAIN = """
import koji
read_config = koji.read_config
def with_ca(*args, **options):
    config = read_config(*args, **options)
    return {"ca": config["serverca"], **config}
koji.read_config = with_ca
from pungi.scripts.pungi_koji import cli_main
cli_main()
"""
VARIANTS = """\
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE variants PUBLIC "-//Red Hat, Inc.//DTD Variants info//EN" "variants2.dtd">
<variants>
  <variant id="Container" name="Container" type="variant"><arches><arch>x86_64</arch></arches></variant>
</variants>
"""
CONFIG = """\
release_name = "Demo"
release_short = "Demo"
release_version = "40"
release_type = "ga"
variants_file = "variants.xml"
koji_profile = "koji"
runroot_tag = ""
sigkeys = [None]
pkgset_source = "koji"
pkgset_koji_tag = "f40"
createrepo_checksum = "sha256"
gather_method = "nodeps"
hashed_directories = True
translate_paths = [({out!r}, {url!r})]
osbs_registries = {{"webserver-*": {{"registry": "registry.example.com"}}}}
osbs = {{"^Container$": {{"url": {scm!r}, "target": {target!r}, "git_branch": "f40", {more}}}}}
"""


@pytest.fixture
def compose(scene, tmp_path):
    """Runs the phase in a compose whose repository holds the distribution; gives the compose's directory."""
    out = tmp_path / "out"
    out.mkdir()
    profile = tmp_path / ".koji/config"
    profile.parent.mkdir()
    profile.write_text(scene.koji_conf(PACKAGER).read_text())
    (tmp_path / "variants.xml").write_text(VARIANTS)
    path = f"{Path(PYTHON).parent}:{os.environ['PATH']}"  # pungi runs `koji watch-task`
    environment = {"PATH": path, "HOME": str(tmp_path), "PYTHONPATH": SOURCE}

    def pungi(*arguments):
        command = [PYTHON, "-c", MAIN, "--config", str(tmp_path / "pungi.conf"), *arguments]
        return subprocess.run(
            command,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=600,
        )

    def run(more=""):
        # Composes write `?#` as well (build-model's tests read it), but pungi looks for a file of its own in the
        # repository first, where git does not understand the `?`, and waits two minutes for it to do.
        scm = scene.scm_url("webserver", dist_git.commit(scene, "webserver"))
        (tmp_path / "pungi.conf").write_text(
            CONFIG.format(out=str(out), url=server.url, scm=scm, target=TARGET, more=more)
        )
        started = pungi("--target-dir", str(out), "--test", "--just-phase", "init")
        (directory,) = (path for path in out.iterdir() if path.is_dir() and not path.is_symlink())
        assert (directory / "compose").is_dir(), started.stderr
        repository = directory / "compose/Container/x86_64/os"
        shutil.copytree(scene.distribution / "repo", repository, dirs_exist_ok=True)
        (directory / "STATUS").write_text("STARTED")  # a finished compose is closed to further phases
        done = pungi("--compose-dir", str(directory), "--test", "--just-phase", "osbs")
        logs = directory / "logs/global/osbs"
        assert done.returncode == 0, done.stderr + "".join(path.read_text() for path in logs.glob("*.log"))
        return directory

    with serving(out) as server:
        yield run


def test_a_compose_builds_an_image_and_records_it(scene, compose):
    directory = compose()
    (image,) = json.loads((directory / "compose/metadata/osbs.json").read_text())["Container"]["x86_64"]
    build = call(scene, "getBuild", image["nvr"])
    assert build["task_id"] == image["koji_task"] and image["image"]["arch"] == "x86_64"
    assert image["docker"]["repositories"] and image["checksum"]
    request = call(scene, "getTaskInfo", image["koji_task"], True)["request"]
    assert [url.endswith(".repo") for url in request[2]["yum_repourls"]] == [True]
    registries = json.loads((directory / "logs/global/osbs-registries.json").read_text())
    assert registries == {image["nvr"]: {"registry": "registry.example.com"}}
    (reuse,) = (directory / "logs/global/osbs").glob("*.reuse.json")
    assert any(name.startswith("bash-") for name in json.loads(Path(reuse).read_text())["rpmlist"])


def test_a_scratch_image_of_a_compose_is_recorded_by_its_repositories(scene, compose):
    directory = compose('"scratch": True')
    (image,) = json.loads((directory / "compose/metadata/osbs.json").read_text())["Container"]["scratch"]
    assert image["repositories"] and call(scene, "getTaskResult", image["koji_task"])["koji_builds"] == []
