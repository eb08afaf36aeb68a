//! Holds a tree against the table of keys: every problem and every warning, in the order of the file.

use super::keys::{Fate, Key, Shape, TOP};
use super::problem::{Remark, shown};
use super::scalar::Scalar;
use super::yaml_tree::{Entry, Node, Value};
use crate::{Arch, ImageTag, nearest};

/// A word longer than this is no typo.
const LONGEST_TYPO: usize = 64;

/// What a file's keys give rise to.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) problems: Vec<Remark>,
    pub(super) warnings: Vec<Remark>,
}

impl Findings {
    fn problem(&mut self, line: usize, message: String) {
        self.problems.push(Remark { line, message });
    }

    /// The entries of one mapping. `path` is what stands before a key in messages: nothing, or `compose.`.
    pub(super) fn table(&mut self, entries: &[Entry], keys: &'static [Key], path: &str) {
        for entry in entries {
            match keys.iter().find(|k| k.name == entry.key) {
                Some(key) => self.key(entry, key, path),
                None => self.unknown(entry, keys, path),
            }
        }
    }

    fn unknown(&mut self, entry: &Entry, keys: &'static [Key], path: &str) {
        let key = &entry.key;
        if key == "<<" {
            return self.problem(entry.line, "merge keys (`<<`) are not read; write the keys out".into());
        }
        let near = match key.len() {
            0..=LONGEST_TYPO => nearest(key, keys.iter().map(|k| k.name)).map(|near| format!("{path}{near}")),
            _ => None,
        };
        let meant = near.or_else(|| elsewhere(key)).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        self.problem(entry.line, format!("unknown key `{path}{}`{meant}", shown(key)));
    }

    fn key(&mut self, entry: &Entry, key: &'static Key, path: &str) {
        let name = format!("{path}{}", key.name);
        let says_something = !entry.node.says_nothing();
        match key.fate {
            Fate::Ignored(reason) => {
                if says_something {
                    self.warnings.push(Remark { line: entry.line, message: format!("`{name}` is ignored: {reason}") });
                }
            }
            Fate::Refused(reason) => {
                if says_something {
                    self.problem(entry.line, format!("`{name}` is not supported: {reason}"));
                }
            }
            Fate::Kept => self.value(&entry.node, &key.shape, &name),
            Fate::Noted(reason) => {
                self.value(&entry.node, &key.shape, &name);
                if says_something {
                    self.warnings.push(Remark { line: entry.line, message: format!("`{name}` changes nothing: {reason}") });
                }
            }
        }
    }

    fn value(&mut self, node: &Node, shape: &'static Shape, name: &str) {
        if matches!(node.value, Value::Scalar(Scalar::Null)) {
            return; // a key without a value is a key not given
        }
        match (shape, &node.value) {
            (Shape::Anything, _) | (Shape::Flag, Value::Scalar(Scalar::Flag(_))) => {}
            (Shape::Table(keys), Value::Map(entries)) => self.table(entries, keys, &format!("{name}.")),
            (Shape::Text, _) => {
                self.text(node, name);
            }
            (Shape::EnvName, _) => {
                if let Some(text) = self.text(node, name)
                    && !is_env_name(text)
                {
                    let message = format!("`{name}`: `{}` is not the name of an environment variable", shown(text));
                    self.problem(node.line, message);
                }
            }
            (Shape::Arches, Value::Scalar(_)) => self.arch(node, name),
            (Shape::Arches, Value::List(items)) => items.iter().for_each(|item| self.arch(item, name)),
            (Shape::Texts, Value::List(items)) => {
                for item in items {
                    self.text(item, name);
                }
            }
            (Shape::Tags, Value::List(items)) => items.iter().for_each(|item| self.tag(item, name)),
            (Shape::Whole(least), Value::Scalar(scalar)) => match scalar.whole() {
                Some(number) if number >= *least => {}
                Some(_) => self.problem(node.line, format!("`{name}` must be at least {least}")),
                None => self.wrong(node, name, "a whole number in decimal digits"),
            },
            (shape, _) => self.wrong(node, name, shape.expected()),
        }
    }

    fn arch(&mut self, node: &Node, name: &str) {
        if let Some(text) = self.text(node, name)
            && Arch::canonical(text).is_err()
        {
            self.problem(node.line, format!("`{name}`: `{}` is not an architecture name", shown(text)));
        }
    }

    fn tag(&mut self, node: &Node, name: &str) {
        if let Some(text) = self.text(node, name)
            && let Err(error) = ImageTag::new(text)
        {
            self.problem(node.line, format!("`{name}`: `{}` is not a registry tag: {}", shown(text), error.reason));
        }
    }

    /// The string a node is; anything else is a problem. `1.10` is a number to YAML, which would lose its zero.
    fn text<'a>(&mut self, node: &'a Node, name: &str) -> Option<&'a str> {
        match &node.value {
            Value::Scalar(Scalar::Text(text)) => return Some(text),
            Value::Scalar(Scalar::Number(text)) => {
                let text = shown(text);
                self.problem(node.line, format!("`{name}`: {text} is a number, a string is needed; write it as \"{text}\""));
            }
            _ => self.wrong(node, name, "a string"),
        }
        None
    }

    fn wrong(&mut self, node: &Node, name: &str, expected: &str) {
        self.problem(node.line, format!("`{name}` must be {expected}, not {}", node.type_name()));
    }
}

/// Where in the file a key belongs that was written in the wrong place, like `only` outside of `platforms`.
fn elsewhere(name: &str) -> Option<String> {
    let has = |keys: &[Key]| keys.iter().any(|k| k.name == name);
    if has(TOP) {
        return Some(format!("{name}` at the left margin, `{name}:"));
    }
    TOP.iter().find_map(|key| match key.shape {
        Shape::Table(keys) if has(keys) => Some(format!("{}.{name}", key.name)),
        _ => None,
    })
}

fn is_env_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= 128
        && bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

impl Shape {
    fn expected(&self) -> &'static str {
        match self {
            Shape::Text => "a string",
            Shape::EnvName => "the name of an environment variable",
            Shape::Texts => "a list of strings",
            Shape::Tags => "a list of registry tags",
            Shape::Arches => "an architecture or a list of architectures",
            Shape::Flag => "true or false",
            Shape::Whole(_) => "a whole number in decimal digits",
            Shape::Table(_) => "a mapping of keys",
            Shape::Anything => "anything",
        }
    }
}

impl Node {
    /// Null, false, and what is empty: the earlier service's clients write such values for features they do not use.
    fn says_nothing(&self) -> bool {
        match &self.value {
            Value::Scalar(Scalar::Null | Scalar::Flag(false)) => true,
            Value::Scalar(Scalar::Text(text)) => text.is_empty(),
            Value::Scalar(_) => false,
            Value::List(items) => items.is_empty(),
            Value::Map(entries) => entries.is_empty(),
        }
    }

    pub(super) fn type_name(&self) -> &'static str {
        match &self.value {
            Value::Scalar(Scalar::Null) => "null",
            Value::Scalar(Scalar::Flag(_)) => "a boolean",
            Value::Scalar(Scalar::Number(_)) => "a number",
            Value::Scalar(Scalar::Text(_)) => "a string",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}
