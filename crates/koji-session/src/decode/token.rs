//! The markup of a document, piece by piece (XML 1.0 §2 to §4, without document types).
//!
//! A tokenizer of its own and no XML library, because a hub's answers run to 100 MB and half of every answer is markup:
//! borrowed slices, no events for what XML-RPC does not use. It guarantees nesting: every [`Token::End`] closes the
//! element opened last. Called by the decoder alone; held against Python's expat by `tests/python_differential.rs`.

/// A piece of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A start tag by its local name; attributes are skipped.
    Start(&'a str),
    /// An end tag, or the end of `<name/>`.
    End,
    /// Character data between markup, line ends as XML has them; without a line feed right after an end tag.
    Text(&'a str),
    /// A resolved character reference.
    Char(char),
    /// The document is over; all elements are closed.
    Eof,
}

/// What cannot be read on: a reason, and whether it is the document's form or its kind that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Not well-formed.
    Malformed(&'static str),
    /// XML that XML-RPC has no use for.
    Unwanted(&'static str),
    /// Declares an encoding other than UTF-8.
    Encoding,
    /// Elements are open at the end of the document.
    Early,
}

/// Reads a document forward.
pub(super) struct Tokens<'a> {
    text: &'a str,
    at: usize,
    /// Qualified names of the open elements.
    open: Vec<&'a str>,
    /// The element just opened was `<name/>`.
    ends_at_once: bool,
    in_cdata: bool,
}

impl<'a> Tokens<'a> {
    pub fn new(text: &'a str) -> Self {
        Tokens { text, at: 0, open: Vec::with_capacity(16), ends_at_once: false, in_cdata: false }
    }

    /// Where the next token begins, in bytes.
    pub fn offset(&self) -> usize {
        self.at
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The next piece.
    pub fn next(&mut self) -> Result<Token<'a>, Refusal> {
        if self.ends_at_once {
            self.ends_at_once = false;
            self.open.pop();
            return Ok(Token::End);
        }
        loop {
            if self.in_cdata {
                match self.cdata()? {
                    Some(token) => return Ok(token),
                    None => continue,
                }
            }
            let Some(first) = self.text.as_bytes().get(self.at) else {
                return if self.open.is_empty() { Ok(Token::Eof) } else { Err(Refusal::Early) };
            };
            match first {
                b'<' => {
                    if let Some(token) = self.markup()? {
                        return Ok(token);
                    }
                }
                b'&' => return self.reference(),
                b'\r' => return Ok(self.line_end()),
                _ => {
                    let rest = self.rest();
                    let end = end_of_text(rest.as_bytes());
                    self.at += end;
                    return Ok(Token::Text(rest.get(..end).unwrap_or_default()));
                }
            }
        }
    }

    /// `\r\n` and `\r` are a line feed each (XML 1.0 §2.11).
    fn line_end(&mut self) -> Token<'a> {
        self.at += 1 + usize::from(self.rest().as_bytes().get(1) == Some(&b'\n'));
        Token::Text("\n")
    }

    fn cdata(&mut self) -> Result<Option<Token<'a>>, Refusal> {
        let rest = self.rest();
        if rest.starts_with('\r') {
            return Ok(Some(self.line_end()));
        }
        let end = rest.find("]]>").ok_or(Refusal::Malformed("a CDATA section without an end"))?;
        let piece = rest.get(..end).unwrap_or_default();
        let cut = memchr::memchr(b'\r', piece.as_bytes());
        if cut.is_none() {
            self.in_cdata = false;
        }
        let piece = piece.get(..cut.unwrap_or(end)).unwrap_or_default();
        self.at += piece.len() + if cut.is_none() { 3 } else { 0 };
        Ok((!piece.is_empty()).then_some(Token::Text(piece)))
    }

    /// At `<`. `None` for comments and instructions, which mean nothing here.
    fn markup(&mut self) -> Result<Option<Token<'a>>, Refusal> {
        let rest = self.rest();
        match rest.as_bytes().get(1) {
            Some(b'/') => {
                let unfit = Refusal::Malformed("an end tag that does not fit the element it ends");
                let name = self.open.pop().ok_or(unfit)?;
                let after = rest.get(2..).and_then(|body| body.strip_prefix(name)).ok_or(unfit)?.as_bytes();
                let blanks = after.iter().take_while(|b| is_blank(**b)).count();
                match after.get(blanks) {
                    Some(b'>') => {
                        // What follows an end tag stands between elements, where a line feed means nothing.
                        let feed = after.get(blanks + 1) == Some(&b'\n');
                        self.at += name.len() + blanks + 3 + usize::from(feed);
                    }
                    Some(_) => return Err(unfit),
                    None => return Err(Refusal::Malformed("a tag without an end")),
                }
                Ok(Some(Token::End))
            }
            Some(b'?') => {
                let end = rest.find("?>").ok_or(Refusal::Malformed("an instruction without an end"))?;
                if self.at == 0 && rest.starts_with("<?xml") && !declares_utf8(rest.get(5..end).unwrap_or_default()) {
                    return Err(Refusal::Encoding);
                }
                self.at += end + 2;
                Ok(None)
            }
            Some(b'!') => {
                if rest.starts_with("<!--") {
                    let end =
                        rest.get(4..).and_then(|body| body.find("-->")).ok_or(Refusal::Malformed("a comment without an end"))?;
                    self.at += end + 7;
                } else if rest.starts_with("<![CDATA[") {
                    self.at += 9;
                    self.in_cdata = true;
                } else if rest.starts_with("<!DOCTYPE") {
                    return Err(Refusal::Unwanted("a document type declaration"));
                } else {
                    return Err(Refusal::Malformed("markup that is none"));
                }
                Ok(None)
            }
            _ => self.start_tag().map(Some),
        }
    }

    fn start_tag(&mut self) -> Result<Token<'a>, Refusal> {
        let endless = Refusal::Malformed("a tag without an end");
        let body = self.rest().get(1..).unwrap_or_default();
        let bytes = body.as_bytes();
        let length = bytes.iter().position(|b| !is_name(*b)).ok_or(endless)?;
        let name = body.get(..length).filter(|name| !name.is_empty()).ok_or(Refusal::Malformed("a tag without a name"))?;
        let (end, empty) = match bytes.get(length) {
            Some(b'>') => (length, false),
            Some(b'/') if bytes.get(length + 1) == Some(&b'>') => (length + 1, true),
            // Attributes, which mean nothing here. A `>` may stand in one's value.
            Some(b) if is_blank(*b) => {
                let end = end_of_tag(bytes).ok_or(endless)?;
                let attributes = bytes.get(length..end).unwrap_or_default();
                if attributes.contains(&b'<') {
                    return Err(Refusal::Malformed("a tag within a tag"));
                }
                (end, attributes.ends_with(b"/"))
            }
            _ => return Err(Refusal::Malformed("a tag with a character that no name has")),
        };
        self.at += end + 2;
        self.open.push(name);
        self.ends_at_once = empty;
        Ok(Token::Start(name.rsplit_once(':').map_or(name, |(_, local)| local)))
    }

    /// At `&`: one of the five entities of XML, or a character by its number.
    fn reference(&mut self) -> Result<Token<'a>, Refusal> {
        let malformed = Refusal::Malformed("an ampersand that begins no reference");
        let rest = self.rest().get(1..).unwrap_or_default();
        // The longest reference that means a character has ten bytes, leading zeros aside.
        let window = rest.as_bytes().get(..rest.len().min(64)).unwrap_or_default();
        let end = memchr::memchr(b';', window).ok_or(malformed)?;
        let name = rest.get(..end).ok_or(malformed)?;
        let found = match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            _ => match name.strip_prefix('#') {
                Some(number) => character(number).ok_or(Refusal::Malformed("a reference to no character"))?,
                None if !name.is_empty() && name.bytes().all(is_name) => {
                    return Err(Refusal::Unwanted("an entity that XML does not predefine"));
                }
                None => return Err(malformed),
            },
        };
        self.at += end + 2;
        Ok(Token::Char(found))
    }
}

