//! Control characters in metadata: PostgreSQL refuses NUL in a text, and every other one makes the hub's XML-RPC answers
//! (`getBuild` carries `extra`) unreadable for all clients. An `ENV PS1="\e[1m"` in a Dockerfile is enough.
//! They are written as visible escapes, as the earlier service did, so that nothing is lost.

use std::fmt::Write as _;

use serde_json::Value;

/// `text` with each character that XML 1.0 does not allow, and each other control character but tab and line ends,
/// written as `\u001b`.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_printable(c) {
            out.push(c);
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        }
    }
    out
}

fn is_printable(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r') || !(c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}'))
}

/// Applies [`printable`] to every string and key of a document.
pub(crate) fn printable_value(value: Value) -> Value {
    match value {
        Value::String(text) if text.chars().all(is_printable) => Value::String(text),
        Value::String(text) => Value::String(printable(&text)),
        Value::Array(items) => Value::Array(items.into_iter().map(printable_value).collect()),
        Value::Object(map) => Value::Object(map.into_iter().map(|(k, v)| (printable(&k), printable_value(v))).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escape_sequences_become_visible_and_line_ends_stay() {
        assert_eq!(printable("\u{1b}[1mroot\u{0}\n\tok"), "\\u001b[1mroot\\u0000\n\tok");
        assert_eq!(printable("größe ✓"), "größe ✓");
    }

    proptest! {
        #[test]
        fn nothing_xml_forbids_is_left(text in any::<String>()) {
            let out = printable(&text);
            let allowed = out.chars().all(|c| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..));
            prop_assert!(allowed, "{:?}", out);
            prop_assert_eq!(printable(&out), out);
        }
    }
}
