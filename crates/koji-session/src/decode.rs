//! Reading XML-RPC documents, hub answers above all, with an explicit stack: depth and size are capped, and no
//! document, however broken, can exhaust the thread's stack. The only file that knows quick-xml.
//!
//! Accepted as by Koji's own parser (xmlrpc.client): int, i1, i2, i4, i8, boolean, string, bare text, double, nil (also
//! with a namespace prefix), struct, array, base64, dateTime.iso8601. More tolerant in one thing: raw control
//! characters, which the hub sends unescaped when they are in its database (old changelogs), are kept.
//! Stricter in others: text beside a typed value, and document types, are refused.

use std::collections::HashSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use quick_xml::events::Event;

use crate::Value;

/// What a document may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Longest document, in bytes.
    pub max_bytes: usize,
    /// Deepest nesting of values inside values.
    pub max_depth: usize,
}

impl Default for DecodeLimits {
    /// 256 MiB: twice the largest answer a hub is known to give (a tag of 100 000 RPMs). Depth 128: the hub nests a dozen.
    fn default() -> Self {
        Self { max_bytes: 256 << 20, max_depth: 128 }
    }
}

/// Why a text is not an XML-RPC document. `offset` counts bytes from its beginning.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// Longer than allowed.
    #[error("the document is longer than {limit} bytes")]
    TooLong {
        /// The limit.
        limit: usize,
    },
    /// Nested deeper than allowed.
    #[error("values are nested deeper than {limit} at byte {offset}")]
    TooDeep {
        /// The limit.
        limit: usize,
        /// Where.
        offset: u64,
    },
    /// Not UTF-8, the only encoding read.
    #[error("the document is not UTF-8 from byte {offset} on")]
    NotUtf8 {
        /// Where.
        offset: u64,
    },
    /// Not well-formed XML.
    #[error("the document is not well-formed XML at byte {offset}")]
    Xml {
        /// Where.
        offset: u64,
        /// The XML reader's reason.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// XML, but no XML-RPC.
    #[error("the document is not XML-RPC at byte {offset}: {problem}")]
    Structure {
        /// Where.
        offset: u64,
        /// What is wrong.
        problem: String,
    },
}

/// A fault as it stands in a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireFault {
    /// `faultCode`.
    pub code: i64,
    /// `faultString`.
    pub message: String,
}

/// A decoded `<methodCall>`: also the form in which Koji stores task requests.
#[derive(Debug, Clone, PartialEq)]
pub struct MethodCall {
    /// The method's name.
    pub method: String,
    /// Its parameters; keyword arguments are a last struct with `__starstar`.
    pub params: Vec<Value>,
}

/// Reads a `<methodResponse>`: the value, or the fault in its place.
///
/// # Errors
/// When the document breaks the default [`DecodeLimits`], is not XML, or is no method response.
pub fn decode_response(document: &[u8]) -> Result<Result<Value, WireFault>, CodecError> {
    match decode(document, DecodeLimits::default())? {
        Document::Response(outcome) => Ok(outcome),
        Document::Call(_) => Err(structure(0, "a method call where a response was expected")),
    }
}

/// Reads a `<methodCall>`.
///
/// # Errors
/// As [`decode_response`].
pub fn decode_call(document: &[u8]) -> Result<MethodCall, CodecError> {
    match decode(document, DecodeLimits::default())? {
        Document::Call(call) => Ok(call),
        Document::Response(_) => Err(structure(0, "a method response where a call was expected")),
    }
}

fn structure(offset: u64, problem: impl Into<String>) -> CodecError {
    CodecError::Structure { offset, problem: problem.into() }
}

/// A whole document.
#[derive(Debug)]
pub(crate) enum Document {
    Response(Result<Value, WireFault>),
    Call(MethodCall),
}

