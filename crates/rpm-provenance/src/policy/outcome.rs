//! What came of a rule: passed, warned, refused, allowed although broken, or not to be told.

use serde::{Deserialize, Serialize};

use super::rule::Named;
use crate::files::Decision;

/// What came of one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ruling {
    /// Nothing broke it.
    Passed,
    /// Broken, and the site lets it pass without a word to the packager.
    Allowed,
    /// Broken; the packager is told.
    Warned,
    /// What it looks at is not known.
    NotTold,
    /// Broken; the image is not pushed.
    Refused,
}

impl Ruling {
    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Ruling::Passed => "passed",
            Ruling::Allowed => "allowed",
            Ruling::Warned => "warned",
            Ruling::NotTold => "not-told",
            Ruling::Refused => "refused",
        }
    }
}

/// One thing that breaks a rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// RPM, image, label or path.
    pub subject: String,
    /// What was seen, without a full stop.
    pub evidence: String,
}

/// One rule and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleOutcome {
    /// The kind of rule: key of `[policy]`.
    pub check: String,
    /// Its name.
    pub name: String,
    /// What came of it.
    pub ruling: Ruling,
    /// Why the site has it.
    pub reason: String,
    /// What a packager can do.
    pub remedy: String,
    /// How many things break it.
    pub count: u64,
    /// The first of them.
    pub findings: Vec<Finding>,
    /// One line for people, where the rule has a better one than its findings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
}

impl RuleOutcome {
    /// Findings kept for the report; the count is always whole.
    pub const KEPT: usize = 100;
    /// Findings named in one line of a message.
    const NAMED: usize = 5;

    pub(super) fn new(rule: &impl Named, findings: Vec<Finding>) -> Self {
        Self::of(check_of(rule), rule.name(), rule.decision(), rule.reason(), &rule.remedy(), findings)
    }

    pub(crate) fn of(
        check: &str,
        name: &str,
        decision: Decision,
        reason: &str,
        remedy: &str,
        mut findings: Vec<Finding>,
    ) -> Self {
        let ruling = match decision {
            _ if findings.is_empty() => Ruling::Passed,
            Decision::Allow => Ruling::Allowed,
            Decision::Warn => Ruling::Warned,
            Decision::Refuse => Ruling::Refused,
        };
        let count = findings.len() as u64;
        findings.truncate(Self::KEPT);
        Self {
            check: check.to_owned(),
            name: name.to_owned(),
            ruling,
            reason: reason.to_owned(),
            remedy: remedy.to_owned(),
            count,
            findings,
            summary: None,
        }
    }

    /// A rule whose subject is not known; `why` says what is missing. A rule that only allows has nothing to tell.
    pub(super) fn not_told(rule: &impl Named, why: &str) -> Self {
        let ruling = if rule.decision() == Decision::Allow { Ruling::Allowed } else { Ruling::NotTold };
        let finding = Finding { subject: String::new(), evidence: why.to_owned() };
        Self { ruling, ..Self::new(rule, vec![finding]) }
    }

    /// Name with its kind: `signing_keys/ours`.
    pub fn id(&self) -> String {
        format!("{}/{}", self.check, self.name)
    }

    /// One line for people: the first findings, and the reason.
    pub fn line(&self) -> String {
        if let Some(summary) = &self.summary {
            return summary.clone();
        }
        let named: Vec<String> = self
            .findings
            .iter()
            .take(Self::NAMED)
            .map(|f| if f.subject.is_empty() { f.evidence.clone() } else { format!("{}: {}", f.subject, f.evidence) })
            .collect();
        let more = self.count.saturating_sub(named.len() as u64);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{}{more} (rule {}: {})", named.join("; "), self.id(), self.reason)
    }
}

fn check_of<R: Named>(_: &R) -> &'static str {
    R::CHECK
}

impl std::fmt::Display for Ruling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
