//! The linter: BuildKit's build checks under their published names, and our own for Koji builds. Called by `containerbuild lint`.
//!
//! A rule is data ([`Rule`]): the code, docs/LINT.md and the test that runs every example share one table. Pure, like the
//! rest of the crate: whoever calls brings the text of the Dockerfile and of the ignore file.

mod check_directive;
mod checked;
mod image_name;
mod markdown;
mod report;
mod rule;
mod rules;
mod scope;
mod shell;

use std::collections::BTreeMap;

use crate::logical_lines::SourceLines;
use crate::{BuildPlan, Dockerfile, PlanError, PlanOptions, Platform, Problem};
use check_directive::CheckOptions;
use checked::Checked;
pub use markdown::markdown;
pub use report::{Finding, LintReport};
use rule::Broken;
pub use rule::{Origin, Rule, Severity};
pub use rules::rules;

/// What linting depends on besides the file.
#[derive(Debug, Clone)]
pub struct LintOptions {
    /// Whether rules are applied at all; without them only what makes the file invalid is reported.
    pub rules: bool,
    /// The text of the ignore file that belongs to the Dockerfile, if there is one.
    pub ignore: Option<String>,
    /// The environment of base images, by the reference the Dockerfile uses. An image that is not here may set anything.
    pub base_env: BTreeMap<String, BTreeMap<String, String>>,
    /// What base images are for, by the reference the Dockerfile uses. Nothing is said of an image that is not here.
    pub base_platforms: BTreeMap<String, Platform>,
    /// What is built for, where no `--platform` says otherwise.
    pub platform: Platform,
}

impl Default for LintOptions {
    /// All rules, no ignore file, nothing known of base images, built for linux/amd64: rules must say the same everywhere,
    /// so this is not the architecture of the machine.
    fn default() -> Self {
        let platform = Platform { os: "linux".to_owned(), architecture: "amd64".to_owned(), variant: None };
        LintOptions { rules: true, ignore: None, base_env: BTreeMap::new(), base_platforms: BTreeMap::new(), platform }
    }
}

/// Lints a Dockerfile. `file` is its name for messages. Never fails: a text that is no Dockerfile is the report's `errors`.
pub fn lint(text: &[u8], file: &str, options: &LintOptions) -> LintReport {
    let mut report = LintReport { file: file.to_owned(), errors: Vec::new(), findings: Vec::new(), fail_on_findings: false };
    let parsed = match crate::parse(text, file) {
        Ok(parsed) => parsed,
        Err(error) => {
            report.errors = error.problems;
            return report;
        }
    };
    let (plan, default_problems) = match plan_with_defaults(&parsed) {
        Ok(planned) => planned,
        Err(problems) => {
            report.errors = problems;
            return report;
        }
    };
    if !options.rules {
        return report;
    }
    let source = SourceLines::read(text);
    let checked = Checked::new(&parsed, &source, plan.as_ref(), &default_problems, options);
    let of_file = CheckOptions::of_file(&source);
    for rule in rules() {
        if of_file.never_applies(rule) {
            continue;
        }
        let mut broken = Broken::default();
        (rule.check)(&checked, &mut broken);
        for found in broken.into_found() {
            if of_file.and(&CheckOptions::above(&checked, found.span.first_line)).applies(rule) {
                report.findings.push(Finding::new(rule, found, &checked));
            }
        }
    }
    report.findings.sort_by_key(|f| f.problem.span);
    report.fail_on_findings = of_file.error && !report.findings.is_empty();
    report
}

/// The plan as it is without build arguments. What only a build argument could mend is returned beside it, not as an error.
fn plan_with_defaults(file: &Dockerfile) -> Result<(Option<BuildPlan>, Vec<Problem>), Vec<Problem>> {
    // Rules must say the same everywhere, so this is not the architecture of the machine.
    let platform = Platform { os: "linux".to_owned(), architecture: "amd64".to_owned(), variant: None };
    let mut options = PlanOptions { target: None, build_args: BTreeMap::new(), platform };
    let problems = match crate::plan(file, &options) {
        Ok(plan) => return Ok((Some(plan), Vec::new())),
        Err(PlanError::Stages { problems, .. }) => problems,
        // Only a target that was asked for can be missing.
        Err(PlanError::NoTarget { .. }) => return Ok((None, Vec::new())),
    };
    let variable = |text: &str| text.contains('$');
    let by_value = |problem: &Problem| {
        let stage = |s: &crate::Stage| {
            s.span == problem.span && (variable(&s.from.image) || s.from.platform.as_deref().is_some_and(variable))
        };
        file.stages.iter().any(stage) || file.global_args.iter().any(|a| a.span == problem.span)
    };
    let (by_value, certain): (Vec<_>, Vec<_>) = problems.into_iter().partition(by_value);
    if !certain.is_empty() {
        return Err(certain);
    }
    // Any value does, so that the rules about stages and labels have a plan to look at.
    options.build_args =
        file.global_args.iter().filter(|a| a.default.is_none()).map(|a| (a.name.clone(), "given".to_owned())).collect();
    Ok((crate::plan(file, &options).ok(), by_value))
}

#[cfg(test)]
mod tests;