pub(crate) fn decode(document: &[u8], limits: DecodeLimits) -> Result<Document, CodecError> {
    if document.len() > limits.max_bytes {
        return Err(CodecError::TooLong { limit: limits.max_bytes });
    }
    let text = std::str::from_utf8(document).map_err(|e| CodecError::NotUtf8 { offset: e.valid_up_to() as u64 })?;
    let mut reader = quick_xml::Reader::from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
    reader.config_mut().expand_empty_elements = true;
    let mut decoder = Decoder { stack: Vec::new(), depth: 0, limits, names: HashSet::new(), done: None };
    loop {
        let offset = reader.buffer_position();
        let step = match reader.read_event() {
            Ok(Event::Start(tag)) => decoder.open(tag.name().local_name().into_inner(), offset)?,
            Ok(Event::End(_)) => decoder.close(),
            Ok(Event::Text(text)) => decoder.text(&text.xml10_content()),
            Ok(Event::CData(text)) => decoder.text(&text.xml10_content()),
            Ok(Event::GeneralRef(reference)) => match reference.resolve_char_ref() {
                Ok(Some(c)) => decoder.text(c.encode_utf8(&mut [0; 4])),
                Ok(None) => match quick_xml::escape::resolve_predefined_entity(&reference) {
                    Some(text) => decoder.text(text),
                    None => Err("an entity that XML does not predefine".to_owned()),
                },
                Err(e) => return Err(CodecError::Xml { offset, source: e.into() }),
            },
            Ok(Event::Decl(decl)) => match decl.encoding() {
                Some(Ok(name)) if !["utf-8", "utf8", "us-ascii"].contains(&name.to_ascii_lowercase().as_str()) => {
                    Err(format!("the encoding `{name}`; only UTF-8 is read"))
                }
                _ => Ok(()),
            },
            Ok(Event::DocType(_)) => Err("a document type declaration".to_owned()),
            Ok(Event::Comment(_) | Event::PI(_) | Event::Empty(_)) => Ok(()),
            Ok(Event::Eof) => {
                return decoder.done.ok_or_else(|| structure(offset, "it ends early"));
            }
            Err(e) => return Err(CodecError::Xml { offset: reader.error_position(), source: e.into() }),
        };
        step.map_err(|problem| structure(offset, problem))?;
    }
}

/// An open element and what was read of it.
enum Frame {
    Response(Option<Result<Value, WireFault>>),
    Call { method: Option<String>, params: Option<Vec<Value>> },
    MethodName(String),
    Params(Vec<Value>),
    Param(Option<Value>),
    Fault(Option<Value>),
    Value { value: Option<Value>, text: String },
    Scalar(Scalar, String),
    Array(Option<Vec<Value>>),
    Data(Vec<Value>),
    Struct(Vec<(Arc<str>, Value)>),
    Member { name: Option<Arc<str>>, value: Option<Value> },
    Name(String),
}

#[derive(Clone, Copy)]
enum Scalar {
    Int,
    Boolean,
    String,
    Double,
    Base64,
    DateTime,
    Nil,
}

struct Decoder {
    stack: Vec<Frame>,
    /// How many values are open.
    depth: usize,
    limits: DecodeLimits,
    /// Every member name seen, held once.
    names: HashSet<Arc<str>>,
    done: Option<Document>,
}

type Step = Result<(), String>;

impl Decoder {
    /// A start tag. Its meaning depends on the element it stands in.
    fn open(&mut self, tag: &str, offset: u64) -> Result<Step, CodecError> {
        let frame = match (self.stack.last(), tag) {
            (None, _) if self.done.is_some() => return Ok(Err(format!("a second root element <{}>", short(tag)))),
            (None, "methodResponse") => Frame::Response(None),
            (None, "methodCall") => Frame::Call { method: None, params: None },
            (Some(Frame::Response(None)), "fault") => Frame::Fault(None),
            (Some(Frame::Response(None)) | Some(Frame::Call { params: None, .. }), "params") => Frame::Params(Vec::new()),
            (Some(Frame::Call { method: None, .. }), "methodName") => Frame::MethodName(String::new()),
            (Some(Frame::Params(_)), "param") => Frame::Param(None),
            (
                Some(Frame::Param(None) | Frame::Fault(None) | Frame::Data(_) | Frame::Member { name: Some(_), value: None }),
                "value",
            ) => {
                if self.depth >= self.limits.max_depth {
                    return Err(CodecError::TooDeep { limit: self.limits.max_depth, offset });
                }
                self.depth += 1;
                Frame::Value { value: None, text: String::new() }
            }
            (Some(Frame::Value { value: None, text }), tag) if is_blank(text) => match tag {
                "int" | "i1" | "i2" | "i4" | "i8" => Frame::Scalar(Scalar::Int, String::new()),
                "boolean" => Frame::Scalar(Scalar::Boolean, String::new()),
                "string" => Frame::Scalar(Scalar::String, String::new()),
                "double" => Frame::Scalar(Scalar::Double, String::new()),
                "base64" => Frame::Scalar(Scalar::Base64, String::new()),
                "dateTime.iso8601" => Frame::Scalar(Scalar::DateTime, String::new()),
                "nil" => Frame::Scalar(Scalar::Nil, String::new()),
                "array" => Frame::Array(None),
                "struct" => Frame::Struct(Vec::new()),
                _ => return Ok(Err(format!("the unknown type <{}>", short(tag)))),
            },
            (Some(Frame::Array(None)), "data") => Frame::Data(Vec::new()),
            (Some(Frame::Struct(_)), "member") => Frame::Member { name: None, value: None },
            (Some(Frame::Member { name: None, .. }), "name") => Frame::Name(String::new()),
            _ => return Ok(Err(format!("<{}> is out of place", short(tag)))),
        };
        self.stack.push(frame);
        Ok(Ok(()))
    }

