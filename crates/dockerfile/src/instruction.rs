//! One instruction of a stage, typed. Texts are as in the file: unexpanded, quotes kept, unless a field says otherwise.

use crate::{Add, Copy, Healthcheck, Run, Span};

/// An instruction with its place and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// From the instruction's name to its last line, heredoc bodies included.
    pub span: Span,
    /// The lines of the file, unchanged but for line ends (always `\n`, none at the end).
    pub source: String,
    /// What it is.
    pub kind: InstructionKind,
}

/// The instructions that can stand in a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstructionKind {
    /// `ARG NAME[=default] …`
    Arg(Vec<ArgDeclaration>),
    /// `RUN …`
    Run(Run),
    /// `COPY …`
    Copy(Copy),
    /// `ADD …`
    Add(Add),
    /// `ENV key=value …`, or the old `ENV key rest of line`. Keys and values both expand.
    Env(Vec<KeyValue>),
    /// `LABEL key=value …`. Keys and values both expand.
    Label(Vec<KeyValue>),
    /// `WORKDIR path`
    Workdir(String),
    /// `USER name|uid[:group|gid]`
    User(String),
    /// `EXPOSE port …`: each word expands to zero or more ports ([`crate::expand_words`], then [`crate::parse_port`]).
    Expose(Vec<String>),
    /// `VOLUME path …` or `VOLUME ["path", …]`
    Volume(Vec<String>),
    /// `CMD …`. An empty exec form clears the command of the base.
    Cmd(CommandForm),
    /// `ENTRYPOINT …`. An empty exec form clears the entry point of the base.
    Entrypoint(CommandForm),
    /// `SHELL ["program", "argument", …]`; never empty, not expanded.
    Shell(Vec<String>),
    /// `STOPSIGNAL name|number`; expands.
    StopSignal(String),
    /// `HEALTHCHECK …`; not expanded.
    Healthcheck(Healthcheck),
    /// `ONBUILD instruction`
    OnBuild(OnBuild),
    /// `MAINTAINER text` (deprecated); not expanded.
    Maintainer(String),
}

impl InstructionKind {
    /// The instruction's name in capitals.
    pub fn name(&self) -> &'static str {
        match self {
            InstructionKind::Arg(_) => "ARG",
            InstructionKind::Run(_) => "RUN",
            InstructionKind::Copy(_) => "COPY",
            InstructionKind::Add(_) => "ADD",
            InstructionKind::Env(_) => "ENV",
            InstructionKind::Label(_) => "LABEL",
            InstructionKind::Workdir(_) => "WORKDIR",
            InstructionKind::User(_) => "USER",
            InstructionKind::Expose(_) => "EXPOSE",
            InstructionKind::Volume(_) => "VOLUME",
            InstructionKind::Cmd(_) => "CMD",
            InstructionKind::Entrypoint(_) => "ENTRYPOINT",
            InstructionKind::Shell(_) => "SHELL",
            InstructionKind::StopSignal(_) => "STOPSIGNAL",
            InstructionKind::Healthcheck(_) => "HEALTHCHECK",
            InstructionKind::OnBuild(_) => "ONBUILD",
            InstructionKind::Maintainer(_) => "MAINTAINER",
        }
    }
}

/// One `key=value`; both are unexpanded words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValue {
    /// Left of the first `=`.
    pub key: String,
    /// Right of it; may be empty.
    pub value: String,
}

/// One name of an `ARG`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArgDeclaration {
    /// The variable's name.
    pub name: String,
    /// The unexpanded word after `=`; `Some("")` for `ARG NAME=`.
    pub default: Option<String>,
    /// Where the declaration stands.
    pub span: Span,
}

/// A command as text for a shell or as an argument list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandForm {
    /// Given to the stage's SHELL as one argument.
    Shell(String),
    /// Run as it is.
    Exec(Vec<String>),
}

/// `ONBUILD trigger`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnBuild {
    /// The trigger as text, as it goes into the image config: one logical line, heredoc bodies after it.
    /// [`crate::parse_instruction`] reads it back.
    pub trigger: String,
    /// The trigger, parsed. Never ONBUILD, FROM or MAINTAINER.
    pub instruction: Box<Instruction>,
}
