//! Streaming XML for repository metadata, with bounds: strangers wrote it, and it may be huge or a bomb.
//!
//! No entity but the five predefined ones is expanded, so there is nothing to blow up; what is bounded here is the
//! size of one tag or text, the depth and the total.

use std::cell::Cell;
use std::io::{self, BufRead, Read};
use std::rc::Rc;

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};

use super::MetadataError;

/// Bytes one tag or run of text may take.
const MAX_EVENT: u64 = 1 << 20;
/// Elements inside each other.
const MAX_DEPTH: usize = 32;
/// How deep anybody listens. Nine tenths of a primary.xml lie below: capabilities and files.
const HEARD: usize = 3;

/// Who listens to a document, to elements of depth 1 (the root) to [`HEARD`].
pub(super) trait Visitor {
    /// An element begins.
    fn start(&mut self, depth: usize, name: &str, attributes: &Attributes<'_>) -> Result<(), String>;
    /// An element ends; `text` is what stood in it, and nothing when it has children.
    fn end(&mut self, depth: usize, name: &str, text: &str) -> Result<(), String>;
}

/// The attributes of one element.
pub(super) struct Attributes<'a>(&'a BytesStart<'a>);

impl Attributes<'_> {
    /// The value of the attribute with this full name (`xml:base`).
    ///
    /// # Errors
    /// When the element's attributes are malformed, or one is there twice: readers would disagree about such a tag.
    pub fn get(&self, wanted: &str) -> Result<Option<String>, String> {
        let mut found = None;
        for attribute in self.0.attributes() {
            let attribute = attribute.map_err(|e| e.to_string())?;
            if attribute.key.as_ref() == wanted {
                let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|e| e.to_string())?;
                found = Some(value.into_owned());
            }
        }
        Ok(found)
    }
}

/// Reads a document to its end.
pub(super) fn walk(reader: impl BufRead, visitor: &mut dyn Visitor) -> Result<(), MetadataError> {
    let used = Rc::new(Cell::new(0));
    let mut xml = quick_xml::Reader::from_reader(PerEvent { inner: reader, used: used.clone() });
    let (mut buffer, mut text, mut depth) = (Vec::new(), String::new(), 0usize);
    // `leaf`: nothing but text since the last start tag.
    let (mut rooted, mut leaf) = (false, false);
    loop {
        buffer.clear();
        used.set(0);
        let at = xml.buffer_position();
        let place = |reason: String| MetadataError { at, reason };
        let (tag, empty) = match xml.read_event_into(&mut buffer).map_err(|e| place(e.to_string()))? {
            Event::Start(tag) => (tag, false),
            Event::Empty(tag) => (tag, true),
            Event::End(tag) => {
                if depth <= HEARD {
                    let said = if leaf { text.trim() } else { "" };
                    visitor.end(depth, tag.local_name().as_ref(), said).map_err(place)?;
                }
                text.clear();
                leaf = false;
                depth = depth.saturating_sub(1);
                continue;
            }
            Event::Eof if !rooted => return Err(place("there is no element in it".to_owned())),
            Event::Eof if depth == 0 => return Ok(()),
            Event::Eof => return Err(place("the document ends inside an element".to_owned())),
            Event::DocType(_) => return Err(place("a document type, which repository metadata has not".to_owned())),
            Event::GeneralRef(name) => {
                match name.resolve_char_ref() {
                    Ok(Some(c)) => text.push(c),
                    _ => match quick_xml::escape::resolve_predefined_entity(&name.xml10_content()) {
                        Some(value) => text.push_str(value),
                        None => return Err(place(format!("the entity `&{};` is not one of XML's own", name.xml10_content()))),
                    },
                }
                check_text(&text).map_err(place)?;
                continue;
            }
            Event::Text(piece) if depth <= HEARD => {
                text.push_str(&piece.xml10_content());
                check_text(&text).map_err(place)?;
                continue;
            }
            Event::CData(piece) if depth <= HEARD => {
                text.push_str(&piece.xml10_content());
                check_text(&text).map_err(place)?;
                continue;
            }
            _ => continue,
        };
        if depth == 0 && rooted {
            return Err(place("a second root element".to_owned()));
        }
        depth += 1;
        (rooted, leaf) = (true, !empty);
        text.clear();
        if depth > MAX_DEPTH {
            return Err(place(format!("elements are nested more than {MAX_DEPTH} deep")));
        }
        if depth <= HEARD {
            visitor.start(depth, tag.local_name().as_ref(), &Attributes(&tag)).map_err(place)?;
            if empty {
                visitor.end(depth, tag.local_name().as_ref(), "").map_err(place)?;
            }
        }
        if empty {
            depth -= 1;
        }
    }
}

/// One text may come in many pieces, entity by entity.
fn check_text(text: &str) -> Result<(), String> {
    if text.len() as u64 > MAX_EVENT { Err(format!("a text of more than {MAX_EVENT} bytes")) } else { Ok(()) }
}

/// Fails when more than [`MAX_EVENT`] bytes are taken between two resets: the parser buffers a whole event.
struct PerEvent<R> {
    inner: R,
    used: Rc<Cell<u64>>,
}

impl<R: BufRead> Read for PerEvent<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(into)?;
        self.consume(n);
        Ok(n)
    }
}

impl<R: BufRead> BufRead for PerEvent<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.used.get() > MAX_EVENT {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a tag or text of more than {MAX_EVENT} bytes")));
        }
        self.inner.fill_buf()
    }
    fn consume(&mut self, n: usize) {
        self.used.set(self.used.get() + n as u64);
        self.inner.consume(n);
    }
}
