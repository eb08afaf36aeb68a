//! Reading XML-RPC documents, hub answers above all, with an explicit stack: depth and size are capped, and no
//! document, however broken, can exhaust the thread's stack.
//!
//! Accepted as by Koji's own parser (xmlrpc.client): int, i1, i2, i4, i8, boolean, string, bare text, double, nil (also
//! with a namespace prefix), struct, array, base64, dateTime.iso8601. More tolerant in one thing: raw control
//! characters, which the hub sends unescaped when they are in its database (old changelogs), are kept.
//! Stricter in others: text beside a typed value, and document types, are refused.

mod build;
mod token;

use crate::Value;
use build::Decoder;
use token::{Refusal, Token, Tokens};

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
    #[error("the document is not well-formed XML at byte {offset}: {problem}")]
    Xml {
        /// Where.
        offset: u64,
        /// What is wrong.
        problem: &'static str,
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
    let mut tokens = Tokens::new(text.strip_prefix('\u{feff}').unwrap_or(text));
    let mut decoder = Decoder::new(limits.max_depth);
    loop {
        let offset = tokens.offset() as u64;
        let token = tokens.next().map_err(|refusal| match refusal {
            Refusal::Malformed(problem) => CodecError::Xml { offset, problem },
            Refusal::Unwanted(problem) => structure(offset, problem),
            Refusal::Encoding => structure(offset, "an encoding other than UTF-8; only UTF-8 is read"),
            Refusal::Early => structure(offset, "it ends early"),
        })?;
        let step = match token {
            Token::Start(tag) => match decoder.open(tag) {
                Ok(true) => Ok(()),
                Ok(false) => return Err(CodecError::TooDeep { limit: limits.max_depth, offset }),
                Err(problem) => Err(problem),
            },
            Token::End => decoder.close(),
            Token::Text(text) => decoder.text(text),
            Token::Char(c) => decoder.character(c),
            Token::Eof => return decoder.finish().ok_or_else(|| structure(offset, "it ends early")),
        };
        step.map_err(|problem| structure(offset, problem))?;
    }
}

#[cfg(test)]
mod tests;
