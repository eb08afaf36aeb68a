"""What is in the distribution: package selection, and the files Debian's maintainer scripts would have made.

The converted RPMs carry no scripts, so that installing one is pure unpacking. What a script would have left behind
and something needs (users, alternatives, enabled sites) is listed here and becomes a plain, owned file of an RPM.
"""

from __future__ import annotations

DIST_TAG = ".demo40"
VENDOR = "containerbuild demo distribution"
RELEASEVER = "40"

# The base image: a shell, the usual tools, and a package manager that works.
BASE_IMAGE = [
    "filesystem",
    "demo-release",
    "bash",
    "coreutils",
    "sed",
    "grep",
    "findutils",
    "gzip",
    "tar",
    "mawk",
    "libc-bin",
    "ncurses-base",
    "rpm",
    "dnf",
]

# What a Dockerfile can install on top.
APPLICATIONS = ["curl", "jq", "nginx-light", "hello", "tree", "less", "diffutils", "procps"]

# Packages we write ourselves (own_packages.py); a dependency on a Debian package of that role is met by them.
OWN_PACKAGES = ["filesystem", "demo-release"]

# Debian's own packaging machinery, and what only it or a desktop needs. Dependencies on these are dropped, because
# the RPM database, `filesystem` and the plain files below take their place.
DROPPED = {
    "adduser",
    "base-files",
    "base-passwd",
    "debconf",
    "debconf-2.0",
    "debugedit",
    "default-dbus-system-bus",
    "dbus",
    "dpkg",
    "gnupg",
    "init-system-helpers",
    "install-info",
    "libpam-modules",
    "libpam-modules-bin",
    "libpam-runtime",
    "lsb-base",
    "media-types",
    "mime-support",
    "perl",
    "perl-base",
    "sysvinit-utils",
    "tzdata",
    "ucf",
    "usrmerge",
}

# A package's files below these directories are left out: an image has no readers for them.
UNWANTED = [
    "usr/share/man/",
    "usr/share/info/",
    "usr/share/locale/",
    "usr/share/lintian/",
    "usr/share/doc-base/",
    "usr/share/bug/",
    "usr/share/gtk-doc/",
    "usr/share/bash-completion/",
    "usr/share/zsh/",
    "usr/share/applications/",
    "usr/share/pixmaps/",
    "usr/share/menu/",
    "usr/share/icons/",
    "etc/init.d/",
    "etc/logrotate.d/",
    "etc/ufw/",
    "usr/lib/systemd/",
    "etc/cron.d/",
    "etc/cron.daily/",
    "usr/share/vim/",
    "usr/share/gdb/",
]

# Symbolic links (path → target) that alternatives and other maintainer scripts would have made.
LINKS_BY_SCRIPT: dict[str, dict[str, str]] = {
    "bash": {"usr/bin/sh": "bash"},
    "mawk": {"usr/bin/awk": "mawk", "usr/bin/nawk": "mawk"},
    "less": {"usr/bin/pager": "less"},
    "debianutils": {"usr/bin/which": "which.debianutils"},
    "nginx-common": {"etc/nginx/sites-enabled/default": "/etc/nginx/sites-available/default"},
    "libnginx-mod-http-echo": {
        "etc/nginx/modules-enabled/50-mod-http-echo.conf": "/usr/share/nginx/modules-available/mod-http-echo.conf",
    },
}

# Directories, with owner, that scripts would have made.
DIRECTORIES_BY_SCRIPT: dict[str, list[tuple[str, int, str, str]]] = {
    "nginx-common": [
        ("var/log/nginx", 0o755, "www-data", "root"),
        ("var/lib/nginx", 0o755, "www-data", "root"),
    ],
}

# Files with content that scripts would have made.
FILES_BY_SCRIPT: dict[str, dict[str, str]] = {
    "libc-bin": {
        "etc/nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\n",
        "etc/ld.so.conf": "include /etc/ld.so.conf.d/*.conf\n",
    },
    "nginx-common": {
        "var/www/html/index.nginx-debian.html": "<!DOCTYPE html>\n<title>nginx</title>\n<p>nginx works.</p>\n",
    },
}

# (name, uid, gid, home, shell), with Debian's numbers, because the packages' files name these owners.
USERS = [
    ("root", 0, 0, "/root", "/bin/bash"),
    ("daemon", 1, 1, "/usr/sbin", "/usr/sbin/nologin"),
    ("bin", 2, 2, "/bin", "/usr/sbin/nologin"),
    ("mail", 8, 8, "/var/mail", "/usr/sbin/nologin"),
    ("www-data", 33, 33, "/var/www", "/usr/sbin/nologin"),
    ("nobody", 65534, 65534, "/nonexistent", "/usr/sbin/nologin"),
]
GROUPS = [
    ("root", 0),
    ("daemon", 1),
    ("bin", 2),
    ("adm", 4),
    ("tty", 5),
    ("disk", 6),
    ("mail", 8),
    ("man", 12),
    ("kmem", 15),
    ("www-data", 33),
    ("shadow", 42),
    ("utmp", 43),
    ("staff", 50),
    ("users", 100),
    ("nogroup", 65534),
]

# Debian architecture → RPM architecture and the name container images use.
ARCHITECTURES = {
    "amd64": ("x86_64", "amd64"),
    "arm64": ("aarch64", "arm64"),
    "ppc64el": ("ppc64le", "ppc64le"),
    "s390x": ("s390x", "s390x"),
}
