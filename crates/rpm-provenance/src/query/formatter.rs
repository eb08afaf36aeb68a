//! Formatters: what follows the colon in `%{filemodes:octal}`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use build_model::hex;

use super::numbers::{number, signed_by};
use super::quoting::{base64_lines, json, shell_quoted, xml};
use super::tags::{self, Tag};
use super::{Data, count};
use crate::header::decode_base64;

/// How a value is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Formatter {
    String,
    Arraysize,
    Base64,
    Date,
    Day,
    Depflags,
    Deptype,
    Fflags,
    Fstate,
    Fstatus,
    Hashalgo,
    Hex,
    Humaniec,
    Humansi,
    Json,
    Octal,
    Perms,
    Pgpsig,
    Shescape,
    Tagname,
    Tagnum,
    Triggertype,
    Vflags,
    Xml,
}

const NAMES: [(&str, Formatter); 25] = [
    ("string", Formatter::String),
    ("arraysize", Formatter::Arraysize),
    ("base64", Formatter::Base64),
    ("date", Formatter::Date),
    ("day", Formatter::Day),
    ("depflags", Formatter::Depflags),
    ("deptype", Formatter::Deptype),
    ("fflags", Formatter::Fflags),
    ("fstate", Formatter::Fstate),
    ("fstatus", Formatter::Fstatus),
    ("hashalgo", Formatter::Hashalgo),
    ("hex", Formatter::Hex),
    ("humaniec", Formatter::Humaniec),
    ("humansi", Formatter::Humansi),
    ("json", Formatter::Json),
    ("octal", Formatter::Octal),
    ("perms", Formatter::Perms),
    ("permissions", Formatter::Perms),
    ("pgpsig", Formatter::Pgpsig),
    ("shescape", Formatter::Shescape),
    ("tagname", Formatter::Tagname),
    ("tagnum", Formatter::Tagnum),
    ("triggertype", Formatter::Triggertype),
    ("vflags", Formatter::Vflags),
    ("xml", Formatter::Xml),
];

impl Formatter {
    pub fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, formatter)| *formatter)
    }

    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(name, _)| *name)
    }
}

/// One value of a tag as a formatter prints it. What a formatter is not made for it says in brackets, as rpm does.
pub(super) fn apply(formatter: Formatter, tag: &Tag, data: &Data<'_>, element: usize) -> Vec<u8> {
    match formatter {
        Formatter::String => plain(data, element),
        Formatter::Arraysize => count(data).to_string().into_bytes(),
        Formatter::Tagname => tags::canonical(tag).into_bytes(),
        Formatter::Tagnum => tag.number.to_string().into_bytes(),
        Formatter::Base64 => match data {
            Data::Binary(bytes) => base64_lines(bytes).into_bytes(),
            _ => b"(not a blob)".to_vec(),
        },
        Formatter::Json => match data {
            Data::Binary(bytes) => json(STANDARD.encode(bytes).as_bytes()),
            Data::Numbers(_) => plain(data, element),
            _ => json(&plain(data, element)),
        },
        Formatter::Xml => match data {
            Data::Binary(bytes) => xml("base64", base64_lines(bytes).as_bytes()),
            Data::Numbers(_) => xml("integer", &plain(data, element)),
            _ => xml("string", &plain(data, element)),
        },
        Formatter::Shescape => match data {
            Data::Binary(_) => b"(invalid type)".to_vec(),
            Data::Numbers(_) => plain(data, element),
            _ => shell_quoted(&plain(data, element)),
        },
        Formatter::Pgpsig => match data {
            Data::Binary(bytes) => signed_by(bytes).unwrap_or_else(|| "(not an OpenPGP signature)".to_owned()),
            // rpm 6 has signatures as text
            Data::Strings(all) => {
                let packet = all.get(element).and_then(|text| decode_base64(text));
                packet.and_then(|packet| signed_by(&packet)).unwrap_or_else(|| "(not a blob)".to_owned())
            }
            _ => "(not a blob)".to_owned(),
        }
        .into_bytes(),
        of_number => match data {
            Data::Numbers(all) => number(of_number, all.get(element).copied().unwrap_or_default()).into_bytes(),
            _ => b"(not a number)".to_vec(),
        },
    }
}

fn plain(data: &Data<'_>, element: usize) -> Vec<u8> {
    match data {
        Data::Numbers(all) => all.get(element).map(ToString::to_string).unwrap_or_default().into_bytes(),
        Data::Strings(all) | Data::Translated(all) => all.get(element).map(|text| text.to_vec()).unwrap_or_default(),
        Data::Binary(bytes) => hex(bytes).into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    fn printed(formatter: Formatter, data: &Data<'_>) -> String {
        let tag = tags::find("name").expect("a tag");
        String::from_utf8(apply(formatter, &tag, data, 0)).expect("text")
    }

    #[test]
    fn json_is_quoted_and_numbers_are_not() {
        let text = |bytes: &'static [u8]| Data::Strings(vec![Cow::Borrowed(bytes)]);
        assert_eq!(printed(Formatter::Json, &text(b"a\"b\\c\td\x01\n")), r#""a\"b\\c\td\u0001\n""#);
        assert_eq!(printed(Formatter::Json, &Data::Numbers(vec![7])), "7");
        assert_eq!(printed(Formatter::Json, &Data::Binary(&[0, 255])), r#""AP8=""#);
    }

    #[test]
    fn digests_have_names() {
        assert_eq!(printed(Formatter::Hashalgo, &Data::Numbers(vec![8])), "SHA256");
        assert_eq!(printed(Formatter::Hashalgo, &Data::Numbers(vec![300])), "Unknown");
    }
}
