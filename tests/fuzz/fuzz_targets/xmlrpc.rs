//! XML-RPC documents. A value that is read can be written, and is then read as the same.

#![no_main]

use koji_session::{Value, decode_call, decode_response, encode_response};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Ok(Ok(value)) = decode_response(input) {
        let written = encode_response(&value);
        let again = decode_response(written.as_bytes()).expect("we read what we write").expect("no fault");
        // Text that XML cannot carry is replaced once, and doubles that are no number are equal to nothing.
        if is_plain(&value) {
            assert_eq!(again, value);
        }
    }
    let _ = decode_call(input);
});

fn is_plain(value: &Value) -> bool {
    let carried = |text: &str| text.chars().all(|c| matches!(c, '\t' | '\n' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}'));
    match value {
        Value::Double(double) => double.is_finite(),
        Value::String(text) => carried(text),
        // written as it is
        Value::DateTime(text) => text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b':'),
        Value::Array(items) => items.iter().all(is_plain),
        Value::Struct(members) => members.iter().all(|(name, value)| carried(name) && is_plain(value)),
        _ => true,
    }
}
