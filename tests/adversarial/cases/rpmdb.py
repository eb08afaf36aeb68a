"""The rpmdb edited, forged, replaced, moved and hidden."""

from corpus import CONTRADICTION, NOT_KOJI, NOTKOJI, RPMDB, Case, script, sql

TITLE = "A rpmdb that does not tell the truth"
DIRECTORY = "/usr/lib/sysimage/rpm"
HEADER = {"header.py": script("header.py")}


def _header(*arguments):
    return ("COPY header.py /tmp/", f"RUN python3 /tmp/header.py {' '.join(arguments)} && rm /tmp/header.py")


CASES = [
    Case(
        "package_renamed_in_its_row",
        _header("break", "sed", "sed", "sad"),
        (NOT_KOJI, "(broken-rpm)", "SHA256HEADER declares"),
        files=HEADER,
    ),
    # The name of the row, and every digest over it.
    Case(
        "package_renamed_and_header_digests_forged",
        _header("forge", "sed", "sed", "sad"),
        (NOT_KOJI, "sad-4", "(unknown-to-koji)"),
        files=HEADER,
    ),
    # SIGMD5 is copied from the true header. The hubs here record no header digests, but Koji's own file has one.
    Case(
        "header_digests_forged",
        _header("forge", "sed", "/bin", "/bim"),
        (NOT_KOJI, "sed-4", "(digest-differs)", "header SHA-256"),
        files=HEADER,
    ),
    Case(
        "header_bomb_in_the_rpmdb",
        _header("bomb", "sed"),
        (NOT_KOJI, "(broken-rpm)", "declares 2147483647 index entries"),
        files=HEADER,
    ),
    Case(
        "package_twice_in_the_rpmdb",
        _header("twice", "sed"),
        (NOT_KOJI, "sed-4", "(duplicate)"),
        files=HEADER,
    ),
    Case(
        "index_calls_a_package_something_else",
        ("RUN " + sql("update Name set key = 'sad' where key = 'sed'"),),
        (NOT_KOJI, "(broken-rpm)", "the index of names calls it"),
    ),
    Case(
        "package_not_in_the_index_of_names",
        ("RUN " + sql("delete from Name where key = 'sed'"),),
        (NOT_KOJI, "(broken-rpm)", "is not in the index of names"),
    ),
    Case("rpmdb_deleted", (f"RUN rm -r {DIRECTORY}",), (NOT_KOJI, "(no-rpmdb)")),
    Case("rpmdb_moved", (f"RUN mv {DIRECTORY} /opt/rpm",), (NOT_KOJI, "(no-rpmdb)")),
    Case(
        "rpmdb_behind_a_link_that_leads_nowhere",
        (f"RUN mv {DIRECTORY} /opt/rpm && ln -s /run/rpm {DIRECTORY}",),
        (NOT_KOJI, "(no-rpmdb)"),
    ),
    Case(
        "rpmdb_overwritten",
        (f"RUN echo 'this is no database' > {RPMDB}",),
        (NOT_KOJI, "(unreadable-rpmdb)"),
    ),
    Case("rpmdb_emptied", (f"RUN : > {RPMDB}",), (NOT_KOJI, "(unreadable-rpmdb)", "no table `Packages`")),
    Case(
        "rpmdb_that_is_a_view",
        (
            "RUN "
            + sql("alter table Packages rename to Hidden; create view Packages as select * from Hidden where hnum > 3"),
        ),
        (NOT_KOJI, "(unreadable-rpmdb)", "no table `Packages`"),
    ),
    # Such a column can say something else to every version of SQLite.
    Case(
        "rpmdb_with_a_computed_column",
        (
            "RUN "
            + sql(
                "create table Made (hnum integer primary key, kept blob, blob blob as (kept));"
                " insert into Made (hnum, kept) select hnum, blob from Packages; drop table Packages;"
                " alter table Made rename to Packages"
            ),
        ),
        (NOT_KOJI, "(unreadable-rpmdb)", "computed"),
    ),
    Case(
        "rpmdb_in_the_middle_of_a_transaction",
        (
            "COPY foreign.rpm hot_journal.py /tmp/",
            "RUN rpm -i --justdb --nodeps /tmp/foreign.rpm && python3 /tmp/hot_journal.py && rm /tmp/*",
        ),
        (NOT_KOJI, "(unreadable-rpmdb)", "rollback journal"),
        files={"hot_journal.py": script("hot_journal.py")},
        foreign={"foreign.rpm": NOTKOJI},
    ),
    Case(
        "package_taken_out_in_the_write_ahead_log",
        ("COPY live_wal.py /tmp/", "RUN python3 /tmp/live_wal.py sed && rm /tmp/live_wal.py"),
        (NOT_KOJI, "(edited-rpmdb)", "rpm's index has sed as row"),
        files={"live_wal.py": script("live_wal.py")},
    ),
    Case(
        "rpmdb_row_deleted",
        ("RUN " + sql("delete from Packages where hnum in (select hnum from Name where key = 'sed')"),),
        (NOT_KOJI, "(edited-rpmdb)", "rpm's index has sed as row", "there is no such row"),
    ),
    Case(
        "rpmdb_begun_anew",
        (f"RUN rm -r {DIRECTORY} && rpm --initdb",),
        (CONTRADICTION, "was taken out of the rpmdb", "more"),
    ),
    Case(
        "second_rpmdb",
        (
            f"RUN mkdir -p /usr/share/rpm && cp {RPMDB} /usr/share/rpm/"
            " && " + sql("delete from Packages where hnum = 1", "/usr/share/rpm/rpmdb.sqlite"),
        ),
        (NOT_KOJI, "(unreadable-rpmdb)", "several rpmdbs"),
    ),
    Case(
        "second_rpmdb_in_the_place_of_the_link",
        (
            f"RUN rm /var/lib/rpm && mkdir /var/lib/rpm && cp {RPMDB} /var/lib/rpm/"
            " && " + sql("delete from Packages where hnum = 1"),
        ),
        (NOT_KOJI, "(unreadable-rpmdb)", "several rpmdbs"),
    ),
    Case(
        "second_rpmdb_of_another_format",
        (f"RUN head -c 8192 /dev/zero > {DIRECTORY}/Packages",),
        (NOT_KOJI, "(unreadable-rpmdb)", "several rpmdbs"),
    ),
    Case(
        "whole_rpmdb_of_the_parent_and_a_foreign_package_beside_it",
        (
            "COPY foreign.rpm /tmp/",
            f"RUN cp {RPMDB} /tmp/true && rpm -i --nodeps /tmp/foreign.rpm && cp /tmp/true {RPMDB}"
            f" && rm -f {RPMDB}-wal {RPMDB}-shm /tmp/*",
        ),
        ("unexplained programs: ", "/usr/bin/notkoji"),
        foreign={"foreign.rpm": NOTKOJI},
    ),
]
