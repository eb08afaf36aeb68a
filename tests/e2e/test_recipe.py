"""The recipe's pure parts: Debian's versions, dependencies and archives in RPM's terms."""

import io
import tarfile

import pytest
from distribution import deb_archive, rpm_names, rpm_spec
from distribution.debian_packages import Closure, ClosureError, DebianPackage, Relation, parse_index, parse_relations


def package(name, depends="", provides="", version="1.0-1"):
    return DebianPackage(
        name,
        version,
        "amd64",
        name,
        "",
        parse_relations(depends),
        [r for group in parse_relations(provides) for r in group],
    )


def closure(*packages, dropped=(), own=()):
    return Closure({p.name: p for p in packages}, set(dropped), set(own))


@pytest.mark.parametrize(
    ("debian", "expected"),
    [
        ("1:2.3-4+b1", (1, "2.3", "4+b1.demo40")),
        ("2.3", (None, "2.3", "1.demo40")),
        ("1.0-rc1-2", (None, "1.0.rc1", "2.demo40")),
        ("0:590-2.1~deb12u2", (0, "590", "2.1~deb12u2.demo40")),
    ],
)
def test_a_debian_version_becomes_epoch_version_release(debian, expected):
    assert rpm_names.split_version(debian) == expected


@pytest.mark.parametrize(
    ("relation", "expected"),
    [
        (Relation("libc6", ">=", "2.34"), "libc6 >= 2.34"),
        (Relation("libc6", ">>", "2.36"), "libc6 >= 2.36"),
        (Relation("dnf-data", "=", "4.14.0-3"), "dnf-data = 4.14.0-3.demo40"),
        (Relation("python3", "<<", "3.12"), "python3 < 3.12"),
        (Relation("zlib1g", ">=", "1:1.1.4"), "zlib1g >= 1:1.1.4"),
        (Relation("bash"), "bash"),
    ],
)
def test_a_constraint_without_revision_leaves_the_release_open(relation, expected):
    assert rpm_names.relation(relation) == expected


def test_alternatives_nobody_ships_are_left_out_of_requires():
    needs = package("p", "a | b (>= 2), c | d, gone")
    assert rpm_names.requires(needs, {"a", "b", "d"}) == ["(a or b >= 2)", "d"]


def test_architecture_qualifiers_are_dropped_and_nonsense_is_an_error():
    assert parse_relations("perl:any (>= 5)") == [[Relation("perl", ">=", "5")]]
    with pytest.raises(ClosureError, match="cannot read"):
        parse_relations("good, (>= 1)")


def test_the_first_stanza_of_a_name_wins():
    index = parse_index("Package: a\nVersion: 2\nDepends: b\n\nPackage: a\nVersion: 1\n")
    assert index["a"].version == "2" and index["a"].depends == [[Relation("b")]]


def test_the_closure_prefers_what_is_already_chosen_and_follows_virtual_names():
    chosen = closure(
        package("app", "mailer, tool | other"), package("other"), package("tool"), package("postal", provides="mailer")
    ).resolve(["app", "other"])
    assert sorted(chosen) == ["app", "other", "postal"]


def test_dropped_packages_are_neither_chosen_nor_missed():
    chosen = closure(package("app", "dpkg, debconf | debconf-2.0"), dropped=["dpkg", "debconf", "debconf-2.0"])
    assert list(chosen.resolve(["app"])) == ["app"]


def test_a_missing_dependency_names_itself_and_who_needs_it():
    with pytest.raises(ClosureError, match="nothing provides nowhere, needed by app"):
        closure(package("app", "nowhere")).resolve(["app"])


def ar(members):
    data = b"!<arch>\n"
    for name, content in members.items():
        data += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode() + content
        data += b"\n" * (len(content) % 2)
    return data


def tar(*entries):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz") as archive:
        for name, kind, content in entries:
            item = tarfile.TarInfo(name)
            item.type, item.uname, item.gname, item.mode = kind, "root", "shadow", 0o2755
            if kind == tarfile.SYMTYPE:
                item.linkname = content
            else:
                item.size = len(content)
            archive.addfile(item, io.BytesIO(content.encode()) if kind == tarfile.REGTYPE else None)
    return buffer.getvalue()


def deb(path, *entries, conffiles=""):
    control = tar(("./conffiles", tarfile.REGTYPE, conffiles))
    path.write_bytes(ar({"debian-binary": b"2.0\n", "control.tar.xz": control, "data.tar.xz": tar(*entries)}))
    return path


def test_a_package_is_unpacked_with_merged_usr_owners_and_configuration(tmp_path):
    file = deb(
        tmp_path / "p.deb",
        ("./bin", tarfile.DIRTYPE, ""),
        ("./bin/tool", tarfile.REGTYPE, "x"),
        ("./lib64/ld.so", tarfile.SYMTYPE, "/lib/ld.so"),
        ("./etc/tool.conf", tarfile.REGTYPE, "a=1"),
        ("./usr/share/man/man1/tool.1", tarfile.REGTYPE, "manual"),
        ("./usr/share/doc/p/copyright", tarfile.REGTYPE, "MIT"),
        ("./usr/share/doc/p/changelog.gz", tarfile.REGTYPE, "old"),
        conffiles="/etc/tool.conf\n",
    )
    entries, config, _ = deb_archive.unpack(file, tmp_path / "root")
    assert [e.path for e in entries] == [
        "etc/tool.conf",
        "usr/bin/tool",
        "usr/lib64/ld.so",
        "usr/share/doc/p/copyright",
    ]
    assert entries[1].group == "shadow" and entries[1].mode == 0o2755 and entries[2].mode == 0
    assert config == {"etc/tool.conf"}
    assert (tmp_path / "root/usr/bin/tool").read_text() == "x"


@pytest.mark.parametrize("name", ["../outside", "./usr/../../outside"])
def test_a_path_that_leaves_the_root_is_refused(tmp_path, name):
    file = deb(tmp_path / "p.deb", (name, tarfile.REGTYPE, "x"))
    with pytest.raises(deb_archive.ArchiveError, match="leaves the root"):
        deb_archive.unpack(file, tmp_path / "root")
    assert not (tmp_path / "outside").exists()


def test_something_else_than_an_archive_is_refused(tmp_path):
    (tmp_path / "p.deb").write_bytes(b"PK\x03\x04")
    with pytest.raises(deb_archive.ArchiveError, match="not an ar archive"):
        deb_archive.unpack(tmp_path / "p.deb", tmp_path / "root")


def test_paths_in_a_spec_are_taken_literally():
    entry = deb_archive.Entry("usr/bin/[", 0o755, "root", "root", False)
    assert rpm_spec.file_line(entry, set()) == '%attr(0755,root,root) "/usr/bin/[[]"'
    percent = deb_archive.Entry("etc/100%", 0o644, "root", "root", False)
    assert rpm_spec.file_line(percent, {"etc/100%"}) == '%config(noreplace) %attr(0644,root,root) "/etc/100%%"'
