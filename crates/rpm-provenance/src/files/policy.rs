//! What a site lets pass: `[policy.files]` of the worker's configuration, applied to a [`FileAccount`].

use serde::{Deserialize, Serialize};

use super::{Class, Code, FileAccount, PackageFinding, Record, glob};
use crate::policy::{Finding, RuleOutcome};

/// What becomes of a class of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// Reported, nothing more.
    Allow,
    /// Told to the packager; the image is pushed.
    Warn,
    /// The image is not pushed.
    Refuse,
}

/// `[policy.files]`. Programs are files that can be run: by their mode, first bytes, or a shared object's name.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FilePolicy {
    /// Data that nothing accounts for.
    pub unexplained: Decision,
    /// Programs and shared objects that nothing accounts for.
    pub unexplained_executables: Decision,
    /// Data of an RPM with other content, type or link target; configuration files are not meant.
    pub altered: Decision,
    /// Programs and shared objects of an RPM with other content or type.
    pub altered_executables: Decision,
    /// Configuration files of an RPM with other content.
    pub altered_config: Decision,
    /// Files of an RPM of which only the permissions are other.
    pub altered_mode: Decision,
    /// Files of an RPM that are gone.
    pub deleted: Decision,
    /// setuid, setgid and capabilities that no RPM gives.
    pub privileges: Decision,
    /// RPMs whose files and rpmdb entry contradict each other (`rpm --justdb`).
    pub rpmdb_mismatch: Decision,
    /// Files of RPMs that are in another stage or image, but not in this image's rpmdb.
    pub unlisted_rpm: Decision,
    /// Data that `COPY --from` brought.
    pub stage: Decision,
    /// Machine code and byte code in the dist-git commit.
    pub commit_binaries: Decision,
    /// Paths that are let pass whatever the class, each until a day and for a reason.
    pub allow: Vec<AllowedPath>,
}

impl Default for FilePolicy {
    fn default() -> Self {
        Self {
            unexplained: Decision::Warn,
            unexplained_executables: Decision::Refuse,
            altered: Decision::Warn,
            altered_executables: Decision::Refuse,
            altered_config: Decision::Allow,
            altered_mode: Decision::Warn,
            deleted: Decision::Allow,
            privileges: Decision::Refuse,
            rpmdb_mismatch: Decision::Refuse,
            unlisted_rpm: Decision::Warn,
            stage: Decision::Allow,
            commit_binaries: Decision::Warn,
            allow: Vec::new(),
        }
    }
}

/// An entry of the allow-list.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllowedPath {
    /// Pattern of paths: `*` and `?` within a directory, `**` across.
    pub path: String,
    /// Last day it counts, `YYYY-MM-DD`, UTC.
    pub until: String,
    /// Why; shown when it has expired.
    pub reason: String,
}

/// Paths named in one line.
const NAMED: usize = 5;

impl FilePolicy {
    /// What is wrong with the policy itself: a day that is none, a pattern that cannot match, an entry without a reason.
    ///
    /// # Errors
    /// The number of the entry in `allow` (from 0), and the problem.
    pub fn check(&self) -> Result<(), (usize, &'static str)> {
        for (at, entry) in self.allow.iter().enumerate() {
            if !is_day(&entry.until) {
                return Err((at, "needs `until` as YYYY-MM-DD"));
            }
            if !entry.path.starts_with('/') {
                return Err((at, "needs a `path` that begins with a slash"));
            }
            if entry.reason.trim().is_empty() {
                return Err((at, "needs a `reason`"));
            }
        }
        Ok(())
    }

