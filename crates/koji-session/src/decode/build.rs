//! From markup to values: the elements of XML-RPC as a stack of half-read values.
//!
//! What makes large answers cheap: text stays a slice of the document until its value is made, member names are held
//! once for all rows, and a struct is given the room the struct before it needed.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::token::BLANK;
use super::{Document, MethodCall, WireFault};
use crate::Value;

/// An open element and what was read of it. Its text, where it may have any, is in [`Decoder::text`]: only the
/// innermost element has one.
enum Frame {
    Response(Option<Result<Value, WireFault>>),
    Call { method: Option<String>, params: Option<Vec<Value>> },
    MethodName,
    Params(Vec<Value>),
    Param(Option<Value>),
    Fault(Option<Value>),
    Value(Option<Value>),
    Scalar(Scalar),
    Array(Option<Vec<Value>>),
    Data(Vec<Value>),
    Struct(Vec<(Arc<str>, Value)>),
    Member { name: Option<Arc<str>>, value: Option<Value> },
    Name,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scalar {
    Int,
    Boolean,
    String,
    Double,
    Base64,
    DateTime,
    Nil,
}

pub(super) struct Decoder<'a> {
    stack: Vec<Frame>,
    /// How many values are open, and may be.
    depth: usize,
    max_depth: usize,
    text: Text<'a>,
    names: Names,
    /// Members of the struct that was finished last.
    last_struct: usize,
    done: Option<Document>,
}

type Step = Result<(), String>;

impl<'a> Decoder<'a> {
    pub fn new(max_depth: usize) -> Self {
        let stack = Vec::with_capacity(32);
        Decoder { stack, depth: 0, max_depth, text: Text::default(), names: Names::default(), last_struct: 0, done: None }
    }

    pub fn finish(self) -> Option<Document> {
        self.done
    }

    /// A start tag. Its meaning depends on the element it stands in; false when values are nested too deep.
    pub fn open(&mut self, tag: &str) -> Result<bool, String> {
        let frame = match (self.stack.last(), tag) {
            (Some(Frame::Struct(_)), "member") => Frame::Member { name: None, value: None },
            (Some(Frame::Member { name: None, .. }), "name") => {
                self.text.clear();
                Frame::Name
            }
            (
                Some(Frame::Param(None) | Frame::Fault(None) | Frame::Data(_) | Frame::Member { name: Some(_), value: None }),
                "value",
            ) => {
                if self.depth >= self.max_depth {
                    return Ok(false);
                }
                self.depth += 1;
                self.text.clear();
                Frame::Value(None)
            }
            (Some(Frame::Value(None)), tag) if is_blank(self.text.as_str()) => {
                self.text.clear();
                match tag {
                    "string" => Frame::Scalar(Scalar::String),
                    "int" | "i1" | "i2" | "i4" | "i8" => Frame::Scalar(Scalar::Int),
                    "nil" => Frame::Scalar(Scalar::Nil),
                    "boolean" => Frame::Scalar(Scalar::Boolean),
                    "double" => Frame::Scalar(Scalar::Double),
                    "struct" => Frame::Struct(Vec::with_capacity(self.last_struct.min(STRUCT_ROOM))),
                    "array" => Frame::Array(None),
                    "base64" => Frame::Scalar(Scalar::Base64),
                    "dateTime.iso8601" => Frame::Scalar(Scalar::DateTime),
                    _ => return Err(format!("the unknown type <{}>", short(tag))),
                }
            }
            (Some(Frame::Array(None)), "data") => Frame::Data(Vec::new()),
            (None, _) if self.done.is_some() => return Err(format!("a second root element <{}>", short(tag))),
            (None, "methodResponse") => Frame::Response(None),
            (None, "methodCall") => Frame::Call { method: None, params: None },
            (Some(Frame::Response(None)), "fault") => Frame::Fault(None),
            (Some(Frame::Response(None) | Frame::Call { params: None, .. }), "params") => Frame::Params(Vec::new()),
            (Some(Frame::Call { method: None, .. }), "methodName") => {
                self.text.clear();
                Frame::MethodName
            }
            (Some(Frame::Params(_)), "param") => Frame::Param(None),
            _ => return Err(format!("<{}> is out of place", short(tag))),
        };
        self.stack.push(frame);
        Ok(true)
    }

    /// Character data, already unescaped. Blanks between elements mean nothing, anything else there is refused.
    pub fn text(&mut self, more: &'a str) -> Step {
        match self.stack.last() {
            Some(Frame::Scalar(_) | Frame::Name | Frame::MethodName | Frame::Value(None)) => self.text.push(more),
            _ if is_blank(more) => {}
            _ => return Err("text where none belongs".to_owned()),
        }
        Ok(())
    }

    /// A character that was written as a reference.
    pub fn character(&mut self, c: char) -> Step {
        match self.stack.last() {
            Some(Frame::Scalar(_) | Frame::Name | Frame::MethodName | Frame::Value(None)) => self.text.push_char(c),
            _ if BLANK.contains(&c) => {}
            _ => return Err("text where none belongs".to_owned()),
        }
        Ok(())
    }

