//! Where in a file something stands. Made by the lexer, carried by every node, problem and planned stage.

/// A range of lines, with the column at which it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
pub struct Span {
    /// First line, from 1.
    pub first_line: u32,
    /// Last line, from 1; heredoc bodies included.
    pub last_line: u32,
    /// Column in `first_line`, from 1, in characters.
    pub column: u32,
}

impl std::fmt::Display for Span {
    /// `line:column`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.first_line, self.column)
    }
}
