//! Bytes → physical lines → logical lines: continuations joined, comments and blank lines dropped.
//!
//! The rules are BuildKit's parser's (engine notes L1, L3, L5). A logical line remembers where each of its pieces stood,
//! so that a problem can point at a word on the fourth line of a RUN. Heredoc bodies are read here too, raw.

use std::borrow::Cow;
use std::cell::Cell;

use crate::Span;

/// The file's lines, decoded.
pub(crate) struct SourceLines<'a> {
    lines: Vec<SourceLine<'a>>,
    /// Line and column of the first NUL byte: such a file is no text.
    pub nul: Option<Span>,
}

struct SourceLine<'a> {
    /// Without the line end.
    text: Cow<'a, str>,
    /// `\n`, `\r\n` or nothing (the last line).
    end: &'a str,
    /// Column of the first byte that is not UTF-8.
    broken_at: Option<u32>,
}

impl<'a> SourceLines<'a> {
    /// Splits and decodes; a byte order mark is dropped. Never fails: broken bytes become U+FFFD and are remembered.
    pub fn read(bytes: &'a [u8]) -> Self {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut lines = Vec::new();
        let mut nul = None;
        for raw in bytes.split_inclusive(|b| *b == b'\n') {
            let (body, end) = match raw {
                [body @ .., b'\r', b'\n'] => (body, "\r\n"),
                [body @ .., b'\n'] => (body, "\n"),
                body => (body, ""),
            };
            let broken_at = std::str::from_utf8(body)
                .err()
                .map(|e| column_after(&String::from_utf8_lossy(body.get(..e.valid_up_to()).unwrap_or_default())));
            let text = String::from_utf8_lossy(body);
            if nul.is_none()
                && let Some(at) = text.find('\0')
            {
                nul = Some(here(lines.len(), column_after(&text[..at])));
            }
            lines.push(SourceLine { text, end, broken_at });
        }
        SourceLines { lines, nul }
    }

    /// The text of line `number` (from 1), without its end; empty beyond the file.
    pub fn text(&self, number: u32) -> &str {
        self.lines.get((number as usize).saturating_sub(1)).map_or("", |l| &l.text)
    }

    /// How many lines there are.
    pub fn count(&self) -> u32 {
        u32::try_from(self.lines.len()).unwrap_or(u32::MAX)
    }

    /// Lines `first..=last` as in the file, joined by `\n`.
    pub fn source(&self, first: u32, last: u32) -> String {
        (first..=last).map(|n| self.text(n)).collect::<Vec<_>>().join("\n")
    }

    /// The first byte between two lines that is not UTF-8. Comments are allowed to hold such bytes: many old files
    /// have names in Latin-1 there.
    pub fn broken_between(&self, first: u32, last: u32) -> Option<Span> {
        (first..=last).find_map(|n| {
            let line = self.lines.get((n as usize).saturating_sub(1))?;
            let column = line.broken_at.filter(|_| !is_comment(&line.text))?;
            Some(Span { first_line: n, last_line: n, column })
        })
    }
}

fn here(index: usize, column: u32) -> Span {
    let line = u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1);
    Span { first_line: line, last_line: line, column }
}

