//! The parser's front: bytes → [`Dockerfile`]. Goes on after an instruction that is wrong, so that all problems
//! are reported at once. One file of this folder per group of instructions with the same grammar.

mod commands;
mod copy_args;
mod flags;
mod from;
mod json_array;
mod key_values;
mod metadata;
mod onbuild;
mod parser;
mod run_args;
mod statement;
mod words;

use crate::instruction::{Instruction, InstructionKind};
use crate::logical_lines::{LogicalLines, SourceLines};
use crate::stage::{Dockerfile, Stage};
use crate::{ParseError, Span, directives};
use onbuild::not_a_trigger;
use parser::Parser;
use statement::{Fault, Statement};

/// Every instruction's name.
const NAMES: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// Reads a Dockerfile. `file` is its name for messages.
///
/// # Errors
/// With every problem of the file, in its order. A file that is no text (a NUL byte in it) gives one problem.
pub fn parse(text: &[u8], file: &str) -> Result<Dockerfile, ParseError> {
    let source = SourceLines::read(text);
    let mut parser = Parser::new(&source);
    if let Some(span) = source.nul {
        parser.problem(span, "the file holds a NUL byte".into(), Some("a Dockerfile is UTF-8 text".into()));
        return Err(ParseError { file: file.to_owned(), problems: parser.problems });
    }
    let directives = directives::read(&source);
    for (span, message, hint) in directives.problems {
        parser.problem(span, message, hint);
    }
    for (span, message, hint) in directives.warnings {
        parser.warning(span, message, hint);
    }
    parser.escape = directives.escape;
    let mut lines = LogicalLines::new(&source, directives.escape);
    while let Some(line) = lines.next_line() {
        parser.statement(line, &mut lines);
    }
    parser.finish_file();
    if parser.problems.is_empty() {
        Ok(Dockerfile {
            file: file.to_owned(),
            escape: directives.escape,
            syntax: directives.syntax,
            global_args: parser.global_args,
            stages: parser.stages,
            warnings: parser.warnings,
        })
    } else {
        Err(ParseError { file: file.to_owned(), problems: parser.problems })
    }
}

/// Reads one instruction by itself: an ONBUILD trigger out of an image config, with its heredoc bodies after it.
///
/// # Errors
/// When it is not exactly one instruction, or one that cannot be a trigger (ONBUILD, FROM, MAINTAINER).
pub fn parse_instruction(text: &str, escape: char) -> Result<Instruction, ParseError> {
    let source = SourceLines::read(text.as_bytes());
    let mut parser = Parser::new(&source);
    parser.escape = escape;
    // Stands in for the stage the trigger will run in.
    parser.stages.push(Stage {
        index: 0,
        name: None,
        from: crate::From { image: String::new(), platform: None },
        span: Span::default(),
        source: String::new(),
        instructions: Vec::new(),
    });
    let mut lines = LogicalLines::new(&source, escape);
    while let Some(line) = lines.next_line() {
        let (name, _) = statement::split_name(&line.text);
        if let Some(message) = not_a_trigger(name) {
            parser.problem(line.span(), message.to_owned(), None);
            continue;
        }
        parser.statement(line, &mut lines);
    }
    let mut instructions = parser.stages.pop().map(|s| s.instructions).unwrap_or_default();
    if parser.problems.is_empty() && instructions.len() != 1 {
        let span = Span { first_line: 1, last_line: source.count().max(1), column: 1 };
        parser.problem(span, format!("a trigger is one instruction, not {}", instructions.len()), None);
    }
    match instructions.pop() {
        Some(instruction) if parser.problems.is_empty() => Ok(instruction),
        _ => Err(ParseError { file: "ONBUILD".to_owned(), problems: parser.problems }),
    }
}

fn is_instruction(name: &str) -> bool {
    NAMES.iter().any(|n| name.eq_ignore_ascii_case(n))
}

/// A statement's meaning.
enum Parsed {
    From { name: Option<String>, from: crate::From },
    Instruction(InstructionKind),
}

/// Dispatches on the name. `None` when there were faults that leave nothing to keep.
fn parse_statement(statement: &Statement, faults: &mut Vec<Fault>, warnings: &mut Vec<Fault>) -> Option<Parsed> {
    use InstructionKind as Kind;
    let before = faults.len();
    let kind = match statement.name.to_ascii_uppercase().as_str() {
        "FROM" => {
            let (name, from) = from::parse_from(statement, faults, warnings)?;
            return (faults.len() == before).then_some(Parsed::From { name, from });
        }
        "ADD" => Kind::Add(copy_args::parse_add(statement, faults)?),
        "ARG" => Kind::Arg(key_values::parse_arg(statement, faults, warnings)?),
        "CMD" => Kind::Cmd(commands::parse_command(statement, faults, warnings)?),
        "COPY" => Kind::Copy(copy_args::parse_copy(statement, faults)?),
        "ENTRYPOINT" => Kind::Entrypoint(commands::parse_command(statement, faults, warnings)?),
        "ENV" => Kind::Env(key_values::parse_pairs(statement, faults)?),
        "EXPOSE" => Kind::Expose(metadata::parse_expose(statement, faults)?),
        "HEALTHCHECK" => Kind::Healthcheck(commands::parse_healthcheck(statement, faults)?),
        "LABEL" => Kind::Label(key_values::parse_pairs(statement, faults)?),
        "MAINTAINER" => Kind::Maintainer(metadata::parse_text(statement, false, faults)?),
        "ONBUILD" => Kind::OnBuild(onbuild::parse_onbuild(statement, faults, warnings)?),
        "RUN" => Kind::Run(run_args::parse_run(statement, faults, warnings)?),
        "SHELL" => Kind::Shell(commands::parse_shell(statement, faults)?),
        "STOPSIGNAL" => Kind::StopSignal(metadata::parse_stop_signal(statement, faults)?),
        "USER" => Kind::User(metadata::parse_text(statement, true, faults)?),
        "VOLUME" => Kind::Volume(metadata::parse_volume(statement, faults)?),
        "WORKDIR" => Kind::Workdir(metadata::parse_text(statement, true, faults)?),
        // Reported by the caller, who knows what may have been meant.
        _ => return None,
    };
    (faults.len() == before).then_some(Parsed::Instruction(kind))
}

#[cfg(test)]
mod tests;
