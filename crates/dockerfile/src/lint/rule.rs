//! What a lint rule is. The rules themselves are in `rules/`, one file a group.

use super::checked::Checked;
use crate::Span;

/// A rule: data, and the function that looks for what breaks it.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// The name for `# check=skip=NAME`, unique.
    pub name: &'static str,
    /// What the rule asks for, in one sentence.
    pub sentence: &'static str,
    /// What goes wrong where it is broken.
    pub why: &'static str,
    /// A whole Dockerfile that breaks this rule and no other.
    pub bad: &'static str,
    /// The same, mended.
    pub good: &'static str,
    /// The ignore file of both examples; empty where the rule does not need one.
    pub ignore: &'static str,
    /// What breaking it means for a Koji build.
    pub severity: Severity,
    /// Where the rule comes from.
    pub origin: Origin,
    /// Applied only when `# check=experimental=NAME` asks for it.
    pub experimental: bool,
    pub(super) check: fn(&Checked<'_>, &mut Broken),
}

/// What breaking a rule means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A Koji build of the file is refused, or fails, for this reason.
    Refused,
    /// The build may go through and give something else than was meant.
    Warning,
}

/// Where a rule comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// BuildKit's build checks; same name, same meaning.
    BuildKit,
    /// Ours.
    Containerbuild,
}

/// A place where a rule is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// The instruction, or the word.
    pub span: Span,
    /// The word inside `span` to point at; empty for `span` itself.
    pub word: String,
    /// One lower-case sentence.
    pub message: String,
    pub hint: Option<String>,
}

/// The places where one rule is broken.
#[derive(Debug, Default)]
pub(super) struct Broken {
    found: Vec<Found>,
}

/// Places kept of one rule: a file with more has another problem.
const MAX_FOUND: usize = 100;

impl Broken {
    /// Adds a place, unless there are enough.
    pub fn push(&mut self, found: Found) {
        if !self.is_full() && !self.found.contains(&found) {
            self.found.push(found);
        }
    }

    /// Whether more places would be dropped.
    pub fn is_full(&self) -> bool {
        self.found.len() >= MAX_FOUND
    }

    pub fn into_found(self) -> Vec<Found> {
        self.found
    }
}

impl Found {
    pub fn new(span: Span, message: impl Into<String>) -> Found {
        Found { span, word: String::new(), message: message.into(), hint: None }
    }

    /// Points at a word.
    pub fn at(self, word: impl Into<String>) -> Found {
        Found { word: word.into(), ..self }
    }

    pub fn with_hint(self, hint: impl Into<String>) -> Found {
        Found { hint: Some(hint.into()), ..self }
    }
}

impl Severity {
    /// The word in messages and documents.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Refused => "refused",
            Severity::Warning => "warning",
        }
    }
}
