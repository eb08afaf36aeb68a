//! A statement: the name of an instruction and the text after it, with byte offsets that lead back to the file.

use crate::logical_lines::LogicalLine;
use crate::{Heredoc, Span, expand, heredoc};

/// A piece of a logical line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slice<'t> {
    pub text: &'t str,
    /// Byte offset in the logical line.
    pub offset: usize,
}

/// Something wrong at a byte of a logical line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub offset: usize,
    pub message: String,
    pub hint: Option<String>,
}

/// What the parsers of single instructions are given.
#[derive(Clone, Copy)]
pub(super) struct Statement<'t> {
    pub line: &'t LogicalLine,
    /// As written.
    pub name: &'t str,
    /// After the name, blanks around removed.
    pub args: Slice<'t>,
    /// Marker (its range in the logical line) and body.
    pub heredocs: &'t [(heredoc::Marker, Heredoc)],
    pub escape: char,
}

/// Blanks between words of a line. Other Unicode blanks are part of words, as in the reference.
pub(super) fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\x0b' | '\x0c')
}

/// The first word and the rest, blanks removed.
pub(super) fn split_name(text: &str) -> (&str, Slice<'_>) {
    split_name_of(Slice { text, offset: 0 })
}

/// As [`split_name`], inside a slice.
pub(super) fn split_name_of(slice: Slice<'_>) -> (&str, Slice<'_>) {
    let start = slice.text.len() - slice.text.trim_start().len();
    let text = slice.text.trim();
    let end = text.find(is_blank).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let args = rest.trim_start();
    (name, Slice { text: args, offset: slice.offset + start + text.len() - args.len() })
}

impl<'t> Statement<'t> {
    /// The name in capitals.
    pub fn upper_name(&self) -> String {
        self.name.to_ascii_uppercase()
    }

    /// Where the name stands.
    pub fn name_offset(&self) -> usize {
        let before = self.line.text.get(..self.args.offset).unwrap_or_default();
        before.rfind(self.name).unwrap_or_default()
    }

    /// A fault of the whole instruction.
    pub fn fault(&self, message: impl Into<String>) -> Fault {
        Fault { offset: self.name_offset(), message: message.into(), hint: None }
    }

    /// Where a slice stands.
    pub fn span(&self, slice: Slice) -> Span {
        self.line.at(slice.offset)
    }

    /// That no instruction has this name.
    pub fn unknown(&self, hint: Option<String>) -> Fault {
        let mut shown: String = self.name.chars().take(40).collect();
        if self.name.chars().nth(40).is_some() {
            shown.push('…');
        }
        Fault { offset: self.name_offset(), message: format!("unknown instruction `{shown}`"), hint }
    }

    /// Reports quotes and substitutions in a word that can never expand; what depends on values is left for later.
    pub fn check_word(&self, word: Slice, faults: &mut Vec<Fault>) {
        if let Err(error) = expand(word.text, self.escape, &|_| None)
            && !error.reason.depends_on_values()
        {
            let hint = build_model::Diagnose::hint(&error);
            faults.push(Fault { offset: word.offset, message: error.to_string(), hint });
        }
    }
}

impl<'t> Slice<'t> {
    /// The slice of `self` from byte `start` on.
    pub fn from(self, start: usize) -> Slice<'t> {
        Slice { text: self.text.get(start..).unwrap_or_default(), offset: self.offset + start }
    }

    /// A fault at its first character.
    pub fn fault(self, message: impl Into<String>) -> Fault {
        Fault { offset: self.offset, message: message.into(), hint: None }
    }
}

impl Fault {
    pub fn with_hint(self, hint: impl Into<String>) -> Fault {
        Fault { hint: Some(hint.into()), ..self }
    }
}
