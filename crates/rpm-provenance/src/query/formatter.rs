//! Formatters: what follows the colon in `%{filemodes:octal}`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::tags::{self, Tag};
use super::{Data, count, date};
use crate::header::{decode_base64, hex, signature};

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

fn number(formatter: Formatter, value: u64) -> String {
    // rpm hands these to printf as an unsigned int.
    #[allow(clippy::cast_possible_truncation)]
    let low = value as u32;
    match formatter {
        Formatter::Date => date::date(value),
        Formatter::Day => date::day(value),
        Formatter::Hex => format!("{low:x}"),
        Formatter::Octal => format!("{low:o}"),
        Formatter::Depflags => letters(value, &[(1 << 1, "<"), (1 << 2, ">"), (1 << 3, "=")], ""),
        Formatter::Deptype => match words(value, &DEPENDENCY_TYPES) {
            found if found.is_empty() => "manual".to_owned(),
            found => found,
        },
        Formatter::Triggertype => {
            let kinds = [(1 << 25, "prein"), (1 << 16, "in"), (1 << 17, "un"), (1 << 18, "postun")];
            kinds.iter().find(|(bit, _)| value & bit != 0).map(|(_, word)| *word).unwrap_or_default().to_owned()
        }
        Formatter::Fflags => letters(value, &FILE_FLAGS, ""),
        Formatter::Vflags => verify_flags(value, ""),
        Formatter::Fstatus => verify_flags(value, "."),
        Formatter::Fstate => match low {
            0 => "normal",
            1 => "replaced",
            2 => "not installed",
            3 => "net shared",
            4 => "wrong color",
            u32::MAX => "missing", // a C enumeration's -1
            _ => "(unknown)",
        }
        .to_owned(),
        Formatter::Perms => permissions(value),
        Formatter::Hashalgo => named(&DIGESTS, u8::try_from(value).unwrap_or_default(), "Unknown").to_owned(),
        Formatter::Humansi => human(value, 1000.0),
        Formatter::Humaniec => human(value, 1024.0),
        _ => value.to_string(),
    }
}

/// RPMSENSE bits.
const DEPENDENCY_TYPES: [(u64, &str); 16] = [
    (1 << 9, "pre"),
    (1 << 10, "post"),
    (1 << 11, "preun"),
    (1 << 12, "postun"),
    (1 << 13, "verify"),
    (1 << 8, "interp"),
    (1 << 24, "rpmlib"),
    (1 << 14 | 1 << 15, "auto"),
    (1 << 6, "prereq"),
    (1 << 7, "pretrans"),
    (1 << 5, "posttrans"),
    (1 << 20, "preuntrans"),
    (1 << 21, "postuntrans"),
    (1 << 28, "config"),
    (1 << 19, "missingok"),
    (1 << 29, "meta"),
];

/// RPMFILE bits.
const FILE_FLAGS: [(u64, &str); 9] = [
    (1 << 1, "d"),
    (1, "c"),
    (1 << 5, "s"),
    (1 << 3, "m"),
    (1 << 4, "n"),
    (1 << 6, "g"),
    (1 << 7, "l"),
    (1 << 8, "r"),
    (1 << 12, "a"),
];

/// RPMVERIFY bits.
const VERIFY_FLAGS: [(u64, &str); 9] = [
    (1 << 1, "S"),
    (1 << 6, "M"),
    (1, "5"),
    (1 << 7, "D"),
    (1 << 2, "L"),
    (1 << 3, "U"),
    (1 << 4, "G"),
    (1 << 5, "T"),
    (1 << 8, "P"),
];

/// OpenPGP digests by number.
const DIGESTS: [(u8, &str); 12] = [
    (1, "MD5"),
    (2, "SHA1"),
    (3, "RIPEMD160"),
    (5, "MD2"),
    (6, "TIGER192"),
    (7, "HAVAL-5-160"),
    (8, "SHA256"),
    (9, "SHA384"),
    (10, "SHA512"),
    (11, "SHA224"),
    (12, "SHA3-256"),
    (14, "SHA3-512"),
];

/// OpenPGP public key algorithms by number.
const KEYS: [(u8, &str); 10] = [
    (1, "RSA"),
    (2, "RSA(Encrypt-Only)"),
    (3, "RSA(Sign-Only)"),
    (16, "Elgamal(Encrypt-Only)"),
    (17, "DSA"),
    (18, "Elliptic Curve"),
    (19, "ECDSA"),
    (20, "Elgamal"),
    (21, "Diffie-Hellman (X9.42)"),
    (22, "EdDSA"),
];

