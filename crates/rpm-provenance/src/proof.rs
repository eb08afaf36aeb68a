//! The proof: every RPM of the finished image is Koji's, by digest. Run before anything is pushed.
//!
//! Independent of the gate: an RPM that came in by COPY, or by a hole in the sandbox, is looked at just the same.

use std::collections::{HashMap, HashSet};

use build_model::{Blame, Diagnose, Nvra};

use crate::koji_rpms::{header_digests_of, lookup_all};
use crate::rpmdb::{RpmDb, RpmDbError, RpmDbFormat};
use crate::rule::{MatchedBy, judge};
use crate::{KnownRpm, KojiRpms, LookupError, RpmIdent, Rule, Verdict};

/// Where an RPM came into the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The same RPM, by header digest, is in the parent image's rpmdb.
    Inherited,
    /// Installed by this build from the gate.
    Gate,
    /// New in this build, but the gate did not release it: COPY'd, or restored.
    Other,
}

/// What became of one installed RPM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case", tag = "verdict", content = "by")]
pub enum PackageVerdict {
    /// Koji's, by this digest.
    Proven(MatchedBy),
    /// Koji was not asked.
    NotChecked,
    /// Not Koji's; the rule says why.
    Refused(Rule),
}

/// One installed RPM and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ProvenPackage {
    /// The RPM.
    pub ident: RpmIdent,
    /// Whether it is Koji's.
    pub verdict: PackageVerdict,
    /// Koji's row of it.
    pub koji: Option<KnownRpm>,
    /// Where it came in.
    pub origin: Origin,
    /// The URL it was released under, for [`Origin::Gate`].
    pub released_as: Option<String>,
}

/// One reason why the image is not proven.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Problem {
    /// Name-version-release.arch; a row number for unreadable headers; empty when the whole rpmdb is meant.
    pub subject: String,
    /// The rule broken.
    pub rule: Rule,
    /// What was seen.
    pub evidence: String,
    /// What to do.
    pub remedy: String,
}

impl Problem {
    fn new(subject: impl Into<String>, rule: Rule, evidence: impl Into<String>) -> Self {
        let remedy = rule.remedy().unwrap_or_default().to_owned();
        Problem { subject: subject.into(), rule, evidence: evidence.into(), remedy }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let subject = if self.subject.is_empty() { "the image" } else { &self.subject };
        write!(f, "{subject} ({}): {}; {}", self.rule, self.evidence, self.remedy)
    }
}

/// The result: every package with its verdict, and what stands against the image.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Proof {
    /// Path of the rpmdb in the image.
    pub rpmdb_path: String,
    /// Its format.
    pub rpmdb_format: RpmDbFormat,
    /// The installed RPMs, sorted by name; public keys are not among them.
    pub packages: Vec<ProvenPackage>,
    /// Public keys rpm keeps in its database. Listed, not counted: Koji builds no keys.
    pub public_keys: Vec<RpmIdent>,
    /// Those of them that the parent does not have: the image trusts somebody whom its parent does not.
    pub new_public_keys: Vec<Nvra>,
    /// Names that the parent image had and this one has not (any version).
    pub removed: Vec<Nvra>,
    /// What stands against the image; empty for a proven one.
    pub problems: Vec<Problem>,
}

/// The proof could not be made; nothing is said about the image.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// Koji could not be asked.
    #[error("cannot prove the image's RPMs")]
    Lookup(#[from] LookupError),
}

impl Diagnose for ProofError {
    fn blame(&self) -> Blame {
        let ProofError::Lookup(e) = self;
        e.blame()
    }
    fn kind(&self) -> &'static str {
        let ProofError::Lookup(e) = self;
        e.kind()
    }
    fn hint(&self) -> Option<String> {
        let ProofError::Lookup(e) = self;
        e.hint()
    }
    fn is_transient(&self) -> bool {
        let ProofError::Lookup(e) = self;
        e.is_transient()
    }
}

impl Proof {
    /// Whether every RPM is Koji's and nothing stands against the image.
    pub fn all_proven(&self) -> bool {
        self.problems.is_empty() && self.packages.iter().all(|p| matches!(p.verdict, PackageVerdict::Proven(_)))
    }

    /// Holds the RPMs' architectures against the image's; both in Koji's spelling or RPM's. What does not run there was not
    /// meant for it, and `rpm --ignorearch` hides it well.
    pub fn check_architecture(&mut self, image: &build_model::Arch) {
        for package in &self.packages {
            let arch = package.ident.nvra.arch.as_str();
            if !fits(arch, image) {
                let evidence = format!("it is made for {arch}, the image for {image}");
                self.problems.push(Problem::new(package.ident.nvra.to_string(), Rule::WrongArchitecture, evidence));
            }
        }
    }

