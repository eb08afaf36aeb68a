"""Reservations and imports of image builds. What the plugin refuses of them is in test_import_check.py."""

import koji
import pytest
import requests

from scene import image_metadata, upload_import


@pytest.fixture
def generator(scene):
    return scene.content_generator()


def test_a_reservation_is_given_back(scene, admin, packager, generator):
    name = scene.name("image")
    reserved = admin.CGInitBuild(generator, {"name": name, "version": "1.0", "release": "1"})
    assert len(reserved["token"]) == 64
    build = packager.getBuild(reserved["build_id"])
    assert (build["nvr"], build["state"], build["cg_name"]) == (f"{name}-1.0-1", koji.BUILD_STATES["BUILDING"], generator)
    assert (build["owner_name"], build["task_id"], build["completion_ts"]) == ("kojiadmin", None, None)
    with pytest.raises(koji.GenericError, match="Token doesn't match"):
        admin.CGRefundBuild(generator, reserved["build_id"], "0" * 64)
    admin.CGRefundBuild(generator, reserved["build_id"], reserved["token"], koji.BUILD_STATES["FAILED"])
    assert packager.getBuild(f"{name}-1.0-1")["state"] == koji.BUILD_STATES["FAILED"]
    # and the name is free again, under the same id
    again = admin.CGInitBuild(generator, {"name": name, "version": "1.0", "release": "1"})
    assert again["build_id"] == reserved["build_id"] and again["token"] != reserved["token"]


def test_a_name_is_reserved_once(scene, admin, generator):
    host = scene.host()
    task_id = scene.task(host.channel)
    data = {"name": scene.name("image"), "version": "1.0", "release": "1", "task_id": task_id}
    admin.CGInitBuild(generator, dict(data))
    with pytest.raises(koji.GenericError, match="already reserved"):
        admin.CGInitBuild(generator, dict(data))
    with pytest.raises(koji.GenericError, match="already in progress"):
        admin.CGInitBuild(generator, {**data, "task_id": task_id + 1000})
    with pytest.raises(koji.GenericError):
        admin.CGInitBuild(generator, {**data, "release": "1-2"})
    assert [build["nvr"] for build in admin.listBuilds(taskID=task_id)] == [f"{data['name']}-1.0-1"]
    # cancelling the task cancels the reserved build
    admin.cancelTask(task_id)
    assert admin.getBuild(f"{data['name']}-1.0-1")["state"] == koji.BUILD_STATES["CANCELED"]


def test_only_granted_users_act_for_a_content_generator(scene, packager, generator):
    with pytest.raises(koji.AuthError) as refused:
        packager.CGInitBuild(generator, {"name": scene.name("image"), "version": "1.0", "release": "1"})
    assert refused.value.faultCode == 1002
    assert "kojiadmin" in packager.listCGs()[generator]["users"]


def test_a_reserved_image_is_imported_with_its_rpms(hub, scene, packager, generator, builder, files, rpm):
    task_id = builder.task_id
    name, directory = scene.name("image"), scene.name("cg-upload")
    reserved = builder.session.CGInitBuild(generator, {"name": name, "version": "1.0", "release": "1", "task_id": task_id})
    metadata = image_metadata(
        name,
        files,
        [rpm],
        build_id=reserved["build_id"],
        task_id=task_id,
        owner="packager",
    )
    metadata["build"]["extra"]["container_koji_task_id"] = task_id
    upload_import(builder.session, directory, metadata, files)
    build = builder.session.CGImport("metadata.json", directory, reserved["token"])
    assert build["id"] == reserved["build_id"]
    build = packager.getBuild(f"{name}-1.0-1")
    assert (build["state"], build["task_id"], build["owner_name"]) == (koji.BUILD_STATES["COMPLETE"], task_id, "packager")
    assert build["source"] == metadata["build"]["source"]
    assert build["extra"]["container_koji_task_id"] == task_id
    assert list(packager.getBuildType(build["id"])) == ["image"]

    archives = packager.listArchives(buildID=build["id"], type="image")
    assert [row["filename"] for row in archives] == [files[0][0].name]
    archive = archives[0]
    assert archive["extra"]["image"]["arch"] == archive["arch"] == "x86_64"
    assert (archive["btype"], archive["type_name"], archive["build_id"]) == ("image", "tar", build["id"])
    assert archive["checksum"] == metadata["output"][0]["checksum"]
    assert archive["checksum_type"] == koji.CHECKSUM_TYPES["sha256"]
    assert packager.getArchive(archive["id"])["rootid"] is True
    assert [row["name"] for row in packager.listRPMs(imageID=archive["id"])] == [rpm["name"]]
    root = packager.getBuildroot(archive["buildroot_id"])
    assert (root["cg_name"], root["cg_version"], root["host_os"], root["arch"]) == (generator, "1", "fedora-40", "x86_64")
    assert [entry["name"] for entry in packager.getBuildLogs(build["id"])] == ["x86_64.log"]
    top = f"{hub.topurl}/packages/{name}/1.0/1"
    assert requests.get(f"{top}/images/{files[0][0].name}", timeout=30).content == files[0][0].read_bytes()
    assert requests.get(f"{top}/data/logs/x86_64.log", timeout=30).text == "built\n"
    assert requests.get(f"{top}/metadata.json", timeout=30).json()["build"]["name"] == name
    # the uploads became links, and the reservation is used up
    with pytest.raises(koji.GenericError):
        builder.session.CGImport("metadata.json", directory, reserved["token"])


