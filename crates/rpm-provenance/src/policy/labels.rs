//! Rules over the labels of the finished image, inherited ones included: that is what a user of the image sees.

use super::pattern::glob_matches;
use super::rule::LabelRule;
use super::{Finding, RuleOutcome};
use crate::report::Provenance;

/// Required labels are there with a value that fits, forbidden ones are not.
pub(super) fn labels(rule: &LabelRule, image: &Provenance) -> RuleOutcome {
    let Some(labels) = &image.labels else { return RuleOutcome::not_told(rule, "the labels of the image are not known") };
    let mut findings = Vec::new();
    for wanted in &rule.required {
        let (label, pattern) = split(wanted);
        let evidence = match labels.get(label).filter(|value| !value.is_empty()) {
            None => "the image has no such label".to_owned(),
            Some(value) if !glob_matches(pattern, value) => format!("its value is `{value}`, `{pattern}` is required"),
            Some(_) => continue,
        };
        findings.push(Finding { subject: label.to_owned(), evidence });
    }
    for unwanted in &rule.forbidden {
        let (name, pattern) = split(unwanted);
        for (label, value) in labels.iter().filter(|(label, value)| glob_matches(name, label) && glob_matches(pattern, value)) {
            findings
                .push(Finding { subject: label.clone(), evidence: format!("the label is forbidden; its value is `{value}`") });
        }
    }
    RuleOutcome::new(rule, findings)
}

/// Label and pattern of its value.
fn split(entry: &str) -> (&str, &str) {
    entry.split_once('=').unwrap_or((entry, "*"))
}
