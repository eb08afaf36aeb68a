//! What programs of a distribution make besides their packages' files, as data: each pattern with its reason.
//!
//! A pattern never explains a program: what can be run ([`super::Code`]) needs an owner, whatever its path.

use super::glob;

/// A path that is known to be made, and by what.
pub(super) struct Pattern {
    pub path: &'static str,
    pub reason: &'static str,
    pub looks: Looks,
}

/// How what is made there looks: anything else at its path is not what the reason says.
#[derive(Debug, Clone, Copy)]
pub(super) enum Looks {
    /// Of a format without a mark.
    Unmarked,
    /// It begins with one of these.
    Begins(&'static [&'static [u8]]),
    /// Text.
    Text,
    /// Text, or a database of SQLite.
    History,
    /// Text, or one of the databases and packed lists that package managers keep.
    Kept,
    /// As it begins in the layer that the builder adds by itself, and nowhere else.
    Builder(&'static [u8]),
}

const fn made(path: &'static str, reason: &'static str) -> Pattern {
    Pattern { path, reason, looks: Looks::Unmarked }
}

const fn text(path: &'static str, reason: &'static str) -> Pattern {
    Pattern { path, reason, looks: Looks::Text }
}

const fn history(path: &'static str, reason: &'static str) -> Pattern {
    Pattern { path, reason, looks: Looks::History }
}

const fn kept(path: &'static str, reason: &'static str) -> Pattern {
    Pattern { path, reason, looks: Looks::Kept }
}

