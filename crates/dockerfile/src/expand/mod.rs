//! Variables and quotes in words (engine notes W1–W4): `$n`, `${n}`, `${n:-w}` `-` `:+` `+` `:?` `?`, `${n#p}` `##`
//! `%` `%%`, `${n/p/r}` `//`. The words inside nest.
//!
//! The rules are those of BuildKit's shell lexer, with three bounds it lacks, because Dockerfiles are strangers' input:
//! how deep substitutions nest, how long a result gets (`ENV A=$A$A` doubles), and how long a pattern is.

mod error;
mod pattern;

pub use error::{ExpandError, ExpandReason};
use pattern::Pattern;

/// Substitutions inside substitutions: more is refused.
const MAX_DEPTH: u32 = 64;

/// A result longer than this many bytes is refused. Linux takes 128 KiB in one argument or variable; heredoc bodies are longer.
const MAX_LENGTH: usize = 4 << 20;

/// Expands one word; quotes and escapes are removed. Blanks are kept: the result is one word.
///
/// # Errors
/// An open quote or brace, an unknown form, a required variable without a value, or a bound that is exceeded.
pub fn expand(word: &str, escape: char, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, ExpandError> {
    Ok(Expander::new(word, escape, true, lookup).run(Sink::one())?.current)
}

/// Expands text and splits it at blanks outside quotes, those that came out of unquoted variables included (EXPOSE).
///
/// # Errors
/// As [`expand`].
pub fn expand_words(text: &str, escape: char, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Vec<String>, ExpandError> {
    Ok(Expander::new(text, escape, true, lookup).run(Sink::many())?.into_many())
}

/// Expands a heredoc body of COPY or ADD: quotes are ordinary characters. The escape character is always `\` here, and
/// escapes whatever follows (`\$` is `$`, `\\` is `\`, `\x` is `x`), as in the reference.
///
/// # Errors
/// As [`expand`].
pub fn expand_heredoc(body: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, ExpandError> {
    Ok(Expander::new(body, '\\', false, lookup).run(Sink::one())?.current)
}

/// Where expanded text goes: into one word, or into words split at blanks.
struct Sink {
    done: Vec<String>,
    current: String,
    split: bool,
    /// Bytes in `done`.
    length: usize,
}

impl Sink {
    fn one() -> Self {
        Sink { done: Vec::new(), current: String::new(), split: false, length: 0 }
    }

    fn many() -> Self {
        Sink { split: true, ..Sink::one() }
    }

    /// Text that is never split.
    fn push(&mut self, text: &str) {
        self.current.push_str(text);
    }

    /// Text that is split at blanks where this sink splits.
    fn push_splitting(&mut self, text: &str) {
        if !self.split {
            return self.push(text);
        }
        for c in text.chars() {
            if !c.is_whitespace() {
                self.current.push(c);
            } else if !self.current.is_empty() {
                self.length += self.current.len();
                self.done.push(std::mem::take(&mut self.current));
            }
        }
    }

    fn len(&self) -> usize {
        self.length + self.current.len()
    }

    fn into_many(mut self) -> Vec<String> {
        if !self.current.is_empty() {
            self.done.push(self.current);
        }
        self.done
    }
}

struct Expander<'a> {
    word: &'a str,
    chars: std::str::Chars<'a>,
    escape: char,
    /// Whether quotes are quotes.
    quotes: bool,
    lookup: &'a dyn Fn(&str) -> Option<String>,
    depth: u32,
}

impl<'a> Expander<'a> {
    fn new(word: &'a str, escape: char, quotes: bool, lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Expander { word, chars: word.chars(), escape, quotes, lookup, depth: 0 }
    }

    fn run(mut self, mut sink: Sink) -> Result<Sink, ExpandError> {
        match self.text(None, false, &mut sink) {
            Ok(()) => Ok(sink),
            Err(reason) => Err(ExpandError::new(self.word, reason)),
        }
    }

    fn peek(&self) -> Option<char> {
        self.chars.clone().next()
    }

    /// Reads up to `stop` (which is consumed) or, without one, to the end. With `raw`, escapes are kept, because the
    /// text becomes a pattern or a replacement.
    fn text(&mut self, stop: Option<char>, raw: bool, sink: &mut Sink) -> Result<(), ExpandReason> {
        while let Some(c) = self.chars.next() {
            match c {
                c if Some(c) == stop => return Ok(()),
                '\'' if self.quotes => self.single_quoted(sink)?,
                '"' if self.quotes => self.double_quoted(raw, sink)?,
                '$' => {
                    let value = self.dollar()?;
                    sink.push_splitting(&value);
                }
                c if c == self.escape => {
                    if raw {
                        sink.push(c.encode_utf8(&mut [0; 4]));
                    }
                    // At the end of the text the escape character vanishes.
                    if let Some(next) = self.chars.next() {
                        sink.push(next.encode_utf8(&mut [0; 4]));
                    }
                }
                c => sink.push_splitting(c.encode_utf8(&mut [0; 4])),
            }
            if sink.len() > MAX_LENGTH {
                return Err(ExpandReason::TooLong { limit: MAX_LENGTH });
            }
        }
        match stop {
            None => Ok(()),
            Some(stop) => Err(ExpandReason::Unclosed { missing: stop }),
        }
    }

    /// After `'`: everything up to the next one, as it is.
    fn single_quoted(&mut self, sink: &mut Sink) -> Result<(), ExpandReason> {
        let (inside, rest) = self.chars.as_str().split_once('\'').ok_or(ExpandReason::Quote { quote: '\'' })?;
        sink.push(inside);
        self.chars = rest.chars();
        Ok(())
    }

    /// After `"`: variables expand, the escape character escapes only `"`, `$` and itself.
    fn double_quoted(&mut self, raw: bool, sink: &mut Sink) -> Result<(), ExpandReason> {
        loop {
            match self.chars.next() {
                None => return Err(ExpandReason::Quote { quote: '"' }),
                Some('"') => return Ok(()),
                Some('$') => {
                    let value = self.dollar()?;
                    sink.push(&value);
                }
                Some(c) if c == self.escape => {
                    if raw {
                        sink.push(c.encode_utf8(&mut [0; 4]));
                    }
                    match self.peek() {
                        None => {}
                        Some(next) if next == '"' || next == '$' || next == self.escape => {
                            self.chars.next();
                            sink.push(next.encode_utf8(&mut [0; 4]));
                        }
                        // Not an escape: the character stands for itself (in a pattern, escaped once more).
                        Some(_) => sink.push(c.encode_utf8(&mut [0; 4])),
                    }
                }
                Some(c) => sink.push(c.encode_utf8(&mut [0; 4])),
            }
            if sink.len() > MAX_LENGTH {
                return Err(ExpandReason::TooLong { limit: MAX_LENGTH });
            }
        }
    }

    /// After `$`.
    fn dollar(&mut self) -> Result<String, ExpandReason> {
        if self.peek() != Some('{') {
            let name = self.name();
            // `$` before anything else is itself.
            return Ok(if name.is_empty() { "$".to_owned() } else { (self.lookup)(&name).unwrap_or_default() });
        }
        self.chars.next();
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(ExpandReason::TooDeep { limit: MAX_DEPTH });
        }
        let value = self.braces()?;
        self.depth -= 1;
        Ok(value)
    }

    /// After `${`.
    fn braces(&mut self) -> Result<String, ExpandReason> {
        match self.peek() {
            None => return Err(ExpandReason::Unclosed { missing: '}' }),
            Some('{' | '}' | ':') => return Err(ExpandReason::NoName),
            Some(_) => {}
        }
        let name = self.name();
        let value = (self.lookup)(&name);
        let operator = self.chars.next().ok_or(ExpandReason::Unclosed { missing: '}' })?;
        match operator {
            '}' if name.is_empty() => Err(ExpandReason::NoName),
            '}' => Ok(value.unwrap_or_default()),
            ':' => {
                let operator = self.chars.next().ok_or(ExpandReason::Unclosed { missing: '}' })?;
                if !matches!(operator, '-' | '+' | '?') {
                    return Err(ExpandReason::Modifier { modifier: format!(":{operator}") });
                }
                // With the colon, empty counts as unset.
                self.alternative(&name, value.clone().filter(|v| !v.is_empty()), value.is_some(), operator)
            }
            '-' | '+' | '?' => {
                let set = value.is_some();
                self.alternative(&name, value, set, operator)
            }
            '#' | '%' => {
                let longest = self.peek() == Some(operator);
                if longest {
                    self.chars.next();
                }
                let pattern = Pattern::parse(&self.inner('}', true)?)?;
                let value = value.unwrap_or_default();
                Ok(if operator == '#' { pattern.trim_start(&value, longest) } else { pattern.trim_end(&value, longest) })
            }
            '/' => {
                let all = self.peek() == Some('/');
                if all {
                    self.chars.next();
                }
                let pattern = Pattern::parse(&self.inner('/', true)?)?;
                let replacement = self.inner('}', true)?;
                pattern.replace(&value.unwrap_or_default(), &replacement, all, MAX_LENGTH)
            }
            other => Err(ExpandReason::Modifier { modifier: other.to_string() }),
        }
    }

    /// The word after an operator.
    fn inner(&mut self, stop: char, raw: bool) -> Result<String, ExpandReason> {
        let mut sink = Sink::one();
        self.text(Some(stop), raw, &mut sink)?;
        Ok(sink.current)
    }

    /// `-`, `+` and `?`. `value` is `None` where the operator counts the variable as unset.
    fn alternative(&mut self, name: &str, value: Option<String>, set: bool, operator: char) -> Result<String, ExpandReason> {
        let word = self.inner('}', false)?;
        match (operator, value) {
            ('-', Some(value)) | ('?', Some(value)) => Ok(value),
            ('-', None) => Ok(word),
            ('+', Some(_)) => Ok(word),
            ('+', None) => Ok(String::new()),
            _ => Err(ExpandReason::Required { name: name.to_owned(), empty: set, message: word }),
        }
    }

    /// A variable's name, a run of digits, or one special character; empty when there is none.
    fn name(&mut self) -> String {
        let rest = self.chars.as_str();
        let first = rest.chars().next().unwrap_or(' ');
        let end = if first.is_numeric() {
            rest.find(|c: char| !c.is_numeric())
        } else if matches!(first, '@' | '*' | '#' | '?' | '-' | '$' | '!') {
            Some(1)
        } else {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_')
        };
        let (name, rest) = rest.split_at(end.unwrap_or(rest.len()));
        self.chars = rest.chars();
        name.to_owned()
    }
}

#[cfg(test)]
mod tests;
