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

/// Every RPM is signed with an allowed key. What the rpmdb says of a signature is a claim, so Koji must have a copy of the
/// RPM that is signed with that key.
pub(super) fn signing_keys(rule: &SigningKeys, image: &Provenance) -> RuleOutcome {
    let allowed = |key: &str| rule.allowed.iter().any(|a| same_key(a, key));
    let findings = chosen(image, rule.applies_to, &rule.except).filter_map(|package| {
        let evidence = match package.signing_key.as_deref() {
            None if allowed("") => return None,
            None => "it is not signed".to_owned(),
            Some(key) if !allowed(key) => format!("it is signed with {key}, which is not an allowed key"),
            Some(key) => match &package.koji_keys {
                Some(known) if !known.iter().any(|k| same_key(k, key)) => {
                    format!("it claims to be signed with {key}, but Koji has no copy of it signed with that key")
                }
                _ => return None,
            },
        };
        Some(Finding { subject: package.nvra.clone(), evidence })
    });
    RuleOutcome::new(rule, findings.collect())
}

/// Key ids are compared by the digits both have: Koji keeps the last eight.
fn same_key(a: &str, b: &str) -> bool {
    let (a, b) = (a.to_ascii_lowercase(), b.to_ascii_lowercase());
    if a.is_empty() || b.is_empty() { a == b } else { a.ends_with(&b) || b.ends_with(&a) }
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
        let mut now_and_then = tags.now.iter().chain(tags.before.iter().filter(|_| package.origin == Origin::Inherited));
        if !now_and_then.any(|tag| rule.allowed.iter().any(|pattern| allows(image, pattern, tag))) {
            let evidence = match (tags.now.as_slice(), tags.before.as_slice()) {
                ([], []) => "its build is in no tag".to_owned(),
                ([], before) => format!("its build is in no tag now; it was in {}", before.join(", ")),
                (now, _) => format!("its build is in {}", now.join(", ")),
            };
            findings.push(Finding {
                subject: package.nvra.clone(),
                evidence: format!("{evidence}, allowed are {}", rule.allowed.join(", ")),
            });
        }
    }
    if findings.is_empty() && unknown > 0 {
        return RuleOutcome::not_told(rule, &format!("the Koji tags of {unknown} RPMs are not known"));
    }
    RuleOutcome::new(rule, findings)
}

fn allows(image: &Provenance, pattern: &str, tag: &str) -> bool {
    let inherited = |parents: &Vec<String>| parents.iter().any(|parent| parent == tag);
    glob_matches(pattern, tag) || (is_plain(pattern) && image.tag_parents.get(pattern).is_some_and(inherited))
}

/// No forbidden package is in the image.
pub(super) fn forbidden(rule: &ForbiddenPackages, image: &Provenance) -> RuleOutcome {
    let findings = chosen(image, rule.applies_to, &[]).filter_map(|package| {
        let pattern = rule.forbidden.iter().find(|p| glob_matches(p, package.name()) || glob_matches(p, package.nvr()))?;
        let why = package.why.as_ref().map(|why| format!("; {}", why.sentence())).unwrap_or_default();
        Some(Finding { subject: package.nvra.clone(), evidence: format!("`{pattern}` is forbidden{why}") })
    });
    RuleOutcome::new(rule, findings.collect())
}

/// Packages of one name have one epoch, version and release wherever they are. A package that only some architectures
/// have is none of this rule's business.
pub(super) fn same_versions(rule: &SameVersions, images: &[&Provenance]) -> RuleOutcome {
    let mut versions: BTreeMap<&str, BTreeMap<String, Vec<&str>>> = BTreeMap::new();
    for image in images {
        for package in chosen(image, AppliesTo::All, &rule.except) {
            let arches = versions.entry(package.name()).or_default().entry(package.evr()).or_default();
            if !arches.contains(&image.arch.as_str()) {
                arches.push(&image.arch);
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
