//! YAML text to a tree that knows its lines. The parser gives events (docs/adr/0005-yaml-reader.md); this file builds the
//! tree without recursion and within limits, since anybody who may push to dist-git writes the text.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

use super::problem::{Remark, shown};
use super::scalar::Scalar;

/// A file larger than this is no settings file.
pub(super) const MAX_BYTES: usize = 128 << 10;
/// Lists and mappings inside each other.
const MAX_DEPTH: usize = 16;
/// Values in a file, each alias counted as what it stands for.
const MAX_NODES: usize = 10_000;
/// A text counts as one value more for each of these bytes, so that aliases cannot multiply a long one.
const TEXT_UNIT: usize = 64;

/// A value and the line it begins on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) value: Value,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    /// In the order of the file; keys are unique.
    Map(Vec<Entry>),
}

/// One `key: value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) line: usize,
    pub(super) node: Node,
}

/// A list or mapping whose end has not come yet.
struct Open {
    node: Node,
    anchor: usize,
    /// The key that waits for its value, with its line.
    key: Option<(String, usize)>,
    /// What is inside, as [`MAX_NODES`] counts, and how deep it goes.
    size: usize,
    depth: usize,
}

/// A finished value with an anchor.
struct Anchored {
    node: Node,
    size: usize,
    depth: usize,
}

/// Reads the one document of `text`; `None` when there is nothing but comments.
///
/// # Errors
/// The problems of the text itself: syntax (the parser stops there), limits, repeated keys, tags.
pub(super) fn read(text: &str) -> Result<Option<Node>, Vec<Remark>> {
    if text.len() > MAX_BYTES {
        return Err(vec![remark(1, format!("the file is larger than {} KiB", MAX_BYTES >> 10))]);
    }
    let mut builder = Builder::default();
    let mut parser = Parser::new_from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
    while let Some(next) = parser.next_event() {
        let step = match next {
            Ok((event, span)) => builder.event(event, span.start.line().max(1)),
            Err(error) => Err(remark(error.marker().line().max(1), format!("this is not YAML: {}", shown(error.info())))),
        };
        if let Err(fatal) = step {
            builder.problems.push(fatal);
            break;
        }
    }
    if builder.problems.is_empty() { Ok(builder.root) } else { Err(builder.problems) }
}

fn remark(line: usize, message: String) -> Remark {
    Remark { line, message }
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    root: Option<Node>,
    anchors: BTreeMap<usize, Anchored>,
    nodes: usize,
    documents: usize,
    problems: Vec<Remark>,
}

impl Builder {
    /// Takes one event; an error ends the reading.
    fn event(&mut self, event: Event<'_>, line: usize) -> Result<(), Remark> {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(remark(line, "the file holds more than one YAML document".into()));
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let size = 1 + text.len() / TEXT_UNIT;
                self.count(size, line)?;
                let is_text = style != ScalarStyle::Plain || tag.as_deref().is_some_and(|tag| self.is_text(tag, line));
                let scalar = if is_text { Scalar::Text(text.into_owned()) } else { Scalar::plain(&text) };
                self.done(Node { line, value: Value::Scalar(scalar) }, anchor, size, 0)?;
            }
            Event::SequenceStart(anchor, tag) => self.begin(Value::List(Vec::new()), anchor, tag.as_deref(), line)?,
            Event::MappingStart(anchor, tag) => self.begin(Value::Map(Vec::new()), anchor, tag.as_deref(), line)?,
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(open) = self.open.pop() {
                    self.done(open.node, open.anchor, open.size + 1, open.depth + 1)?;
                }
            }
            Event::Alias(anchor) => {
                let Some(Anchored { node, size, depth }) = self.anchors.get(&anchor) else {
                    return Err(remark(line, "this alias stands for a value that it is itself a part of".into()));
                };
                let (mut node, size, depth) = (node.clone(), *size, *depth);
                self.count(size, line)?; // as if it were written out
                node.line = line;
                self.done(node, 0, size, depth)?;
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn count(&mut self, more: usize, line: usize) -> Result<(), Remark> {
        self.nodes += more;
        if self.nodes > MAX_NODES {
            return Err(remark(line, format!("the file holds more than {MAX_NODES} values")));
        }
        Ok(())
    }

    fn begin(&mut self, value: Value, anchor: usize, tag: Option<&Tag>, line: usize) -> Result<(), Remark> {
        self.count(1, line)?;
        if let Some(tag) = tag {
            self.is_text(tag, line);
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep(line));
        }
        self.open.push(Open { node: Node { line, value }, anchor, key: None, size: 0, depth: 0 });
        Ok(())
    }

    /// Whether a tag says `!!str` or `!`. Tags outside YAML's own are problems: other readers make objects of them.
    fn is_text(&mut self, tag: &Tag, line: usize) -> bool {
        let core = ["str", "int", "float", "bool", "null", "seq", "map"];
        let own =
            (tag.is_yaml_core_schema() && core.contains(&tag.suffix.as_str())) || (tag.handle.is_empty() && tag.suffix == "!");
        if !own {
            self.problems.push(remark(line, format!("the YAML tag `{}` is not allowed", shown(&tag.to_string()))));
        }
        own && matches!(tag.suffix.as_str(), "str" | "!")
    }

    /// Puts a finished value where it belongs.
    fn done(&mut self, node: Node, anchor: usize, size: usize, depth: usize) -> Result<(), Remark> {
        if self.open.len() + depth > MAX_DEPTH {
            return Err(too_deep(node.line));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, Anchored { node: node.clone(), size, depth });
        }
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        parent.size += size;
        parent.depth = parent.depth.max(depth);
        match &mut parent.node.value {
            Value::List(items) => items.push(node),
            Value::Map(entries) => match parent.key.take() {
                Some((key, line)) => {
                    if let Some(first) = entries.iter().find(|e| e.key == key) {
                        let message = format!("the key `{}` is already in line {}", shown(&key), first.line);
                        self.problems.push(remark(line, message));
                    } else {
                        entries.push(Entry { key, line, node });
                    }
                }
                None => {
                    parent.key =
                        Some((key_text(&node).ok_or_else(|| remark(node.line, "a key must be a word".into()))?, node.line));
                }
            },
            Value::Scalar(_) => {} // scalars are never open
        }
        Ok(())
    }
}

/// The text of a key; `1:` and `true:` are words here, only lists and mappings are not.
fn key_text(node: &Node) -> Option<String> {
    match &node.value {
        Value::Scalar(Scalar::Text(text) | Scalar::Number(text)) => Some(text.clone()),
        Value::Scalar(Scalar::Flag(on)) => Some(on.to_string()),
        Value::Scalar(Scalar::Null) => Some("null".into()),
        Value::List(_) | Value::Map(_) => None,
    }
}

fn too_deep(line: usize) -> Remark {
    remark(line, format!("lists and mappings are nested deeper than {MAX_DEPTH}"))
}
