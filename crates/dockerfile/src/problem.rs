//! What is wrong with a Dockerfile, shown the way compilers do: place, sentence, source line, caret, hint.
//! All problems of a file are collected, so that a packager needs one round, not one per typo.

use std::fmt;

use build_model::{Blame, Diagnose};

use crate::Span;

/// One thing wrong (or, in a list of warnings, doubtful) at one place of a file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Problem {
    /// Where; `first_line` and `column` point at the offending word.
    pub span: Span,
    /// One lower-case sentence.
    pub message: String,
    /// The line at `span.first_line` as it is in the file; empty when there is none to show.
    pub source_line: String,
    /// What to do about it, or the nearest valid word.
    pub hint: Option<String>,
}

/// The file is not a valid Dockerfile. Holds every problem found, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", Problem::list(.problems, .file))]
pub struct ParseError {
    /// The name the caller gave the file.
    pub file: String,
    /// At least one problem.
    pub problems: Vec<Problem>,
}

impl Diagnose for ParseError {
    fn blame(&self) -> Blame {
        Blame::Packager
    }
    fn kind(&self) -> &'static str {
        "dockerfile-invalid"
    }
    fn hint(&self) -> Option<String> {
        self.problems.iter().find_map(|p| p.hint.clone())
    }
}

/// More than this many problems are counted, not shown: a binary file would give one a line.
const SHOWN: usize = 25;

/// A source line longer than this many characters is cut in messages.
const LINE_SHOWN: usize = 160;

/// So is a message or hint longer than this.
const MESSAGE_SHOWN: usize = 400;

impl Problem {
    /// The problem with its file name, source line, caret and hint; no newline at the end.
    pub fn show<'a>(&'a self, file: &'a str) -> impl fmt::Display + 'a {
        Shown { problem: self, file }
    }

    /// Several problems one after another, at most 25 of them.
    pub(crate) fn list<'a>(problems: &'a [Problem], file: &'a str) -> impl fmt::Display + 'a {
        List { problems, file }
    }
}

/// The hint for a misspelt word. A word too long to be a typo is not compared at all.
pub(crate) fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    if word.len() > 64 {
        return None;
    }
    build_model::nearest(word, candidates).map(|near| format!("did you mean `{near}`?"))
}

struct Shown<'a> {
    problem: &'a Problem,
    file: &'a str,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { span, message, source_line, hint } = self.problem;
        write!(f, "{}:{span}: {}", self.file, shortened(message))?;
        if source_line.trim().is_empty() {
            return match hint {
                Some(hint) => write!(f, "\n    hint: {}", shortened(hint)),
                None => Ok(()),
            };
        }
        let column = (span.column as usize).saturating_sub(1);
        // A window of the line that holds the column.
        let skip = if column < LINE_SHOWN { 0 } else { column - LINE_SHOWN / 2 };
        let shown: String = source_line.chars().skip(skip).take(LINE_SHOWN).map(printable).collect();
        // Tabs stay tabs under the line, so that the caret stands where the reader's terminal puts the word.
        let margin: String = shown.chars().take(column - skip).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        write!(f, "\n    {}\n    {margin}^", shown.trim_end())?;
        match hint {
            Some(hint) => write!(f, " {}", shortened(hint)),
            None => Ok(()),
        }
    }
}

/// Messages quote words of the file, which may be long and hold anything.
fn shortened(text: &str) -> String {
    let mut shown: String = text.chars().take(MESSAGE_SHOWN).map(printable).collect();
    if text.chars().nth(MESSAGE_SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

/// Control characters would move the reader's cursor.
pub(crate) fn printable(c: char) -> char {
    if c.is_control() && c != '\t' { '\u{fffd}' } else { c }
}

struct List<'a> {
    problems: &'a [Problem],
    file: &'a str,
}

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().take(SHOWN).enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}", problem.show(self.file))?;
        }
        match self.problems.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n{}: and {more} more problems", self.file),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(column: u32, source_line: &str, hint: Option<&str>) -> Problem {
        let span = Span { first_line: 3, last_line: 3, column };
        Problem { span, message: "wrong".into(), source_line: source_line.into(), hint: hint.map(str::to_owned) }
    }

    #[test]
    fn the_caret_stands_under_the_column_also_after_tabs() {
        let shown = problem(4, "a\tbcd", Some("did you mean `x`?")).show("F").to_string();
        assert_eq!(shown, "F:3:4: wrong\n    a\tbcd\n     \t ^ did you mean `x`?");
    }

    #[test]
    fn long_lines_are_cut_around_the_column_and_control_characters_do_not_reach_the_terminal() {
        let line = format!("{}\u{1b}[2JX{}", "a".repeat(400), "b".repeat(400));
        let shown = problem(405, &line, None).show("F").to_string();
        assert!(shown.contains('X') && !shown.contains('\u{1b}') && shown.len() < 400, "{shown}");
    }

    #[test]
    fn many_problems_are_counted() {
        let err = ParseError { file: "F".into(), problems: vec![problem(1, "", None); 30] };
        assert!(err.to_string().ends_with("F: and 5 more problems"));
    }
}
