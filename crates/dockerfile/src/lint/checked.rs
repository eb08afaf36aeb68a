//! What rules look at: the parsed file with its text, and the questions about the text that several rules ask.

use super::LintOptions;
use crate::logical_lines::SourceLines;
use crate::{BuildPlan, Dockerfile, Instruction, InstructionKind, Problem, Span, Stage};

/// A valid Dockerfile.
pub(super) struct Checked<'a> {
    pub file: &'a Dockerfile,
    pub source: &'a SourceLines<'a>,
    /// The build of the last stage without build arguments; missing when there is none.
    pub plan: Option<&'a BuildPlan>,
    /// Why there is no plan without build arguments.
    pub default_problems: &'a [Problem],
    pub options: &'a LintOptions,
    /// First lines of all instructions, in order.
    starts: Vec<u32>,
}

/// Comment lines above an instruction that are looked at.
const MAX_COMMENTS: usize = 64;

/// The words of a FROM line as written.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct FromWords<'a> {
    pub from: &'a str,
    /// The keyword and the stage's name.
    pub named: Option<(&'a str, &'a str)>,
}

impl<'a> Checked<'a> {
    pub fn new(
        file: &'a Dockerfile,
        source: &'a SourceLines<'a>,
        plan: Option<&'a BuildPlan>,
        default_problems: &'a [Problem],
        options: &'a LintOptions,
    ) -> Self {
        let mut starts: Vec<u32> = file.global_args.iter().map(|a| a.span.first_line).collect();
        for stage in &file.stages {
            starts.push(stage.span.first_line);
            starts.extend(stage.instructions.iter().map(|i| i.span.first_line));
        }
        starts.sort_unstable();
        starts.dedup();
        Checked { file, source, plan, default_problems, options, starts }
    }

    /// Every instruction with its stage; FROM and global ARGs are not among them.
    pub fn instructions(&self) -> impl Iterator<Item = (&'a Stage, &'a Instruction)> + use<'a> {
        self.file.stages.iter().flat_map(|stage| stage.instructions.iter().map(move |i| (stage, i)))
    }

    /// Every instruction, with that of an ONBUILD in its place: what will be done, here or in a build on top.
    pub fn executed(&self) -> impl Iterator<Item = (&'a Stage, &'a Instruction)> + use<'a> {
        self.instructions().map(|(stage, instruction)| match &instruction.kind {
            InstructionKind::OnBuild(trigger) => (stage, trigger.instruction.as_ref()),
            _ => (stage, instruction),
        })
    }

    /// The parser's warnings whose message holds a text.
    pub fn parser_warnings(&self, text: &str) -> impl Iterator<Item = &'a Problem> {
        self.file.warnings.iter().filter(move |w| w.message.contains(text))
    }

    /// The first place of `needle` inside the lines of `span`, not followed by more of a name; else `span` itself.
    pub fn locate(&self, span: Span, needle: &str) -> Span {
        let in_name = |c: char| c.is_alphanumeric() || c == '_';
        for number in span.first_line..=span.last_line {
            let line = self.source.text(number);
            if line.trim_start().starts_with('#') && span.last_line > span.first_line {
                continue;
            }
            for (at, _) in line.match_indices(needle) {
                let before = line.get(..at).unwrap_or_default();
                let after = line.get(at + needle.len()..).unwrap_or_default();
                let whole = !after.starts_with(in_name) || !needle.ends_with(in_name);
                let begins = !before.ends_with(in_name) || !needle.starts_with(in_name);
                if whole && begins && !needle.is_empty() {
                    let column = u32::try_from(before.chars().count()).unwrap_or(u32::MAX).saturating_add(1);
                    return Span { first_line: number, last_line: number, column };
                }
            }
        }
        span
    }

    /// First lines of all instructions, in order.
    pub fn starts(&self) -> &[u32] {
        &self.starts
    }

    /// The first line of the instruction that a line belongs to.
    pub fn instruction_start(&self, number: u32) -> u32 {
        let after = self.starts.partition_point(|start| *start <= number);
        self.starts.get(after.saturating_sub(1)).copied().unwrap_or(number)
    }

    /// The comment lines right above a line. An empty line, or a comment without text, ends them.
    pub fn comments_above(&self, start: u32) -> Vec<u32> {
        let comment = |number: &u32| {
            let text = self.source.text(*number).trim();
            text.strip_prefix('#').is_some_and(|rest| !rest.trim().is_empty())
        };
        let mut numbers: Vec<u32> = (1..start).rev().take_while(comment).take(MAX_COMMENTS).collect();
        numbers.reverse();
        numbers
    }

    /// FROM, AS and the name, as written.
    pub fn words_of_from(&self, stage: &'a Stage) -> FromWords<'a> {
        let words: Vec<&str> = words(&stage.source, self.file.escape).collect();
        let mut rest = words.iter().skip(1).filter(|w| !w.starts_with("--")).skip(1);
        let named = rest.next().zip(rest.next()).map(|(keyword, name)| (*keyword, *name));
        FromWords { from: words.first().copied().unwrap_or_default(), named }
    }

    /// An instruction's name as written.
    pub fn name_of(&self, instruction: &'a Instruction) -> &'a str {
        words(&instruction.source, self.file.escape).next().unwrap_or_default()
    }
}

/// The words of an instruction over all its lines, without comments and continuation marks.
fn words(source: &str, escape: char) -> impl Iterator<Item = &str> {
    let lines = source.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines.flat_map(move |line| line.trim_end().trim_end_matches(escape).split_whitespace())
}
