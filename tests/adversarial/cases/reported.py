"""What a site is told of, and by default lets pass: no program, but not as it should be either."""

from cases.replaced import archive
from corpus import BASE, ELF, RPMDB, Case, python

TITLE = "Reported"
_DATA = "1 unexplained files: "
CASES = [
    Case(
        "data_made_by_a_step",
        ("RUN mkdir /srv/d && head -c 1000 /dev/urandom > /srv/d/data",),
        ("1 unexplained files: /srv/d/data (RUN",),
    ),
    # Lying where rpm or dnf keep something explains nothing.
    *(
        Case(
            f"archive_{name}",
            (f"RUN mkdir -p $(dirname {path}) && tar -C /etc -czf {path} services",),
            (f"{_DATA}{path} (",),
        )
        for name, path in (
            ("beside_the_rpmdb", f"{RPMDB}.tar.gz"),
            ("in_a_cache_of_dnf", "/var/cache/dnf/x.tar.gz"),
            ("that_is_called_a_log", "/var/log/app/x.log"),
            ("in_the_cache_of_root", "/root/.cache/x"),
        )
    ),
    Case(
        "record_of_the_build_forged",
        (
            "RUN mkdir -p /root/buildinfo/content_manifests"
            " && printf '{\\n}' > /root/buildinfo/content_manifests/other-1-1.json",
        ),
        (f"{_DATA}/root/buildinfo/content_manifests/other-1-1.json (RUN",),
    ),
    Case("manual_page_forged", ("RUN echo '.TH \"X\"' > /help.1",), (f"{_DATA}/help.1 (RUN",)),
    Case(
        "data_of_an_rpm_altered",
        ("RUN echo more >> /usr/lib/os-release && rm /etc/os-release && ln -s ../usr/lib/os-release /etc/os-release",),
        ("files altered after an RPM brought them: ",),
    ),
    Case(
        "permissions_of_an_rpm_s_file_changed",
        ("RUN chmod 711 /usr/bin/sed",),
        ("1 files of RPMs with other permissions: /usr/bin/sed (sed-4", "other mode"),
    ),
    Case(
        "owner_of_an_rpm_s_file_changed",
        ("RUN chown 1234 /usr/bin/sed",),
        ("1 files of RPMs with other permissions: /usr/bin/sed (sed-4", "other owner"),
    ),
    # Its paths lead no further than where it is unpacked.
    Case(
        "archive_that_leads_out",
        ("ADD all.tar /srv/",),
        ("1 programs in the commit that cannot be reviewed: /srv/usr/bin/sed (ADD all.tar",),
        files={"all.tar": archive(("../../../../../../../../usr/bin/sed", ELF, 0o755))},
    ),
    # Nor do its links: the root is the directory it is unpacked in.
    Case(
        "archive_with_a_link_that_leads_out",
        ("ADD all.tar /srv/",),
        ("1 programs in the commit that cannot be reviewed: /srv/usr/bin/sed (ADD all.tar",),
        files={"all.tar": archive(("tools", "/usr/bin"), ("tools/sed", ELF, 0o755))},
    ),
    Case(
        "attribute_of_an_rpm_s_file_added",
        (python('import os; os.setxattr("/usr/bin/sed", "user.note", b"x")'),),
        ("1 files of RPMs with other permissions: /usr/bin/sed (sed-4", "other attributes"),
    ),
    Case(
        "binary_of_the_commit",
        ("COPY tool /usr/local/bin/tool",),
        ("1 programs in the commit that cannot be reviewed: /usr/local/bin/tool (tool)",),
        files={"tool": ELF},
    ),
    Case(
        "koji_s_rpm_without_its_rpmdb_entry",
        ("COPY --from=make /usr/bin/hello /usr/bin/hello",),
        ("1 files of RPMs that the image does not list: /usr/bin/hello (hello-2.10-3",),
        before=(f"FROM {BASE} AS make", "RUN dnf -y install hello"),
    ),
    Case(
        "rpmdb_moved_and_linked",
        ("RUN mv /usr/lib/sysimage/rpm /opt/rpm && ln -s /opt/rpm /usr/lib/sysimage/rpm",),
        (
            "files altered after an RPM brought them: /usr/lib/sysimage/rpm (filesystem-40",
            "unexplained files: /opt/rpm/",
        ),
    ),
    # A volume or another layer could bring it.
    *(
        Case(
            f"{name}_of_a_variable_not_there",
            (f"ENV {variable}={value}",),
            (f"{_DATA}{path} (ENV {variable} names it",),
        )
        for name, variable, value, path in (
            ("library", "LD_PRELOAD", "/srv/volume/x.so", "/srv/volume/x.so"),
            ("library_by_its_name", "LD_AUDIT", "libgone.so.1", "libgone.so.1"),
            ("libraries", "LD_LIBRARY_PATH", "/usr/local/nvidia/lib64", "/usr/local/nvidia/lib64"),
            ("modules", "PYTHONPATH", "/usr/share:/srv/volume", "/srv/volume"),
            ("start", "PYTHONSTARTUP", "/srv/start.py", "/srv/start.py"),
            ("perl_modules", "PERL5LIB", "/srv/perl", "/srv/perl"),
            ("script_of_shells", "BASH_ENV", "/srv/start.sh", "/srv/start.sh"),
            ("settings_of_git", "GIT_CONFIG_SYSTEM", "/srv/gitconfig", "/srv/gitconfig"),
            ("authorities", "SSL_CERT_FILE", "/run/secrets/ca.pem", "/run/secrets/ca.pem"),
        )
    ),
]
