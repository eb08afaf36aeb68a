//! The text of a query format as a tree.

use super::formatter::Formatter;
use super::tags::{self, Tag};
use super::{QueryError, nearest};

/// A part of a format.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Text(String),
    /// `%{tag}`, `%-20{tag:formatter}`, `%{=tag}`, `%{#tag}`.
    Tag(Piece),
    /// `[…]`: once for every value of the arrays inside.
    Array(Vec<Node>),
    /// `%|tag?{…}:{…}|`. Like rpm, a tag that does not exist is one that no package has.
    Condition {
        tag: Option<Tag>,
        then: Vec<Node>,
        otherwise: Vec<Node>,
    },
}

/// A tag with how it is printed.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub tag: Tag,
    pub formatter: Formatter,
    /// `=`: the first value, also inside `[…]`.
    pub first_only: bool,
    pub width: usize,
    pub left: bool,
}

/// Wider fields would only serve to fill memory.
const MAX_WIDTH: usize = 4096;
/// Nesting of `[…]` and `%|…|`.
const MAX_DEPTH: usize = 32;

pub(super) fn parse(text: &str) -> Result<Vec<Node>, QueryError> {
    let mut parser = Parser { chars: text.chars().collect(), at: 0, depth: 0 };
    parser.nodes(None)
}

struct Parser {
    chars: Vec<char>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }

    fn wrong(&self, problem: &'static str) -> QueryError {
        QueryError::Syntax { problem, column: self.at.min(self.chars.len()) + 1 }
    }

    fn expect(&mut self, wanted: char, problem: &'static str) -> Result<(), QueryError> {
        if self.peek() != Some(wanted) {
            return Err(self.wrong(problem));
        }
        self.at += 1;
        Ok(())
    }

    /// Everything up to `end`, which is consumed; `None` is the end of the text.
    fn nodes(&mut self, end: Option<char>) -> Result<Vec<Node>, QueryError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.wrong("nested too deep"));
        }
        let mut nodes = Vec::new();
        let mut text = String::new();
        let flush = |text: &mut String, nodes: &mut Vec<Node>| {
            if !text.is_empty() {
                nodes.push(Node::Text(std::mem::take(text)));
            }
        };
        loop {
            let Some(c) = self.next() else {
                match end {
                    None => break,
                    Some(']') => return Err(self.wrong("`]` is missing at the end of an array")),
                    Some(_) => return Err(self.wrong("`}` is missing in a condition")),
                }
            };
            match c {
                c if Some(c) == end => break,
                '\\' => match self.next() {
                    Some(c) => text.push(escaped(c)),
                    None => return Err(self.wrong("it ends with a backslash")),
                },
                '%' if self.peek() == Some('%') => {
                    self.at += 1;
                    text.push('%');
                }
                '%' => {
                    flush(&mut text, &mut nodes);
                    if self.peek() == Some('|') {
                        self.at += 1;
                        nodes.push(self.condition()?);
                    } else {
                        nodes.push(Node::Tag(self.tag()?));
                    }
                }
                '[' => {
                    flush(&mut text, &mut nodes);
                    nodes.push(Node::Array(self.nodes(Some(']'))?));
                }
                ']' | '}' => {
                    self.at -= 1;
                    return Err(self.wrong(if c == ']' { "unexpected `]`" } else { "unexpected `}`" }));
                }
                c => text.push(c),
            }
        }
        flush(&mut text, &mut nodes);
        self.depth -= 1;
        Ok(nodes)
    }

    /// After `%`: a width, and a name in braces.
    fn tag(&mut self) -> Result<Piece, QueryError> {
        let left = self.peek() == Some('-');
        if left {
            self.at += 1;
        }
        let mut width = 0usize;
        while let Some(digit) = self.peek().and_then(|c| c.to_digit(10)) {
            width = width.saturating_mul(10).saturating_add(digit as usize);
            self.at += 1;
        }
        if width > MAX_WIDTH {
            return Err(self.wrong("the field is too wide"));
        }
        self.expect('{', "after % comes {TAG}, a field width, |, or another %")?;
        let mut first_only = false;
        let mut formatter = None;
        match self.peek() {
            Some('=') => {
                first_only = true;
                self.at += 1;
            }
            Some('#') => {
                (first_only, formatter) = (true, Some(Formatter::Arraysize));
                self.at += 1;
            }
            _ => {}
        }
        let column = self.at + 1;
        let mut inside = String::new();
        loop {
            match self.next() {
                Some('}') => break,
                Some(c) => inside.push(c),
                None => return Err(self.wrong("`}` is missing after a tag")),
            }
        }
        let (name, kind) = match inside.split_once(':') {
            Some((name, kind)) => (name, Some(kind)),
            None => (inside.as_str(), None),
        };
        if name.is_empty() {
            return Err(QueryError::Syntax { problem: "a tag without a name", column });
        }
        if name == "*" {
            return Err(QueryError::Syntax { problem: "%{*} is not supported: name the tags, or use --json", column });
        }
        let tag = tags::find(name).ok_or_else(|| QueryError::UnknownTag {
            name: name.to_owned(),
            column,
            nearest: nearest(&name.to_ascii_uppercase(), tags::names()).map(str::to_ascii_lowercase),
        })?;
        if let Some(kind) = kind {
            let unknown = || QueryError::UnknownFormatter {
                name: kind.to_owned(),
                column: column + name.chars().count() + 1,
                nearest: nearest(kind, Formatter::names()).map(|n| format!(":{n}")),
            };
            formatter = Some(Formatter::named(kind).ok_or_else(unknown)?);
        }
        Ok(Piece { tag, formatter: formatter.unwrap_or(Formatter::String), first_only, width, left })
    }

    /// After `%|`: `tag?{…}:{…}|`, the second part may be left out.
    fn condition(&mut self) -> Result<Node, QueryError> {
        let mut name = String::new();
        loop {
            match self.next() {
                Some('?') => break,
                Some(c) => name.push(c),
                None => return Err(self.wrong("`?` is missing in a condition")),
            }
        }
        self.expect('{', "`{` is missing after `?`")?;
        let then = self.nodes(Some('}'))?;
        let mut otherwise = Vec::new();
        if self.peek() == Some(':') {
            self.at += 1;
            self.expect('{', "`{` is missing after `:`")?;
            otherwise = self.nodes(Some('}'))?;
        }
        self.expect('|', "`|` is missing at the end of a condition")?;
        Ok(Node::Condition { tag: tags::find(&name), then, otherwise })
    }
}

