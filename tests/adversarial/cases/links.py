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
    Case(
        "command_hidden_by_a_copy_of_another",
        ("RUN cp /usr/bin/true /usr/local/bin/rpm",),
        (UNEXPLAINED, "/usr/local/bin/rpm (a copy of ", "/true of coreutils-", "; not the /usr/bin/rpm of rpm-"),
    ),
    Case(
        "command_hidden_by_a_hard_link_to_another",
        ("RUN mkdir -p /usr/local/sbin && ln /usr/bin/true /usr/local/sbin/sh",),
        (UNEXPLAINED, "/usr/local/sbin/sh (a copy of ", "; not the /usr/bin/sh of "),
    ),
    Case(
        "command_hidden_by_a_link_to_another",
        ("RUN ln -s ../../bin/true /usr/local/bin/sha256sum",),
        (
            UNEXPLAINED,
            "/usr/local/bin/sha256sum (RUN",
            "it leads to /usr/bin/true of coreutils-",
            "not the /usr/bin/sha256sum of",
        ),
    ),
    Case(
        "command_hidden_through_alternatives",
        (
            "RUN mkdir -p /etc/alternatives && ln -s /usr/bin/true /etc/alternatives/rpm"
            " && ln -s /etc/alternatives/rpm /usr/sbin/rpm",
        ),
        (UNEXPLAINED, "/usr/sbin/rpm (RUN", "it leads to /usr/bin/true of coreutils-", "not the /usr/bin/rpm of rpm-"),
    ),
    Case(
        "command_hidden_in_a_directory_of_the_search_path",
        ("RUN mkdir /srv/b && cp /usr/bin/true /srv/b/sed", "ENV PATH=/srv/b:$PATH"),
        (UNEXPLAINED, "/srv/b/sed (a copy of ", "; not the /usr/bin/sed of sed-"),
    ),
    # What authselect's own scriptlet makes passes (cases/honest.py); the same links to something else do not.
    Case(
        "rule_of_a_profile_replaced",
        (
            "RUN dnf -y --repo=request0-profiles install profiles"
            " && sed -i 's/pam_unix/pam_permit/' /etc/authselect/system-auth",
        ),
        (
            UNEXPLAINED,
            "/etc/pam.d/system-auth (",
            "it decides who may become whom; it leads to /etc/authselect/system-auth",
        ),
        offer="profiles",
    ),
    Case(
        "rule_of_a_profile_left_out",
        ("RUN dnf -y --repo=request0-profiles install profiles && sed -i /deny/d /etc/authselect/password-auth",),
        (UNEXPLAINED, "/etc/pam.d/password-auth (", "it leads to /etc/authselect/password-auth"),
        offer="profiles",
    ),
    Case(
        "profile_of_its_own",
        (
            "RUN dnf -y --repo=request0-profiles install profiles && mkdir -p /etc/authselect/custom/mine"
            " && echo 'auth sufficient pam_permit.so' | tee /etc/authselect/custom/mine/system-auth"
            " > /etc/authselect/system-auth && echo custom/mine > /etc/authselect/authselect.conf",
        ),
        (UNEXPLAINED, "/etc/pam.d/system-auth (", "it leads to /etc/authselect/system-auth"),
        offer="profiles",
    ),
    Case(
        "template_of_a_profile_replaced",
        (
            "RUN dnf -y --repo=request0-profiles install profiles && echo 'auth sufficient pam_permit.so'"
            " | tee /usr/share/authselect/default/local/system-auth > /etc/authselect/system-auth",
        ),
        (UNEXPLAINED, "/etc/pam.d/system-auth (", "it leads to /etc/authselect/system-auth"),
        offer="profiles",
    ),
    Case(
        "link_of_a_profile_leads_elsewhere",
        (
            "RUN dnf -y --repo=request0-profiles install profiles && echo 'auth sufficient pam_permit.so' > /srv/x"
            " && ln -sf /srv/x /etc/pam.d/system-auth",
        ),
        (UNEXPLAINED, "/etc/pam.d/system-auth (", "it leads to /srv/x, unexplained"),
        offer="profiles",
    ),
]