    /// The proof of an image whose rpmdb cannot be read: one problem.
    pub fn of_unreadable(error: &RpmDbError) -> Self {
        let mut evidence = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            evidence = format!("{evidence}: {cause}");
            source = cause.source();
        }
        Proof {
            rpmdb_path: String::new(),
            rpmdb_format: RpmDbFormat::Absent,
            packages: Vec::new(),
            public_keys: Vec::new(),
            new_public_keys: Vec::new(),
            removed: Vec::new(),
            problems: vec![Problem::new("", Rule::UnreadableRpmdb, evidence)],
        }
    }
}

/// Proves the RPMs of a finished image: `db` is its rpmdb, `parent` the base image's, `released` the gate's verdicts.
///
/// Inherited RPMs are looked up like all others: the parent may have been built before a rule was made.
///
/// # Errors
/// Only when Koji cannot be asked. An image that breaks a rule is a [`Proof`] with problems.
pub async fn prove(db: &RpmDb, parent: Option<&RpmDb>, released: &[Verdict], lookup: &dyn KojiRpms) -> Result<Proof, ProofError> {
    prove_with(db, parent, released, released, lookup).await
}

/// The same by somebody who was not there: `reported` is what the build says its gate released. It tells where an RPM came
/// from and proves nothing.
///
/// # Errors
/// As [`prove`].
pub async fn prove_again(
    db: &RpmDb,
    parent: Option<&RpmDb>,
    reported: &[Verdict],
    lookup: &dyn KojiRpms,
) -> Result<Proof, ProofError> {
    prove_with(db, parent, reported, &[], lookup).await
}

async fn prove_with(
    db: &RpmDb,
    parent: Option<&RpmDb>,
    released: &[Verdict],
    seen_whole: &[Verdict],
    lookup: &dyn KojiRpms,
) -> Result<Proof, ProofError> {
    let asked: Vec<Nvra> = rpms(db).map(|rpm| rpm.nvra.clone()).collect();
    let mut known = lookup_all(lookup, &asked).await?;
    look_at_files(db, lookup, &mut known).await?;
    let from_gate = released_by_gate(seen_whole);
    let verdicts = rpms(db).zip(known).map(|(rpm, known)| {
        let verdict = judge(rpm, known.as_ref()).and_then(|by| match by {
            MatchedBy::Sigmd5 if !from_gate.contains_key(&key_of(rpm)) => Err((Rule::NoDigest, CLAIMED.to_owned())),
            by => Ok(by),
        });
        (Some(verdict), known)
    });
    Ok(assemble(db, parent, released, verdicts.collect()))
}

/// SIGMD5 covers the payload as well, so nothing in an image proves it: an RPM that matches by nothing else is not proven,
/// unless the gate saw its whole file. Inherited ones are no exception: another service may have built the parent.
const CLAIMED: &str = "only its SIGMD5 is Koji's, which a rpmdb merely claims; the hub records no other digest of it, and the \
                       header of Koji's own file cannot be had";

/// For RPMs that match by nothing but SIGMD5: the header digests of Koji's own files. Those that the gate released are
/// asked about too: the gate saw their whole files, but two files of one MD5 can be made.
async fn look_at_files(db: &RpmDb, lookup: &dyn KojiRpms, known: &mut [Option<KnownRpm>]) -> Result<(), ProofError> {
    let claimed: Vec<usize> = rpms(db)
        .zip(known.iter())
        .enumerate()
        .filter(|(_, (rpm, known))| judge(rpm, known.as_ref()) == Ok(MatchedBy::Sigmd5))
        .map(|(at, _)| at)
        .collect();
    let rows: Vec<KnownRpm> = claimed.iter().filter_map(|at| known.get(*at).cloned().flatten()).collect();
    let digests = header_digests_of(lookup, &rows).await?;
    for (at, digest) in claimed.into_iter().zip(digests) {
        if let (Some(Some(row)), Some(digest)) = (known.get_mut(at), digest) {
            row.sha256header = Some(digest);
            row.header_from_file = true;
        }
    }
    Ok(())
}

/// An RPM by name and by the digest of its header.
type Key<'a> = (&'a Nvra, &'a str);

fn key_of(rpm: &RpmIdent) -> Key<'_> {
    (&rpm.nvra, rpm.computed.sha256.as_str())
}

fn released_by_gate(released: &[Verdict]) -> HashMap<Key<'_>, &Verdict> {
    let released = released.iter().filter(|v| v.released);
    released.filter_map(|v| Some(((v.nvra.as_ref()?, v.sha256header.as_deref()?), v))).collect()
}

