//! A case after the policy has judged it: as expected, or how not.

use std::collections::BTreeSet;

use rpm_provenance::Provenance;
use rpm_provenance::policy::{ArchPackages, Policy, RuleOutcome, Ruling};
use rpm_provenance::report::Outcome;

use super::Case;

/// What came of a case.
pub struct Judged {
    /// What the rules said, of all images.
    pub outcomes: Vec<RuleOutcome>,
    /// How it differs from what was expected, one line each; empty when it does not.
    pub differences: Vec<String>,
}

impl Judged {
    /// Judges a case; `today` where it sets no day of its own.
    pub fn new(case: &Case, policy: &Policy<'_>, today: &str) -> Self {
        let today = case.today.as_deref().unwrap_or(today);
        let mut images = case.images.clone();
        let mut outcomes = Vec::new();
        let target = images.first().and_then(|image| image.target.clone());
        let compared: Vec<ArchPackages<'_>> = case.images.iter().map(ArchPackages::from).collect();
        let across = policy.judge_arches(target.as_deref(), &compared);
        for image in &mut images {
            let mut said = policy.judge(image, today);
            said.extend(across.iter().cloned());
            image.set_policy(said.clone());
            outcomes.extend(said);
        }
        let outcome = worst(&images);
        let differences = differences(case, outcome, &images, &outcomes);
        Self { outcomes, differences }
    }

    /// Rules that this case broke.
    pub fn broken(&self) -> impl Iterator<Item = String> {
        self.outcomes.iter().filter(|o| o.ruling != Ruling::Passed).map(RuleOutcome::id)
    }
}

fn worst(images: &[Provenance]) -> Outcome {
    let rank = |outcome: &Outcome| match outcome {
        Outcome::Passed => 0,
        Outcome::Warned => 1,
        Outcome::NotTold => 2,
        Outcome::Refused => 3,
    };
    images.iter().map(|image| image.outcome).max_by_key(rank).unwrap_or_default()
}

fn differences(case: &Case, outcome: Outcome, images: &[Provenance], outcomes: &[RuleOutcome]) -> Vec<String> {
    let mut found = Vec::new();
    if outcome != case.expect.outcome {
        found.push(format!("expected {}, the policy says {}", word(case.expect.outcome), word(outcome)));
        let problems = images.iter().flat_map(|image| &image.problems);
        found.extend(problems.map(|problem| format!("the report itself holds a problem: {problem}")));
    }
    let lists = [("refused", Ruling::Refused, &case.expect.refused), ("warned", Ruling::Warned, &case.expect.warned)];
    for (name, ruling, expected) in lists {
        let Some(expected) = expected else { continue };
        let expected: BTreeSet<&str> = expected.iter().map(String::as_str).collect();
        let said: BTreeSet<String> = outcomes.iter().filter(|o| o.ruling == ruling).map(RuleOutcome::id).collect();
        for rule in expected.iter().filter(|rule| !said.contains(**rule)) {
            let known = outcomes.iter().find(|o| o.id() == *rule);
            let what = known.map_or("there is no such rule for this target".to_owned(), |o| format!("it says {}", o.ruling));
            found.push(format!("{name}: {rule} was expected; {what}"));
        }
        for rule in said.iter().filter(|rule| !expected.contains(rule.as_str())) {
            found.push(format!("{name}: {rule} was not expected"));
        }
    }
    let lines: Vec<String> = outcomes.iter().filter(|o| o.ruling != Ruling::Passed).map(RuleOutcome::line).collect();
    for word in case.expect.says.iter().filter(|word| !lines.iter().any(|line| line.contains(word.as_str()))) {
        found.push(format!("no refusal or warning says `{word}`"));
    }
    found
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "passed",
        Outcome::Warned => "warned",
        Outcome::NotTold => "not-told",
        Outcome::Refused => "refused",
    }
}