/// White space as XML defines it.
pub(super) const BLANK: [char; 4] = [' ', '\t', '\n', '\r'];

/// Where the next markup, reference or line end is. Most text is shorter than it takes to begin a search of many bytes at
/// once: a line feed between two tags, a number, a name.
fn end_of_text(text: &[u8]) -> usize {
    const SHORT: usize = 16;
    let is_end = |b: &u8| matches!(b, b'<' | b'&' | b'\r');
    match text.iter().take(SHORT).position(is_end) {
        Some(end) => end,
        None => memchr::memchr3(b'<', b'&', b'\r', text.get(SHORT..).unwrap_or_default()).map_or(text.len(), |end| SHORT + end),
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Bytes of names, beyond ASCII without looking closer: no element of XML-RPC has any.
fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':') || byte >= 0x80
}

fn character(number: &str) -> Option<char> {
    let (digits, radix) = match number.strip_prefix('x') {
        Some(hex) => (hex, 16),
        None => (number, 10),
    };
    // from_str_radix would take a sign
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    char::from_u32(u32::from_str_radix(digits, radix).ok()?).filter(|c| *c != '\0')
}

fn end_of_tag(tag: &[u8]) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in tag.iter().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(at),
            (None, b'"' | b'\'') => quote = Some(*byte),
            (Some(open), byte) if open == *byte => quote = None,
            _ => {}
        }
    }
    None
}

fn declares_utf8(declaration: &str) -> bool {
    let Some((_, after)) = declaration.split_once("encoding") else { return true };
    let value = after.trim_start_matches(BLANK).strip_prefix('=').map(|v| v.trim_start_matches(BLANK)).unwrap_or_default();
    let name = value.get(1..).and_then(|v| v.split(['"', '\'']).next()).unwrap_or_default().to_ascii_lowercase();
    ["utf-8", "utf8", "us-ascii"].contains(&name.as_str())
}
