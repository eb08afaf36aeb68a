//! Text that may go to the hub. Its XML parser (expat) refuses control characters, even escaped, with HTTP 400;
//! a task whose fault text held an ESC could then never be closed.

/// Longest fault text sent, in characters. Long enough for a failed step's last lines, short enough for a web page.
const FAULT_CHARACTERS: usize = 16_384;

/// Whether XML 1.0 allows `c` in a document (production `Char`; surrogates cannot occur in Rust).
pub(crate) fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{fffd}' | '\u{10000}'..)
}

/// `text` with every character that XML cannot carry replaced by U+FFFD.
///
/// Replaced, not dropped: a reader should see that something was there.
pub fn wire_text(text: &str) -> String {
    text.chars().map(|c| if is_xml_char(c) { c } else { '\u{fffd}' }).collect()
}

/// `text` made fit for a fault string: terminal colour sequences and control characters removed, `\r\n` and lone
/// `\r` turned into `\n`, and the middle left out when it is longer than 16384 characters.
pub fn fault_text(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' if chars.peek() == Some(&'[') => {
                chars.next();
                // CSI sequence: parameters, then one final byte in @..~
                while let Some(c) = chars.next_if(|c| matches!(c, ' '..='?')) {
                    let _ = c;
                }
                chars.next_if(|c| matches!(c, '@'..='~'));
            }
            '\r' => {
                if chars.peek() != Some(&'\n') {
                    clean.push('\n');
                }
            }
            '\n' | '\t' => clean.push(c),
            c if c.is_control() || !is_xml_char(c) => {}
            c => clean.push(c),
        }
    }
    shorten(clean, FAULT_CHARACTERS)
}

/// At most about `limit` characters of `text`: a third from its beginning, the rest from its end, where the reason is.
fn shorten(text: String, limit: usize) -> String {
    let count = text.chars().count();
    if count <= limit {
        return text;
    }
    let head = limit / 3;
    let tail = limit - head;
    let start: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(count - tail).collect();
    format!("{start}\n… {} characters left out …\n{end}", count - limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_and_control_characters_leave_a_fault_text() {
        assert_eq!(fault_text("\u{1b}[1;31merror\u{1b}[0m: a\u{0}b\u{7}c\r\nd\re"), "error: abc\nd\ne");
        assert_eq!(fault_text("\u{1b}["), "");
        assert_eq!(fault_text("\u{1b}X\u{fffe}"), "X");
    }

    #[test]
    fn a_long_fault_text_keeps_its_beginning_and_its_end() {
        let long = format!("BEGIN{}END", "ü".repeat(50_000));
        let short = fault_text(&long);
        assert!(short.starts_with("BEGIN") && short.ends_with("END"));
        assert!(short.contains("33624 characters left out"), "{}", &short[10_000..11_100]);
        assert!(short.chars().count() < FAULT_CHARACTERS + 60);
    }

    #[test]
    fn characters_xml_cannot_carry_are_shown_as_replaced() {
        assert_eq!(wire_text("a\u{1b}b\tc\u{ffff}"), "a\u{fffd}b\tc\u{fffd}");
    }
}
