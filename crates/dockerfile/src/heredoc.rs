//! `<<WORD` markers on RUN, COPY and ADD lines (engine notes L4). The bodies are read by `logical_lines`.
//!
//! A marker is a word of its own: `<<EOF`, `<<-EOF`, `3<<EOF`, `<< EOF`, `<<'one two'`. As in BuildKit, `cat<<EOF` and
//! `<<<text` are none. Unlike BuildKit, `$(( 1 << 2 ))` is none either: there it waits for a line `2`.

/// A file or script written in the Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The word, unquoted; for COPY and ADD the file's name.
    pub name: String,
    /// The lines between, each with its line end; leading tabs already removed after `<<-`.
    pub body: String,
    /// Whether the builder expands variables in it (COPY and ADD, [`crate::expand_heredoc`]): the word had no quotes.
    pub expand: bool,
}

/// A marker in a line's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Marker {
    pub name: String,
    pub expand: bool,
    pub strip_tabs: bool,
    /// Bytes of the text the marker takes.
    pub range: std::ops::Range<usize>,
}

/// The markers of a line in order. A quote that is not closed ends the search: the shell's comments may hold one.
pub(crate) fn markers(text: &str) -> Vec<Marker> {
    let mut found = Vec::new();
    let last_close = text.rfind("))");
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|r| !r.is_empty()) {
        let blank = rest.len() - rest.trim_start().len();
        if blank > 0 {
            at += blank;
        } else if let Some(marker) = marker_at(text, at, last_close) {
            at = marker.range.end;
            found.push(marker);
        } else {
            match word_end(text, at, last_close) {
                Some(end) if end > at => at = end,
                _ => break,
            }
        }
    }
    found
}

/// Whether the text is one marker and nothing else: then the body is the whole script.
pub(crate) fn is_marker_alone(text: &str) -> bool {
    marker_at(text, 0, text.rfind("))")).is_some_and(|m| m.range.end == text.trim_end().len())
}

/// The marker that begins at byte `start`, which is the beginning of a word. `last_close` is where the last `))` is.
fn marker_at(text: &str, start: usize, last_close: Option<usize>) -> Option<Marker> {
    let rest = text.get(start..)?;
    let after_fd = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    let after_mark = after_fd.strip_prefix("<<")?;
    let (strip_tabs, after_dash) = match after_mark.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, after_mark),
    };
    let word = after_dash.trim_start_matches([' ', '\t', '\r']);
    let word_start = text.len() - word.len();
    let end = word_end(text, word_start, last_close)?;
    let word = text.get(word_start..end)?;
    if word.is_empty() || word.contains('<') {
        return None;
    }
    let (name, quoted) = unquote(word);
    (!name.is_empty()).then_some(Marker { name, expand: !quoted, strip_tabs, range: start..end })
}

/// The end of the shell word at `start`: the next blank outside quotes and arithmetic. `None` if a quote stays open.
fn word_end(text: &str, start: usize, last_close: Option<usize>) -> Option<usize> {
    let mut chars = text.get(start..)?.char_indices();
    while let Some((i, c)) = chars.next() {
        match c {
            c if c.is_whitespace() => return Some(start + i),
            '\\' => {
                chars.next();
            }
            '\'' => {
                chars.find(|(_, c)| *c == '\'')?;
            }
            '"' => loop {
                match chars.next()?.1 {
                    '"' => break,
                    '\\' => {
                        chars.next();
                    }
                    _ => {}
                }
            },
            // Not closed (and then not searched for again), it is no arithmetic, and the rest is read as words.
            '$' if chars.as_str().starts_with("((") && last_close.is_some_and(|close| close > start + i) => {
                let inside = chars.as_str().find("))").and_then(|close| chars.as_str().get(..close + 2));
                for _ in inside.unwrap_or_default().chars() {
                    chars.next();
                }
            }
            _ => {}
        }
    }
    Some(text.len())
}

/// The word without quotes and escapes, and whether it had quotes. As in BuildKit's tests, an escaped character
/// (`<<\EOF`) does not count as a quote, though it does in a shell.
fn unquote(word: &str) -> (String, bool) {
    let mut name = String::new();
    let mut quoted = false;
    let mut quote = None;
    let mut chars = word.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\'' | '"', None) => {
                quote = Some(c);
                quoted = true;
            }
            (c, Some(q)) if c == q => quote = None,
            ('\\', None) => name.extend(chars.next()),
            ('\\', Some('"')) => match chars.next() {
                Some(next @ ('"' | '$' | '\\')) => name.push(next),
                Some(next) => name.extend(['\\', next]),
                None => name.push('\\'),
            },
            (c, _) => name.push(c),
        }
    }
    (name, quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(String, bool, bool)> {
        markers(text).into_iter().map(|m| (m.name, m.expand, m.strip_tabs)).collect()
    }

    fn one(name: &str, expand: bool, strip_tabs: bool) -> Vec<(String, bool, bool)> {
        vec![(name.to_owned(), expand, strip_tabs)]
    }

    #[test]
    fn every_form_of_a_marker_is_seen() {
        for (text, expected) in [
            ("<<EOF", one("EOF", true, false)),
            ("cat <<-EOF > /x", one("EOF", true, true)),
            ("3<<EOF", one("EOF", true, false)),
            ("<<  EOF  > foo", one("EOF", true, false)),
            ("<<'EOF' /x", one("EOF", false, false)),
            ("<<\"EOF\"", one("EOF", false, false)),
            ("<<eo'f'", one("eof", false, false)),
            ("<<eo\\'f", one("eo'f", true, false)),
            ("<<'e'o\\'f", one("eo'f", false, false)),
            ("<<'one two'", one("one two", false, false)),
            ("<<$EOF", one("$EOF", true, false)),
            ("<<file.txt /dest", one("file.txt", true, false)),
            ("--mount=type=cache,target=/foo <<MOUNT", one("MOUNT", true, false)),
            ("cat <<EOF # don't", one("EOF", true, false)),
        ] {
            assert_eq!(found(text), expected, "{text}");
        }
        assert_eq!(found("<<A <<B /dest").len(), 2);
    }

    #[test]
    fn other_uses_of_the_signs_are_none() {
        for text in [
            "\"<<EOF\"",
            "cat<<EOF",
            "cat <<<word",
            "echo $((1<<2))",
            "echo $(( 1 << 2 ))",
            "a < b",
            "<<",
            "<< ",
            "echo 'x <<EOF'",
            "<<''",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
    }

    #[test]
    fn a_marker_alone_is_told_from_one_with_a_command() {
        for text in ["<<EOF", "<< EOF ", "3<<-'E O F'"] {
            assert!(is_marker_alone(text), "{text}");
        }
        for text in ["<<EOF python3", "cat <<EOF", "", "<<A <<B"] {
            assert!(!is_marker_alone(text), "{text}");
        }
    }
}