const fn marked(path: &'static str, begins: &'static [&'static [u8]], reason: &'static str) -> Pattern {
    Pattern { path, reason, looks: Looks::Begins(begins) }
}

const fn record(path: &'static str, begins: &'static [u8], reason: &'static str) -> Pattern {
    Pattern { path, reason, looks: Looks::Builder(begins) }
}

/// ldconfig's caches, old and new, and the one of its own.
const LDCONFIG: &[&[u8]] = &[b"ld.so-1.7.0", b"glibc-ld.so.cache1.1"];
const AUX_CACHE: &[&[u8]] = &[b"glibc-ld.so.auxcache-"];
const HWDB: &[&[u8]] = &[b"KSLPHHRH"];
const CATALOG: &[&[u8]] = &[b"RHHHKSLP"];
const LOCALES: &[&[u8]] = &[b"\x09\x01\x02\xde", b"\xde\x02\x01\x09"];
const GVARIANT: &[&[u8]] = &[b"GVariant", b"raVGtnai"];
const FONTS: &[&[u8]] = &[b"\x04\xfc\x02\xfc"];
const SQLITE: &[u8] = b"SQLite format 3\0";
/// A journal that SQLite is finished with keeps its length.
const JOURNAL: &[&[u8]] = &[&[0; 28]];
/// What dnf keeps besides texts: libsolv's lists, SQLite, and metadata as it came, in gzip, xz, zstd, zchunk and bzip2.
const KEPT: &[&[u8]] = &[b"SOLV", SQLITE, b"\x1f\x8b", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"\0ZCK1", b"BZh"];

const DATABASE: &str = "rpm: the database, proven by itself";
const METADATA: &str = "dnf: repository metadata";
const YUM_METADATA: &str = "yum: repository metadata";

/// Known patterns. The rpmdb is read and proven by itself, whatever its path.
pub(super) const PATTERNS: &[Pattern] = &[
    marked("/etc/ld.so.cache", LDCONFIG, "ldconfig: cache of shared objects"),
    marked("/var/cache/ldconfig/aux-cache", AUX_CACHE, "ldconfig: cache of shared objects"),
    record("/root/buildinfo/Dockerfile-*", b"", "the builder: the Dockerfile"),
    record("/var/roothome/buildinfo/Dockerfile-*", b"", "the builder: the Dockerfile"),
    record("/root/buildinfo/content_manifests/*.json", b"{\n", "the builder: what the image is made of"),
    record("/var/roothome/buildinfo/content_manifests/*.json", b"{\n", "the builder: what the image is made of"),
    record("/help.1", b".TH \"", "the builder: the repository's help.md"),
    history("/usr/lib/sysimage/libdnf5/**", "dnf: what was installed and why"),
    history("/var/lib/dnf/**", "dnf: history and module state"),
    history("/var/lib/yum/**", "yum: history"),
    marked("/var/lib/yum/history/*.sqlite-journal", JOURNAL, "yum: history"),
    text("/etc/dnf/modules.d/*.module", "dnf: enabled module streams"),
    kept("/var/cache/dnf/*.solv*", METADATA),
    text("/var/cache/dnf/*", METADATA),
    text("/var/cache/dnf/*/*", METADATA),
    kept("/var/cache/dnf/*/repodata/*", METADATA),
    kept("/var/cache/dnf/*/gen/*", METADATA),
    text("/var/cache/libdnf5/*/*", METADATA),
    kept("/var/cache/libdnf5/*/repodata/*", METADATA),
    kept("/var/cache/libdnf5/*/solv/*", METADATA),
    text("/var/cache/yum/**", YUM_METADATA),
    kept("/var/cache/yum/**/repodata/*", YUM_METADATA),
    kept("/var/cache/yum/**/gen/*", YUM_METADATA),
    kept("/var/cache/yum/**/*.solv*", YUM_METADATA),
    kept("/var/cache/yum/**/*.xml.*", YUM_METADATA),
    kept("/var/cache/yum/**/*.sqlite*", YUM_METADATA),
    text("/var/log/dnf*", "dnf: log"),
    text("/var/log/yum.log", "yum: log"),
    text("/var/log/hawkey.log*", "dnf: log"),
    made("/var/log/tallylog", "pam: log"),
    made("/var/log/lastlog", "login: log"),
    made("/var/log/faillog", "login: log"),
    made("/var/log/wtmp", "login: log"),
    made("/var/log/btmp", "login: log"),
    text("/var/log/**/*.log", "a program's log"),
    text("/etc/passwd", "useradd: users and groups"),
    text("/etc/passwd-", "useradd: users and groups, before the last change"),
    text("/etc/shadow", "useradd: users and groups"),
    text("/etc/shadow-", "useradd: users and groups, before the last change"),
    text("/etc/group", "useradd: users and groups"),
    text("/etc/group-", "useradd: users and groups, before the last change"),
    text("/etc/gshadow", "useradd: users and groups"),
    text("/etc/gshadow-", "useradd: users and groups, before the last change"),
    text("/etc/subuid", "useradd: ranges of user namespaces"),
    text("/etc/subuid-", "useradd: ranges of user namespaces, before the last change"),
    text("/etc/subgid", "useradd: ranges of user namespaces"),
    text("/etc/subgid-", "useradd: ranges of user namespaces, before the last change"),
    text("/etc/.pwd.lock", "useradd: lock"),
    text("/var/lib/alternatives/*", "alternatives: state"),
    text("/var/lib/dpkg/alternatives/*", "update-alternatives: state"),
    text("/var/log/alternatives.log", "alternatives: log"),
    text("/etc/machine-id", "systemd: identity of the machine"),
    marked("/var/lib/systemd/catalog/database", CATALOG, "journalctl: index of message catalogues"),
    marked("/etc/udev/hwdb.bin", HWDB, "systemd-hwdb: compiled database"),
    marked("/usr/lib/udev/hwdb.bin", HWDB, "systemd-hwdb: compiled database"),
    text("/usr/share/mime/*", "update-mime-database: compiled database"),
    text("/usr/share/mime/*/*.xml", "update-mime-database: compiled database"),
    marked("/usr/share/mime/mime.cache", &[b"\0\x01\0\x02"], "update-mime-database: compiled database"),
    marked("/usr/share/mime/magic", &[b"MIME-Magic\0"], "update-mime-database: compiled database"),
    marked("/usr/share/mime/treemagic", &[b"MIME-TreeMagic\0"], "update-mime-database: compiled database"),
    text("/usr/share/applications/mimeinfo.cache", "update-desktop-database: cache"),
    marked("/usr/share/icons/*/icon-theme.cache", &[b"\0\x01\0\0"], "gtk-update-icon-cache: cache"),
    marked("/usr/share/glib-2.0/schemas/gschemas.compiled", GVARIANT, "glib-compile-schemas: compiled schemas"),
    text("/usr/lib*/gio/modules/giomodule.cache", "gio-querymodules: cache"),
    text("/usr/lib*/gdk-pixbuf-2.0/*/loaders.cache", "gdk-pixbuf-query-loaders: cache"),
    marked("/var/cache/fontconfig/*.cache-*", FONTS, "fc-cache: cache"),
    text("/var/cache/fontconfig/CACHEDIR.TAG", "fc-cache: cache"),
    marked("/root/.cache/fontconfig/*.cache-*", FONTS, "fc-cache: cache"),
    text("/root/.cache/fontconfig/CACHEDIR.TAG", "fc-cache: cache"),
    made("/var/cache/man/index.db", "mandb: index"),
    made("/var/cache/man/**/index.db", "mandb: index"),
    text("/var/cache/man/**/CACHEDIR.TAG", "mandb: index"),
    text("/usr/share/info/dir", "install-info: index"),
    marked("/usr/lib/locale/locale-archive", LOCALES, "build-locale-archive: compiled locales"),
    made("/var/lib/selinux/**", "semodule: compiled policy"),
    made("/etc/selinux/*/policy/**", "semodule: compiled policy"),
];

/// Where distributions have the rpmdb.
const DATABASES: [&str; 3] = ["/var/lib/rpm/", "/usr/lib/sysimage/rpm/", "/usr/share/rpm/"];
/// What rpm keeps there, of every format and age: the databases, their indexes, logs and locks.
const DATABASE_FILES: [&str; 36] = [
    "rpmdb.sqlite",
    "rpmdb.sqlite-*",
    ".rpm.lock",
    ".dbenv.lock",
    ".migratedb",
    ".rebuilddb",
    "__db.*",
    "log.*",
    "Packages",
    "Packages.db",
    "Index.db",
    "Basenames",
    "Conflictname",
    "Depends",
    "Dirnames",
    "Enhancename",
    "Filemd5s",
    "Filetriggername",
    "Group",
    "Installtid",
    "Name",
    "Obsoletename",
    "Packagecolor",
    "Providename",
    "Provideversion",
    "Pubkeys",
    "Recommendname",
    "Requirename",
    "Requireversion",
    "Sha1header",
    "Sigmd5",
    "Suggestname",
    "Supplementname",
    "Transfiletriggername",
    "Triggername",
    "Version",
];

/// Bytes of a file that [`reason`] needs to see.
pub(super) const HEAD: usize = 256;

/// Why a path is known; `head` are the file's first bytes, `of_builder` says that the builder itself made its layer.
pub(super) fn reason(path: &[u8], head: &[u8], of_builder: bool) -> Option<&'static str> {
    let is_database = |dir: &str| {
        path.strip_prefix(dir.as_bytes())
            .is_some_and(|name| DATABASE_FILES.iter().any(|file| glob::matches(file.as_bytes(), name)))
    };
    if DATABASES.iter().any(|dir| is_database(dir)) {
        return Some(DATABASE);
    }
    let begins = |marks: &[&[u8]]| marks.iter().any(|mark| head.starts_with(mark));
    let fits = |pattern: &&Pattern| match pattern.looks {
        Looks::Unmarked => true,
        Looks::Begins(marks) => begins(marks),
        Looks::Text => is_text(head),
        Looks::History => head.starts_with(SQLITE) || is_text(head),
        Looks::Kept => begins(KEPT) || is_text(head),
        Looks::Builder(mark) => of_builder && head.starts_with(mark),
    };
    PATTERNS.iter().filter(|p| glob::matches(p.path.as_bytes(), path)).find(fits).map(|p| p.reason)
}

