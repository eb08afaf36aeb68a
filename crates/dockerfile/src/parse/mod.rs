//! The parser's front: bytes → [`Dockerfile`]. Goes on after an instruction that is wrong, so that all problems
//! are reported at once. One file of this folder per group of instructions with the same grammar.

mod commands;
mod copy_args;
mod flags;
mod from;
mod json_array;
mod key_values;
mod metadata;
mod run_args;
mod statement;
mod words;

use build_model::nearest;

use crate::instruction::{Instruction, InstructionKind, OnBuild};
use crate::logical_lines::{LogicalLine, LogicalLines, SourceLines};
use crate::stage::{Dockerfile, Stage};
use crate::{Heredoc, ParseError, Problem, Span, directives, heredoc};
use statement::{Fault, Slice, Statement};

/// Every instruction's name.
const NAMES: [&str; 18] = [
    "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER", "ONBUILD", "RUN", "SHELL",
    "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
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

/// Why an instruction cannot stand after ONBUILD.
fn not_a_trigger(name: &str) -> Option<&'static str> {
    match name.to_ascii_uppercase().as_str() {
        "ONBUILD" => Some("ONBUILD cannot be the trigger of an ONBUILD"),
        "FROM" => Some("FROM cannot be the trigger of an ONBUILD"),
        "MAINTAINER" => Some("MAINTAINER cannot be the trigger of an ONBUILD"),
        _ => None,
    }
}

struct Parser<'s, 'a> {
    source: &'s SourceLines<'a>,
    escape: char,
    global_args: Vec<crate::ArgDeclaration>,
    stages: Vec<Stage>,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    /// An instruction was refused only because no FROM came before it; said once.
    said_no_stage: bool,
    /// A FROM was seen, right or wrong.
    from_seen: bool,
    /// Any instruction was seen, right or wrong.
    any_seen: bool,
}

impl<'s, 'a> Parser<'s, 'a> {
    fn new(source: &'s SourceLines<'a>) -> Self {
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
        }
    }

    fn make(&self, span: Span, message: String, hint: Option<String>) -> Problem {
        Problem { span, message, source_line: self.source.text(span.first_line).to_owned(), hint }
    }

    fn problem(&mut self, span: Span, message: String, hint: Option<String>) {
        let problem = self.make(span, message, hint);
        self.problems.push(problem);
    }

    /// One logical line: its heredoc bodies are read, then it is parsed and filed.
    fn statement(&mut self, mut line: LogicalLine, lines: &mut LogicalLines) {
        self.any_seen = true;
        let heredocs = self.heredocs(&mut line, lines);
        if let Some(span) = self.source.broken_between(line.first_line, line.last_line) {
            self.problem(span, "this byte is not UTF-8".into(), Some("save the file as UTF-8".into()));
        }
        if let Some(number) = line.blank_inside {
            let span = Span { first_line: number, last_line: number, column: 1 };
            let warning = self.make(span, "an empty line inside a continued instruction".into(), Some("remove it, or put a # there".into()));
            self.warnings.push(warning);
        }
        let Some(heredocs) = heredocs else { return };
        let mut faults = Vec::new();
        let (name, args) = statement::split_name(&line.text);
        let statement = Statement { line: &line, name, args, heredocs: &heredocs, escape: self.escape };
        let mut warnings = Vec::new();
        let outcome = parse_statement(&statement, &mut faults, &mut warnings);
        for fault in warnings {
            let warning = self.make(line.at(fault.offset), fault.message, fault.hint);
            self.warnings.push(warning);
        }
        for fault in faults {
            self.problem(line.at(fault.offset), fault.message, fault.hint);
        }
        self.from_seen |= name.eq_ignore_ascii_case("FROM");
        let source = self.source.source(line.first_line, line.last_line);
        match outcome {
            None => {}
            Some(Parsed::From { name, from }) => {
                let index = self.stages.len();
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
    fn finish_file(&mut self) {
        if self.problems.is_empty() && self.stages.is_empty() {
            let span = Span { first_line: 1, last_line: self.source.count().max(1), column: 1 };
            let message = if self.any_seen { "the file has no FROM" } else { "the file has no instructions" };
            self.problem(span, message.to_owned(), None);
        }
        let mut warnings = Vec::new();
        for (index, stage) in self.stages.iter().enumerate() {
            let Some(name) = &stage.name else { continue };
            if let Some(earlier) = self.stages.iter().take(index).find(|s| s.name.as_ref() == Some(name)) {
                let message = format!("the stage name `{name}` is used on line {} already", earlier.span.first_line);
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
        "ONBUILD" => Kind::OnBuild(parse_onbuild(statement, faults, warnings)?),
        "RUN" => Kind::Run(run_args::parse_run(statement, faults, warnings)?),
        "SHELL" => Kind::Shell(commands::parse_shell(statement, faults)?),
        "STOPSIGNAL" => Kind::StopSignal(metadata::parse_stop_signal(statement, faults)?),
        "USER" => Kind::User(metadata::parse_text(statement, true, faults)?),
        "VOLUME" => Kind::Volume(metadata::parse_volume(statement, faults)?),
        "WORKDIR" => Kind::Workdir(metadata::parse_text(statement, true, faults)?),
        _ => {
            faults.push(unknown(statement));
            return None;
        }
    };
    (faults.len() == before).then_some(Parsed::Instruction(kind))
}

fn unknown(statement: &Statement) -> Fault {
    let name = statement.name;
    let hint = match nearest(name, NAMES) {
        Some(near) => Some(format!("did you mean `{near}`?")),
        // What such lines nearly always are: the rest of a RUN whose line before lost its backslash.
        None if statement.line.first_line > 1 => {
            Some(format!("if it continues the line before, that line must end with `{}`", statement.escape))
        }
        None => None,
    };
    let shown: String = name.chars().take(40).collect();
    let dots = if shown.len() < name.len() { "…" } else { "" };
    Fault { offset: statement.name_offset(), message: format!("unknown instruction `{shown}{dots}`"), hint }
}

/// ONBUILD: the rest of the line is a statement of its own.
fn parse_onbuild(statement: &Statement, faults: &mut Vec<Fault>, warnings: &mut Vec<Fault>) -> Option<OnBuild> {
    if statement.args.text.is_empty() {
        faults.push(statement.fault("ONBUILD needs an instruction"));
        return None;
    }
    let (name, args) = statement::split_name_of(statement.args);
    let inner = Statement { name, args, ..*statement };
    if let Some(message) = not_a_trigger(name) {
        faults.push(Fault { offset: statement.args.offset, message: message.to_owned(), hint: None });
        return None;
    }
    let Some(Parsed::Instruction(kind)) = parse_statement(&inner, faults, warnings) else { return None };
    let mut trigger = statement.args.text.to_owned();
    for (marker, heredoc) in statement.heredocs {
        trigger.push('\n');
        trigger.push_str(&heredoc.body);
        trigger.push_str(&marker.name);
    }
    let span = Span { last_line: statement.line.last_line, ..statement.line.at(statement.args.offset) };
    let instruction = Box::new(Instruction { span, source: trigger.clone(), kind });
    Some(OnBuild { trigger, instruction })
}

impl<'t> Slice<'t> {
    /// The slice of `self` from byte `start` on.
    fn from(self, start: usize) -> Slice<'t> {
        Slice { text: self.text.get(start..).unwrap_or_default(), offset: self.offset + start }
    }
}

#[cfg(test)]
mod tests;