    /// An end tag: the finished element is handed to the one around it.
    pub fn close(&mut self) -> Step {
        let frame = self.stack.pop().ok_or("an end tag without a start")?;
        let parent = self.stack.last_mut();
        match (frame, parent) {
            (Frame::Scalar(kind), Some(Frame::Value(value))) => {
                *value = Some(scalar(kind, self.text.as_str())?);
                self.text.clear();
            }
            (Frame::Value(value), Some(parent)) => {
                self.depth -= 1;
                let value = value.unwrap_or_else(|| Value::String(self.text.as_str().to_owned()));
                match parent {
                    Frame::Param(slot) | Frame::Fault(slot) | Frame::Member { value: slot, .. } => *slot = Some(value),
                    Frame::Data(items) => items.push(value),
                    _ => return Err("<value> is out of place".to_owned()),
                }
            }
            (Frame::Member { name, value }, Some(Frame::Struct(members))) => {
                members.push((name.ok_or("a <member> without a name")?, value.ok_or("a <member> without a value")?));
            }
            (Frame::Name, Some(Frame::Member { name, .. })) => *name = Some(self.names.shared(self.text.as_str())),
            (Frame::Struct(mut members), Some(Frame::Value(value))) => {
                self.last_struct = members.len();
                members.shrink_to_fit();
                *value = Some(Value::Struct(members));
            }
            (Frame::Array(items), Some(Frame::Value(value))) => *value = Some(Value::Array(items.unwrap_or_default())),
            (Frame::Data(mut values), Some(Frame::Array(items))) => {
                values.shrink_to_fit();
                *items = Some(values);
            }
            (Frame::Response(outcome), None) => {
                self.done = Some(Document::Response(outcome.ok_or("an empty method response")?));
            }
            (Frame::Call { method, params }, None) => {
                let method = method.ok_or("a method call without a method name")?;
                self.done = Some(Document::Call(MethodCall { method, params: params.unwrap_or_default() }));
            }
            (Frame::MethodName, Some(Frame::Call { method, .. })) => *method = Some(self.text.as_str().to_owned()),
            (Frame::Params(values), Some(Frame::Call { params, .. })) => *params = Some(values),
            (Frame::Params(values), Some(Frame::Response(outcome))) => {
                let [value] = <[Value; 1]>::try_from(values).map_err(|v| format!("a response with {} values", v.len()))?;
                *outcome = Some(Ok(value));
            }
            (Frame::Param(value), Some(Frame::Params(values))) => values.push(value.ok_or("an empty <param>")?),
            (Frame::Fault(value), Some(Frame::Response(outcome))) => *outcome = Some(Err(fault(value)?)),
            _ => return Err("an element is out of place".to_owned()),
        }
        Ok(())
    }
}

/// Room given to a struct before its members are seen, at most: rows of a hub have some twenty.
const STRUCT_ROOM: usize = 64;

/// The text of the innermost element: a slice of the document while it is one, a copy once there are several pieces.
#[derive(Default)]
struct Text<'a> {
    first: &'a str,
    all: String,
}

impl<'a> Text<'a> {
    fn clear(&mut self) {
        self.first = "";
        self.all.clear();
    }

    fn push(&mut self, more: &'a str) {
        if self.all.is_empty() {
            if self.first.is_empty() {
                self.first = more;
                return;
            }
            self.all.push_str(self.first);
        }
        self.all.push_str(more);
    }

    fn push_char(&mut self, c: char) {
        if self.all.is_empty() {
            self.all.push_str(self.first);
        }
        self.all.push(c);
    }

    fn as_str(&self) -> &str {
        if self.all.is_empty() { self.first } else { &self.all }
    }
}

/// Every member name seen, held once. Rows name their members in one order, so the next name is mostly the one that
/// followed the last time.
#[derive(Default)]
struct Names {
    in_order: Vec<Arc<str>>,
    places: HashMap<Arc<str>, usize>,
    expected: usize,
}

impl Names {
    fn shared(&mut self, text: &str) -> Arc<str> {
        for place in [self.expected, 0] {
            if let Some(name) = self.in_order.get(place).filter(|name| &***name == text) {
                self.expected = place + 1;
                return Arc::clone(name);
            }
        }
        let place = match self.places.get(text) {
            Some(place) => *place,
            None => {
                let name: Arc<str> = Arc::from(text);
                self.places.insert(Arc::clone(&name), self.in_order.len());
                self.in_order.push(name);
                self.in_order.len() - 1
            }
        };
        self.expected = place + 1;
        self.in_order.get(place).map_or_else(|| Arc::from(text), Arc::clone)
    }
}

/// Nothing but white space as XML defines it.
fn is_blank(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r'))
}

/// A tag name fit for a message.
fn short(tag: &str) -> String {
    tag.chars().take(40).collect()
}

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

fn scalar(kind: Scalar, text: &str) -> Result<Value, String> {
    let trimmed = text.trim_matches(BLANK);
    let bad = |what: &str| format!("`{}` is no {what}", short(trimmed));
    Ok(match kind {
        Scalar::String => Value::String(text.to_owned()),
        Scalar::Int => Value::Int(trimmed.parse().map_err(|_| bad("64-bit integer"))?),
        Scalar::Boolean => match trimmed {
            "0" => Value::Bool(false),
            "1" => Value::Bool(true),
            _ => return Err(bad("boolean")),
        },
        Scalar::Double => Value::Double(trimmed.parse().map_err(|_| bad("double"))?),
        Scalar::Nil if trimmed.is_empty() => Value::Nil,
        Scalar::Nil => return Err(bad("nil")),
        Scalar::Base64 => {
            let packed: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
            Value::Bytes(BASE64.decode(packed).map_err(|_| bad("base64 data"))?)
        }
        Scalar::DateTime => Value::DateTime(trimmed.to_owned()),
    })
}

fn fault(value: Option<Value>) -> Result<WireFault, String> {
    let value = value.ok_or("an empty <fault>")?;
    let code = value.get("faultCode").and_then(Value::as_i64).ok_or("a <fault> without an integer faultCode")?;
    let message = value.get("faultString").and_then(Value::as_str).ok_or("a <fault> without a faultString")?;
    Ok(WireFault { code, message: message.to_owned() })
}
