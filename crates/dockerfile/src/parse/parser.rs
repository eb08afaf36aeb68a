//! The state of reading one file: takes logical lines, reads the heredocs they announce, files what they mean.

use std::collections::BTreeMap;

use super::statement::{self, Statement};
use super::{NAMES, Parsed, is_instruction, parse_statement};
use crate::instruction::{Instruction, InstructionKind};
use crate::logical_lines::{LogicalLine, LogicalLines, SourceLines};
use crate::problem::did_you_mean;
use crate::stage::Stage;
use crate::{Heredoc, Problem, Span, heredoc};

/// Problems kept of one instruction.
const MAX_FAULTS: usize = 20;

/// Stages a file may have. Every stage carries its arguments, and stages refer to each other.
const MAX_STAGES: usize = 1000;

/// What was read so far.
pub(super) struct Parser<'s, 'a> {
    source: &'s SourceLines<'a>,
    pub escape: char,
    pub global_args: Vec<crate::ArgDeclaration>,
    pub stages: Vec<Stage>,
    pub problems: Vec<Problem>,
    pub warnings: Vec<Problem>,
    /// An instruction was refused only because no FROM came before it; said once.
    said_no_stage: bool,
    /// A FROM was seen, right or wrong.
    from_seen: bool,
    /// Any instruction was seen, right or wrong.
    any_seen: bool,
    /// The line of the last known instruction, if it has a `<<` that is no heredoc.
    glued_marker: Option<u32>,
}

impl<'s, 'a> Parser<'s, 'a> {
    pub fn new(source: &'s SourceLines<'a>) -> Self {
        Parser {
            source,
            escape: '\\',
            global_args: Vec::new(),
            stages: Vec::new(),
            problems: Vec::new(),
            warnings: Vec::new(),
            said_no_stage: false,
            from_seen: false,
            any_seen: false,
            glued_marker: None,
        }
    }

    fn make(&self, span: Span, message: String, hint: Option<String>) -> Problem {
        Problem { span, message, source_line: self.source.text(span.first_line).to_owned(), hint }
    }

    pub fn problem(&mut self, span: Span, message: String, hint: Option<String>) {
        let problem = self.make(span, message, hint);
        self.problems.push(problem);
    }

    pub fn warning(&mut self, span: Span, message: String, hint: Option<String>) {
        let warning = self.make(span, message, hint);
        self.warnings.push(warning);
    }

    /// One logical line: its heredoc bodies are read, then it is parsed and filed.
    pub fn statement(&mut self, mut line: LogicalLine, lines: &mut LogicalLines) {
        self.any_seen = true;
        let heredocs = self.heredocs(&mut line, lines);
        if let Some(span) = self.source.broken_between(line.first_line, line.last_line) {
            self.problem(span, "this byte is not UTF-8".into(), Some("save the file as UTF-8".into()));
        }
        if let Some(number) = line.blank_inside {
            let span = Span { first_line: number, last_line: number, column: 1 };
            let warning = self.make(
                span,
                "an empty line inside a continued instruction".into(),
                Some("remove it, or put a # there".into()),
            );
            self.warnings.push(warning);
        }
        let Some(heredocs) = heredocs else { return };
        let mut faults = Vec::new();
        let (name, args) = statement::split_name(&line.text);
        let statement = Statement { line: &line, name, args, heredocs: &heredocs, escape: self.escape };
        if is_instruction(name) {
            self.glued_marker = (heredocs.is_empty() && has_glued_marker(args.text)).then_some(line.first_line);
        } else {
            let hint = self.unknown_hint(&statement);
            faults.push(statement.unknown(hint));
        }
        let mut warnings = Vec::new();
        let outcome = parse_statement(&statement, &mut faults, &mut warnings);
        for fault in warnings.into_iter().take(MAX_FAULTS) {
            let warning = self.make(line.at(fault.offset), fault.message, fault.hint);
            self.warnings.push(warning);
        }
        faults.sort_by_key(|f| f.offset);
        // Each carries its source line: a long line of nothing but mistakes must not cost its square.
        for fault in faults.into_iter().take(MAX_FAULTS) {
            self.problem(line.at(fault.offset), fault.message, fault.hint);
        }
        self.from_seen |= name.eq_ignore_ascii_case("FROM");
        let source = self.source.source(line.first_line, line.last_line);
        match outcome {
            None => {}
            Some(Parsed::From { name, from }) => {
                let index = self.stages.len();
                if index == MAX_STAGES {
                    self.problem(line.span(), format!("more than {MAX_STAGES} stages"), None);
                }
                self.stages.push(Stage { index, name, from, span: line.span(), source, instructions: Vec::new() });
            }
            Some(Parsed::Instruction(kind)) => match (self.stages.last_mut(), kind) {
                (Some(stage), kind) => stage.instructions.push(Instruction { span: line.span(), source, kind }),
                (None, InstructionKind::Arg(args)) if !self.from_seen => self.global_args.extend(args),
                // The FROM before it was wrong: that is reported already.
                (None, _) if self.from_seen || self.said_no_stage => {}
                (None, kind) => {
                    self.said_no_stage = true;
                    let message = format!("{} before the first FROM", kind.name());
                    self.problem(line.span(), message, Some("only ARG can stand there".into()));
                }
            },
        }
    }

