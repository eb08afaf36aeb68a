"""What the suite would say of images that differ: each kind of difference is seen, and nothing else is."""

import copy
import io
import tarfile

import pytest

import compare
from context import CAPABILITY, STAMP
from image import Entry, Image, apply


def an_image():
    file = Entry("file", 0o644, "0:0", STAMP, b"text\n", xattrs={"user.a": b"1"})
    tree = {
        "": Entry("dir", 0o755, "0:0", 1),
        "f": file,
        "same": file,
        "link": Entry("symlink", 0o777, "0:0", 1, target="f"),
        "long": Entry("file", 0o644, "0:0", 1, b"x" * 100),
        "null": Entry("char", 0o666, "0:0", 1, target="1:3"),
    }
    return Image(tree, {"Env": ["a=1"], "Cmd": []}, 1, {})


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("f", {"mode": 0o4644}),
        ("f", {"owner": "1:0"}),
        ("f", {"content": b"texT\n"}),
        ("f", {"xattrs": {"user.a": b"2"}}),
        ("f", {"xattrs": {"security.capability": CAPABILITY}}),
        ("f", {"mtime": STAMP + 1}),
        ("f", {"kind": "fifo"}),
        ("link", {"target": "/f"}),
        ("long", {"content": b"x" * 99 + b"y"}),
        ("null", {"target": "1:5"}),
    ],
)
def test_every_property_of_a_file_counts(path, change):
    before, after = an_image(), an_image()
    vars(after.tree[path]).update(change)
    assert f"/{path}" in compare.differences(compare.lines(before), compare.lines(after))


def test_a_hard_link_is_not_a_copy():
    before, after = an_image(), an_image()
    after.tree["same"] = copy.copy(after.tree["f"])
    assert set(compare.differences(compare.lines(before), compare.lines(after))) == {"/f", "/same"}


def test_missing_files_and_config_fields_count_and_empty_fields_do_not():
    before, after = an_image(), an_image()
    del after.tree["null"], after.config["Cmd"]
    after.config["Env"] = ["a=2"]
    found = compare.differences(compare.lines(before), compare.lines(after))
    assert found == {"/null": ("char 0666 0:0 1:3", "-"), "config Env": ('["a=1"]', '["a=2"]')}


def layer(*entries):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, kind in entries:
            info = tarfile.TarInfo(name)
            info.type = kind
            tar.addfile(info)
    return buffer.getvalue()


def tree_of(*layers):
    tree = {}
    for data in layers:
        apply(tree, data)
    return sorted(tree)


FILE, DIR = tarfile.REGTYPE, tarfile.DIRTYPE
BELOW = layer(("d", DIR), ("d/a", FILE), ("d/b", FILE), ("e", FILE))


def test_whiteouts_hide_what_lower_layers_have():
    assert tree_of(BELOW, layer(("d", DIR), ("d/.wh.a", FILE))) == ["d", "d/b", "e"]
    assert tree_of(BELOW, layer((".wh.d", FILE))) == ["e"]
    assert tree_of(BELOW, layer(("d", DIR), ("d/n", FILE), ("d/.wh..wh..opq", FILE))) == ["d", "d/n", "e"]
    assert tree_of(BELOW, layer(("d", FILE), (".wh.e", FILE))) == ["d"]


def test_an_entry_without_its_directory_is_an_error():
    with pytest.raises(ValueError, match="/x/y has no parent"):
        tree_of(BELOW, layer(("x/y", FILE)))