fn escaped(c: char) -> char {
    match c {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        parse(text).err().unwrap_or_else(|| panic!("{text} must be refused")).to_string()
    }

    #[test]
    fn formats_are_refused_with_place_and_the_nearest_name() {
        for (text, expected) in [
            ("%{sigmd}", "there is no tag %{sigmd} (column 3); did you mean `sigmd5`?"),
            ("%{NAME} %{basename}", "there is no tag %{basename} (column 11); did you mean `basenames`?"),
            ("%{name:ocatl}", "there is no formatter :ocatl (column 8); did you mean `:octal`?"),
            ("%{name:expand}", "there is no formatter :expand (column 8)"),
            ("%{installtime:data}", "there is no formatter :data (column 15); did you mean `:date`?"),
            ("%name", "after % comes {TAG}, a field width, |, or another % (column 2)"),
            ("%{name", "`}` is missing after a tag (column 7)"),
            ("%{}", "a tag without a name (column 3)"),
            ("x\\", "it ends with a backslash (column 3)"),
            ("[%{filenames}", "`]` is missing at the end of an array (column 14)"),
            ("a]", "unexpected `]` (column 2)"),
            ("%|epoch?{a}", "`|` is missing at the end of a condition (column 12)"),
            ("%|epoch{a}|", "`?` is missing in a condition (column 12)"),
            ("%|epoch?{a}:b|", "`{` is missing after `:` (column 13)"),
            ("%99999{name}", "the field is too wide (column 7)"),
        ] {
            assert_eq!(message(text), expected, "{text}");
        }
        assert!(message(&"[".repeat(100)).starts_with("nested too deep"));
        assert!(message("%{*:xml}").contains("--json"));
    }

    #[test]
    fn formats_that_rpm_takes_are_taken() {
        for text in [
            "",
            "%{NAME}",
            "%{RPMTAG_NAME}",
            "%-20{name}|%5{epoch}",
            "100%%\\n",
            "[%{=name} %{filenames} %{filemodes:perms}\\n]",
            "%|epoch?{%{epoch}:}|%{name}",
            "%|nonsense?{a}:{b}|",
            "%|name?{[%{basenames}]}:{%|epoch?{x}|}|",
            "%{#basenames} {not a tag",
        ] {
            assert!(parse(text).is_ok(), "{text}: {:?}", parse(text).err());
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(parts in proptest::collection::vec(proptest::sample::select(
            vec!["%", "{", "}", "[", "]", "|", "?", ":", "name", "epoch", "=", "#", "-", "7", "\\", "x", "é", "%{name}", "%|"]), 0..24)) {
            let _ = parse(&parts.concat());
        }
    }
}
