//! The document: docs/provenance-json.md describes every key, docs/provenance.schema.json checks it.
//!
//! Keys are only added; a reader of an older form is never misled without a new [`SCHEMA_VERSION`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Difference, Why};
use crate::files::{Class, Count, FileAccount, PackageFinding, Privilege, Record};
use crate::gate::Pin;
use crate::policy::{RuleOutcome, Ruling};
use crate::{BuildStep, MatchedBy, Origin, Problem, RpmDbFormat, Rule};

/// Version of the JSON form; raised when a reader of the older form would misread it.
pub const SCHEMA_VERSION: u32 = 1;

/// What came of an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Proven, and no rule has anything to say.
    Passed,
    /// Proven; the packager is told something.
    Warned,
    /// Something could not be told: no hub was asked, or a source could not be had.
    #[default]
    NotTold,
    /// Not proven, or refused by the site's policy.
    Refused,
}

/// Everything known about one image of one architecture.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Provenance {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Name-version-release, or what else the image is called.
    pub image: String,
    /// Architecture in Koji's spelling.
    pub arch: String,
    /// The build target.
    pub target: Option<String>,
    /// The SCM URL with its commit.
    pub source: Option<String>,
    /// Digest of the manifest.
    pub manifest_digest: Option<String>,
    /// Bytes of all layers as they are pushed.
    pub size: Option<u64>,
    /// Labels of the finished image.
    pub labels: Option<BTreeMap<String, String>>,
    /// The images it is made from.
    pub parents: Vec<ParentImage>,
    /// What came of it.
    pub outcome: Outcome,
    /// Whether every RPM is Koji's and nothing stands against the rpmdb.
    pub all_proven: bool,
    /// The rpmdb.
    pub rpmdb: RpmDbSection,
    /// What the content sources were pinned to.
    pub sources: Vec<Pin>,
    /// The installed RPMs, sorted by name.
    pub packages: Vec<Package>,
    /// `gpg-pubkey` entries of the rpmdb.
    pub public_keys: Vec<String>,
    /// Those that the base image does not have.
    #[serde(default)]
    pub new_public_keys: Vec<String>,
    /// RPMs of the parent image whose name is gone.
    pub removed: Vec<String>,
    /// What stands against the image.
    pub problems: Vec<Problem>,
    /// The site's rules, and what came of each.
    pub policy: Vec<RuleOutcome>,
    /// Tags that allowed tags of the policy inherit from.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tag_parents: BTreeMap<String, Vec<String>>,
    /// The gate's verdicts, in order.
    pub requests: Vec<Request>,
    /// The account of the new layers; only there when the RPMs are proven.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<FilesSection>,
    /// What changed since an earlier build.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<Difference>,
    /// What could not be told, and why; empty when all was.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_told: Vec<String>,
}

/// A parent image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ParentImage {
    /// As the Dockerfile names it.
    pub reference: String,
    /// What it was resolved to, with digest.
    pub pinned: Option<String>,
    /// Its Koji build.
    pub build: Option<ParentBuild>,
    /// Why it is none, for an image that is no build.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub foreign: Option<String>,
    /// Whether the last stage starts from it.
    pub base: bool,
}

/// A build in Koji.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParentBuild {
    /// Its number.
    pub id: i64,
    /// Name-version-release.
    pub nvr: String,
}

/// The rpmdb of the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RpmDbSection {
    /// Path in the image.
    pub path: String,
    /// On-disk format.
    pub format: RpmDbFormat,
}

impl Default for RpmDbSection {
    fn default() -> Self {
        Self { path: String::new(), format: RpmDbFormat::Absent }
    }
}

/// One installed RPM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// name-version-release.arch
    pub nvra: String,
    /// Null where rpm prints `(none)`.
    pub epoch: Option<u32>,
    /// As declared; null for rpm 6 packages.
    pub sigmd5: Option<String>,
    /// SHA-256 of the header as it was built, recomputed.
    pub sha256header: String,
    /// File name of the source package.
    pub source_rpm: Option<String>,
    /// The vendor tag.
    pub vendor: Option<String>,
    /// Installed bytes.
    pub size: u64,
    /// Seconds since 1970.
    pub build_time: Option<u64>,
    /// Key id of the signature, 16 hex digits, or null.
    pub signing_key: Option<String>,
    /// `proven`, `refused` or `not-checked`.
    pub verdict: String,
    /// Digest that proved it, or rule that refused it.
    pub by: Option<By>,
    /// Where it came in.
    pub origin: Origin,
    /// URL at the gate.
    pub released_as: Option<String>,
    /// What Koji has under its name.
    pub koji: Option<KojiRpm>,
    /// The content source it came from.
    #[serde(default)]
    pub content_source: Option<String>,
    /// Why it is in the image.
    #[serde(default)]
    pub why: Option<Why>,
    /// Koji tags of its build; only where a rule asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<PackageTags>,
    /// Keys that Koji has signed copies with; only where a rule asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub koji_keys: Option<Vec<String>>,
}

/// What an RPM was proven or refused by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum By {
    /// Proven.
    Digest(MatchedBy),
    /// Refused.
    Rule(Rule),
}

/// An RPM in Koji.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KojiRpm {
    /// Number of the RPM.
    pub rpm_id: i64,
    /// Number of its build.
    pub build_id: i64,
    /// Name-version-release of its build.
    pub build_nvr: Option<String>,
}

/// Koji tags of a build.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageTags {
    /// It is in these.
    pub now: Vec<String>,
    /// It was in these.
    #[serde(default)]
    pub before: Vec<String>,
}

