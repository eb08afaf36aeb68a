//! Rules over RPMs: keys, tags, forbidden ones, and equal versions on all architectures.

use std::collections::BTreeMap;

use super::pattern::{glob_matches, is_plain};
use super::rule::{AppliesTo, ContentTags, ForbiddenPackages, SameVersions, SigningKeys};
use super::{Finding, RuleOutcome};
use crate::Origin;
use crate::report::{Package, Provenance};

/// Looks at `packages` that a rule applies to.
fn chosen<'a>(image: &'a Provenance, applies_to: AppliesTo, except: &'a [String]) -> impl Iterator<Item = &'a Package> {
    image.packages.iter().filter(move |package| {
        let counts = applies_to == AppliesTo::All || package.origin != Origin::Inherited;
        counts && !except.iter().any(|pattern| glob_matches(pattern, package.name()))
    })
}

impl SigningKeys {
    /// Whether a signature with `key` is allowed, or none at all.
    pub fn allows(&self, key: Option<&str>) -> bool {
        match key {
            None => self.allowed.iter().any(String::is_empty),
            Some(key) => self.allowed.iter().any(|allowed| same_key(allowed, key)),
        }
    }

    /// What is wrong with a signature: `key` is the id that the RPM claims, `recorded` the keys Koji has signed copies of it
    /// with, where they are known. What a rpmdb says of a signature is a claim, so Koji must have such a copy.
    pub(super) fn seen(&self, key: Option<&str>, recorded: Option<&[String]>) -> Option<String> {
        match key {
            None if self.allows(None) => None,
            None => Some("it is not signed".to_owned()),
            Some(key) if !self.allows(Some(key)) => Some(format!("it is signed with {key}, which is not an allowed key")),
            Some(key) => match recorded {
                Some(known) if !known.iter().any(|k| same_key(k, key)) => {
                    Some(format!("it claims to be signed with {key}, but Koji has no copy of it signed with that key"))
                }
                _ => None,
            },
        }
    }
}

/// Key ids are the ends of fingerprints, and Koji keeps the last eight digits: compared by the digits both have.
pub(super) fn same_key(a: &str, b: &str) -> bool {
    let length = a.len().min(b.len());
    let end = |key: &str| key.get(key.len() - length..).unwrap_or_default().to_ascii_lowercase();
    length >= 8 && end(a) == end(b)
}

impl ContentTags {
    /// What is wrong with where a build is: `now` and `before` are the tags it is in and was in (the latter count where it
    /// `may_have_left`), `inheritance` what the plain names among the allowed tags inherit from.
    pub(super) fn seen(
        &self,
        now: &[String],
        before: &[String],
        may_have_left: bool,
        inheritance: &BTreeMap<String, Vec<String>>,
    ) -> Option<String> {
        let inherits = |pattern: &String, tag: &String| {
            is_plain(pattern) && inheritance.get(pattern).is_some_and(|parents| parents.contains(tag))
        };
        let allowed = |tag: &String| self.allowed.iter().any(|pattern| glob_matches(pattern, tag) || inherits(pattern, tag));
        if now.iter().any(allowed) || (may_have_left && before.iter().any(allowed)) {
            return None;
        }
        let found = match (now, before) {
            ([], []) => "its build is in no tag".to_owned(),
            ([], before) => format!("its build is in no tag now; it was in {}", before.join(", ")),
            (now, _) => format!("its build is in {}", now.join(", ")),
        };
        Some(format!("{found}, allowed are {}", self.allowed.join(", ")))
    }
}

impl ForbiddenPackages {
    /// The pattern that a package fits.
    pub(super) fn seen(&self, name: &str, nvr: &str) -> Option<String> {
        let pattern = self.forbidden.iter().find(|p| glob_matches(p, name) || glob_matches(p, nvr))?;
        Some(format!("`{pattern}` is forbidden"))
    }
}

