//! What is wrong with rules themselves, found when the configuration is read and not when the first image is judged.

use std::collections::BTreeSet;

use super::Policy;
use super::rule::Named;

/// A rule that cannot work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleProblem {
    /// Its place, like `policy.signing_keys[0]` (`ours`).
    pub key: String,
    /// What is wrong, a continuation of the place.
    pub problem: String,
}

pub(super) fn check(policy: &Policy<'_>) -> Result<(), RuleProblem> {
    common(policy.signing_keys)?;
    common(policy.content_tags)?;
    common(policy.parent_images)?;
    common(policy.registries)?;
    common(policy.repositories)?;
    common(policy.labels)?;
    common(policy.packages)?;
    common(policy.same_versions)?;
    common(policy.size)?;
    for (at, rule) in policy.signing_keys.iter().enumerate() {
        let is_key =
            |key: &String| key.is_empty() || ([8, 16, 40, 64].contains(&key.len()) && key.bytes().all(|b| b.is_ascii_hexdigit()));
        if let Some(bad) = rule.allowed.iter().find(|key| !is_key(key)) {
            return Err(problem(rule, at, &format!("holds `{bad}`; a key id has 8, 16, 40 or 64 hex digits")));
        }
        not_empty(rule, at, "allowed", &rule.allowed)?;
    }
    for (at, rule) in policy.content_tags.iter().enumerate() {
        not_empty(rule, at, "allowed", &rule.allowed)?;
    }
    for (at, rule) in policy.registries.iter().enumerate() {
        not_empty(rule, at, "allowed", &rule.allowed)?;
    }
    for (at, rule) in policy.repositories.iter().enumerate() {
        not_empty(rule, at, "components", &rule.components)?;
        not_empty(rule, at, "allowed", &rule.allowed)?;
    }
    for (at, rule) in policy.packages.iter().enumerate() {
        not_empty(rule, at, "forbidden", &rule.forbidden)?;
    }
    for (at, rule) in policy.labels.iter().enumerate() {
        if rule.required.is_empty() && rule.forbidden.is_empty() {
            return Err(problem(rule, at, "needs `required`, `forbidden` or both"));
        }
    }
    for (at, rule) in policy.size.iter().enumerate() {
        if rule.max_mb.is_none() && rule.max_growth_mb.is_none() {
            return Err(problem(rule, at, "needs `max_mb`, `max_growth_mb` or both"));
        }
    }
    policy.files.check().map_err(|(at, why)| RuleProblem { key: format!("policy.files.allow[{at}]"), problem: why.to_owned() })
}

fn problem<R: Named>(rule: &R, at: usize, problem: &str) -> RuleProblem {
    RuleProblem { key: format!("policy.{}[{at}] (`{}`)", R::CHECK, rule.name()), problem: problem.to_owned() }
}

fn not_empty<R: Named>(rule: &R, at: usize, key: &str, list: &[String]) -> Result<(), RuleProblem> {
    if list.is_empty() { Err(problem(rule, at, &format!("has an empty `{key}`, which nothing could pass"))) } else { Ok(()) }
}

fn common<R: Named>(rules: &[R]) -> Result<(), RuleProblem> {
    let mut names = BTreeSet::new();
    for (at, rule) in rules.iter().enumerate() {
        if rule.name().trim().is_empty() || rule.name().contains(char::is_whitespace) {
            return Err(problem(rule, at, "needs a `name` without blanks"));
        }
        if rule.reason().trim().is_empty() {
            return Err(problem(rule, at, "needs a `reason`"));
        }
        if rule.targets().iter().any(String::is_empty) {
            return Err(problem(rule, at, "has an empty pattern in `targets`"));
        }
        if !names.insert(rule.name()) {
            return Err(problem(rule, at, "has the name of another rule of its kind"));
        }
    }
    Ok(())
}