fn named(table: &[(u8, &'static str)], number: u8, otherwise: &'static str) -> &'static str {
    table.iter().find(|(known, _)| *known == number).map_or(otherwise, |(_, name)| *name)
}

fn letters(value: u64, table: &[(u64, &str)], otherwise: &str) -> String {
    table.iter().map(|(bit, letter)| if value & bit == 0 { otherwise } else { *letter }).collect()
}

/// As `rpm -V` shows them: a question mark where content or link could not be read.
fn verify_flags(value: u64, otherwise: &str) -> String {
    let unread = |letter: &str| match letter {
        "5" => value & 1 << 29 != 0,
        "L" => value & 1 << 28 != 0,
        _ => false,
    };
    let shown = |(bit, letter): &(u64, &'static str)| match value & bit {
        _ if unread(letter) => "?",
        0 => otherwise,
        _ => *letter,
    };
    VERIFY_FLAGS.iter().map(shown).collect::<Vec<_>>().concat()
}

fn words(value: u64, table: &[(u64, &str)]) -> String {
    table.iter().filter(|(bit, _)| value & bit != 0).map(|(_, word)| *word).collect::<Vec<_>>().join(",")
}

fn permissions(mode: u64) -> String {
    let kind = match mode & 0o170_000 {
        0o100_000 => '-',
        0o040_000 => 'd',
        0o120_000 => 'l',
        0o010_000 => 'p',
        0o140_000 => 's',
        0o020_000 => 'c',
        0o060_000 => 'b',
        _ => '?',
    };
    let mut text = String::from(kind);
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift & 7;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (mode & special != 0, bits & 1 != 0) {
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

fn human(value: u64, kilo: f32) -> String {
    const UNITS: [&str; 9] = ["", "K", "M", "G", "T", "P", "E", "Z", "Y"];
    #[allow(clippy::cast_precision_loss)] // two digits are shown
    let mut number = value as f32;
    let mut unit = 0;
    while number >= kilo && unit + 1 < UNITS.len() {
        number /= kilo;
        unit += 1;
    }
    let decimals = usize::from(number > 0.05 && number < 9.95);
    format!("{number:.decimals$}{}", UNITS.get(unit).copied().unwrap_or_default())
}

/// Algorithms, time and key of a signature.
fn signed_by(packet: &[u8]) -> Option<String> {
    let found = signature(packet)?;
    Some(format!(
        "{}/{}, {}, Key ID {}",
        named(&KEYS, found.key_algorithm, "Unknown public key algorithm"),
        named(&DIGESTS, found.digest_algorithm, "Unknown hash algorithm"),
        date::date(found.time.unwrap_or_default().into()),
        found.key_id.unwrap_or_else(|| "0".repeat(16)),
    ))
}

/// Lines of 64 characters, each with its end.
fn base64_lines(bytes: &[u8]) -> String {
    let text = STANDARD.encode(bytes);
    let mut lines = String::with_capacity(text.len() + text.len() / 64 + 1);
    for (at, c) in text.chars().enumerate() {
        if at > 0 && at % 64 == 0 {
            lines.push('\n');
        }
        lines.push(c);
    }
    if !lines.is_empty() {
        lines.push('\n');
    }
    lines
}

fn shell_quoted(text: &[u8]) -> Vec<u8> {
    let mut quoted = vec![b'\''];
    for byte in text {
        match byte {
            b'\'' => quoted.extend_from_slice(b"'\\''"),
            byte => quoted.push(*byte),
        }
    }
    quoted.push(b'\'');
    quoted
}

fn json(text: &[u8]) -> Vec<u8> {
    let mut quoted = vec![b'"'];
    for byte in text {
        match byte {
            8 => quoted.extend_from_slice(b"\\b"),
            12 => quoted.extend_from_slice(b"\\f"),
            b'\n' => quoted.extend_from_slice(b"\\n"),
            b'\r' => quoted.extend_from_slice(b"\\r"),
            b'\t' => quoted.extend_from_slice(b"\\t"),
            b'"' => quoted.extend_from_slice(b"\\\""),
            b'\\' => quoted.extend_from_slice(b"\\\\"),
            byte if *byte < 0x20 => quoted.extend(format!("\\u{byte:04x}").bytes()),
            byte => quoted.push(*byte),
        }
    }
    quoted.push(b'"');
    quoted
}

fn xml(element: &str, text: &[u8]) -> Vec<u8> {
    if text.is_empty() {
        return format!("\t<{element}/>").into_bytes();
    }
    let mut out = format!("\t<{element}>").into_bytes();
    for byte in text {
        match byte {
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            b'&' => out.extend_from_slice(b"&amp;"),
            byte => out.push(*byte),
        }
    }
    out.extend(format!("</{element}>").bytes());
    out
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
