//! What programs of a distribution make besides their packages' files, as data: each pattern with its reason.
//!
//! A pattern never explains a program: what can be run ([`super::Code`]) needs an owner, whatever its path.

use super::glob;

/// A path that is known to be made, and by what.
pub(super) struct Pattern {
    pub path: &'static str,
    pub reason: &'static str,
    /// How its content begins, one of these; empty for texts and formats without a mark.
    pub begins: &'static [&'static [u8]],
}

const fn made(path: &'static str, reason: &'static str) -> Pattern {
    Pattern { path, reason, begins: &[] }
}

const fn marked(path: &'static str, begins: &'static [&'static [u8]], reason: &'static str) -> Pattern {
    Pattern { path, reason, begins }
}

/// ldconfig's caches, old and new, and the one of its own.
const LDCONFIG: &[&[u8]] = &[b"ld.so-1.7.0", b"glibc-ld.so.cache1.1"];
const AUX_CACHE: &[&[u8]] = &[b"glibc-ld.so.auxcache-"];
const HWDB: &[&[u8]] = &[b"KSLPHHRH"];
const CATALOG: &[&[u8]] = &[b"RHHHKSLP"];
const LOCALES: &[&[u8]] = &[b"\x09\x01\x02\xde", b"\xde\x02\x01\x09"];
/// Of content manifests, which are JSON, and of the manual page: anything else there is not the builder's.
const RECORD: &[&[u8]] = &[b"{\n"];
const MANUAL: &[&[u8]] = &[b".TH \""];
const GVARIANT: &[&[u8]] = &[b"GVariant", b"raVGtnai"];

/// Known patterns. The rpmdb is read and proven by itself, whatever its path.
pub(super) const PATTERNS: &[Pattern] = &[
    marked("/etc/ld.so.cache", LDCONFIG, "ldconfig: cache of shared objects"),
    marked("/var/cache/ldconfig/aux-cache", AUX_CACHE, "ldconfig: cache of shared objects"),
    marked("/root/buildinfo/content_manifests/*.json", RECORD, "the builder: what the image is made of"),
    marked("/var/roothome/buildinfo/content_manifests/*.json", RECORD, "the builder: what the image is made of"),
    marked("/help.1", MANUAL, "the builder: the repository's help.md"),
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
    marked("/var/lib/systemd/catalog/database", CATALOG, "journalctl: index of message catalogues"),
    marked("/etc/udev/hwdb.bin", HWDB, "systemd-hwdb: compiled database"),
    marked("/usr/lib/udev/hwdb.bin", HWDB, "systemd-hwdb: compiled database"),
    made("/usr/share/mime/**", "update-mime-database: compiled database"),
    made("/usr/share/applications/mimeinfo.cache", "update-desktop-database: cache"),
    made("/usr/share/icons/*/icon-theme.cache", "gtk-update-icon-cache: cache"),
    marked("/usr/share/glib-2.0/schemas/gschemas.compiled", GVARIANT, "glib-compile-schemas: compiled schemas"),
    made("/usr/lib*/gio/modules/giomodule.cache", "gio-querymodules: cache"),
    made("/usr/lib*/gdk-pixbuf-2.0/*/loaders.cache", "gdk-pixbuf-query-loaders: cache"),
    made("/var/cache/fontconfig/**", "fc-cache: cache"),
    made("/var/cache/man/**", "mandb: index"),
    made("/usr/share/info/dir", "install-info: index"),
    marked("/usr/lib/locale/locale-archive", LOCALES, "build-locale-archive: compiled locales"),
    made("/var/lib/selinux/**", "semodule: compiled policy"),
    made("/etc/selinux/*/policy/**", "semodule: compiled policy"),
    made("/root/.cache/**", "a program's cache"),
];

/// Bytes of a file that [`reason`] needs to see.
pub(super) const HEAD: usize = 32;

/// Why a path is known; `head` are the file's first bytes.
pub(super) fn reason(path: &[u8], head: &[u8]) -> Option<&'static str> {
    let fits = |p: &&Pattern| p.begins.is_empty() || p.begins.iter().any(|mark| head.starts_with(mark));
    PATTERNS.iter().filter(|p| glob::matches(p.path.as_bytes(), path)).find(fits).map(|p| p.reason)
}
