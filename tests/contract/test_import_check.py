"""The plugin's preImport callback, on both hubs: what may come in as an image, and what an attacker might try instead.

The attacker may import for the content generator (a stolen builder), or is an honest builder with a careless worker.
"""

import copy
import itertools

import koji
import pytest

from scene import image_metadata, import_rpms, make_rpms, upload_import

STRANGER = {"name": "stranger", "version": "1", "release": "1", "arch": "x86_64", "sigmd5": "ab" * 16}


@pytest.fixture
def honest(scene, builder, files, rpm):
    """Metadata that would be imported."""
    return image_metadata(scene.name("image"), files, [rpm], task_id=builder.task_id, owner="packager")


@pytest.fixture
def refusal(scene, builder, files):
    """The fault of an import; checks that nothing was imported, and that it is this plugin which refuses."""

    numbers = itertools.count(1)

    def attempt(metadata, session=None):
        session = session or builder.session
        directory = f"{scene.name('cg-upload')}-{next(numbers)}"
        upload_import(session, directory, metadata, files)
        with pytest.raises(koji.CallbackError) as refused:
            session.CGImport("metadata.json", directory)
        assert refused.value.faultCode == 1017
        nvr = "{name}-{version}-{release}".format(**metadata["build"])
        assert f"The import of {nvr} is not allowed: " in str(refused.value)
        assert session.getBuild(nvr) is None
        return str(refused.value)

    return attempt


def image_of(metadata):
    """The entry of the image archive."""
    return next(entry for entry in metadata["output"] if entry["type"] == "docker-image")


def with_rpms(metadata, *components):
    image_of(metadata)["components"] = [{"type": "rpm", "epoch": None, "signature": None, **rpm} for rpm in components]
    return metadata


def imported(scene, admin, tmp_path, stem="gone"):
    """A component of an RPM build of this test alone."""
    name = scene.name(stem)
    import_rpms(admin, make_rpms(tmp_path, name), scene.name(f"import-{stem}"))
    found = admin.getRPM(f"{name}-1.0-1.noarch")
    return {key: found[key] for key in ("name", "version", "release", "arch")} | {"sigmd5": found["payloadhash"]}


def test_an_rpm_koji_does_not_know_is_refused(honest, refusal, rpm):
    text = refusal(with_rpms(honest, rpm, STRANGER))
    assert "1 of its 2 RPMs are not RPMs of this Koji: stranger-1-1.x86_64 (not built here)" in text


def test_an_rpm_with_other_content_is_refused(honest, refusal, rpm):
    text = refusal(with_rpms(honest, {**rpm, "sigmd5": "cd" * 16}))
    assert f"same name, other content: sigmd5 {'cd' * 16}, Koji's is {rpm['sigmd5']}" in text


def test_an_rpm_with_another_epoch_is_refused(honest, refusal, rpm):
    assert "(epoch 1, Koji's has no epoch)" in refusal(with_rpms(honest, {**rpm, "epoch": 1}))


def test_an_rpm_only_seen_outside_is_refused(scene, admin, honest, refusal):
    repo = admin.createExternalRepo(scene.name("mirror"), "http://mirror.example/repo")
    rpm = {**STRANGER, "name": scene.name("ext"), "epoch": None, "payloadhash": "ab" * 16, "size": 1, "buildtime": 1}
    admin.addExternalRPM({key: value for key, value in rpm.items() if key != "sigmd5"}, repo["name"])
    assert "only seen in an external repository" in refusal(with_rpms(honest, {k: rpm[k] for k in STRANGER}))


def test_an_rpm_of_a_deleted_build_is_refused(scene, admin, honest, refusal, tmp_path):
    gone = imported(scene, admin, tmp_path)
    admin.deleteBuild("{name}-{version}-{release}".format(**gone))
    assert admin.getRPM("{name}-{version}-{release}.{arch}".format(**gone)), "the hub itself still knows it by name"
    assert "(its build was deleted)" in refusal(with_rpms(honest, gone))


def test_a_list_that_is_empty_absent_or_of_other_things_is_refused(honest, refusal):
    for components in ([], None, "absent"):
        metadata = copy.deepcopy(honest)
        if components == "absent":
            del image_of(metadata)["components"]
        else:
            image_of(metadata)["components"] = []
            image_of(metadata)["metadata_only"] = components is None
        assert "is an image that lists no RPM" in refusal(metadata)


def test_an_image_under_the_name_of_another_build_type_is_refused(admin, honest, refusal):
    if "remote-sources" not in [row["name"] for row in admin.listBTypes()]:
        admin.addBType("remote-sources")
    honest["build"]["extra"] = {"typeinfo": {"remote-sources": {}}}
    image_of(honest).update(extra={"typeinfo": {"remote-sources": {}}}, components=[])
    text = refusal(honest)
    assert "is an image that lists no RPM" in text and "parent_images is missing" in text