    /// What an unknown instruction was probably meant to be.
    fn unknown_hint(&self, statement: &Statement) -> Option<String> {
        let name = statement.name;
        if let Some(c) = name.chars().find(|c| c.is_whitespace() && !c.is_ascii()) {
            return Some(format!("it holds the character U+{:04X}, which looks like a blank and is none", u32::from(c)));
        }
        if let Some(line) = self.glued_marker {
            return Some(format!("line {line} has no heredoc: `<<WORD` needs a blank before it"));
        }
        // What other such lines nearly always are: the rest of a RUN whose line before lost its mark.
        let continued = || format!("if it continues the line before, that line must end with `{}`", statement.escape);
        did_you_mean(name, NAMES).or_else(|| self.from_seen.then(continued))
    }

    /// The bodies of the line's heredocs; `None` when one does not end.
    fn heredocs(&mut self, line: &mut LogicalLine, lines: &mut LogicalLines) -> Option<Vec<(heredoc::Marker, Heredoc)>> {
        let (name, args) = statement::split_name(&line.text);
        let (name, args) = if name.eq_ignore_ascii_case("ONBUILD") { statement::split_name_of(args) } else { (name, args) };
        if !["RUN", "COPY", "ADD"].iter().any(|n| name.eq_ignore_ascii_case(n)) || !args.text.contains("<<") {
            return Some(Vec::new());
        }
        let mut found = Vec::new();
        for mut marker in heredoc::markers(args.text) {
            marker.range = marker.range.start + args.offset..marker.range.end + args.offset;
            found.push(marker);
        }
        let mut heredocs = Vec::new();
        for marker in found {
            let after = line.last_line;
            match lines.heredoc_body(line, &marker.name, marker.strip_tabs) {
                Some(body) => {
                    let heredoc = Heredoc { name: marker.name.clone(), body, expand: marker.expand };
                    heredocs.push((marker, heredoc));
                }
                None => {
                    let word = &marker.name;
                    let near = (after + 1..=self.source.count()).find(|n| self.source.text(*n).trim() == word);
                    let hint = match near {
                        Some(n) => format!("line {n} has blanks around `{word}`: it must stand alone, or after tabs with <<-"),
                        None => format!("end it with a line `{word}`"),
                    };
                    self.problem(line.at(marker.range.start), format!("the heredoc `{word}` does not end"), Some(hint));
                    return None;
                }
            }
        }
        Some(heredocs)
    }

    /// What can only be said at the end of the file.
    pub fn finish_file(&mut self) {
        if self.problems.is_empty() && self.stages.is_empty() {
            let span = Span { first_line: 1, last_line: self.source.count().max(1), column: 1 };
            let message = if self.any_seen { "the file has no FROM" } else { "the file has no instructions" };
            // Nothing of the file to show: what is wrong is not there.
            self.problems.push(Problem { span, message: message.to_owned(), source_line: String::new(), hint: None });
        }
        let mut warnings = Vec::new();
        let mut lines: BTreeMap<&str, u32> = BTreeMap::new();
        for stage in &self.stages {
            let Some(name) = &stage.name else { continue };
            if let Some(earlier) = lines.insert(name, stage.span.first_line) {
                let message = format!("the stage name `{name}` is used on line {earlier} already");
                warnings.push((stage.span, message, "from here on it means this stage".to_owned()));
            }
        }
        for (span, message, hint) in warnings {
            let warning = self.make(span, message, Some(hint));
            self.warnings.push(warning);
        }
        self.warnings.sort_by_key(|w| w.span);
    }
}

/// Whether a text has `x<<WORD`, which is a heredoc in a shell but not here.
fn has_glued_marker(text: &str) -> bool {
    let after = |rest: &str| rest.trim_start_matches('-').starts_with(|c: char| c.is_ascii_alphabetic() || "_'\"".contains(c));
    text.match_indices("<<").any(|(i, _)| text.get(i + 2..).is_some_and(after))
}
