//! What is wrong with, or worth saying about, a `container.yaml`: one line each, with its place.
//! All problems of a file are collected, so that a packager needs one round, not one per typo.

use std::fmt;

use crate::{Blame, Diagnose};

/// A sentence about one line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// The line, from 1.
    pub line: usize,
    /// One lower-case sentence.
    pub message: String,
}

/// The file cannot be used. Holds every problem found, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", List(self))]
pub struct ContainerYamlError {
    /// The name the caller gave the file.
    pub file: String,
    /// At least one problem.
    pub problems: Vec<Remark>,
}

impl Diagnose for ContainerYamlError {
    fn blame(&self) -> Blame {
        Blame::Packager
    }
    fn kind(&self) -> &'static str {
        "container-yaml"
    }
    fn hint(&self) -> Option<String> {
        Some("docs/CONTAINER-YAML.md lists every key; docs/container-yaml.schema.json checks the file in an editor".into())
    }
}

/// More than this many problems are counted, not shown.
const SHOWN: usize = 25;
/// Words of the file are cut to this many characters in messages.
const WORD_SHOWN: usize = 60;

struct List<'a>(&'a ContainerYamlError);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ContainerYamlError { file, problems } = self.0;
        for (index, problem) in problems.iter().take(SHOWN).enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{file}:{}: {}", problem.line, problem.message)?;
        }
        match problems.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n… and {more} more"),
        }
    }
}

/// A word of the file as messages show it: cut, and without characters that would move the reader's cursor.
pub(super) fn shown(word: &str) -> String {
    let mut text: String = word.chars().take(WORD_SHOWN).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if word.chars().nth(WORD_SHOWN).is_some() {
        text.push('…');
    }
    text
}
