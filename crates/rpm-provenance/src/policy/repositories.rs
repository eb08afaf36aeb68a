//! Rules over where an image goes: whose repository it is. The labels of the image say the Koji package and the repository
//! (`com.redhat.component`, `name`); the worker sets both itself. Judged with all other rules, and by the worker before
//! anything is built.

use super::pattern::{glob_matches, is_plain};
use super::rule::Repositories;
use super::{Finding, RuleOutcome};
use crate::report::Provenance;

/// What the site says of a Koji package in a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// No rule says anything.
    Open,
    /// A rule allows it by a pattern.
    Allowed,
    /// A rule gives this very repository to this very package: whoever used it before.
    Given,
    /// A rule does not allow it.
    Broken(RuleOutcome),
}

/// Whether what a rule allows is written out, so that nobody else is meant by it.
fn gives(rule: &Repositories, pattern: &str) -> bool {
    let by_name = pattern.contains("{component}") || pattern.contains("{stem}");
    is_plain(pattern) && (by_name || rule.components.iter().all(|component| is_plain(component)))
}

fn fits(pattern: &str, component: &str, repository: &str) -> bool {
    let stem = component.strip_suffix("-container").unwrap_or(component);
    glob_matches(&pattern.replace("{component}", component).replace("{stem}", stem), repository)
}

fn rule_of<'a>(rules: &'a [Repositories], target: Option<&str>, component: &str) -> Option<&'a Repositories> {
    rules.iter().find(|rule| rule.is_for(target) && rule.components.iter().any(|c| glob_matches(c, component)))
}

fn broken(rule: &Repositories, component: &str, repository: &str) -> Vec<Finding> {
    if rule.allowed.iter().any(|pattern| fits(pattern, component, repository)) {
        return Vec::new();
    }
    let evidence = format!("the component {component} may go to {}", rule.allowed.join(", "));
    vec![Finding { subject: repository.to_owned(), evidence }]
}

/// What the site says of a package in a repository.
pub(super) fn place(rules: &[Repositories], target: Option<&str>, component: &str, repository: &str) -> Place {
    let Some(rule) = rule_of(rules, target, component) else { return Place::Open };
    let findings = broken(rule, component, repository);
    if !findings.is_empty() {
        return Place::Broken(RuleOutcome::new(rule, findings));
    }
    let fitting = rule.allowed.iter().filter(|pattern| fits(pattern, component, repository));
    if fitting.into_iter().any(|pattern| gives(rule, pattern)) { Place::Given } else { Place::Allowed }
}

/// The rule that decides over an image, judged by its labels.
pub(super) fn repositories(rules: &[Repositories], image: &Provenance) -> Option<RuleOutcome> {
    let target = image.target.as_deref();
    let first = rules.iter().find(|rule| rule.is_for(target))?;
    let label = |name: &str| image.labels.as_ref().and_then(|labels| labels.get(name)).filter(|value| !value.is_empty());
    let (Some(component), Some(repository)) = (label("com.redhat.component"), label("name")) else {
        return Some(RuleOutcome::not_told(first, "the labels com.redhat.component and name of the image are not known"));
    };
    let rule = rule_of(rules, target, component)?;
    Some(RuleOutcome::new(rule, broken(rule, component, repository)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Vec<Repositories> {
        serde_json::from_value(serde_json::json!([
            {"name": "renamed", "reason": "r", "components": ["web-container"], "allowed": ["f40/webserver"]},
            {"name": "teams", "reason": "r", "components": ["team-*"], "allowed": ["f40/team/*"]},
            {"name": "own", "reason": "r", "allowed": ["f40/{component}", "f40/{stem}", "f41/{stem}-*"]},
        ]))
        .expect("rules")
    }

    #[test]
    fn the_first_rule_for_a_component_decides() {
        let place = |component: &str, repository: &str| place(&rules(), None, component, repository);
        assert_eq!(place("web-container", "f40/webserver"), Place::Given, "written out");
        assert!(matches!(place("web-container", "f40/web"), Place::Broken(_)), "the first one decides");
        assert_eq!(place("db-container", "f40/db"), Place::Given);
        assert_eq!(place("db", "f40/db"), Place::Given);
        assert_eq!(place("db", "f41/db-tools"), Place::Allowed, "a pattern gives nothing to nobody");
        assert_eq!(place("team-a", "f40/team/x"), Place::Allowed);
        let Place::Broken(outcome) = place("evil", "f40/webserver") else { panic!("it is let in") };
        let line = outcome.line();
        assert!(line.starts_with("f40/webserver: the component evil may go to f40/{component}, f40/{stem}"), "{line}");
        assert_eq!(super::place(&[], None, "a", "b"), Place::Open);
    }
}