    /// Decides over an account: one outcome for each key. `today` is `YYYY-MM-DD`.
    pub fn judge(&self, account: &FileAccount, today: &str) -> Vec<RuleOutcome> {
        let mut expired: Vec<&AllowedPath> = Vec::new();
        let mut lets_pass = |path: &str| {
            let mut hits = self.allow.iter().filter(|a| glob::matches(a.path.as_bytes(), path.as_bytes()));
            hits.any(|hit| {
                let counts = today <= hit.until.as_str();
                if !counts && !expired.iter().any(|e| std::ptr::eq(*e, hit)) {
                    expired.push(hit);
                }
                counts
            })
        };
        let mut outcomes = Vec::new();
        for group in &GROUPS {
            let members = account.records.iter().filter(|r| (group.holds)(r));
            let listed = members.clone().count() as u64;
            let paths: Vec<Finding> = members
                .filter(|r| !lets_pass(&r.path))
                .map(|r| Finding { subject: r.path.clone(), evidence: detail(r, account) })
                .collect();
            // What is beyond the list cannot be compared with the allow-list, and counts.
            let all = paths.len() as u64 + (group.count)(account).saturating_sub(listed);
            outcomes.push(outcome(&group.key, (group.decision)(self), paths, all));
        }
        let privileges: Vec<Finding> = account
            .privileges
            .iter()
            .filter(|p| !lets_pass(&p.path))
            .map(|p| Finding { subject: p.path.clone(), evidence: p.gained.join(", ") })
            .collect();
        let all = privileges.len() as u64;
        outcomes.push(outcome(&PRIVILEGES, self.privileges, privileges, all));
        let packages: Vec<Finding> =
            account.packages.iter().map(|p| Finding { subject: p.to_string(), evidence: String::new() }).collect();
        let all = packages.len() as u64;
        outcomes.push(outcome(&RPMDB_MISMATCH, self.rpmdb_mismatch, packages, all));
        for entry in expired {
            let evidence = format!("was allowed until {} ({})", entry.until, entry.reason);
            let findings = vec![Finding { subject: entry.path.clone(), evidence }];
            let mut told = RuleOutcome::of("files", "allow", Decision::Warn, EXPIRED.reason, EXPIRED.remedy, findings);
            told.summary = Some(format!("policy: {} was allowed until {} ({})", entry.path, entry.until, entry.reason));
            outcomes.push(told);
        }
        outcomes
    }
}

/// What one key came to, with the line people read.
fn outcome(key: &Key, decision: Decision, findings: Vec<Finding>, all: u64) -> RuleOutcome {
    let named: Vec<String> = findings
        .iter()
        .take(NAMED)
        .map(|f| if f.evidence.is_empty() { f.subject.clone() } else { format!("{} ({})", f.subject, f.evidence) })
        .collect();
    let mut line = format!("{all} {}: {}", key.what, named.join(", "));
    let more = all.saturating_sub(named.len() as u64);
    if more > 0 {
        line.push_str(&format!(" and {more} more"));
    }
    // Beyond the list there may be members without a finding.
    let findings = if findings.is_empty() && all > 0 { vec![Finding::default()] } else { findings };
    let mut outcome = RuleOutcome::of("files", key.name, decision, key.reason, key.remedy, findings);
    outcome.count = all;
    outcome.summary = (all > 0).then_some(line);
    outcome
}

