"""RPMs: imported, looked up as provenance does, signed, tagged and listed."""

import base64

import koji
import pytest

from scene import import_rpms, make_rpms


def test_an_imported_rpm_is_found_with_its_sigmd5(scene, admin, packager, tmp_path):
    name = scene.name("app")
    paths = make_rpms(tmp_path, name)
    rows = import_rpms(admin, paths, scene.name("import"))
    header = koji.get_rpm_header(str(paths[1]))
    sigmd5 = koji.hex_string(koji.get_header_field(header, "sigmd5"))
    found = packager.getRPM(f"{name}-1.0-1.noarch")
    assert found["payloadhash"] == sigmd5
    assert (found["external_repo_id"], found["external_repo_name"]) == (0, "INTERNAL")
    assert (found["epoch"], found["draft"], found["metadata_only"]) == (None, False, False)
    assert found["size"] == paths[1].stat().st_size
    assert packager.getRPM(found["id"])["id"] == found["id"] == rows[1]["id"]
    assert packager.getRPM({"name": name, "version": "1.0", "release": "1", "arch": "noarch"})["id"] == found["id"]
    build = packager.getBuild(f"{name}-1.0-1")
    assert (found["build_id"], build["state"]) == (build["id"], koji.BUILD_STATES["COMPLETE"])
    assert sorted(row["arch"] for row in packager.listRPMs(buildID=build["id"])) == ["noarch", "src"]
    assert list(packager.getBuildType(build["id"])) == ["rpm"]


def test_an_unknown_rpm_is_none_or_a_fault(packager):
    assert packager.getRPM("no-such-1-1.noarch") is None
    assert packager.getRPM("no-such-1-1.noarch", multi=True) == []
    with pytest.raises(koji.GenericError):
        packager.getRPM("no-such-1-1.noarch", strict=True)
    assert packager.queryRPMSigs("no-such-1-1.noarch") == []


def test_lookups_come_in_one_multicall(scene, admin, packager, tmp_path):
    name = scene.name("app")
    import_rpms(admin, make_rpms(tmp_path, name), scene.name("import"))
    with packager.multicall() as calls:
        answers = [calls.getRPM(nvra) for nvra in (f"{name}-1.0-1.noarch", "no-such-1-1.noarch", f"{name}-1.0-1.src")]
    assert [answer.result and answer.result["arch"] for answer in answers] == ["noarch", None, "src"]


def test_an_import_needs_an_admin_a_build_and_a_new_name(scene, admin, packager, tmp_path):
    name = scene.name("app")
    source, binary = make_rpms(tmp_path, name)
    with pytest.raises(koji.GenericError):
        import_rpms(admin, [binary], scene.name("import-a"))
    import_rpms(admin, [source, binary], scene.name("import-b"))
    # a real hub finds out from its database: fault 1
    with pytest.raises((koji.GenericError, koji.xmlrpcplus.Fault)):
        import_rpms(admin, [binary], scene.name("import-c"))
    with pytest.raises(koji.ActionNotAllowed):
        import_rpms(packager, [source], scene.name("import-d"))


def test_signatures_are_stored_once(scene, admin, packager, tmp_path):
    name = scene.name("app")
    paths = make_rpms(tmp_path, name)
    import_rpms(admin, paths, scene.name("import"))
    rpm_id = packager.getRPM(f"{name}-1.0-1.noarch")["id"]
    signatures = packager.queryRPMSigs(rpm_id)
    # an unsigned copy is known under the empty key
    assert [(row["rpm_id"], row["sigkey"]) for row in signatures] == [(rpm_id, "")]
    header = base64.b64encode(koji.rip_rpm_sighdr(str(paths[1]))).decode()
    with pytest.raises(koji.GenericError, match="already exists"):
        admin.addRPMSig(rpm_id, header)
    other = base64.b64encode(koji.rip_rpm_sighdr(str(paths[0]))).decode()
    with pytest.raises(koji.GenericError, match="wrong md5"):
        admin.addRPMSig(rpm_id, other)


def test_an_external_rpm_is_known_as_such(scene, admin, packager):
    repo = admin.createExternalRepo(scene.name("mirror"), "http://mirror.example/repo")
    rpm = {
        "name": scene.name("ext"),
        "version": "1",
        "release": "1",
        "arch": "noarch",
        "epoch": None,
        "payloadhash": "ab" * 16,
        "size": 1,
        "buildtime": 1,
    }
    admin.addExternalRPM(rpm, repo["name"])
    found = packager.getRPM(f"{rpm['name']}-1-1.noarch")
    assert (found["build_id"], found["external_repo_name"]) == (None, repo["name"])
    assert found["external_repo_id"] != 0


def test_tagged_rpms_are_listed_with_inheritance_and_latest(scene, admin, packager, tmp_path):
    name = scene.name("app")
    base = scene.tag("base")
    child = scene.tag("child", parent=base)
    scene.package(base, name)
    for release in ("1", "2"):
        (tmp_path / release).mkdir()
        import_rpms(admin, make_rpms(tmp_path / release, name, release=release), scene.name(f"import{release}-"))
        admin.tagBuildBypass(base, f"{name}-1.0-{release}")
    before = packager.getLastEvent()["id"]
    assert [row["nvr"] for row in packager.listTagged(base)] == [f"{name}-1.0-2", f"{name}-1.0-1"]
    assert packager.listTagged(child) == []
    latest = packager.listTagged(child, inherit=True, latest=True)
    assert [(row["nvr"], row["tag_name"]) for row in latest] == [(f"{name}-1.0-2", base)]
    rpms, builds = packager.listTaggedRPMS(child, inherit=True, latest=True, arch=["noarch"])
    assert [(row["name"], row["release"]) for row in rpms] == [(name, "2")] and len(builds) == 1
    admin.untagBuildBypass(base, f"{name}-1.0-2")
    assert [row["nvr"] for row in packager.getLatestBuilds(child)] == [f"{name}-1.0-1"]
    assert [row["nvr"] for row in packager.listTagged(child, inherit=True, latest=True, event=before)] == [f"{name}-1.0-2"]
    assert packager.getNextRelease({"name": name, "version": "1.0"}) == "3"
