//! Where the files are that differ from one run to the next. Paths are those of the image.

/// Files that mean nothing in an image: directory and name (`*` at the end: all that begin so).
pub(super) const REMOVED: &[(&str, &str)] = &[
    // What the package programs say, with times.
    ("var/log", "dnf.*"),
    ("var/log", "dnf5.*"),
    ("var/log", "hawkey.*"),
    ("var/log", "yum.*"),
    ("var/log", "microdnf.*"),
    // A cache of inode numbers and times; ldconfig makes it anew.
    ("var/cache/ldconfig", "aux-cache"),
    // Secrets of one machine.
    ("var/lib/systemd", "random-seed"),
    ("var/lib/systemd", "credential.secret"),
    ("var/lib/urandom", "random-seed"),
    ("var/lib", "random-seed"),
    ("var/lib/NetworkManager", "secret_key"),
    ("var/lib/dbus", "machine-id"),
    // SQLite's shared memory: of no use without a running program. Its write-ahead log is merged first, see below.
];

/// Files that stay, but are empty in an image (machine-id(5)).
pub(super) const EMPTIED: &[(&str, &str)] = &[("etc", "machine-id")];

/// What is in a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// Packages, with the times they were installed at.
    Packages,
    /// What dnf did and when. It knows which packages were wanted and which are only needed, so it has to stay.
    History,
}

/// An SQLite database that package programs keep.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) dir: &'static str,
    pub(super) name: &'static str,
    pub(super) content: Content,
}

pub(super) const DATABASES: [Place; 4] = [
    Place { dir: "var/lib/rpm", name: "rpmdb.sqlite", content: Content::Packages },
    Place { dir: "usr/lib/sysimage/rpm", name: "rpmdb.sqlite", content: Content::Packages },
    Place { dir: "var/lib/dnf", name: "history.sqlite", content: Content::History },
    Place { dir: "usr/lib/sysimage/libdnf5", name: "transaction_history.sqlite", content: Content::History },
];