def test_an_image_without_reservation_is_imported(scene, packager, builder, files, rpm):
    name, directory = scene.name("image"), scene.name("cg-upload")
    metadata = image_metadata(name, files, [rpm], task_id=builder.task_id, owner="packager")
    upload_import(builder.session, directory, metadata, files)
    # as a struct instead of a file
    builder.session.CGImport(metadata, directory)
    build = packager.getBuild(f"{name}-1.0-1")
    assert (build["completion_ts"], build["task_id"]) == (1700000100.0, builder.task_id)
    with pytest.raises(koji.GenericError, match="already exists"):
        builder.session.CGImport(metadata, directory)


BROKEN = {
    "wrong size": lambda m: m["output"][0].update(filesize=1),
    "wrong checksum": lambda m: m["output"][0].update(checksum="0" * 64),
    "missing file": lambda m: m["output"][0].update(filename="no-such.tar.gz"),
    "unknown extension": lambda m: m["build"].update(release="2") or m["output"][0].update(type="thing", extra={}),
    "unused buildroot": lambda m: m["buildroots"].append({**m["buildroots"][0], "id": "unused"}),
    "unknown buildroot": lambda m: m["output"][0].update(buildroot_id="other"),
    "unknown owner": lambda m: m["build"].update(owner="nobody-knows"),
    "unknown build type": lambda m: m["build"]["extra"].update(typeinfo={"no-such-type": {}}),
    "two task ids": lambda m: m["build"].update(task_id=1) or m["build"]["extra"].update(container_koji_task_id=2),
    "no such version": lambda m: m.update(metadata_version=7),
    "token without reservation": lambda m: m.update(token="0" * 64),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_metadata_imports_nothing(scene, packager, builder, files, rpm, case):
    name, directory = scene.name("image"), scene.name("cg-upload")
    metadata = image_metadata(name, files, [rpm], task_id=builder.task_id, owner="packager")
    BROKEN[case](metadata)
    token = metadata.pop("token", None)
    upload_import(builder.session, directory, metadata, files)
    with pytest.raises((koji.GenericError, koji.xmlrpcplus.Fault)) as refused:
        builder.session.CGImport("metadata.json", directory, token)
    assert "Invalid method" not in str(refused.value)
    assert "is not allowed: " not in str(refused.value), "the hub itself refuses it, before the plugin is asked"
    assert packager.getBuild(f"{name}-1.0-1") is None
    assert packager.getBuild(f"{name}-1.0-2") is None


def test_a_failed_build_of_the_same_name_can_be_imported_over(scene, packager, generator, builder, files, rpm):
    name, directory = scene.name("image"), scene.name("cg-upload")
    reserved = builder.session.CGInitBuild(generator, {"name": name, "version": "1.0", "release": "1"})
    builder.session.CGRefundBuild(generator, reserved["build_id"], reserved["token"])
    metadata = image_metadata(name, files, [rpm], task_id=builder.task_id, owner="packager")
    upload_import(builder.session, directory, metadata, files)
    builder.session.CGImport("metadata.json", directory)
    build = packager.getBuild(f"{name}-1.0-1")
    assert (build["id"], build["state"]) == (reserved["build_id"], koji.BUILD_STATES["COMPLETE"])