/// One request at the gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Seconds since 1970.
    pub at: u64,
    /// GET, HEAD, or what was tried.
    pub method: String,
    /// What was asked for.
    pub url: String,
    /// The content source.
    pub source: Option<String>,
    /// Why it was released or refused.
    pub rule: Rule,
    /// Whether it was handed out.
    pub released: bool,
    /// What was seen.
    pub evidence: String,
    /// The RPM.
    pub nvra: Option<String>,
    /// As the pinned metadata has it.
    pub checksum: Option<String>,
    /// SHA-256 of the RPM's header, recomputed.
    #[serde(default)]
    pub sha256header: Option<String>,
    /// The RUN that asked; null outside of any.
    #[serde(default)]
    pub step: Option<BuildStep>,
    /// How many equal requests this line stands for.
    pub requests: u32,
    /// What to do about a refusal.
    pub remedy: Option<String>,
}

/// The account of the new layers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FilesSection {
    /// All paths by class.
    pub counts: BTreeMap<Class, Count>,
    /// The paths worth a line, programs first.
    pub paths: Vec<Record>,
    /// Rights that no RPM gives.
    pub privileges: Vec<Privilege>,
    /// Packages whose files and rpmdb entry contradict each other.
    pub packages: Vec<PackageFinding>,
    /// Paths of a new layer that a later one hides.
    pub hidden: u64,
    /// The instructions that made the new layers, the topmost first.
    pub layers: Vec<String>,
    /// What `[policy.files]` refuses, one line a class.
    pub refused: Vec<String>,
    /// What it warns of.
    pub warnings: Vec<String>,
}

impl FilesSection {
    /// The section for an account; `refused` and `warnings` come from the policy.
    pub fn new(account: FileAccount) -> Self {
        Self {
            counts: account.counts,
            paths: account.records,
            privileges: account.privileges,
            packages: account.packages,
            hidden: account.hidden,
            layers: account.layers,
            refused: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// A section of nothing but these paths and rights: what a policy is tried on.
    pub fn of_records(records: Vec<Record>, privileges: Vec<Privilege>) -> Self {
        let mut account = FileAccount { privileges, ..FileAccount::default() };
        records.into_iter().for_each(|record| account.add(record));
        Self::new(account)
    }

    /// The account again, as the policy judges it.
    pub fn account(&self) -> FileAccount {
        FileAccount {
            counts: self.counts.clone(),
            records: self.paths.clone(),
            privileges: self.privileges.clone(),
            packages: self.packages.clone(),
            hidden: self.hidden,
            layers: self.layers.clone(),
        }
    }
}

impl Package {
    /// name-version-release
    pub fn nvr(&self) -> &str {
        self.nvra.rsplit_once('.').map_or(self.nvra.as_str(), |(nvr, _)| nvr)
    }

    /// The name.
    pub fn name(&self) -> &str {
        self.nvr().rsplitn(3, '-').nth(2).unwrap_or(&self.nvra)
    }

    /// The architecture.
    pub fn arch(&self) -> &str {
        self.nvra.rsplit_once('.').map_or("", |(_, arch)| arch)
    }

    /// [epoch:]version-release
    pub fn evr(&self) -> String {
        let vr = self.nvr().get(self.name().len() + 1..).unwrap_or_default();
        match self.epoch {
            Some(epoch) => format!("{epoch}:{vr}"),
            None => vr.to_owned(),
        }
    }
}

impl Provenance {
    /// Applies what the policy said, and settles [`Provenance::outcome`].
    pub fn set_policy(&mut self, outcomes: Vec<RuleOutcome>) {
        if let Some(files) = &mut self.files {
            let lines =
                |ruling| outcomes.iter().filter(|o| o.check == "files" && o.ruling == ruling).map(RuleOutcome::line).collect();
            (files.refused, files.warnings) = (lines(Ruling::Refused), lines(Ruling::Warned));
        }
        self.policy = outcomes;
        self.settle();
    }

    /// Settles the outcome from proof, policy and what could not be told.
    pub fn settle(&mut self) {
        let rules = |ruling| self.policy.iter().any(|o| o.ruling == ruling);
        let unchecked = self.packages.iter().any(|p| p.verdict == "not-checked");
        self.outcome =
            if !self.problems.is_empty() || self.packages.iter().any(|p| p.verdict == "refused") || rules(Ruling::Refused) {
                Outcome::Refused
            } else if unchecked || !self.not_told.is_empty() || rules(Ruling::NotTold) {
                Outcome::NotTold
            } else if rules(Ruling::Warned) {
                Outcome::Warned
            } else {
                Outcome::Passed
            };
    }

    /// Rules with this ruling.
    pub fn ruled(&self, ruling: Ruling) -> impl Iterator<Item = &RuleOutcome> {
        self.policy.iter().filter(move |outcome| outcome.ruling == ruling)
    }

    /// The document as it is written.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_from_the_right() {
        let package: Package = serde_json::from_value(serde_json::json!({
            "nvra": "java-21-openjdk-21.0.1-2.fc40.x86_64", "epoch": 1, "sigmd5": null, "sha256header": "", "source_rpm": null,
            "vendor": null, "size": 1, "build_time": null, "signing_key": null, "verdict": "proven", "by": "sigmd5",
            "origin": "gate", "released_as": null, "koji": null
        }))
        .expect("a package of an older document");
        assert_eq!((package.name(), package.arch()), ("java-21-openjdk", "x86_64"));
        assert_eq!(package.evr(), "1:21.0.1-2.fc40");
        assert_eq!(package.by, Some(By::Digest(MatchedBy::Sigmd5)));
    }
}
