//! Why a word does not expand.

use build_model::{Blame, Diagnose};

use crate::Span;

/// A word that does not expand, with its place where the caller knew it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}cannot expand `{word}`: {reason}", line_prefix(.span))]
pub struct ExpandError {
    /// The word as in the Dockerfile; cut when it is long.
    pub word: String,
    /// What is wrong with it.
    pub reason: ExpandReason,
    /// Where it stands.
    pub span: Option<Span>,
}

/// What is wrong with a word.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpandReason {
    /// A quote without its partner.
    #[error("the quote {quote} is not closed")]
    Quote {
        /// `'` or `"`.
        quote: char,
    },
    /// `${…` without its end, or `${n/p` without its second slash.
    #[error("a `{missing}` is missing after `${{`")]
    Unclosed {
        /// `}` or `/`.
        missing: char,
    },
    /// `${}` and the like.
    #[error("there is no variable name after `${{`")]
    NoName,
    /// `${n=w}`, `${n^^}` and others that only shells have.
    #[error("`{modifier}` is not a substitution that Dockerfiles have")]
    Modifier {
        /// The characters after the name.
        modifier: String,
    },
    /// `${n?message}` or `${n:?message}` of a variable without a value.
    #[error("`{name}` is {}{}{message}", if *.empty { "empty" } else { "not set" }, if .message.is_empty() { "" } else { ": " })]
    Required {
        /// The variable.
        name: String,
        /// It is set, to nothing.
        empty: bool,
        /// The Dockerfile's own message.
        message: String,
    },
    /// A pattern that ends in an escape, escapes an ordinary character, or is too long.
    #[error("`{pattern}` is not a pattern: {reason}")]
    Pattern {
        /// The pattern, expanded.
        pattern: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// Substitutions in substitutions.
    #[error("substitutions are nested more than {limit} deep")]
    TooDeep {
        /// The bound.
        limit: u32,
    },
    /// Variables that repeat each other.
    #[error("the result is longer than {limit} bytes")]
    TooLong {
        /// The bound.
        limit: usize,
    },
}

impl ExpandError {
    pub(super) fn new(word: &str, reason: ExpandReason) -> Self {
        const SHOWN: usize = 100;
        let mut shown: String = word.chars().take(SHOWN).map(crate::problem::printable).collect();
        if word.chars().nth(SHOWN).is_some() {
            shown.push('…');
        }
        ExpandError { word: shown, reason: reason.printable(), span: None }
    }

    /// The same error at a place.
    pub fn at(self, span: Span) -> Self {
        ExpandError { span: Some(span), ..self }
    }
}

impl ExpandReason {
    /// Its texts come from the file and may hold anything; what is shown moves no cursor.
    fn printable(mut self) -> Self {
        use crate::problem::printable;
        match &mut self {
            ExpandReason::Modifier { modifier: text } | ExpandReason::Pattern { pattern: text, .. } => {
                *text = text.chars().map(printable).collect();
            }
            ExpandReason::Required { name, message, .. } => {
                *name = name.chars().map(printable).collect();
                *message = message.chars().map(printable).collect();
            }
            _ => {}
        }
        self
    }

    /// Whether other values of the variables could make the word expand. What does not depend on them is an error of the
    /// text, reported when the file is parsed.
    pub(crate) fn depends_on_values(&self) -> bool {
        matches!(self, ExpandReason::Required { .. } | ExpandReason::Pattern { .. } | ExpandReason::TooLong { .. })
    }
}

fn line_prefix(span: &Option<Span>) -> String {
    span.map(|s| format!("line {}: ", s.first_line)).unwrap_or_default()
}

impl Diagnose for ExpandError {
    fn blame(&self) -> Blame {
        Blame::Packager
    }
    fn kind(&self) -> &'static str {
        match self.reason {
            ExpandReason::Required { .. } => "dockerfile-variable-required",
            _ => "dockerfile-expansion",
        }
    }
    fn hint(&self) -> Option<String> {
        match &self.reason {
            ExpandReason::Quote { quote } => Some(format!("close it, or write \\{quote} for the character itself")),
            ExpandReason::Modifier { modifier } if modifier == "=" || modifier == ":=" => {
                Some("`:-` gives a default without setting the variable".to_owned())
            }
            ExpandReason::Required { name, .. } => Some(format!("give a value with ARG {name}=… or as a build argument")),
            _ => None,
        }
    }
}