def test_a_build_without_any_image_is_refused(honest, refusal, files):
    honest["output"] = [entry for entry in honest["output"] if entry["type"] == "log"]
    assert "there is no image archive in it" in refusal(honest)


def test_an_rpm_cannot_be_brought_in_as_kojis_own(scene, honest, refusal, files, tmp_path):
    source, _ = make_rpms(tmp_path, scene.name("evil"))
    files.append((source, "rpm"))
    honest["output"] = image_metadata("x", files)["output"][:1] + image_metadata("x", files)["output"][-1:]
    honest["output"][0]["components"] = []
    assert f"{source.name} is an RPM, which it would make one of this Koji's" in refusal(honest)


def test_a_second_output_is_looked_at_like_the_first(honest, refusal, files, tmp_path):
    second = tmp_path / "docker-image-second.aarch64.tar.gz"
    second.write_bytes(files[0][0].read_bytes())
    files.append((second, "docker-image"))
    entry = image_metadata("x", [files[-1]], [STRANGER])["output"][0]
    honest["output"].append({**entry, "extra": {"image": {"arch": "aarch64"}}})
    assert "stranger-1-1.x86_64 (not built here)" in refusal(honest)


def test_parents_must_be_complete_builds(scene, admin, builder, honest, refusal, files, rpm):
    reserved = builder.session.CGInitBuild("containerbuild", {"name": scene.name("base"), "version": "1", "release": "1"})
    unfinished = {"id": reserved["build_id"], "nvr": f"{scene.name('base')}-1-1"}
    cases = {
        "no build is named for it": None,
        "there is no build 999999": {"id": 999999, "nvr": "base-1-1"},
        "is still being built": unfinished,
        f"not {rpm['name']}-9-9": {"id": reserved["build_id"], "nvr": f"{rpm['name']}-9-9"},
    }
    for reason, build in cases.items():
        metadata = copy.deepcopy(honest)
        metadata["build"]["extra"]["image"].update(
            parent_images=["registry.example.com/base:1"], parent_image_builds={"registry.example.com/base:1": build}
        )
        text = refusal(metadata)
        assert "registry.example.com/base:1" in text and reason in text
    del honest["build"]["extra"]["image"]["parent_images"]
    assert "parent_images is missing" in refusal(honest)


def test_a_complete_build_may_be_a_parent(scene, builder, packager, honest, files, rpm):
    base = packager.getBuild(packager.getRPM("{name}-{version}-{release}.{arch}".format(**rpm))["build_id"])
    honest["build"]["extra"]["image"].update(
        parent_images=["r/base:1"],
        parent_image_builds={"r/base:1": {"id": base["id"], "nvr": base["nvr"]}},
        parent_build_id=base["id"],
    )
    upload_import(builder.session, scene.name("cg-upload"), honest, files)
    build = builder.session.CGImport("metadata.json", scene.name("cg-upload"))
    assert packager.getBuild(build["id"])["state"] == koji.BUILD_STATES["COMPLETE"]


def test_the_task_must_be_named_open_and_a_build_of_the_same_owner(scene, admin, builder, honest, refusal):
    def task(**changes):
        metadata = copy.deepcopy(honest)
        metadata["build"].update(changes)
        return refusal(metadata)

    unnamed = copy.deepcopy(honest)
    del unnamed["build"]["task_id"]
    assert "it names no task" in refusal(unnamed)
    assert "there is no task 999999" in task(task_id=999999)
    assert f"belongs to packager, the build would to {builder.name}" in task(owner=builder.name)
    other = scene.task(builder.channel)
    assert f"task {other} is a sleep task, not buildContainer" in task(task_id=other)
    waiting = scene.build_task(scene.session("packager"), scene.channel("nobody"))
    assert f"task {waiting} is FREE, not OPEN" in task(task_id=waiting)
    admin.cancelTask(builder.task_id)
    assert f"task {builder.task_id} is CANCELED, not OPEN" in task()


def test_only_the_host_that_runs_the_task_imports(scene, admin, honest, refusal):
    scene.content_generator()
    assert "runs on another host than the one that imports" in refusal(copy.deepcopy(honest), admin)
    other = scene.host("other")
    scene.content_generator(other.name)
    assert "runs on another host than the one that imports" in refusal(honest, other.session)


def test_imports_of_other_content_generators_are_left_alone(scene, admin, packager, files):
    other = scene.content_generator(name="other-generator")
    name, directory = scene.name("image"), scene.name("cg-upload")
    metadata = image_metadata(name, files, [STRANGER])
    metadata["buildroots"][0]["content_generator"]["name"] = other
    upload_import(admin, directory, metadata, files)
    admin.CGImport("metadata.json", directory)
    build = packager.getBuild(f"{name}-1.0-1")
    assert build["cg_name"] == other
    # what the hub itself does with an RPM it does not know: nothing
    archive = packager.listArchives(buildID=build["id"])[0]
    assert packager.listRPMs(imageID=archive["id"]) == []