/// Whether a file begins like a text in whatever encoding: no control characters but white space and escapes.
fn is_text(head: &[u8]) -> bool {
    head.iter().all(|byte| *byte >= b' ' || matches!(byte, b'\n' | b'\t' | b'\r' | 0x0c | 0x1b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_lies_where_something_is_made_is_not_explained_by_it() {
        let of = |path: &str, head: &[u8]| reason(path.as_bytes(), head, false);
        assert_eq!(of("/usr/lib/sysimage/rpm/rpmdb.sqlite-shm", b""), Some(DATABASE));
        assert_eq!(of("/var/lib/rpm/__db.001", b"\0"), Some(DATABASE));
        assert_eq!(of("/var/lib/rpm/backup.tar.gz", b"\x1f\x8b"), None);
        assert_eq!(of("/usr/lib/sysimage/rpm/deep/Packages", b""), None);
        assert_eq!(of("/var/cache/dnf/koji-0123/repodata/x-primary.xml.gz", b"\x1f\x8b\x08"), Some(METADATA));
        assert_eq!(of("/var/cache/dnf/koji-filenames.solvx", b"SOLV\0"), Some(METADATA));
        assert_eq!(of("/var/cache/dnf/x.tar.gz", b"\x1f\x8b\x08"), None);
        assert_eq!(of("/var/lib/yum/history/history-2026-11-26.sqlite-journal", &[0; 64]), Some("yum: history"));
        assert_eq!(of("/var/lib/yum/history/x.tar.gz", b"\x1f\x8b\x08"), None);
        assert_eq!(of("/var/log/app/x.log", b"started\n\tnow"), Some("a program's log"));
        assert_eq!(of("/var/log/app/x.log", b"\x1f\x8b\x08\0"), None);
        assert_eq!(of("/root/.cache/x", b"text"), None);
    }

    #[test]
    fn the_builder_s_own_files_are_only_in_the_layer_it_adds() {
        let manifest = b"/root/buildinfo/content_manifests/a-1-1.json";
        assert!(reason(manifest, b"{\n  \"a\"", true).is_some());
        assert_eq!(reason(manifest, b"{\n  \"a\"", false), None);
        assert_eq!(reason(b"/help.1", b".TH \"A\"", false), None);
    }
}