/// The column, from 1, of what follows `before` on its line.
fn column_after(before: &str) -> u32 {
    u32::try_from(before.chars().count()).unwrap_or(u32::MAX).saturating_add(1)
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

/// An instruction's line with its continuations joined.
#[derive(Debug, Clone)]
pub(crate) struct LogicalLine {
    /// The joined text, from the first character that is not blank.
    pub text: String,
    /// First physical line.
    pub first_line: u32,
    /// Last physical line; grows when heredoc bodies are read.
    pub last_line: u32,
    /// The first blank line inside a continuation, if any.
    pub blank_inside: Option<u32>,
    pieces: Vec<Piece>,
    /// Line, offset and column last asked for: words are asked for in order, and a line may be very long.
    last: Cell<(u32, usize, u32)>,
}

/// From `offset` in the text on, the text stood at `line`, beginning in `column`.
#[derive(Debug, Clone, Copy)]
struct Piece {
    offset: usize,
    line: u32,
    column: u32,
}

impl LogicalLine {
    /// Where the byte at `offset` of the text stood. The span is of that one line.
    pub fn at(&self, offset: usize) -> Span {
        let after = self.pieces.partition_point(|p| p.offset <= offset);
        let Some(piece) = self.pieces.get(after.saturating_sub(1)) else {
            return Span { first_line: self.first_line, last_line: self.first_line, column: 1 };
        };
        let (line, known, column) = self.last.get();
        let (from, column) = if line == piece.line && known <= offset { (known, column) } else { (piece.offset, piece.column) };
        let between = self.text.get(from..offset).unwrap_or_default();
        let column = column.saturating_add(column_after(between) - 1);
        self.last.set((piece.line, offset, column));
        Span { first_line: piece.line, last_line: piece.line, column }
    }

    /// The whole instruction.
    pub fn span(&self) -> Span {
        Span { last_line: self.last_line, ..self.at(0) }
    }
}

/// Reads logical lines one after another; the caller asks for heredoc bodies in between.
pub(crate) struct LogicalLines<'s, 'a> {
    source: &'s SourceLines<'a>,
    escape: char,
    /// Index of the next physical line.
    next: usize,
}

impl<'s, 'a> LogicalLines<'s, 'a> {
    pub fn new(source: &'s SourceLines<'a>, escape: char) -> Self {
        Self { source, escape, next: 0 }
    }

    fn take(&mut self) -> Option<(u32, &'s SourceLine<'a>)> {
        let line = self.source.lines.get(self.next)?;
        self.next += 1;
        Some((u32::try_from(self.next).unwrap_or(u32::MAX), line))
    }

    /// The next line that holds an instruction.
    pub fn next_line(&mut self) -> Option<LogicalLine> {
        loop {
            let (number, line) = self.take()?;
            let text = line.text.trim_start();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let column = column_after(line.text.strip_suffix(text).unwrap_or_default());
            let (text, mut open) = self.without_continuation(text);
            let mut logical = LogicalLine {
                text: text.to_owned(),
                first_line: number,
                last_line: number,
                blank_inside: None,
                pieces: vec![Piece { offset: 0, line: number, column }],
                last: Cell::default(),
            };
            while open {
                let Some((number, line)) = self.take() else { break };
                logical.last_line = number;
                if is_comment(&line.text) {
                    continue;
                }
                if line.text.trim().is_empty() {
                    logical.blank_inside.get_or_insert(number);
                    continue;
                }
                let (text, goes_on) = self.without_continuation(&line.text);
                logical.pieces.push(Piece { offset: logical.text.len(), line: number, column: 1 });
                logical.text.push_str(text);
                open = goes_on;
            }
            // A lone escape character with nothing after it is no instruction.
            if !logical.text.trim().is_empty() {
                return Some(logical);
            }
        }
    }

    /// The line without its continuation mark, and whether it had one. Two escape characters at the end are not one.
    fn without_continuation<'t>(&self, line: &'t str) -> (&'t str, bool) {
        let trimmed = line.trim_end_matches([' ', '\t', '\r']);
        match trimmed.strip_suffix(self.escape) {
            Some(before) if !before.ends_with(self.escape) => (before, true),
            _ => (line, false),
        }
    }

    /// Reads a heredoc's body up to the line that is its word, and makes it part of `line`.
    /// `None` when the file ends first; then the rest of the file is used up.
    pub fn heredoc_body(&mut self, line: &mut LogicalLine, word: &str, strip_tabs: bool) -> Option<String> {
        let mut body = String::new();
        while let Some((number, physical)) = self.take() {
            line.last_line = number;
            let text = if strip_tabs { physical.text.trim_start_matches('\t') } else { physical.text.as_ref() };
            if text.trim_end_matches('\r') == word {
                return Some(body);
            }
            body.push_str(text);
            body.push_str(physical.end);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<LogicalLine> {
        let source = SourceLines::read(text.as_bytes());
        let mut reader = LogicalLines::new(&source, '\\');
        std::iter::from_fn(|| reader.next_line()).collect()
    }

    fn texts(text: &str) -> Vec<String> {
        lines(text).into_iter().map(|l| l.text).collect()
    }

    #[test]
    fn continuations_join_and_comments_inside_them_vanish() {
        assert_eq!(texts("RUN a \\\n  # note\n\n  b \\ \t\n c\nRUN d"), ["RUN a   b  c", "RUN d"]);
        assert_eq!(texts("RUN a \\\r\n b\r\n"), ["RUN a  b"]);
        assert_eq!(texts("RUN a \\\\\nRUN b \\"), ["RUN a \\\\", "RUN b "]);
        assert_eq!(texts("\\\nRUN a\n\\\n\n"), ["RUN a"]);
    }

    #[test]
    fn positions_survive_joining() {
        let all = lines("\n  RUN a \\\n# note\n    bé c");
        let line = &all[0];
        assert_eq!(line.span(), Span { first_line: 2, last_line: 4, column: 3 });
        let at = |word: &str| line.at(line.text.find(word).expect(word)).to_string();
        assert_eq!((at("a"), at("b"), at("c")), ("2:7".into(), "4:5".into(), "4:8".into()));
        assert_eq!(line.at(1_000_000).first_line, 4);
    }

    #[test]
    fn byte_order_mark_nul_and_broken_bytes_are_noticed() {
        let source = SourceLines::read(b"\xef\xbb\xbfFROM a\n# caf\xe9\nRUN \xff\n");
        assert_eq!(source.text(1), "FROM a");
        assert_eq!(source.broken_between(1, 2), None);
        assert_eq!(source.broken_between(1, 3), Some(Span { first_line: 3, last_line: 3, column: 5 }));
        assert_eq!(SourceLines::read(b"FROM a\nR\0").nul, Some(Span { first_line: 2, last_line: 2, column: 2 }));
    }

    #[test]
    fn heredoc_bodies_are_raw() {
        let source = SourceLines::read(b"RUN <<-A\n\t# kept \\\n\n\tA\nRUN b\n");
        let mut reader = LogicalLines::new(&source, '\\');
        let mut line = reader.next_line().expect("line");
        assert_eq!(reader.heredoc_body(&mut line, "A", true).as_deref(), Some("# kept \\\n\n"));
        assert_eq!(line.span().last_line, 4);
        assert_eq!(reader.next_line().expect("line").text, "RUN b");
    }
}