/// Every RPM is signed with an allowed key, and rpm in the image was told to trust no other.
pub(super) fn signing_keys(rule: &SigningKeys, image: &Provenance) -> RuleOutcome {
    let foreign = image.new_public_keys.iter().filter(|key| {
        // gpg-pubkey-ID-TIME
        let id = key.strip_prefix("gpg-pubkey-").and_then(|rest| rest.split('-').next()).unwrap_or_default();
        !rule.allows(Some(id))
    });
    let foreign = foreign.map(|key| Finding {
        subject: key.clone(),
        evidence: "rpm in the image would trust what is signed with it, and it is not an allowed key".to_owned(),
    });
    let findings = chosen(image, rule.applies_to, &rule.except).filter_map(|package| {
        let evidence = rule.seen(package.signing_key.as_deref(), package.koji_keys.as_deref())?;
        Some(Finding { subject: package.nvra.clone(), evidence })
    });
    RuleOutcome::new(rule, findings.chain(foreign).collect())
}

/// Every RPM's build is in an allowed tag. Inherited RPMs may have left it: they were let in when it was there.
pub(super) fn content_tags(rule: &ContentTags, image: &Provenance) -> RuleOutcome {
    let mut findings = Vec::new();
    let mut unknown = 0;
    for package in chosen(image, rule.applies_to, &rule.except) {
        let Some(tags) = &package.tags else {
            unknown += 1;
            continue;
        };
        let may_have_left = package.origin == Origin::Inherited;
        if let Some(evidence) = rule.seen(&tags.now, &tags.before, may_have_left, &image.tag_parents) {
            findings.push(Finding { subject: package.nvra.clone(), evidence });
        }
    }
    if findings.is_empty() && unknown > 0 {
        return RuleOutcome::not_told(rule, &format!("the Koji tags of {unknown} RPMs are not known"));
    }
    RuleOutcome::new(rule, findings)
}

/// No forbidden package is in the image.
pub(super) fn forbidden(rule: &ForbiddenPackages, image: &Provenance) -> RuleOutcome {
    let findings = chosen(image, rule.applies_to, &[]).filter_map(|package| {
        let seen = rule.seen(package.name(), package.nvr())?;
        let why = package.why.as_ref().map(|why| format!("; {}", why.sentence())).unwrap_or_default();
        Some(Finding { subject: package.nvra.clone(), evidence: format!("{seen}{why}") })
    });
    RuleOutcome::new(rule, findings.collect())
}

/// The RPMs of one image, as far as architectures are compared.
#[derive(Debug, Clone)]
pub struct ArchPackages<'a> {
    /// The image's architecture.
    pub arch: &'a str,
    /// Names, each with epoch, version and release.
    pub packages: Vec<(&'a str, String)>,
}

impl<'a> From<&'a Provenance> for ArchPackages<'a> {
    fn from(image: &'a Provenance) -> Self {
        ArchPackages { arch: &image.arch, packages: image.packages.iter().map(|p| (p.name(), p.evr())).collect() }
    }
}

/// Packages of one name have one epoch, version and release wherever they are. A package that only some architectures
/// have is none of this rule's business.
pub(super) fn same_versions(rule: &SameVersions, images: &[ArchPackages<'_>]) -> RuleOutcome {
    let mut versions: BTreeMap<&str, BTreeMap<&str, Vec<&str>>> = BTreeMap::new();
    for image in images {
        let compared = |name: &str| !rule.except.iter().any(|pattern| glob_matches(pattern, name));
        for (name, evr) in image.packages.iter().filter(|(name, _)| compared(name)) {
            let arches = versions.entry(name).or_default().entry(evr).or_default();
            if !arches.contains(&image.arch) {
                arches.push(image.arch);
            }
        }
    }
    // Two versions on every architecture alike (kernels) are equal too.
    let differ = versions.into_iter().filter(|(_, evrs)| {
        let mut arches = evrs.values();
        arches.next().is_some_and(|first| arches.any(|other| other != first))
    });
    let findings = differ.map(|(name, evrs)| Finding {
        subject: name.to_owned(),
        evidence: evrs.iter().map(|(evr, arches)| format!("{evr} on {}", arches.join(", "))).collect::<Vec<_>>().join("; "),
    });
    RuleOutcome::new(rule, findings.collect())
}
