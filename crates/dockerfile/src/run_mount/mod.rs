//! `RUN --mount=…`: comma-separated fields, kept as text until the variables in them can be expanded.
//!
//! Fields are checked when the file is parsed as far as they hold no variable; [`RunMount::resolve`] does the rest
//! at build time. `from` never holds one, because stages are planned before anything is expanded.

mod error;
mod mount;

pub use error::MountError;
pub use mount::{CacheSharing, Mount, MountKind};

use crate::{Span, expand};

/// One `--mount` flag, unexpanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunMount {
    /// The flag's value as written, quotes removed.
    pub text: String,
    /// `from=`: stage name, number or image.
    pub from: Option<String>,
    /// Where the flag stands.
    pub span: Span,
    fields: Vec<Field>,
}

/// `key[=value]`, the key lower-cased.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Field {
    key: String,
    value: Option<String>,
}

const KEYS: [&str; 19] = [
    "type",
    "from",
    "source",
    "src",
    "target",
    "dst",
    "destination",
    "readonly",
    "ro",
    "readwrite",
    "rw",
    "size",
    "id",
    "sharing",
    "required",
    "env",
    "mode",
    "uid",
    "gid",
];

impl RunMount {
    /// Splits the flag's value into fields and checks all that does not depend on variables.
    pub(crate) fn parse(text: &str, escape: char, span: Span) -> Result<Self, MountError> {
        let mut fields = Vec::new();
        for field in split_fields(text).ok_or_else(|| MountError::Quote { text: text.to_owned() })? {
            let (key, value) = match field.split_once('=') {
                Some((key, value)) => (key.to_ascii_lowercase(), Some(value.to_owned())),
                None => (field.to_ascii_lowercase(), None),
            };
            if !KEYS.contains(&key.as_str()) {
                return Err(MountError::UnknownKey { key });
            }
            let flag = matches!(key.as_str(), "readonly" | "ro" | "readwrite" | "rw" | "required");
            if value.is_none() && !flag {
                return Err(MountError::NoValue { key });
            }
            fields.push(Field { key, value });
        }
        let from = fields.iter().rev().find(|f| f.key == "from").and_then(|f| f.value.clone()).filter(|v| !v.is_empty());
        if let Some(value) = from.as_ref().filter(|v| v.contains('$')) {
            return Err(MountError::VariableInFrom { value: value.clone() });
        }
        for field in fields.iter().filter(|f| f.key != "from") {
            let Some(word) = &field.value else { continue };
            if let Err(source) = expand(word, escape, &|_| None)
                && !source.reason.depends_on_values()
            {
                return Err(MountError::Expand { key: field.key.clone(), source });
            }
        }
        let mount = RunMount { text: text.to_owned(), from, span, fields };
        if !mount.fields.iter().any(|f| f.value.as_deref().is_some_and(|v| v.contains('$'))) {
            mount.resolve(escape, &|_| None)?;
        }
        Ok(mount)
    }

    /// The mount with its words expanded, checked and defaulted.
    ///
    /// # Errors
    /// A word that does not expand, or a field that does not fit the type.
    pub fn resolve(&self, escape: char, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Mount, MountError> {
        let mut values = Vec::with_capacity(self.fields.len());
        for field in &self.fields {
            let value = match &field.value {
                None => None,
                Some(word) if field.key == "from" => Some(word.clone()),
                Some(word) => Some(
                    expand(word, escape, lookup)
                        .map_err(|source| MountError::Expand { key: field.key.clone(), source: source.at(self.span) })?,
                ),
            };
            values.push((field.key.as_str(), value));
        }
        Mount::from_fields(self.from.clone(), values)
    }
}

/// Comma-separated fields; a field that begins with `"` goes on to its closing quote (`""` is a quote inside), as in CSV.
fn split_fields(text: &str) -> Option<Vec<String>> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut field = String::new();
            let mut tail = quoted;
            loop {
                let (before, after) = tail.split_once('"')?;
                field.push_str(before);
                tail = after;
                match tail.strip_prefix('"') {
                    Some(more) => {
                        field.push('"');
                        tail = more;
                    }
                    None => break,
                }
            }
            fields.push(field);
            if tail.is_empty() {
                return Some(fields);
            }
            rest = tail.strip_prefix(',')?;
        } else {
            let (field, tail) = rest.split_once(',').map_or((rest, None), |(f, t)| (f, Some(t)));
            if field.contains('"') {
                return None;
            }
            fields.push(field.to_owned());
            match tail {
                Some(tail) => rest = tail,
                None => return Some(fields),
            }
        }
    }
}

#[cfg(test)]
mod tests;
