"""buildSourceContainer as clients call it, on both hubs: which builds have sources, and what is imported of them."""

import koji
import pytest

from scene import image_metadata, import_rpms, make_rpms, upload_import


@pytest.fixture
def image(scene, builder, files, rpm):
    """A complete image build: its row."""
    metadata = image_metadata(scene.name("image"), files, [rpm], task_id=builder.task_id, owner="packager")
    upload_import(builder.session, scene.name("image-upload"), metadata, files)
    return builder.session.CGImport("metadata.json", scene.name("image-upload"))


@pytest.fixture
def submit(scene, packager):
    """Calls buildSourceContainer for a target of this test."""
    target, _, _ = scene.target("sources")
    channel = scene.channel("sources")

    def call(opts, **options):
        return packager.buildSourceContainer(target, opts, channel=channel, **options)

    call.target = target
    return call


def nvr_of(build):
    return "{name}-{version}-{release}".format(**build)


def test_the_build_is_named_by_number_name_or_both_and_the_task_knows_both(packager, submit, image):
    both = {"koji_build_id": image["id"], "koji_build_nvr": nvr_of(image)}
    for given in ({"koji_build_id": image["id"]}, {"koji_build_nvr": nvr_of(image)}, both):
        info = packager.getTaskInfo(submit({**given, "scratch": False, "signing_intent": None}), request=True)
        assert (info["method"], info["arch"]) == ("buildSourceContainer", "noarch")
        assert info["request"] == [submit.target, both]
    task = submit({**both, "scratch": True, "userdata": {"ticket": 7}}, priority=5)
    info = packager.getTaskInfo(task, request=True)
    assert info["request"][1] == {**both, "scratch": True, "userdata": {"ticket": 7}}
    assert info["priority"] == koji.PRIO_DEFAULT + 5


def test_a_build_that_has_no_source_container_is_refused_with_what_it_is(scene, admin, builder, submit, image, tmp_path):
    name = scene.name("library")
    import_rpms(admin, make_rpms(tmp_path, name), scene.name("library-import"))
    builder.session.CGInitBuild("containerbuild", {"name": scene.name("open"), "version": "1", "release": "1"})
    other = scene.name("nothing") + "-1-1"
    for opts, text in (
        ({}, "at least one of koji_build_id and koji_build_nvr"),
        ({"koji_build_nvr": other}, f"There is no build {other}"),
        ({"koji_build_id": 999999999}, "There is no build 999999999"),
        ({"koji_build_nvr": f"{name}-1.0-1"}, "is not a container image"),
        ({"koji_build_nvr": scene.name("open") + "-1-1"}, "is not complete"),
        ({"koji_build_id": image["id"], "koji_build_nvr": f"{name}-1.0-1"}, "both must name the same build"),
        ({"koji_build_id": str(image["id"])}, "must be a number, not a string"),
        ({"koji_build_nrv": "web-1-1"}, "Did you mean `koji_build_nvr`"),
        ({"koji_build_id": image["id"], "signing_intent": "release"}, "the site's policy names the keys"),
        ([1], "must be a struct"),
    ):
        with pytest.raises(koji.ParameterError) as refused:
            submit(opts)
        assert refused.value.faultCode == 1019
        assert text.lower() in str(refused.value).lower(), opts


def test_who_may_call_and_for_what_is_as_for_buildcontainer(hub, scene, packager, submit, image):
    opts = {"koji_build_id": image["id"]}
    with pytest.raises(koji.ActionNotAllowed):
        hub.anonymous().buildSourceContainer(submit.target, opts)
    with pytest.raises(koji.ActionNotAllowed, match="high-priority"):
        submit(opts, priority=-1)
    with pytest.raises(koji.ParameterError, match=f"Did you mean `{submit.target}`"):
        packager.buildSourceContainer(submit.target.replace("sources", "suorces"), opts)


def test_source_containers_come_in_without_rpms_and_have_no_sources_themselves(scene, packager, submit, image, files):
    host = scene.host("source-builder", channel=scene.channel("sources"))
    scene.content_generator(host.name)
    task = submit({"koji_build_id": image["id"]})
    host.take(task)
    extra = {"image": {"parent_images": [], "parent_image_builds": {}, "sources_for_nvr": nvr_of(image)}}
    metadata = image_metadata(image["name"] + "-source", files, [], task_id=task, owner="packager", extra=extra)
    upload_import(host.session, scene.name("source-upload"), metadata, files)
    built = host.session.CGImport("metadata.json", scene.name("source-upload"))
    (archive,) = packager.listArchives(built["id"], type="image")
    assert packager.listRPMs(imageID=archive["id"]) == []
    with pytest.raises(koji.ParameterError, match=f"is itself a source container, of {nvr_of(image)}"):
        submit({"koji_build_id": built["id"]})


def test_the_policy_container_build_is_asked_with_the_images_source(scene, submit, builder, files, rpm):
    other = scene.session("other")
    secret = "git+https://src.example.org/secret-things/web.git#" + "0" * 40
    metadata = image_metadata(scene.name("hidden"), files, [rpm], task_id=builder.task_id, owner="packager", source=secret)
    upload_import(builder.session, scene.name("hidden-upload"), metadata, files)
    image = builder.session.CGImport("metadata.json", scene.name("hidden-upload"))
    with pytest.raises(koji.ActionNotAllowed, match="the secret namespace is not built here"):
        other.buildSourceContainer(submit.target, {"koji_build_id": image["id"]})
    assert submit({"koji_build_id": image["id"]}), "it is a rule about who asks"
