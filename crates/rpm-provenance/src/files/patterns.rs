//! What programs of a distribution make besides their packages' files, as data: each pattern with its reason.
//!
//! A pattern never explains a program: what can be run ([`super::Code`]) needs an owner, whatever its path.

use super::glob;

/// A path that is known to be made, and by what.
pub(super) struct Pattern {
    pub path: &'static str,
    pub reason: &'static str,
}

const fn made(path: &'static str, reason: &'static str) -> Pattern {
    Pattern { path, reason }
}

/// Known patterns. The rpmdb is read and proven by itself, whatever its path.
pub(super) const PATTERNS: &[Pattern] = &[
    made("/etc/ld.so.cache", "ldconfig: cache of shared objects"),
    made("/var/cache/ldconfig/aux-cache", "ldconfig: cache of shared objects"),
    made("/var/lib/rpm/**", "rpm: the database, proven by itself"),
    made("/usr/lib/sysimage/rpm/**", "rpm: the database, proven by itself"),
    made("/usr/share/rpm/**", "rpm: the database, proven by itself"),
    made("/usr/lib/sysimage/libdnf5/**", "dnf: what was installed and why"),
    made("/var/lib/dnf/**", "dnf: history and module state"),
    made("/var/lib/yum/**", "yum: history"),
    made("/etc/dnf/modules.d/*.module", "dnf: enabled module streams"),
    made("/var/cache/dnf/**", "dnf: repository metadata"),
    made("/var/cache/libdnf5/**", "dnf: repository metadata"),
    made("/var/cache/yum/**", "yum: repository metadata"),
    made("/var/log/dnf*", "dnf: log"),
    made("/var/log/yum.log", "yum: log"),
    made("/var/log/hawkey.log*", "dnf: log"),
    made("/var/log/tallylog", "pam: log"),
    made("/var/log/lastlog", "login: log"),
    made("/var/log/faillog", "login: log"),
    made("/var/log/wtmp", "login: log"),
    made("/var/log/btmp", "login: log"),
    made("/var/log/**/*.log", "a program's log"),
    made("/etc/passwd", "useradd: users and groups"),
    made("/etc/passwd-", "useradd: users and groups, before the last change"),
    made("/etc/shadow", "useradd: users and groups"),
    made("/etc/shadow-", "useradd: users and groups, before the last change"),
    made("/etc/group", "useradd: users and groups"),
    made("/etc/group-", "useradd: users and groups, before the last change"),
    made("/etc/gshadow", "useradd: users and groups"),
    made("/etc/gshadow-", "useradd: users and groups, before the last change"),
    made("/etc/subuid", "useradd: ranges of user namespaces"),
    made("/etc/subuid-", "useradd: ranges of user namespaces, before the last change"),
    made("/etc/subgid", "useradd: ranges of user namespaces"),
    made("/etc/subgid-", "useradd: ranges of user namespaces, before the last change"),
    made("/etc/.pwd.lock", "useradd: lock"),
    made("/var/lib/alternatives/*", "alternatives: state"),
    made("/var/lib/dpkg/alternatives/*", "update-alternatives: state"),
    made("/var/log/alternatives.log", "alternatives: log"),
    made("/etc/machine-id", "systemd: identity of the machine"),
    made("/var/lib/systemd/catalog/database", "journalctl: index of message catalogues"),
    made("/etc/udev/hwdb.bin", "systemd-hwdb: compiled database"),
    made("/usr/lib/udev/hwdb.bin", "systemd-hwdb: compiled database"),
    made("/usr/share/mime/**", "update-mime-database: compiled database"),
    made("/usr/share/applications/mimeinfo.cache", "update-desktop-database: cache"),
    made("/usr/share/icons/*/icon-theme.cache", "gtk-update-icon-cache: cache"),
    made("/usr/share/glib-2.0/schemas/gschemas.compiled", "glib-compile-schemas: compiled schemas"),
    made("/usr/lib*/gio/modules/giomodule.cache", "gio-querymodules: cache"),
    made("/usr/lib*/gdk-pixbuf-2.0/*/loaders.cache", "gdk-pixbuf-query-loaders: cache"),
    made("/var/cache/fontconfig/**", "fc-cache: cache"),
    made("/var/cache/man/**", "mandb: index"),
    made("/usr/share/info/dir", "install-info: index"),
    made("/etc/pki/ca-trust/extracted/**", "update-ca-trust: extracted certificates"),
    made("/usr/lib/locale/locale-archive", "build-locale-archive: compiled locales"),
    made("/var/lib/selinux/**", "semodule: compiled policy"),
    made("/etc/selinux/*/policy/**", "semodule: compiled policy"),
    made("/root/.cache/**", "a program's cache"),
];

/// Why a path is known.
pub(super) fn reason(path: &[u8]) -> Option<&'static str> {
    PATTERNS.iter().find(|p| glob::matches(p.path.as_bytes(), path)).map(|p| p.reason)
}