/// The same without Koji, for builds without a hub: every package is `not-checked`, the rpmdb's own faults still count.
pub fn list_unchecked(db: &RpmDb, parent: Option<&RpmDb>, released: &[Verdict]) -> Proof {
    let verdicts = rpms(db).map(|rpm| (rpm.fault.clone().map(|fault| Err((Rule::BrokenRpm, fault))), None));
    assemble(db, parent, released, verdicts.collect())
}

/// Whether packages of an architecture may be in an image of another: its own, none at all, and the 32-bit sister.
fn fits(arch: &str, image: &build_model::Arch) -> bool {
    let canonical = |name: &str| build_model::Arch::canonical(name).map(|arch| arch.as_str().to_owned()).unwrap_or_default();
    let found = canonical(arch);
    arch == "noarch"
        || found == image.as_str()
        || match image.as_str() {
            "x86_64" => found == "i386" || found == "i686",
            "ppc64" => found == "ppc",
            "s390x" => found == "s390",
            _ => false,
        }
}

fn rpms(db: &RpmDb) -> impl Iterator<Item = &RpmIdent> {
    db.packages.iter().filter(|p| !p.is_public_key())
}

fn keys(db: &RpmDb) -> impl Iterator<Item = &RpmIdent> {
    db.packages.iter().filter(|p| p.is_public_key())
}

type Judgement = Option<Result<MatchedBy, (Rule, String)>>;

fn assemble(db: &RpmDb, parent: Option<&RpmDb>, released: &[Verdict], verdicts: Vec<(Judgement, Option<KnownRpm>)>) -> Proof {
    let mut problems = Vec::new();
    if db.format == RpmDbFormat::Absent && !db.root_is_empty {
        problems.push(Problem::new(
            "",
            Rule::NoRpmdb,
            "the image holds files but no rpmdb, so nothing says where they came from",
        ));
    }
    for row in &db.unreadable {
        let subject = format!("row {} of {}", row.number, db.path);
        problems.push(Problem::new(subject, Rule::BrokenRpm, row.reason.clone()));
    }
    // What the parent was built with is no work of this build's.
    let old: HashSet<&String> = parent.into_iter().flat_map(|parent| &parent.contradictions).collect();
    for contradiction in db.contradictions.iter().filter(|c| !old.contains(c)) {
        problems.push(Problem::new(db.path.clone(), Rule::EditedRpmdb, contradiction.clone()));
    }
    let inherited: HashSet<Key<'_>> = parent.into_iter().flat_map(rpms).map(key_of).collect();
    let from_gate = released_by_gate(released);
    let mut packages = Vec::new();
    let mut seen = HashSet::new();
    for (rpm, (judgement, koji)) in rpms(db).zip(verdicts) {
        let key = key_of(rpm);
        let gate = from_gate.get(&key).copied();
        let origin = match gate {
            _ if inherited.contains(&key) => Origin::Inherited,
            Some(_) => Origin::Gate,
            None => Origin::Other,
        };
        let verdict = match judgement {
            Some(Ok(by)) => PackageVerdict::Proven(by),
            Some(Err((rule, evidence))) => {
                problems.push(Problem::new(rpm.nvra.to_string(), rule, evidence));
                PackageVerdict::Refused(rule)
            }
            None => PackageVerdict::NotChecked,
        };
        if !seen.insert(&rpm.nvra) {
            let evidence = format!("the rpmdb at {} lists it more than once", db.path);
            problems.push(Problem::new(rpm.nvra.to_string(), Rule::Duplicate, evidence));
        }
        let released_as = gate.filter(|_| origin == Origin::Gate).map(|v| v.url.clone());
        packages.push(ProvenPackage { ident: rpm.clone(), verdict, koji, origin, released_as });
    }
    packages.sort_by(|a, b| a.ident.nvra.cmp(&b.ident.nvra));
    let names: HashSet<(&str, &str)> = rpms(db).map(|r| (r.nvra.nvr.name.as_str(), r.nvra.arch.as_str())).collect();
    let gone = |r: &&RpmIdent| !names.contains(&(r.nvra.nvr.name.as_str(), r.nvra.arch.as_str()));
    let removed = parent.into_iter().flat_map(rpms).filter(gone).map(|r| r.nvra.clone()).collect();
    let trusted: HashSet<&str> = parent.into_iter().flat_map(keys).map(|key| key.computed.sha256.as_str()).collect();
    let new_public_keys =
        keys(db).filter(|key| !trusted.contains(key.computed.sha256.as_str())).map(|key| key.nvra.clone()).collect();
    Proof {
        rpmdb_path: db.path.clone(),
        rpmdb_format: db.format,
        packages,
        public_keys: keys(db).cloned().collect(),
        new_public_keys,
        removed,
        problems,
    }
}
