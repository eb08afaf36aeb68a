"""Foreign RPMs, installed past dnf or unpacked without a word in the rpmdb."""

from corpus import ALTERED, CONTRADICTION, NOT_KOJI, NOTKOJI, TAMPERED, UNEXPLAINED, Case, script

TITLE = "RPMs from somewhere else"
SPEC = r"\nVersion: 1\nRelease: 1\nSummary: s\nLicense: l\nBuildArch: noarch\n%%description\nd\n%%files\n"
CASES = [
    Case(
        "copied_rpm_installed",
        ("COPY foreign.rpm /tmp/", "RUN rpm -i --nodeps /tmp/foreign.rpm && rm /tmp/foreign.rpm"),
        (NOT_KOJI, "notkoji-1.0-1", "(unknown-to-koji)"),
        foreign={"foreign.rpm": NOTKOJI},
    ),
    Case(
        "copied_rpm_with_a_known_name",
        ("COPY foreign.rpm /tmp/", "RUN rpm -i --nodeps /tmp/foreign.rpm"),
        (NOT_KOJI, "hello-2.10-3", "(digest-differs)"),
        foreign={"foreign.rpm": TAMPERED},
    ),
    Case(
        "rpm_built_in_place",
        (
            rf"RUN printf 'Name: mine{SPEC}' > /tmp/mine.spec && rpmbuild -bb /tmp/mine.spec && rpm -i --nodeps"
            " $(find / -xdev -name 'mine-1-1.noarch.rpm')",
        ),
        (NOT_KOJI, "mine-1-1.noarch", "(unknown-to-koji)"),
    ),
    Case(
        "package_that_calls_itself_a_key",
        (
            rf"RUN printf 'Name: gpg-pubkey{SPEC}' > /tmp/k.spec && rpmbuild -bb /tmp/k.spec"
            " && rpm -i --nodeps --justdb $(find / -xdev -name 'gpg-pubkey-1-1.noarch.rpm')",
        ),
        (NOT_KOJI, "gpg-pubkey-1-1", "(unknown-to-koji)"),
    ),
    Case(
        "foreign_rpm_by_justdb",
        ("COPY foreign.rpm /tmp/", "RUN rpm -i --justdb --nodeps /tmp/foreign.rpm"),
        (NOT_KOJI, "notkoji-1.0-1", "(unknown-to-koji)"),
        foreign={"foreign.rpm": NOTKOJI},
    ),
    Case(
        "own_rpm_by_justdb",
        (
            "RUN dnf -y install --downloadonly --downloaddir=/tmp hello && rpm -i --justdb --nodeps /tmp/hello*.rpm"
            " && rm /tmp/hello*.rpm",
        ),
        (CONTRADICTION, "hello-2.10-3", "is in the rpmdb, but not installed", "/usr/bin/hello"),
    ),
    # rpm notes for every file whether it was left out; no digest covers the note.
    Case(
        "own_rpm_by_justdb_with_its_files_noted_as_left_out",
        (
            "COPY states.py /tmp/",
            "RUN dnf -y install --downloadonly --downloaddir=/tmp hello && rpm -i --justdb --nodeps /tmp/hello*.rpm"
            " && python3 /tmp/states.py hello 2 && rm /tmp/*",
        ),
        (CONTRADICTION, "hello-2.10-3", "is in the rpmdb, but not installed", "/usr/bin/hello"),
        files={"states.py": script("states.py")},
    ),
    Case(
        "own_rpm_by_justdb_with_its_files_noted_as_replaced",
        (
            "COPY states.py /tmp/",
            "RUN dnf -y install --downloadonly --downloaddir=/tmp hello && rpm -i --justdb --nodeps /tmp/hello*.rpm"
            " && python3 /tmp/states.py hello 1 && rm /tmp/*",
        ),
        (CONTRADICTION, "hello-2.10-3", "is in the rpmdb, but not installed", "/usr/bin/hello"),
        files={"states.py": script("states.py")},
    ),
    Case(
        "package_taken_out_of_the_rpmdb",
        ("RUN rpm -e --justdb --nodeps sed",),
        (CONTRADICTION, "sed-4", "was taken out of the rpmdb", "still there"),
    ),
    Case(
        "foreign_rpm_unpacked",
        (
            "COPY foreign.rpm /tmp/",
            "RUN cd / && rpm2archive /tmp/foreign.rpm && tar xzf /tmp/foreign.rpm.tgz && rm /tmp/foreign.rpm*",
        ),
        (UNEXPLAINED, "/usr/bin/hello (RUN cd / && rpm2archive"),
        foreign={"foreign.rpm": TAMPERED},
    ),
    Case(
        "foreign_rpm_unpacked_over_koji_s",
        (
            "COPY foreign.rpm /tmp/",
            "RUN dnf -y install hello && cd / && rpm2archive /tmp/foreign.rpm && tar xzf /tmp/foreign.rpm.tgz"
            " && rm /tmp/foreign.rpm*",
        ),
        (ALTERED, "/usr/bin/hello (hello-2.10-3"),
        foreign={"foreign.rpm": TAMPERED},
    ),
    Case(
        "foreign_rpm_in_a_root_of_its_own",
        (
            "COPY foreign.rpm /tmp/",
            "RUN mkdir /srv/root && rpm --root /srv/root -i --nodeps /tmp/foreign.rpm && rm /tmp/foreign.rpm",
        ),
        (UNEXPLAINED, "/srv/root/usr/bin/notkoji", "another rpmdb lies at /srv/root/"),
        foreign={"foreign.rpm": NOTKOJI},
    ),
    Case(
        "foreign_rpm_in_a_database_of_its_own",
        (
            "COPY foreign.rpm /tmp/",
            "RUN rpm --dbpath /opt/rpm -i --nodeps /tmp/foreign.rpm && rm /tmp/foreign.rpm",
        ),
        (UNEXPLAINED, "/usr/bin/notkoji", "another rpmdb lies at /opt/rpm/rpmdb.sqlite"),
        foreign={"foreign.rpm": NOTKOJI},
    ),
    Case(
        "rpm_told_to_use_another_database",
        ("RUN echo '%_dbpath /opt/rpm' >> /etc/rpm/macros",),
        (ALTERED, "/etc/rpm/macros (demo-release-40", "rpm and dnf run what it names"),
    ),
    Case(
        "rpm_file_through_another_stage",
        ("COPY --from=make /made.rpm /srv/picture.png",),
        (UNEXPLAINED, "/srv/picture.png (COPY --from=make"),
        before=(
            "FROM registry.example.com/f40/base:40 AS make",
            rf"RUN printf 'Name: mine{SPEC}' > /tmp/m.spec && rpmbuild -bb /tmp/m.spec"
            " && cp $(find / -xdev -name 'mine-1-1.noarch.rpm') /made.rpm",
        ),
    ),
]
