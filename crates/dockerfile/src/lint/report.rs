//! What linting one file found.

use std::fmt;

use super::checked::Checked;
use super::rule::{Found, Rule, Severity};
use crate::Problem;

/// A file's report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LintReport {
    /// The name the caller gave the file.
    pub file: String,
    /// What makes the text no valid Dockerfile, in its order. Rules are not applied then.
    pub errors: Vec<Problem>,
    /// Where rules are broken, in the order of the file.
    pub findings: Vec<Finding>,
    /// The file says `# check=error=true`, and there are findings.
    pub fail_on_findings: bool,
}

/// One place where a rule is broken.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// The rule's name.
    pub rule: &'static str,
    /// The rule's severity.
    pub severity: Severity,
    /// Place, message, source line, hint.
    #[serde(flatten)]
    pub problem: Problem,
}

impl Finding {
    pub(super) fn new(rule: &Rule, found: Found, checked: &Checked) -> Finding {
        let span = checked.locate(found.span, &found.word);
        let source_line = checked.source.text(span.first_line).to_owned();
        let problem = Problem { span, message: found.message, source_line, hint: found.hint };
        Finding { rule: rule.name, severity: rule.severity, problem }
    }
}

impl LintReport {
    /// A valid Dockerfile that breaks no rule.
    pub fn is_clean(&self) -> bool {
        self.errors.is_empty() && self.findings.is_empty()
    }

    /// Everything, as a compiler would show it; empty for a clean file. Ends with a newline otherwise.
    pub fn show(&self) -> impl fmt::Display + '_ {
        Shown(self)
    }
}

struct Shown<'a>(&'a LintReport);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        for error in &report.errors {
            writeln!(f, "{}", error.show(&report.file))?;
        }
        for finding in &report.findings {
            let labelled =
                Problem { message: format!("{} ({})", finding.problem.message, finding.rule), ..finding.problem.clone() };
            writeln!(f, "{}", labelled.show(&report.file))?;
        }
        Ok(())
    }
}