/// Why a path is in the list.
fn detail(record: &Record, account: &FileAccount) -> String {
    let owner = record.owner.as_ref().map(|owner| match record.differs.is_empty() {
        true => owner.clone(),
        false => format!("{owner}: other {}", record.differs.join(", ")),
    });
    let instruction = || {
        let text = account.layers.get(record.layer?)?.lines().next()?;
        Some(if text.chars().count() > 60 {
            format!("{}…", text.chars().take(60).collect::<String>())
        } else {
            text.to_owned()
        })
    };
    let place = owner.or_else(|| record.source.clone()).or_else(instruction);
    // A packager who sees a data file among the programs must see why it is one.
    let runs = record.runs.as_ref().map(ToString::to_string);
    [place, runs].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// A key of `[policy.files]`: what it is about, why it is there, and what a packager can do.
struct Key {
    name: &'static str,
    what: &'static str,
    reason: &'static str,
    remedy: &'static str,
}

const AS_RPM: &str = "install programs as RPMs with dnf in the last stage, or commit them to dist-git and COPY them";

const PRIVILEGES: Key = Key {
    name: "privileges",
    what: "with rights that no RPM gives",
    reason: "setuid bits and capabilities are reviewed with the RPM that brings them",
    remedy: "leave the mode as the RPM has it, or give the right in the RPM",
};

const RPMDB_MISMATCH: Key = Key {
    name: "rpmdb_mismatch",
    what: "where rpmdb and files contradict each other",
    reason: "a rpmdb that does not say what is installed hides content from updates",
    remedy: "install and remove packages with dnf or rpm, without --justdb and --nodb",
};

const EXPIRED: Key = Key {
    name: "allow",
    what: "entries of the allow-list that have expired",
    reason: "an exception ends on its day",
    remedy: "ask the site to prolong the entry, or remove the file",
};

/// Files that one key of the policy decides over.
struct Group {
    key: Key,
    decision: fn(&FilePolicy) -> Decision,
    holds: fn(&Record) -> bool,
    count: fn(&FileAccount) -> u64,
}

fn programs(account: &FileAccount, class: Class) -> u64 {
    account.count(class).programs
}

fn data(account: &FileAccount, class: Class) -> u64 {
    account.count(class).paths - account.count(class).programs
}

/// Programs first.
const GROUPS: [Group; 10] = [
    Group {
        key: Key {
            name: "unexplained_executables",
            what: "unexplained programs",
            reason: "a program nobody can say the origin of cannot be rebuilt, reviewed or updated",
            remedy: AS_RPM,
        },
        decision: |p| p.unexplained_executables,
        holds: |r| r.class == Class::Unexplained && r.code != Code::None,
        count: |a| programs(a, Class::Unexplained),
    },
    Group {
        key: Key {
            name: "altered_executables",
            what: "programs altered after an RPM brought them",
            reason: "an altered program is no longer what its RPM was reviewed and signed as",
            remedy: "take the change out, or build it into the RPM",
        },
        decision: |p| p.altered_executables,
        holds: |r| r.class == Class::Altered && r.code != Code::None,
        count: |a| programs(a, Class::Altered),
    },
    Group {
        key: Key {
            name: "commit_binaries",
            what: "programs in the commit that cannot be reviewed",
            reason: "machine code in dist-git has no source beside it",
            remedy: "build it as an RPM from its source",
        },
        decision: |p| p.commit_binaries,
        holds: |r| r.class == Class::Commit && r.code == Code::Binary,
        count: |a| a.records.iter().filter(|r| r.class == Class::Commit && r.code == Code::Binary).count() as u64,
    },
    Group {
        key: Key {
            name: "unlisted_rpm",
            what: "files of RPMs that the image does not list",
            reason: "what the rpmdb does not list gets no updates",
            remedy: "install the RPM in the last stage instead of copying its files",
        },
        decision: |p| p.unlisted_rpm,
        holds: |r| r.class == Class::Elsewhere,
        count: |a| a.count(Class::Elsewhere).paths,
    },
    Group {
        key: Key {
            name: "unexplained",
            what: "unexplained files",
            reason: "nobody can say where the data is from",
            remedy: "commit the file to dist-git and COPY it, or bring it in an RPM",
        },
        decision: |p| p.unexplained,
        holds: |r| r.class == Class::Unexplained && r.code == Code::None,
        count: |a| data(a, Class::Unexplained),
    },
    Group {
        key: Key {
            name: "altered",
            what: "files altered after an RPM brought them",
            reason: "an altered file is no longer what its RPM brought",
            remedy: "take the change out, or build it into the RPM",
        },
        decision: |p| p.altered,
        holds: |r| r.class == Class::Altered && r.code == Code::None,
        count: |a| data(a, Class::Altered),
    },
    Group {
        key: Key {
            name: "altered_mode",
            what: "files of RPMs with other permissions",
            reason: "permissions are part of what an RPM was reviewed as",
            remedy: "take the chmod out, or change the mode in the RPM",
        },
        decision: |p| p.altered_mode,
        holds: |r| r.class == Class::ModeChanged,
        count: |a| a.count(Class::ModeChanged).paths,
    },
    Group {
        key: Key {
            name: "altered_config",
            what: "edited configuration files of RPMs",
            reason: "configuration is made to be edited; a site may want to see it",
            remedy: "COPY the configuration from dist-git",
        },
        decision: |p| p.altered_config,
        holds: |r| r.class == Class::Configured,
        count: |a| a.count(Class::Configured).paths,
    },
    Group {
        key: Key {
            name: "deleted",
            what: "files of RPMs that were deleted",
            reason: "deleted files make packages fail in ways their tests do not see",
            remedy: "install without what is not wanted (`--nodocs`, `install_weak_deps=0`)",
        },
        decision: |p| p.deleted,
        holds: |r| r.class == Class::Deleted,
        count: |a| a.count(Class::Deleted).paths,
    },
    Group {
        key: Key {
            name: "stage",
            what: "files from other stages",
            reason: "data of another stage is as good as that stage",
            remedy: "bring the data in an RPM or from dist-git",
        },
        decision: |p| p.stage,
        holds: |r| r.class == Class::Stage,
        count: |a| a.count(Class::Stage).paths,
    },
];

impl std::fmt::Display for PackageFinding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            PackageFinding::NotInstalled { package, example } => {
                write!(f, "{package} is in the rpmdb, but not installed ({example} is missing)")
            }
            PackageFinding::StillThere { package, files, example } => {
                write!(f, "{package} was taken out of the rpmdb, but {files} of its files are still there ({example})")
            }
            PackageFinding::OtherDatabase { path } => write!(f, "another rpmdb lies at {path}, and nothing in it is proven"),
        }
    }
}

fn is_day(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let number = |part: &str, digits: usize| {
        (part.len() == digits && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse::<u32>().ok()).flatten()
    };
    match parts.as_slice() {
        [year, month, day] => {
            number(year, 4).is_some()
                && number(month, 2).is_some_and(|m| (1..=12).contains(&m))
                && number(day, 2).is_some_and(|d| (1..=31).contains(&d))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
