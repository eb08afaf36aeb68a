//! Rules over images as a whole: where they may be named from, what they are made from, how large they are.

use super::pattern::glob_matches;
use super::rule::{ParentImages, Registries, SizeLimit};
use super::{Finding, RuleOutcome};
use crate::report::{ParentImage, Provenance};

/// Every parent is named from an allowed place.
pub(super) fn registries(rule: &Registries, image: &Provenance) -> RuleOutcome {
    let foreign = image.parents.iter().filter(|parent| {
        let place = place_of(&parent.reference);
        let host = place.split('/').next().unwrap_or_default();
        !rule.allowed.iter().any(|pattern| glob_matches(pattern, host) || glob_matches(pattern, place))
    });
    let findings = foreign.map(|parent| Finding {
        subject: parent.reference.clone(),
        evidence: format!("its registry is not among {}", rule.allowed.join(", ")),
    });
    RuleOutcome::new(rule, findings.collect())
}

/// A reference without tag and digest: `HOST[:PORT]/REPOSITORY`.
fn place_of(reference: &str) -> &str {
    let reference = reference.split('@').next().unwrap_or_default();
    match reference.rfind(':') {
        // A colon before the last slash belongs to the port.
        Some(colon) if reference.rfind('/').is_none_or(|slash| slash < colon) => reference.get(..colon).unwrap_or(reference),
        _ => reference,
    }
}

/// The rule that decides over a parent: the first for its target whose patterns fit.
pub(super) fn rule_of<'a>(rules: &'a [ParentImages], target: Option<&str>, reference: &str) -> Option<&'a ParentImages> {
    let place = place_of(reference);
    let fits = |pattern: &String| glob_matches(pattern, reference) || glob_matches(pattern, place);
    rules.iter().find(|rule| rule.is_for(target) && rule.images.iter().any(fits))
}

/// Every parent is a complete build of this Koji with its digest. Where no rule fits an image, the strict one decides.
pub(super) fn parents(rules: &[ParentImages], image: &Provenance) -> Vec<RuleOutcome> {
    let target = image.target.as_deref();
    let strict = ParentImages::strict();
    let mut found: Vec<(&ParentImages, Vec<Finding>)> =
        rules.iter().filter(|rule| rule.is_for(target)).map(|rule| (rule, Vec::new())).collect();
    if found.is_empty() {
        found.push((&strict, Vec::new()));
    }
    for parent in image.parents.iter().filter(|parent| parent.build.is_none()) {
        let rule = rule_of(rules, target, &parent.reference).unwrap_or(&strict);
        let finding = Finding { subject: parent.reference.clone(), evidence: why_foreign(parent) };
        match found.iter_mut().find(|(r, _)| std::ptr::eq(*r, rule)) {
            Some((_, findings)) => findings.push(finding),
            None => found.push((rule, vec![finding])),
        }
    }
    found.into_iter().map(|(rule, findings)| RuleOutcome::new(rule, findings)).collect()
}

fn why_foreign(parent: &ParentImage) -> String {
    parent.foreign.clone().unwrap_or_else(|| "it is no complete build of this Koji with that digest".to_owned())
}

/// Size, and growth since the build before.
pub(super) fn size(rule: &SizeLimit, image: &Provenance) -> RuleOutcome {
    let Some(size) = image.size else { return RuleOutcome::not_told(rule, "the size of the image is not known") };
    let mb = |bytes: u64| bytes.div_ceil(1 << 20);
    let mut findings = Vec::new();
    if let Some(limit) = rule.max_mb.filter(|limit| mb(size) > *limit) {
        findings.push(Finding { subject: "image".into(), evidence: format!("{} MB, {limit} MB are allowed", mb(size)) });
    }
    let before = image.previous.as_ref().and_then(|previous| Some((previous.nvr.as_str(), previous.size?)));
    if let (Some(limit), Some((nvr, before))) = (rule.max_growth_mb, before) {
        let growth = size.saturating_sub(before);
        if mb(growth) > limit {
            let evidence = format!("{} MB more than {nvr}, {limit} MB are allowed", mb(growth));
            findings.push(Finding { subject: "image".into(), evidence });
        }
    }
    RuleOutcome::new(rule, findings)
}

#[cfg(test)]
mod tests {
    use super::place_of;

    #[test]
    fn tags_digests_and_ports_are_told_apart() {
        for (reference, place) in [
            ("r.example.com/f40/base:40", "r.example.com/f40/base"),
            ("r.example.com:5000/base@sha256:ab", "r.example.com:5000/base"),
            ("r.example.com:5000/base", "r.example.com:5000/base"),
            ("r/x:1@sha256:ab", "r/x"),
            ("", ""),
        ] {
            assert_eq!(place_of(reference), place);
        }
    }
}
