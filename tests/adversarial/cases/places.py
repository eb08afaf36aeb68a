"""Texts in places where something obeys them, links to such texts, and texts that the image's configuration runs."""

from corpus import ALTERED, BASE, UNEXPLAINED, Case

TITLE = "Texts that something runs"
LOADER = "the loader maps what it names into programs"
SHELL = "shells run it when they start"


def _text(path, text="text"):
    return f"RUN mkdir -p $(dirname {path}) && echo '{text}' > {path}"


def _placed(name, path, runs, text="text"):
    return Case(name, (_text(path, text),), (UNEXPLAINED, f"{path} (RUN", runs))


CASES = [
    _placed("ld_so_preload", "/etc/ld.so.preload", LOADER, "/srv/x"),
    _placed("ld_so_conf", "/etc/ld.so.conf.d/x.conf", LOADER, "/tmp"),
    _placed("profile_script", "/etc/profile.d/colours.sh", SHELL),
    _placed("profile_of_root", "/root/.bashrc", SHELL),
    _placed("cron_job", "/etc/cron.d/job", "cron runs what it names", "* * * * * root true"),
    _placed("crontab_of_root", "/var/spool/cron/root", "cron runs what it names", "* * * * * true"),
    _placed("systemd_unit", "/etc/systemd/system/x.service", "systemd runs what it names"),
    _placed("systemd_override", "/etc/systemd/system/a.service.d/x.conf", "systemd runs what it names"),
    _placed("tmpfiles", "/etc/tmpfiles.d/x.conf", "run when a system starts", "C /etc/x - - - - /srv/x"),
    _placed("dbus_service", "/usr/share/dbus-1/system-services/x.service", "dbus runs what it names"),
    _placed("udev_rule", "/etc/udev/rules.d/x.rules", "udev and modprobe run what it names"),
    _placed("sudo_rule", "/etc/sudoers.d/x", "it decides who may become whom", "app ALL=(ALL) NOPASSWD: ALL"),
    _placed("key_of_root", "/root/.ssh/authorized_keys", "it decides who may become whom", "ssh-ed25519 AAAA"),
    _placed("pam_rule", "/etc/pam.d/x", "it decides who may become whom", "auth sufficient pam_permit.so"),
    _placed("macros_of_rpm", "/etc/rpm/macros.x", "rpm and dnf run what it names", "%_dbpath /opt/rpm"),
    _placed("git_configuration", "/etc/gitconfig", "git runs what it names", "[core] pager = sh /srv/x"),
    _placed("ssh_client", "/etc/ssh/ssh_config.d/x.conf", "ssh runs what it names", "ProxyCommand sh /srv/x"),
    _placed("log_rotation", "/etc/logrotate.d/x", "logrotate runs what it names"),
    _placed("core_pattern", "/etc/sysctl.d/x.conf", "the kernel runs or allows", "kernel.core_pattern=|/bin/sh /srv/x"),
    _placed("interpreter_of_the_kernel", "/etc/binfmt.d/x.conf", "the kernel runs or allows", ":x:E::x::/bin/sh:"),
    _placed("system_user", "/usr/lib/sysusers.d/x.conf", "it decides who may become whom", "u toor 0"),
    _placed("shell_completion", "/usr/share/bash-completion/completions/ls", SHELL),
    _placed("environment_of_logins", "/etc/environment", "the environment of logins", "LD_PRELOAD=/srv/x"),
    _placed("log_daemon", "/etc/rsyslog.d/x.conf", "rsyslog runs what it names"),
    _placed("editor", "/root/.vimrc", "runs the commands in it"),
    _placed("authority_trusted", "/etc/pki/ca-trust/source/anchors/x.pem", "it decides whom programs believe"),
    _placed("key_trusted", "/etc/pki/rpm-gpg/RPM-GPG-KEY-x", "it decides whom programs believe"),
    _placed("web_page_that_runs", "/srv/www/index.phtml", "its interpreter runs it by its name"),
    _placed("directory_of_authorities_by_digest", "/etc/pki/tls/certs/deadbeef.0", "it decides whom programs believe"),
    _placed("key_in_the_directory_of_rpm_6", "/usr/lib/sysimage/rpm/pubkeys/x.key", "it decides whom programs believe"),
    _placed("images_trusted", "/etc/containers/policy.json", "it decides whom programs believe"),
    _placed("authorities_of_java", "/usr/lib/jvm/java-21/lib/security/cacerts", "it decides whom programs believe"),
    _placed("settings_of_rpm", "/etc/rpmrc", "rpm and dnf run what it names"),
    _placed("macros_of_root", "/root/.config/rpm/macros", "rpm and dnf run what it names", "%_dbpath /opt/rpm"),
    _placed("module_of_p11_kit", "/etc/pkcs11/modules/x.module", "p11-kit loads and runs", "remote: |sh /srv/x"),
    _placed("git_configuration_of_a_repository", "/srv/repo/.git/config", "git runs what it names"),
    _placed("user_of_systemd", "/etc/userdb/x.user", "it decides who may become whom"),
    _placed("rule_of_dbus", "/etc/dbus-1/system.d/x.conf", "it decides who may become whom"),
    _placed("action_of_polkit", "/usr/share/polkit-1/actions/x.policy", "it decides who may become whom"),
    _placed("container_of_systemd", "/etc/containers/systemd/x.container", "systemd runs what it names"),
    _placed("web_directory_that_runs", "/srv/www/.htaccess", "web servers obey it"),
    _placed("mail_that_runs", "/root/.forward", "mail programs run what it names", "|sh /srv/x"),
    _placed("python_led_to_other_modules", "/usr/bin/pyvenv.cfg", "Python loads its modules", "home = /tmp"),
    _placed("module_of_node", "/usr/lib/node_modules/x/index.js", "Node runs it"),
    Case(
        "macros_of_an_rpm_s_platform_edited",
        ("RUN echo '%_dbpath /opt/rpm' >> /usr/lib/rpm/platform/x86_64-linux/macros",),
        (ALTERED, "/usr/lib/rpm/platform/x86_64-linux/macros (rpm-common-4", "rpm and dnf run what it names"),
    ),
    Case(
        "repository_of_a_stage",
        ("COPY --from=make /x /etc/yum.repos.d/x.repo",),
        (UNEXPLAINED, "/etc/yum.repos.d/x.repo (COPY --from=make", "dnf installs from where it says"),
        before=(f"FROM {BASE} AS make", "RUN printf '[x]\\nname=x\\nbaseurl=http://mirror.example.com/\\n' > /x"),
    ),
    Case(
        "environment_names_authorities",
        (_text("/srv/data"), "ENV SSL_CERT_FILE=/srv/data"),
        (UNEXPLAINED, "/srv/data (RUN", "ENV SSL_CERT_FILE runs it"),
    ),
    Case(
        "environment_names_a_directory_of_authorities",
        (_text("/srv/certs/deadbeef.0"), "ENV SSL_CERT_DIR=/srv/certs"),
        (UNEXPLAINED, "/srv/certs/deadbeef.0 (RUN", "ENV SSL_CERT_DIR runs it"),
    ),
    Case(
        "environment_names_rpm_s_configuration",
        (_text("/srv/rpm/macros", "%_dbpath /opt/rpm"), "ENV RPM_CONFIGDIR=/srv/rpm"),
        (UNEXPLAINED, "/srv/rpm/macros (RUN", "ENV RPM_CONFIGDIR runs it"),
    ),
    Case(
        "environment_names_converters",
        (_text("/srv/g/gconv-modules", "module A// B// /tmp/x 1"), "ENV GCONV_PATH=/srv/g"),
        (UNEXPLAINED, "/srv/g/gconv-modules (RUN", "ENV GCONV_PATH runs it"),
    ),
    Case(
        "command_runs_a_text_inside_code",
        (_text("/srv/notes", "import os"), 'CMD ["python3", "-c", "exec(open(\'/srv/notes\').read())"]'),
        (UNEXPLAINED, "/srv/notes (RUN", "CMD runs it"),
    ),
    Case(
        "command_runs_a_text_behind_an_init",
        (_text("/srv/notes"), 'ENTRYPOINT ["tini", "--", "sed", "-n", "-f", "/srv/notes"]'),
        (UNEXPLAINED, "/srv/notes (RUN", "ENTRYPOINT runs it"),
    ),
    Case(
        "environment_of_another_language_runs_a_text",
        (_text("/srv/notes"), 'ENV LUA_INIT="@/srv/notes" VIMINIT="source /srv/notes"'),
        (UNEXPLAINED, "/srv/notes (RUN", "runs it"),
    ),
    Case(
        "profile_script_is_a_link_to_data",
        ("RUN echo text > /srv/data && mkdir -p /etc/profile.d && ln -s /srv/data /etc/profile.d/data.sh",),
        (UNEXPLAINED, "/etc/profile.d/data.sh (RUN", "it leads to /srv/data, unexplained"),
    ),
    Case(
        "profile_script_is_a_link_to_what_a_stage_made",
        ("COPY --from=make /data /srv/data", "RUN mkdir -p /etc/profile.d && ln -s /srv/data /etc/profile.d/data.sh"),
        (UNEXPLAINED, "/etc/profile.d/data.sh (RUN", "it leads to /srv/data, data from other stages"),
        before=(f"FROM {BASE} AS make", "RUN echo text > /data"),
    ),
    Case(
        "preload_is_a_link_to_where_anybody_writes",
        ("RUN ln -s /tmp/preload /etc/ld.so.preload",),
        (UNEXPLAINED, "/etc/ld.so.preload (RUN", "it leads to /tmp/preload, which is not in the image"),
    ),
    Case(
        "entrypoint_runs_a_text",
        (_text("/usr/share/doc/notes.txt"), 'ENTRYPOINT ["sh", "/usr/share/doc/notes.txt"]'),
        (UNEXPLAINED, "/usr/share/doc/notes.txt (RUN", "ENTRYPOINT runs it"),
    ),
    Case(
        "command_runs_a_text_of_a_stage",
        ("COPY --from=make /notes /srv/notes", "CMD exec python3 /srv/notes"),
        (UNEXPLAINED, "/srv/notes (COPY --from=make", "CMD runs it"),
        before=(f"FROM {BASE} AS make", "RUN echo 'import os' > /notes"),
    ),
    Case(
        "command_runs_a_text_by_a_relative_path",
        ("WORKDIR /srv", _text("/srv/notes"), 'CMD ["bash", "notes"]'),
        (UNEXPLAINED, "/srv/notes (RUN", "CMD runs it"),
    ),
    Case(
        "health_check_runs_a_text",
        (_text("/srv/notes"), "HEALTHCHECK CMD . /srv/notes"),
        (UNEXPLAINED, "/srv/notes (RUN", "HEALTHCHECK runs it"),
    ),
    Case(
        "environment_runs_a_text",
        (_text("/srv/notes"), "ENV BASH_ENV=/srv/notes"),
        (UNEXPLAINED, "/srv/notes (RUN", "ENV BASH_ENV runs it"),
    ),
    Case(
        "children_run_a_text",
        (_text("/srv/notes"), "ONBUILD RUN sh /srv/notes"),
        (UNEXPLAINED, "/srv/notes (RUN", "ONBUILD runs it"),
    ),
    # Nobody put anything there yet.
    Case(
        "library_of_a_variable_where_anybody_writes",
        ("ENV LD_PRELOAD=/tmp/x.so",),
        (UNEXPLAINED, "/tmp/x.so (ENV LD_PRELOAD names it, where anybody may write"),
    ),
    Case(
        "modules_of_a_variable_where_anybody_writes",
        ("ENV PYTHONPATH=/usr/share/app:/var/tmp",),
        (UNEXPLAINED, "/var/tmp (ENV PYTHONPATH names it, where anybody may write"),
    ),
    Case(
        "configuration_of_a_variable_in_the_memory_of_all",
        ("ENV GIT_CONFIG_GLOBAL=/dev/shm/config",),
        (UNEXPLAINED, "/dev/shm/config (ENV GIT_CONFIG_GLOBAL names it"),
    ),
    Case(
        "commands_where_anybody_writes",
        ("ENV PATH=/tmp/bin:$PATH",),
        (UNEXPLAINED, "/tmp/bin (ENV PATH names it, where anybody may write"),
    ),
    Case(
        "agent_of_an_option_where_anybody_writes",
        ('ENV JAVA_TOOL_OPTIONS="-Xmx1g -javaagent:/tmp/agent.jar=x"',),
        (UNEXPLAINED, "/tmp/agent.jar (ENV JAVA_TOOL_OPTIONS names it"),
    ),
]
