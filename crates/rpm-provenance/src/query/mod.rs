//! Query formats: `%{name}-%{version} [%{filenames}\n]`, as `rpm --queryformat` reads them (rpm's docs/man/rpm-queryformat.7).
//!
//! Headers are formatted in this process, byte for byte as rpm prints them in the C locale with times in UTC; the
//! tests compare every tag and formatter of rpm 4.18 with rpm itself (`:json` and `:hashalgo` are newer). Left out: `:armor` and `:expand` (which runs macros of a
//! stranger's package), and `%{*}`. Used by `containerbuild rpms`.

mod date;
mod derived;
mod format;
mod formatter;
mod numbers;
mod quoting;
mod tags;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use build_model::nearest;

use crate::header::{Data, Header, HeaderError};
use format::{Node, Piece};

/// A parsed query format.
#[derive(Debug, Clone)]
pub struct QueryFormat {
    nodes: Vec<Node>,
}

/// Why a text is no query format. The column counts characters from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// A tag that does not exist.
    #[error("there is no tag %{{{name}}} (column {column}){}", suggestion(.nearest.as_ref()))]
    UnknownTag {
        /// As it was written.
        name: String,
        /// Where.
        column: usize,
        /// The tag that may be meant.
        nearest: Option<String>,
    },
    /// A formatter that does not exist, or is left out.
    #[error("there is no formatter :{name} (column {column}){}", suggestion(.nearest.as_ref()))]
    UnknownFormatter {
        /// As it was written.
        name: String,
        /// Where.
        column: usize,
        /// The formatter that may be meant.
        nearest: Option<String>,
    },
    /// Anything else.
    #[error("{problem} (column {column})")]
    Syntax {
        /// What is wrong.
        problem: &'static str,
        /// Where.
        column: usize,
    },
}

fn suggestion(nearest: Option<&String>) -> String {
    nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

/// Why a package cannot be formatted.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// The arrays inside one `[…]` have different lengths.
    #[error("the arrays in `[…]` have different lengths: {first} has {first_count}, {second} has {second_count}")]
    Lengths {
        /// A tag.
        first: String,
        /// Its length.
        first_count: usize,
        /// Another tag.
        second: String,
        /// Its length.
        second_count: usize,
    },
    /// The header is damaged.
    #[error("a tag of the header cannot be read")]
    Header(#[from] HeaderError),
}

impl QueryFormat {
    /// Parses a format. Tag names may be in any case and begin with `RPMTAG_`.
    ///
    /// # Errors
    /// [`QueryError`], with the nearest name where one is near.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        Ok(QueryFormat { nodes: format::parse(text)? })
    }

    /// Formats a header. `instance` is its number in the rpmdb, 0 outside of one. File names are in no particular
    /// encoding, so the result is bytes.
    pub(crate) fn of(&self, header: &Header, instance: u64) -> Result<Vec<u8>, FormatError> {
        let mut out = Vec::new();
        let source = Source { header, instance, read: RefCell::default() };
        render(&self.nodes, &source, 0, &mut out)?;
        Ok(out)
    }
}

/// A header, what is known of it besides, and what was already read of it.
struct Source<'a> {
    header: &'a Header,
    instance: u64,
    read: RefCell<HashMap<u32, Option<Rc<Data<'a>>>>>,
}

impl<'a> Source<'a> {
    /// What a tag holds: read from the header, or made of other tags.
    fn get(&self, number: u32) -> Result<Option<Rc<Data<'a>>>, HeaderError> {
        if let Some(known) = self.read.borrow().get(&number) {
            return Ok(known.clone());
        }
        let found = match derived::get(self.header, self.instance, number)? {
            Some(made) => made,
            None => match self.header.data_of(number)? {
                // Translations are for people; what is compared is the untranslated text.
                Some(Data::Translated(mut all)) => {
                    all.truncate(1);
                    Some(Data::Strings(all))
                }
                other => other,
            },
        };
        let found = found.map(Rc::new);
        self.read.borrow_mut().insert(number, found.clone());
        Ok(found)
    }
}

/// How many values a tag has, as `[…]` and `:arraysize` count.
fn count(data: &Data<'_>) -> usize {
    match data {
        Data::Numbers(all) => all.len(),
        Data::Strings(all) | Data::Translated(all) => all.len(),
        Data::Binary(_) => 1,
    }
}

fn render(nodes: &[Node], source: &Source<'_>, element: usize, out: &mut Vec<u8>) -> Result<(), FormatError> {
    for node in nodes {
        match node {
            Node::Text(text) => out.extend_from_slice(text.as_bytes()),
            Node::Tag(piece) => {
                let element = if piece.first_only { 0 } else { element };
                let data = source.get(piece.tag.number)?;
                let bytes = match data.as_deref() {
                    Some(data) if element < count(data) && !matches!(data, Data::Binary([])) => {
                        formatter::apply(piece.formatter, &piece.tag, data, element)
                    }
                    _ => b"(none)".to_vec(),
                };
                pad(piece, &bytes, out);
            }
            Node::Condition { tag, then, otherwise } => {
                let there = match tag {
                    Some(tag) => source.get(tag.number)?.is_some() || source.header.has(tag.number),
                    None => false,
                };
                render(if there { then } else { otherwise }, source, element, out)?;
            }
            Node::Array(inner) => {
                for element in 0..length(inner, source)? {
                    render(inner, source, element, out)?;
                }
            }
        }
    }
    Ok(())
}

/// How often the inside of `[…]` is repeated: its tags must agree, but for those written `%{=tag}`.
fn length(inner: &[Node], source: &Source<'_>) -> Result<usize, FormatError> {
    let mut longest: Option<(&Piece, usize)> = None;
    for node in inner {
        let Node::Tag(piece) = node else { continue };
        if piece.first_only {
            continue;
        }
        let Some(data) = source.get(piece.tag.number)? else { continue };
        let found = count(&data);
        match longest {
            Some((first, length)) if length > 0 && length != found => {
                return Err(FormatError::Lengths {
                    first: first.tag.name.clone(),
                    first_count: length,
                    second: piece.tag.name.clone(),
                    second_count: found,
                });
            }
            Some((_, length)) if length >= found => {}
            _ => longest = Some((piece, found)),
        }
    }
    Ok(longest.map_or(0, |(_, length)| length))
}

/// Field width as in printf: bytes, left-justified with a minus.
fn pad(piece: &Piece, bytes: &[u8], out: &mut Vec<u8>) {
    let fill = piece.width.saturating_sub(bytes.len());
    if !piece.left {
        out.extend(std::iter::repeat_n(b' ', fill));
    }
    out.extend_from_slice(bytes);
    if piece.left {
        out.extend(std::iter::repeat_n(b' ', fill));
    }
}
