//! Numbers of headers in the words and letters rpm prints for them: flags, kinds, permissions, algorithms, sizes, times
//! (rpm's lib/formats.cc). Called by the formatters.

use super::date;
use super::formatter::Formatter;
use crate::header::signature;

/// A number as a formatter prints it; in decimal for those that are not for numbers.
pub(super) fn number(formatter: Formatter, value: u64) -> String {
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
pub(super) fn signed_by(packet: &[u8]) -> Option<String> {
    let found = signature(packet)?;
    Some(format!(
        "{}/{}, {}, Key ID {}",
        named(&KEYS, found.key_algorithm, "Unknown public key algorithm"),
        named(&DIGESTS, found.digest_algorithm, "Unknown hash algorithm"),
        date::date(found.time.unwrap_or_default().into()),
        found.key_id.unwrap_or_else(|| "0".repeat(16)),
    ))
}
