//! FROM, `--from` and mounts' `from` to stages and images (engine notes S4).

use std::collections::BTreeMap;

use build_model::Diagnose;

use super::reach::inherited_triggers;
use super::{Base, FromRef, PlannedStage};
use crate::{Dockerfile, ExpandError, Instruction, InstructionKind, Platform, Problem, Span, Stage, expand};

/// The stage names of a file with their lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    stages: Vec<(Option<String>, u32)>,
}

/// Why a `--from` means nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FromFault {
    /// The stage itself.
    Own,
    /// A stage further down, at this line.
    Later(u32),
    /// A number that no stage has.
    NoSuchNumber(usize),
    /// `scratch`.
    Empty,
}

impl Names {
    pub fn of(file: &Dockerfile) -> Self {
        Names { stages: file.stages.iter().map(|s| (s.name.clone(), s.span.first_line)).collect() }
    }

    /// The stage a `--target` means; where names repeat, the last.
    pub fn target(&self, target: &str) -> Option<usize> {
        let named = |name: &Option<String>| name.as_deref().is_some_and(|n| n.eq_ignore_ascii_case(target));
        match self.stages.iter().rposition(|(name, _)| named(name)) {
            Some(index) => Some(index),
            None => number(target).filter(|n| *n < self.stages.len()),
        }
    }

    /// The last stage before `before` with this name.
    fn earlier(&self, before: usize, name: &str) -> Option<usize> {
        let named = |own: &Option<String>| own.as_deref().is_some_and(|n| n.eq_ignore_ascii_case(name));
        self.stages.iter().take(before).rposition(|(own, _)| named(own))
    }

    /// What `from` means inside stage `stage`.
    pub fn resolve(&self, stage: usize, from: &str) -> Result<FromRef, FromFault> {
        if let Some(index) = self.earlier(stage, from) {
            return Ok(FromRef::Stage(index));
        }
        if let Some(index) = number(from) {
            return match self.stages.get(index) {
                Some(_) if index < stage => Ok(FromRef::Stage(index)),
                Some(_) if index == stage => Err(FromFault::Own),
                Some((_, line)) => Err(FromFault::Later(*line)),
                None => Err(FromFault::NoSuchNumber(self.stages.len())),
            };
        }
        let named = |own: &Option<String>| own.as_deref().is_some_and(|n| n.eq_ignore_ascii_case(from));
        match self.stages.iter().position(|(own, _)| named(own)) {
            Some(index) if index == stage => Err(FromFault::Own),
            Some(index) => Err(FromFault::Later(self.stages.get(index).map_or(0, |(_, line)| *line))),
            None if from == "scratch" => Err(FromFault::Empty),
            None => Ok(FromRef::Image(from.to_owned())),
        }
    }
}

/// A stage number: digits only, so that `+1` stays a name.
fn number(text: &str) -> Option<usize> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// Expands FROM. `None` when it is wrong; then a problem was added.
pub(super) fn plan_stage(
    file: &Dockerfile,
    stage: &Stage,
    names: &Names,
    (scope, importable): &(BTreeMap<String, String>, BTreeMap<String, String>),
    problems: &mut Vec<Problem>,
) -> Option<PlannedStage> {
    let problem = |message: String, hint: Option<String>| Problem {
        span: stage.span,
        message,
        source_line: first_line(&stage.source),
        hint,
    };
    let mut word = |text: &str| {
        let value = expand(text, file.escape, &|name| scope.get(name).cloned());
        value.map_err(|error| problems.push(expansion_problem(&error, stage.span, &stage.source))).ok()
    };
    let platform = match &stage.from.platform {
        None => None,
        Some(text) => Some(word(text)?),
    };
    let image = word(&stage.from.image)?;
    let platform = match platform.map(|text| text.parse::<Platform>()) {
        None => None,
        Some(Ok(platform)) => Some(platform.to_string()),
        Some(Err(error)) => {
            problems.push(problem(format!("--platform: {error}"), None));
            return None;
        }
    };
    if image.trim().is_empty() {
        let hint = "a variable in FROM needs a global ARG before the first FROM, with a default or a build argument";
        problems.push(problem(format!("FROM {} is empty after expansion", stage.from.image), Some(hint.to_owned())));
        return None;
    }
    let base = match names.earlier(stage.index, &image) {
        Some(index) => Base::Stage(index),
        None if image == "scratch" => Base::Scratch,
        None => {
            // A stage name is lower-case letters, digits and signs, and so might be an image; but a stage of that name
            // further down says what was meant.
            if let Err(FromFault::Later(line)) = names.resolve(stage.index, &image)
                && number(&image).is_none()
            {
                let hint = "move that stage up; names mean only stages above".to_owned();
                problems.push(problem(format!("the stage `{image}` comes later, on line {line}"), Some(hint)));
                return None;
            }
            Base::Image(image)
        }
    };
    Some(PlannedStage {
        index: stage.index,
        name: stage.name.clone(),
        base,
        platform,
        span: stage.span,
        instructions: stage.instructions.clone(),
        importable_args: importable.clone(),
    })
}

/// Refuses `--from`s that name the stage itself or one further down. A trigger's `--from` is read in the stages that
/// start from the one that has it, so it is checked there.
pub(super) fn check_sources(file: &Dockerfile, stages: &[PlannedStage], names: &Names, problems: &mut Vec<Problem>) {
    for stage in &file.stages {
        for instruction in stage.instructions.iter().filter(|i| !matches!(i.kind, InstructionKind::OnBuild(_))) {
            check_instruction(stage.index, instruction, names, problems);
        }
    }
    for stage in stages {
        for trigger in inherited_triggers(stage, stages) {
            check_instruction(stage.index, trigger, names, problems);
        }
    }
}

fn check_instruction(stage: usize, instruction: &Instruction, names: &Names, problems: &mut Vec<Problem>) {
    for (from, span) in sources_of(instruction) {
        let (message, hint) = match names.resolve(stage, from) {
            Ok(_) => continue,
            Err(FromFault::Own) => (format!("`from={from}` is this stage itself"), None),
            Err(FromFault::Later(line)) => {
                (format!("the stage `{from}` comes later, on line {line}"), Some("move that stage up"))
            }
            Err(FromFault::NoSuchNumber(count)) => {
                (format!("there is no stage {from}: the file has {count}, numbered from 0"), None)
            }
            Err(FromFault::Empty) => ("`from=scratch` has no files to take".to_owned(), None),
        };
        let line = instruction.source.lines().nth((span.first_line.saturating_sub(instruction.span.first_line)) as usize);
        let source_line = line.unwrap_or_default().to_owned();
        problems.push(Problem { span, message, source_line, hint: hint.map(str::to_owned) });
    }
}

/// The `from`s of an instruction, with their places. A trigger's are its own.
pub(super) fn sources_of(instruction: &Instruction) -> Vec<(&str, Span)> {
    match &instruction.kind {
        InstructionKind::Copy(copy) => copy.from.iter().map(|from| (from.as_str(), instruction.span)).collect(),
        InstructionKind::Run(run) => run.mounts.iter().filter_map(|m| Some((m.from.as_deref()?, m.span))).collect(),
        InstructionKind::OnBuild(trigger) => sources_of(&trigger.instruction),
        _ => Vec::new(),
    }
}

pub(super) fn expansion_problem(error: &ExpandError, span: Span, source: &str) -> Problem {
    Problem { span, message: error.to_string(), source_line: first_line(source), hint: error.hint() }
}

fn first_line(source: &str) -> String {
    source.lines().next().unwrap_or_default().to_owned()
}
