"""Images as packagers write them: they pass, and nobody is told anything."""

from cases.authorities import BUNDLE, SITE
from cases.replaced import archive, attributes
from corpus import BASE, Case, python

TITLE = "Honest images"
CASES = [
    # The repositories' own sections outweigh it; put back, it is as the RPM brought it.
    Case(
        "dnf_conf_edited_in_vain",
        (
            "RUN cp -p /etc/dnf/dnf.conf /tmp/kept && echo 'proxy=http://192.0.2.1:3128' >> /etc/dnf/dnf.conf"
            " && dnf -y --refresh install hello && dnf clean all && mv /tmp/kept /etc/dnf/dnf.conf",
        ),
    ),
    Case("packages", ("RUN dnf -y install hello jq && dnf clean all", "RUN dnf -y remove jq")),
    # Built before rpm 4.14, from the gate and out of the commit: Koji's own file proves them.
    Case("rpm_of_an_old_age", ("RUN dnf -y --repo=request0-old install old && dnf clean all",), offer="old"),
    Case(
        "rpm_of_an_old_age_copied",
        ("COPY x.rpm /tmp/", "RUN rpm -i --nodeps /tmp/x.rpm && rm /tmp/x.rpm"),
        rpms={"x.rpm": "old"},
    ),
    # What authselect's own scriptlet makes of its own profile.
    Case(
        "profile_selected", ("RUN dnf -y --repo=request0-profiles install profiles && dnf clean all",), offer="profiles"
    ),
    Case(
        "other_version_of_a_command_and_a_copy_of_the_same",
        (
            "RUN ln -s /usr/bin/sed /usr/local/bin/sed && cp -p /usr/bin/env /usr/local/bin/env"
            " && cp /usr/bin/env /srv/sh",
        ),
    ),
    Case(
        "variables_that_name_what_is_there",
        (
            "COPY app/ /srv/app/",
            "ENV PYTHONPATH=/srv/app BASH_ENV=/dev/null ENV=production PATH=/srv/app/bin:/usr/bin",
            'ENV NODE_OPTIONS="--max-old-space-size=4096" JAVA_TOOL_OPTIONS="-Djava.io.tmpdir=/tmp"',
        ),
        files={"app/main.py": "print(1)\n"},
    ),
    Case("packages_and_their_metadata", ("RUN dnf -y install hello",)),
    Case(
        "files_of_the_commit",
        (
            "COPY --chmod=755 start /usr/local/bin/start",
            "COPY etc/ /etc/demo/",
            "RUN echo '127.0.0.1 me' >> /etc/services && ln -s start /usr/local/bin/run && mkdir -p /srv/data"
            " && cp /usr/bin/env /srv/data/env && : > /srv/data/empty && ldconfig",
            "COPY <<END /etc/demo/inline.conf\nkey = value\nEND",
        ),
        files={"start": "#!/bin/sh\nexec sleep 1\n", "etc/demo.conf": "a = 1\n"},
    ),
    # As update-ca-trust writes it.
    Case(
        "authority_of_the_commit",
        (
            "COPY site.pem /etc/pki/ca-trust/source/anchors/",
            f"RUN mkdir -p $(dirname {BUNDLE}) && echo '# Site Root CA' > {BUNDLE}"
            f" && cat /etc/pki/ca-trust/source/anchors/site.pem >> {BUNDLE}",
        ),
        files={"site.pem": SITE},
    ),
    Case(
        "stages",
        ("COPY --from=page /page/ /srv/www/", "RUN rm -rf /usr/share/doc"),
        before=(
            f"FROM {BASE} AS page",
            "RUN dnf -y install jq && mkdir /page && rpm -qa | jq -R . > /page/list.json",
        ),
    ),
    # As Fedora's: packages, a user, its data, a script for the start, logs to the standard output.
    Case(
        "web_server",
        (
            "RUN dnf -y install nginx-light && dnf clean all && rm -rf /var/cache/dnf /var/log/dnf*",
            "RUN echo 'app:x:1001:0::/srv:/sbin/nologin' >> /etc/passwd && echo 'app:*:19000::::::' >> /etc/shadow"
            " && mkdir -p /srv/app && chown 1001:0 /srv/app && chmod 2770 /srv/app",
            "RUN ln -sf /dev/stdout /var/log/nginx/access.log && ln -sf /dev/stderr /var/log/nginx/error.log"
            " && sed -i 's/^user .*/user app;/' /etc/nginx/nginx.conf",
            "COPY --chown=1001:0 --chmod=755 start.sh /srv/app/",
            "COPY nginx.conf /etc/nginx/conf.d/app.conf",
            "USER 1001",
            "EXPOSE 8080",
            "VOLUME /srv/app/data",
            'HEALTHCHECK CMD ["/srv/app/start.sh", "check"]',
            'ENTRYPOINT ["/srv/app/start.sh"]',
            'CMD ["nginx", "-g", "daemon off;"]',
        ),
        files={"start.sh": '#!/bin/sh\nexec "$@"\n', "nginx.conf": "server_tokens off;\n"},
    ),
    # What `systemctl enable` and `mask` do, and a unit of the packager's.
    Case(
        "service_enabled",
        (
            "COPY app.service /etc/systemd/system/",
            "COPY limits.conf /etc/systemd/system/app.service.d/",
            "RUN mkdir -p /etc/systemd/system/multi-user.target.wants"
            " && ln -s /etc/systemd/system/app.service /etc/systemd/system/multi-user.target.wants/app.service"
            " && ln -s /dev/null /etc/systemd/system/getty.target",
            "COPY colours.sh /etc/profile.d/",
            "COPY --chmod=440 sudoers /etc/sudoers.d/app",
        ),
        files={
            "app.service": "[Service]\nExecStart=/usr/bin/true\n",
            "limits.conf": "[Service]\nLimitNOFILE=1000\n",
            "colours.sh": "export CLICOLOR=1\n",
            "sudoers": "app ALL=(root) /usr/bin/true\n",
        },
    ),
    Case(
        "alternatives",
        (
            "RUN dnf -y install hello && dnf clean all && mkdir -p /etc/alternatives"
            " && ln -s /usr/bin/hello /etc/alternatives/hi && ln -s /etc/alternatives/hi /usr/bin/hi",
        ),
    ),
    Case(
        "configuration_of_the_commit_over_an_rpm_s",
        ("COPY profile /etc/profile", "COPY services /etc/services"),
        files={"profile": "export PATH=/usr/bin\n", "services": "http 80/tcp\n"},
    ),
    # No package manager in the result, but its rpmdb: what `dnf --installroot` is for.
    Case(
        "root_of_its_own",
        ("COPY --from=make /mnt/root/ /", 'CMD ["/usr/bin/hello"]'),
        before=(
            f"FROM {BASE} AS make",
            "RUN dnf -y --installroot=/mnt/root --releasever=40 install filesystem libc6 hello"
            " && dnf -y --installroot=/mnt/root clean all && rm -rf /mnt/root/var/log/* /mnt/root/var/lib/dnf/*",
        ),
        base="scratch",
    ),
    Case(
        "application_of_the_commit",
        (
            "WORKDIR /srv/app",
            "COPY app/ .",
            "RUN python3 -m main && python3 -c 'import helper'",
            "ENV PYTHONPATH=/srv/app",
            'ENTRYPOINT ["python3", "main.py"]',
        ),
        files={"app/main.py": "import helper\n", "app/helper.py": "print('hello')\n"},
    ),
    Case(
        "files_of_a_proven_image",
        (f"COPY --from={BASE} /etc/os-release /srv/release", f"COPY --from={BASE} /usr/bin/env /srv/env"),
    ),
    Case("cache_mount", ("RUN --mount=type=cache,target=/var/cache/dnf dnf -y install hello",)),
    Case(
        "archive_of_the_commit",
        ("ADD page.tar /srv/www/",),
        files={"page.tar": archive(("index.html", b"<p>hello</p>", 0o644))},
    ),
    # Nothing of the system is hidden by it.
    Case(
        "archive_with_marks_of_an_overlay",
        ("ADD all.tar /", "RUN rpm -q sed && ls /usr/bin/sed && ! ls /srv/x/python3.11"),
        files={
            "all.tar": attributes(
                ("usr/lib/sysimage/rpm", "trusted.overlay.opaque", "y"),
                ("srv/x", "trusted.overlay.redirect", "/usr/lib"),
            )
        },
    ),
    # Nor does a file get the setuid bit from what storage of containers would read there: layers have no such marks.
    Case(
        "marks_of_overlays_by_a_step",
        (
            python(
                'import os; os.setxattr("/usr/bin/sed", "user.containers.override_stat", b"0:0:04755");'
                ' os.setxattr("/usr/lib/sysimage/rpm", "user.fuseoverlayfs.opaque", b"y")'
            ),
        ),
    ),
    Case("programs_deleted", ("RUN rm /usr/bin/awk /usr/bin/nawk /usr/bin/mawk",)),
]
