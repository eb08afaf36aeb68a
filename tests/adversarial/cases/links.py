"""Links by which what is obeyed lies elsewhere: the file itself looks like data in an ordinary place."""

from corpus import ALTERED, BASE, UNEXPLAINED, Case

TITLE = "Links that lead elsewhere"
CASES = [
    Case(
        "directory_of_cron_is_a_link",
        ("RUN mkdir /srv/c && echo '* * * * * root true' > /srv/c/job && ln -s /srv/c /etc/cron.d",),
        (UNEXPLAINED, "/srv/c/job (RUN", "cron runs what it names", "by the link /etc/cron.d"),
    ),
    Case(
        "directory_of_overrides_is_a_link",
        (
            "RUN mkdir -p /srv/o /etc/systemd/system && echo '[Service]' > /srv/o/x"
            " && ln -s ../../../srv/o /etc/systemd/system/a.service.d",
        ),
        (UNEXPLAINED, "/srv/o/x (RUN", "systemd runs what it names"),
    ),
    Case(
        "directory_of_a_stage_is_a_link",
        ("COPY --from=make /c /srv/c", "RUN ln -s /srv/c /etc/cron.d"),
        (UNEXPLAINED, "/srv/c/job (COPY --from=make", "cron runs what it names"),
        before=(f"FROM {BASE} AS make", "RUN mkdir /c && echo '* * * * * root true' > /c/job"),
    ),
    Case(
        "directory_of_the_loader_moved_behind_a_link",
        ("RUN mv /etc/ld.so.conf.d /srv/l && ln -s /srv/l /etc/ld.so.conf.d && echo /tmp > /srv/l/x.conf",),
        (UNEXPLAINED, "/srv/l/x.conf (RUN", "the loader maps what it names into programs"),
    ),
    Case(
        "directory_of_keys_is_a_link",
        ("RUN mkdir /srv/k && echo 'ssh-ed25519 AAAA' > /srv/k/authorized_keys && ln -s /srv/k /root/.ssh",),
        (UNEXPLAINED, "/srv/k/authorized_keys (RUN", "it decides who may become whom"),
    ),
    Case(
        "command_is_a_link_to_where_anybody_writes",
        ("RUN ln -s /tmp/sed /usr/local/bin/sed",),
        (UNEXPLAINED, "/usr/local/bin/sed (RUN", "it leads to /tmp/sed, which is not in the image"),
    ),
    Case(
        "library_is_a_link_to_where_anybody_writes",
        ("RUN ln -s ../../../var/tmp/l.so /usr/local/lib/libz.so.1",),
        (UNEXPLAINED, "/usr/local/lib/libz.so.1 (RUN", "it leads to /var/tmp/l.so, which is not in the image"),
    ),
    Case(
        "command_is_a_link_to_a_script_where_anybody_writes",
        ("COPY --chmod=755 start /tmp/start", "RUN ln -s /tmp/start /usr/local/bin/start"),
        (UNEXPLAINED, "/usr/local/bin/start (RUN", "it leads to /tmp/start, where anybody may write"),
        files={"start": "#!/bin/sh\nexec true\n"},
    ),
    Case(
        "command_is_a_link_to_whatever_the_process_has",
        ("RUN ln -s /proc/self/cwd/git /usr/local/bin/git",),
        (UNEXPLAINED, "/usr/local/bin/git (RUN", "it leads to /proc/self/cwd/git"),
    ),
    Case(
        "command_of_an_rpm_led_to_another_program",
        ("RUN ln -sf true /usr/bin/awk",),
        (ALTERED, "/usr/bin/awk (mawk-1", "other target"),
    ),
    Case(
        "commands_of_the_system_moved_aside",
        ("RUN mkdir /b && cp /usr/bin/true /b/sh && rm /bin && /usr/bin/mv /b /bin",),
        (ALTERED, "/bin (filesystem-40", "other type"),
    ),
]
