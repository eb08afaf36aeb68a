//! `# check=skip=A,B;experimental=C;error=true`: at the top for the whole file, or right above an instruction for that one
//! (docs.docker.com/build/checks). `all` stands for every rule.

use std::collections::BTreeSet;

use super::checked::Checked;
use super::rule::Rule;
use crate::Span;
use crate::logical_lines::SourceLines;

/// Rules switched off and on.
#[derive(Debug, Clone, Default)]
pub(super) struct CheckOptions {
    skip: Names,
    experimental: Names,
    /// Findings count as errors.
    pub error: bool,
}

/// A list of rules.
#[derive(Debug, Clone, Default)]
struct Names {
    all: bool,
    names: BTreeSet<String>,
}

impl Names {
    fn read(list: &str) -> Names {
        if list.trim() == "all" {
            return Names { all: true, names: BTreeSet::new() };
        }
        Names { all: false, names: list.split(',').map(|n| n.trim().to_owned()).filter(|n| !n.is_empty()).collect() }
    }

    fn hold(&self, name: &str) -> bool {
        self.all || self.names.contains(name)
    }

    fn extend(&mut self, other: &Names) {
        self.all |= other.all;
        self.names.extend(other.names.iter().cloned());
    }
}

/// A `# check=` line: its number and value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CheckLine {
    pub number: u32,
    pub value: String,
}

impl CheckOptions {
    /// The directive at the top of the file. A part that cannot be read is skipped; `CheckDirectiveInvalid` reports it.
    pub fn of_file(source: &SourceLines) -> CheckOptions {
        let lines = top_lines(source);
        lines.first().map(|line| CheckOptions::read(&line.value)).unwrap_or_default()
    }

    /// The comments right above the instruction that line `number` belongs to.
    pub fn above(checked: &Checked, number: u32) -> CheckOptions {
        let mut options = CheckOptions::default();
        for line in lines_above(checked, checked.instruction_start(number)) {
            options = options.and(&CheckOptions::read(&line.value));
        }
        options
    }

    /// Both together.
    pub fn and(&self, other: &CheckOptions) -> CheckOptions {
        let mut both = self.clone();
        both.skip.extend(&other.skip);
        both.experimental.extend(&other.experimental);
        both
    }

    /// Whether a rule's findings count. As in BuildKit, `skip` says nothing about experimental rules.
    pub fn applies(&self, rule: &Rule) -> bool {
        if rule.experimental { self.experimental.hold(rule.name) } else { !self.skip.hold(rule.name) }
    }

    /// Whether no comment can make the rule apply.
    pub fn never_applies(&self, rule: &Rule) -> bool {
        !rule.experimental && self.skip.hold(rule.name)
    }

    fn read(value: &str) -> CheckOptions {
        let mut options = CheckOptions::default();
        for (key, value) in parts(value) {
            match (key, value) {
                ("skip", Some(list)) => options.skip = Names::read(list),
                ("experimental", Some(list)) => options.experimental = Names::read(list),
                ("error", Some(value)) => options.error = boolean(value).unwrap_or_default(),
                _ => {}
            }
        }
        options
    }
}

/// `key=value` between semicolons.
pub(super) fn parts(value: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    value.split(';').map(|part| match part.split_once('=') {
        Some((key, value)) => (key.trim(), Some(value.trim())),
        None => (part.trim(), None),
    })
}

/// As Go reads it.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Every `# check=` line that counts, the file's first.
pub(super) fn all_lines(checked: &Checked) -> Vec<CheckLine> {
    let mut lines = top_lines(checked.source);
    for &start in checked.starts() {
        for line in lines_above(checked, start) {
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    lines
}

/// Where a text stands on a `# check=` line.
pub(super) fn place(checked: &Checked, line: &CheckLine, text: &str) -> Span {
    checked.locate(Span { first_line: line.number, last_line: line.number, column: 1 }, text)
}

/// The directive lines before anything else, as the parser reads them.
fn top_lines(source: &SourceLines) -> Vec<CheckLine> {
    let mut lines = Vec::new();
    for number in 1..=source.count() {
        let Some((key, value)) = directive(source.text(number)) else { break };
        match key.as_str() {
            "check" => lines.push(CheckLine { number, value }),
            "syntax" | "escape" => {}
            _ => break,
        }
    }
    lines
}

fn lines_above(checked: &Checked, start: u32) -> Vec<CheckLine> {
    let comments = checked.comments_above(start);
    let read = |number: u32| {
        let (key, value) = directive(checked.source.text(number))?;
        // Only the first word, so that a reason can follow.
        let value = value.split_whitespace().next()?.to_owned();
        (key == "check").then_some(CheckLine { number, value })
    };
    comments.into_iter().filter_map(read).collect()
}

/// Key, lower-cased, and value of `# key=value`.
pub(super) fn directive(line: &str) -> Option<(String, String)> {
    let (key, value) = line.trim_start().strip_prefix('#')?.split_once('=')?;
    let (key, value) = (key.trim(), value.trim());
    let well_formed = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric()) && !value.is_empty();
    well_formed.then(|| (key.to_ascii_lowercase(), value.to_owned()))
}
