//! A parsed Dockerfile: global ARGs, then stages. Made by [`crate::parse`], read by [`crate::plan`] and the linter.

use crate::{ArgDeclaration, Instruction, Problem, Span};

/// A whole file. It is valid by itself; whether its stages fit together is [`crate::plan`]'s question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    /// The name the caller gave it; for messages.
    pub file: String,
    /// The escape character: `\`, or `` ` `` after `# escape=`.
    pub escape: char,
    /// The `# syntax=` directive. Accepted and not followed: this parser is the front end.
    pub syntax: Option<String>,
    /// ARGs before the first FROM.
    pub global_args: Vec<ArgDeclaration>,
    /// At least one stage, in file order.
    pub stages: Vec<Stage>,
    /// What works but deserves a word.
    pub warnings: Vec<Problem>,
}

/// A FROM and the instructions after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Position in the file, from 0.
    pub index: usize,
    /// The name after AS, lower-cased.
    pub name: Option<String>,
    /// What it starts from.
    pub from: From,
    /// The FROM instruction.
    pub span: Span,
    /// The FROM instruction as in the file.
    pub source: String,
    /// In file order.
    pub instructions: Vec<Instruction>,
}

/// The arguments of FROM, unexpanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct From {
    /// Image reference, stage name or `scratch`.
    pub image: String,
    /// `--platform`.
    pub platform: Option<String>,
}