    /// Character data, already unescaped. Blanks between elements mean nothing, anything else there is refused.
    fn text(&mut self, more: &str) -> Step {
        match self.stack.last_mut() {
            Some(Frame::Scalar(_, text) | Frame::Name(text) | Frame::MethodName(text)) => text.push_str(more),
            Some(Frame::Value { value: None, text }) => text.push_str(more),
            _ if is_blank(more) => {}
            _ => return Err("text where none belongs".to_owned()),
        }
        Ok(())
    }

    /// An end tag: the finished element is handed to the one around it.
    fn close(&mut self) -> Step {
        let frame = self.stack.pop().ok_or("an end tag without a start")?;
        let parent = self.stack.last_mut();
        match (frame, parent) {
            (Frame::Response(outcome), None) => {
                self.done = Some(Document::Response(outcome.ok_or("an empty method response")?));
            }
            (Frame::Call { method, params }, None) => {
                let method = method.ok_or("a method call without a method name")?;
                self.done = Some(Document::Call(MethodCall { method, params: params.unwrap_or_default() }));
            }
            (Frame::MethodName(name), Some(Frame::Call { method, .. })) => *method = Some(name),
            (Frame::Params(values), Some(Frame::Call { params, .. })) => *params = Some(values),
            (Frame::Params(values), Some(Frame::Response(outcome))) => {
                let [value] = <[Value; 1]>::try_from(values).map_err(|v| format!("a response with {} values", v.len()))?;
                *outcome = Some(Ok(value));
            }
            (Frame::Param(value), Some(Frame::Params(values))) => values.push(value.ok_or("an empty <param>")?),
            (Frame::Fault(value), Some(Frame::Response(outcome))) => *outcome = Some(Err(fault(value)?)),
            (Frame::Value { value, text }, Some(parent)) => {
                self.depth -= 1;
                let value = value.unwrap_or(Value::String(text));
                match parent {
                    Frame::Param(slot) | Frame::Fault(slot) | Frame::Member { value: slot, .. } => *slot = Some(value),
                    Frame::Data(items) => items.push(value),
                    _ => return Err("<value> is out of place".to_owned()),
                }
            }
            (Frame::Scalar(kind, text), Some(Frame::Value { value, .. })) => *value = Some(scalar(kind, text)?),
            (Frame::Array(items), Some(Frame::Value { value, .. })) => *value = Some(Value::Array(items.unwrap_or_default())),
            (Frame::Data(values), Some(Frame::Array(items))) => *items = Some(values),
            (Frame::Struct(members), Some(Frame::Value { value, .. })) => *value = Some(Value::Struct(members)),
            (Frame::Member { name, value }, Some(Frame::Struct(members))) => {
                members.push((name.ok_or("a <member> without a name")?, value.ok_or("a <member> without a value")?));
            }
            (Frame::Name(text), Some(Frame::Member { name, .. })) => {
                let shared = match self.names.get(text.as_str()) {
                    Some(known) => Arc::clone(known),
                    None => {
                        let new: Arc<str> = Arc::from(text);
                        self.names.insert(Arc::clone(&new));
                        new
                    }
                };
                *name = Some(shared);
            }
            _ => return Err("an element is out of place".to_owned()),
        }
        Ok(())
    }
}

/// White space as XML defines it.
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

fn scalar(kind: Scalar, text: String) -> Result<Value, String> {
    let trimmed = text.trim_matches([' ', '\t', '\n', '\r']);
    let bad = |what: &str| format!("`{}` is no {what}", short(trimmed));
    Ok(match kind {
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
        Scalar::String => Value::String(text),
        Scalar::DateTime => Value::DateTime(trimmed.to_owned()),
    })
}

fn fault(value: Option<Value>) -> Result<WireFault, String> {
    let value = value.ok_or("an empty <fault>")?;
    let code = value.get("faultCode").and_then(Value::as_i64).ok_or("a <fault> without an integer faultCode")?;
    let message = value.get("faultString").and_then(Value::as_str).ok_or("a <fault> without a faultString")?;
    Ok(WireFault { code, message: message.to_owned() })
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
