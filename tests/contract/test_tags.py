"""Tags, inheritance, targets, package lists, and the past of all of them."""

import koji
import pytest


def test_a_tag_is_made_read_and_changed(scene, admin, packager):
    name = scene.tag(arches="x86_64 aarch64", extra={"repo.opts": {"src": True}})
    tag = packager.getTag(name)
    assert (tag["name"], tag["arches"], tag["locked"], tag["perm"]) == (name, "x86_64 aarch64", False, None)
    assert tag["extra"] == {"repo.opts": {"src": True}}
    assert packager.getTag(tag["id"]) == tag
    admin.editTag2(name, locked=True, extra={"mock.package_manager": "dnf"}, remove_extra=["repo.opts"], perm="admin")
    changed = packager.getTag(name)
    assert (changed["locked"], changed["perm"], changed["extra"]) == (True, "admin", {"mock.package_manager": "dnf"})
    with pytest.raises(koji.ActionNotAllowed):
        packager.createTag(scene.name("forbidden"))
    with pytest.raises(koji.GenericError):
        admin.createTag(name)


def test_an_unknown_tag_or_target_is_none_or_a_fault(packager):
    assert packager.getTag("no-such-tag") is None
    assert packager.getBuildTarget("no-such-target") is None
    with pytest.raises(koji.GenericError):
        packager.getTag("no-such-tag", strict=True)
    with pytest.raises(koji.GenericError):
        packager.getBuildConfig("no-such-tag")


def test_configuration_is_inherited(scene, admin, packager):
    base = scene.tag("base", arches="x86_64", extra={"a": 1, "b": 1})
    child = scene.tag("child", extra={"b": 2}, parent=base)
    # a new tag has an empty list of arches, which is one; null inherits
    assert packager.getBuildConfig(child)["arches"] == ""
    admin.editTag2(child, arches=None)
    config = packager.getBuildConfig(child)
    base_id = packager.getTag(base)["id"]
    assert (config["arches"], config["extra"]) == ("x86_64", {"a": 1, "b": 2})
    assert config["config_inheritance"] == {
        "arches": {"id": base_id, "name": base},
        "extra": {"a": {"id": base_id, "name": base}},
    }
    assert packager.getTag(child)["arches"] is None


def test_inheritance_is_ordered_and_deep(scene, admin, packager):
    tags = {name: scene.tag(name) for name in ("top", "left", "right", "bottom")}
    ids = {name: packager.getTag(tag)["id"] for name, tag in tags.items()}

    def link(child, parent, priority, **options):
        options = {"maxdepth": None, "intransitive": False, "noconfig": False, "pkg_filter": "", **options}
        data = admin.getInheritanceData(tags[child])
        admin.setInheritanceData(tags[child], data + [{"parent_id": ids[parent], "priority": priority, **options}])

    link("top", "right", 20)
    link("top", "left", 10)
    link("left", "bottom", 0)
    link("right", "bottom", 0)
    order = packager.getFullInheritance(tags["top"])
    assert [(row["parent_id"], row["currdepth"]) for row in order] == [
        (ids["left"], 1),
        (ids["bottom"], 2),
        (ids["right"], 1),
    ]
    assert [row["name"] for row in packager.getInheritanceData(tags["top"])] == [tags["left"], tags["right"]]
    admin.setInheritanceData(tags["top"], [{"parent_id": ids["left"], "delete link": True}])
    assert [row["parent_id"] for row in packager.getFullInheritance(tags["top"])] == [ids["right"], ids["bottom"]]


def test_a_target_names_its_tags(scene, admin, packager):
    name, build, dest = scene.target()
    target = packager.getBuildTarget(name)
    assert {key: target[key] for key in ("name", "build_tag_name", "dest_tag_name")} == {
        "name": name,
        "build_tag_name": build,
        "dest_tag_name": dest,
    }
    assert sorted(target) == ["build_tag", "build_tag_name", "dest_tag", "dest_tag_name", "id", "name"]
    assert [row["name"] for row in packager.getBuildTargets(destTagID=target["dest_tag"])] == [name]
    admin.deleteBuildTarget(name)
    assert packager.getBuildTarget(name) is None


def test_the_past_is_answered_at_an_event(scene, admin, packager):
    name, build, dest = scene.target()
    before = packager.getLastEvent()["id"]
    later = scene.tag("later")
    admin.editBuildTarget(name, name, build, later)
    admin.editTag2(build, arches="aarch64")
    assert packager.getBuildTarget(name)["dest_tag_name"] == later
    assert packager.getBuildTarget(name, event=before)["dest_tag_name"] == dest
    assert packager.getBuildConfig(build)["arches"] == "aarch64"
    assert packager.getBuildConfig(build, event=before)["arches"] == "x86_64"
    assert packager.getTag(later, event=before) is None
    assert packager.getLastEvent()["id"] > before


def test_a_package_list_is_inherited_and_blocks(scene, admin, packager):
    base, child = scene.tag("base"), None
    child = scene.tag("child", parent=base)
    name = scene.package(base, scene.name("pkg"))
    entry = packager.getPackageConfig(child, name)
    assert (entry["package_name"], entry["tag_name"], entry["blocked"], entry["owner_name"]) == (name, base, False, "kojiadmin")
    assert packager.checkTagPackage(child, name) is True
    admin.packageListBlock(child, name)
    assert packager.getPackageConfig(child, name)["blocked"] is True
    assert packager.checkTagPackage(child, name) is False
    assert packager.getPackageConfig(base, name)["blocked"] is False
    assert packager.getPackageConfig(base, scene.name("unknown")) is None
    listed = packager.listPackages(tagID=base)
    assert [row["package_name"] for row in listed] == [name]
    with pytest.raises(koji.ActionNotAllowed):
        packager.packageListAdd(base, scene.name("forbidden"), owner="packager")
