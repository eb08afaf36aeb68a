//! What file accounting finds: classes, records, and findings about whole packages.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::Code;

/// What accounts for a path. The words are stable: configuration, reports and tests name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Owned by a package, and as the package has it.
    Rpm,
    /// Owned configuration with other content.
    Configured,
    /// Owned, but with other permissions.
    ModeChanged,
    /// Owned, but with other content, type or link target.
    Altered,
    /// Owned, but gone.
    Deleted,
    /// From the dist-git commit.
    Commit,
    /// Made by a program that is known to make it.
    Generated,
    /// The content of another file of a package in the image.
    Copy,
    /// The content of a file of a package that is in another image or stage, but not in this one's rpmdb.
    Elsewhere,
    /// Data that `COPY --from` brought from another stage or image.
    Stage,
    /// A directory nobody owns.
    Directory,
    /// A symbolic link nobody owns; what it leads to is accounted for by itself.
    Link,
    /// An empty file nobody owns.
    Empty,
    /// None of these.
    Unexplained,
}

impl Class {
    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Rpm => "rpm",
            Class::Configured => "configured",
            Class::ModeChanged => "mode-changed",
            Class::Altered => "altered",
            Class::Deleted => "deleted",
            Class::Commit => "commit",
            Class::Generated => "generated",
            Class::Copy => "copy",
            Class::Elsewhere => "elsewhere",
            Class::Stage => "stage",
            Class::Directory => "directory",
            Class::Link => "link",
            Class::Empty => "empty",
            Class::Unexplained => "unexplained",
        }
    }

    /// For people.
    pub fn describe(self) -> &'static str {
        match self {
            Class::Rpm => "owned by an RPM and unchanged",
            Class::Configured => "configuration of an RPM, edited",
            Class::ModeChanged => "owned by an RPM, permissions changed",
            Class::Altered => "owned by an RPM, altered",
            Class::Deleted => "owned by an RPM, deleted",
            Class::Commit => "from the dist-git commit",
            Class::Generated => "made by known programs",
            Class::Copy => "copies of files of RPMs in this image",
            Class::Elsewhere => "copies of files of RPMs that this image does not list",
            Class::Stage => "data from other stages and images",
            Class::Directory => "directories",
            Class::Link => "symbolic links",
            Class::Empty => "empty files",
            Class::Unexplained => "unexplained",
        }
    }

    /// Whether its paths are worth a line each.
    pub(super) fn is_listed(self) -> bool {
        !matches!(self, Class::Rpm | Class::Directory | Class::Link | Class::Empty)
    }
}

/// One path.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Record {
    /// Path in the image, links on the way resolved; control characters escaped.
    pub path: String,
    /// What accounts for it.
    pub class: Class,
    /// Whether it can be run.
    pub code: Code,
    /// Who runs it, where neither its first bytes nor its mode say so.
    pub runs: Option<Cow<'static, str>>,
    /// Bytes of a regular file.
    pub size: u64,
    /// `file`, `directory`, `link`, or `device or socket`.
    pub kind: Cow<'static, str>,
    /// Number of its layer, 0 is the topmost; `None` for what is gone.
    pub layer: Option<usize>,
    /// The package that owns the path.
    pub owner: Option<String>,
    /// `content`, `size`, `mode`, `target`, `type`.
    pub differs: Vec<Cow<'static, str>>,
    /// Where it is from: a path of the commit, a package, a stage, or the reason of a pattern.
    pub source: Option<String>,
    /// SHA-256 of what is altered or unexplained.
    pub sha256: Option<String>,
}

/// A file with more rights than a package gives it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Privilege {
    /// Path in the image.
    pub path: String,
    /// `setuid`, `setgid`, `capabilities …`.
    pub gained: Vec<String>,
    /// The package that owns the path.
    pub owner: Option<String>,
}

/// The rpmdb and the files contradict each other.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case", tag = "finding")]
pub enum PackageFinding {
    /// The rpmdb lists it, but its programs (or, of a package without programs, its files) are not there.
    NotInstalled {
        /// The package.
        package: String,
        /// A path that should be there.
        example: String,
    },
    /// The rpmdb no longer lists a package of the parent, but its files are still there.
    StillThere {
        /// The package.
        package: String,
        /// How many of its files.
        files: usize,
        /// One of them.
        example: String,
    },
    /// A rpmdb lies where `rpm` does not look, so that nothing in it is proven.
    OtherDatabase {
        /// The file.
        path: String,
    },
}

/// How many paths of a class there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Count {
    /// Paths.
    pub paths: u64,
    /// Those of them that can be run.
    pub programs: u64,
    /// Bytes of the regular files.
    pub bytes: u64,
}

/// The account of an image's new layers.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FileAccount {
    /// All paths by class.
    pub counts: BTreeMap<Class, Count>,
    /// The paths worth a line, programs first, then by class and name. At most [`FileAccount::LISTED`] for each class,
    /// and as many programs; the counts are always whole.
    pub records: Vec<Record>,
    /// setuid, setgid and capabilities that no package gives.
    pub privileges: Vec<Privilege>,
    /// Packages whose files and rpmdb entry contradict each other.
    pub packages: Vec<PackageFinding>,
    /// Paths of new layers that a later layer hides; they are not seen in a container and not counted above.
    pub hidden: u64,
    /// The instructions that made the new layers, the topmost first.
    pub layers: Vec<String>,
}

impl FileAccount {
    /// Longest list of one class.
    pub const LISTED: u64 = 5000;

    /// Counts a record, and keeps it when it is worth a line.
    pub(crate) fn add(&mut self, record: Record) {
        let count = self.counts.entry(record.class).or_default();
        let is_program = record.code != Code::None;
        count.paths += 1;
        count.programs += u64::from(is_program);
        count.bytes += record.size;
        let before = if is_program { count.programs } else { count.paths - count.programs };
        if record.class.is_listed() && before <= Self::LISTED {
            self.records.push(record);
        }
    }

    /// Adds what another thread counted.
    pub(super) fn merge(&mut self, other: FileAccount) {
        for (class, count) in other.counts {
            let mine = self.counts.entry(class).or_default();
            mine.paths += count.paths;
            mine.programs += count.programs;
            mine.bytes += count.bytes;
        }
        self.records.extend(other.records);
        self.privileges.extend(other.privileges);
    }

    /// Programs first, then by class and path.
    pub(super) fn sort(&mut self) {
        self.records.sort_by(|a, b| (b.code, a.class, &a.path).cmp(&(a.code, b.class, &b.path)));
        self.privileges.sort_by(|a, b| a.path.cmp(&b.path));
    }

    /// How many paths of a class there are.
    pub fn count(&self, class: Class) -> Count {
        self.counts.get(&class).copied().unwrap_or_default()
    }
}
