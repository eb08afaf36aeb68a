//! Writing XML-RPC documents the way koji/xmlrpcplus.py does: calls for the wire, and the full documents
//! that `host.closeTask` and `host.failTask` want as a string (they must begin with `<?xml`).

use std::fmt::Write as _;

use base64::Engine as _;

use crate::Value;
use crate::text::is_xml_char;

const PROLOG: &str = "<?xml version='1.0'?>\n";

/// A `<methodCall>` document.
pub fn encode_call(method: &str, params: &[Value]) -> String {
    let mut out = String::from(PROLOG);
    out.push_str("<methodCall>\n<methodName>");
    escape(&mut out, method);
    out.push_str("</methodName>\n<params>\n");
    for param in params {
        out.push_str("<param>\n");
        write_value(&mut out, param);
        out.push_str("\n</param>\n");
    }
    out.push_str("</params>\n</methodCall>\n");
    out
}

/// A `<methodResponse>` document holding one value: a task's result.
pub fn encode_response(value: &Value) -> String {
    let mut out = String::from(PROLOG);
    out.push_str("<methodResponse>\n<params>\n<param>\n");
    write_value(&mut out, value);
    out.push_str("\n</param>\n</params>\n</methodResponse>\n");
    out
}

/// A `<methodResponse>` document holding a fault: a failed task's result.
pub fn encode_fault(code: i64, message: &str) -> String {
    let fault = Value::from_pairs([("faultCode", Value::Int(code)), ("faultString", Value::from(message))]);
    let mut out = String::from(PROLOG);
    out.push_str("<methodResponse>\n<fault>\n");
    write_value(&mut out, &fault);
    out.push_str("\n</fault>\n</methodResponse>\n");
    out
}

/// `params` with keyword arguments appended as Koji wants them: a last struct with `__starstar` (koji.encode_args).
/// Without keyword arguments the parameters stay as they are.
pub fn with_kwargs(mut params: Vec<Value>, kwargs: Vec<(&str, Value)>) -> Vec<Value> {
    if !kwargs.is_empty() {
        let marker = [("__starstar", Value::Bool(true))];
        params.push(Value::from_pairs(kwargs.into_iter().chain(marker)));
    }
    params
}

fn write_value(out: &mut String, value: &Value) {
    out.push_str("<value>");
    match value {
        Value::Nil => out.push_str("<nil/>"),
        Value::Bool(b) => out.push_str(if *b { "<boolean>1</boolean>" } else { "<boolean>0</boolean>" }),
        Value::Int(i) => {
            let tag = if i32::try_from(*i).is_ok() { "int" } else { "i8" };
            let _ = write!(out, "<{tag}>{i}</{tag}>");
        }
        Value::Double(d) => {
            let _ = write!(out, "<double>{d:?}</double>");
        }
        Value::String(s) => element(out, "string", s),
        Value::DateTime(s) => element(out, "dateTime.iso8601", s),
        Value::Bytes(bytes) => {
            out.push_str("<base64>\n");
            base64::engine::general_purpose::STANDARD.encode_string(bytes, out);
            out.push_str("\n</base64>");
        }
        Value::Array(items) => {
            out.push_str("<array><data>\n");
            for item in items {
                write_value(out, item);
                out.push('\n');
            }
            out.push_str("</data></array>");
        }
        Value::Struct(members) => {
            out.push_str("<struct>\n");
            for (name, item) in members {
                out.push_str("<member>\n");
                element(out, "name", name);
                out.push('\n');
                write_value(out, item);
                out.push_str("\n</member>\n");
            }
            out.push_str("</struct>");
        }
    }
    out.push_str("</value>");
}

fn element(out: &mut String, tag: &str, text: &str) {
    let _ = write!(out, "<{tag}>");
    escape(out, text);
    let _ = write!(out, "</{tag}>");
}

/// Escapes markup, and `\r`, which a parser would otherwise turn into `\n`. What XML cannot carry becomes U+FFFD.
fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\r' => out.push_str("&#13;"),
            c if is_xml_char(c) => out.push(c),
            _ => out.push('\u{fffd}'),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_written_as_kojis_client_writes_it() {
        let params = with_kwargs(vec![Value::Int(7), Value::from("a<b & c\r\n")], vec![("strict", Value::Bool(true))]);
        insta::assert_snapshot!(encode_call("getBuild", &params));
    }

    #[test]
    fn task_results_begin_with_the_prolog_the_hub_looks_for() {
        let result = Value::from_pairs([("koji_builds", Value::Array(vec![Value::from("12")])), ("none", Value::Nil)]);
        assert!(encode_response(&result).starts_with("<?xml"));
        insta::assert_snapshot!(encode_response(&result));
        insta::assert_snapshot!(encode_fault(2001, "it\u{0} failed"));
    }

    #[test]
    fn integers_beyond_32_bits_are_written_as_i8() {
        for (number, text) in [
            (i64::from(i32::MAX), "<int>2147483647</int>"),
            (2_147_483_648, "<i8>2147483648</i8>"),
            (i64::from(i32::MIN), "<int>-2147483648</int>"),
            (i64::MIN, "<i8>-9223372036854775808</i8>"),
        ] {
            assert!(encode_response(&Value::Int(number)).contains(text), "{number}");
        }
    }

    #[test]
    fn no_keyword_arguments_add_no_parameter() {
        assert_eq!(with_kwargs(vec![], vec![]), vec![]);
    }
}
