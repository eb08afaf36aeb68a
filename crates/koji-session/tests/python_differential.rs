//! The codec against Python's own `xmlrpc.client`, which is what the hub and every other client use:
//! what we write it reads as the same value, and what it writes we read as the same value.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use koji_session::{Value, decode_response, encode_response};
use proptest::prelude::*;

/// Reads a document per line (hex), answers with the value as tagged JSON and the value written again (hex).
/// i8 is written as Koji's marshaller does (koji/xmlrpcplus.py), which the standard one cannot.
const SCRIPT: &str = r#"
import base64, json, sys, xmlrpc.client as x

class Marshaller(x.Marshaller):
    dispatch = x.Marshaller.dispatch.copy()
    def dump_int(self, value, write):
        tag = 'i8' if value > x.MAXINT or value < x.MININT else 'int'
        write('<value><%s>%d</%s></value>\n' % (tag, value, tag))
    dispatch[int] = dump_int

def tagged(v):
    if v is None: return ['nil']
    if isinstance(v, bool): return ['bool', v]
    if isinstance(v, int): return ['int', str(v)]
    if isinstance(v, float): return ['double', v.hex()]
    if isinstance(v, str): return ['string', v]
    if isinstance(v, x.Binary): return ['bytes', v.data.hex()]
    if isinstance(v, x.DateTime): return ['date', v.value]
    if isinstance(v, list): return ['array', [tagged(i) for i in v]]
    return ['struct', [[k, tagged(i)] for k, i in v.items()]]

for line in sys.stdin:
    try:
        (value,), _ = x.loads(bytes.fromhex(line.strip()))
    except Exception as e:
        print(json.dumps(['error', repr(e)]), '-', flush=True)
        continue
    body = Marshaller('utf-8', allow_none=True).dumps((value,))
    document = "<?xml version='1.0'?>\n<methodResponse>\n" + body + "</methodResponse>\n"
    print(json.dumps(tagged(value)), document.encode().hex(), sep='\t', flush=True)
"#;

struct Python {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Python {
    fn start() -> Self {
        let mut child = Command::new("/usr/bin/python3")
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 runs");
        let stdin = child.stdin.take().expect("stdin");
        let stdout = BufReader::new(child.stdout.take().expect("stdout"));
        Self { child, stdin, stdout }
    }

    /// What Python makes of a document, and the document it makes of that.
    fn read(&mut self, document: &str) -> (serde_json::Value, Vec<u8>) {
        let hex: String = document.bytes().map(|b| format!("{b:02x}")).collect();
        writeln!(self.stdin, "{hex}").expect("sent");
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("answered");
        let (json, hex) = line.trim_end().split_once('\t').unwrap_or_else(|| panic!("python refuses: {line}{document}"));
        let bytes = (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).expect("hex")).collect();
        (serde_json::from_str(json).expect("JSON"), bytes)
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The same tagged form from our side.
fn tagged(value: &Value) -> serde_json::Value {
    use serde_json::json;
    match value {
        Value::Nil => json!(["nil"]),
        Value::Bool(b) => json!(["bool", b]),
        Value::Int(i) => json!(["int", i.to_string()]),
        Value::Double(d) => json!(["double", python_hex(*d)]),
        Value::String(s) => json!(["string", s]),
        Value::Bytes(b) => json!(["bytes", b.iter().map(|b| format!("{b:02x}")).collect::<String>()]),
        Value::DateTime(s) => json!(["date", s]),
        Value::Array(items) => json!(["array", items.iter().map(tagged).collect::<Vec<_>>()]),
        Value::Struct(members) => {
            // a dict: the last of equal names wins, at the place of the first
            let mut kept: Vec<(&str, serde_json::Value)> = Vec::new();
            for (name, value) in members {
                match kept.iter_mut().find(|(known, _)| *known == &**name) {
                    Some(slot) => slot.1 = tagged(value),
                    None => kept.push((name, tagged(value))),
                }
            }
            json!(["struct", kept])
        }
    }
}

/// `float.hex` of a normal number: exact, so that no digit can be lost unseen.
fn python_hex(number: f64) -> String {
    let bits = number.to_bits();
    let sign = if number.is_sign_negative() { "-" } else { "" };
    let exponent = i64::try_from(bits >> 52 & 0x7ff).expect("11 bits") - 1023;
    format!("{sign}0x1.{:013x}p{exponent:+}", bits & ((1 << 52) - 1))
}

fn values() -> impl Strategy<Value = Value> {
    let text = "[\\t\\n\\r -~ü€\u{1f4e6}]{0,12}";
    let leaf = prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<i16>().prop_map(|i| Value::Int(i64::from(i))),
        proptest::num::f64::NORMAL.prop_map(Value::Double),
        text.prop_map(Value::String),
        proptest::collection::vec(any::<u8>(), 0..90).prop_map(Value::Bytes),
        "20[0-9]{2}0[1-9]1[0-9]T1[0-9]:[0-5][0-9]:[0-5][0-9]".prop_map(Value::DateTime),
    ];
    leaf.prop_recursive(4, 30, 5, move |inner| {
        // no \r: two names that differ in it alone would become one in Python's answer
        let member = ("[\\t\\n -~ü€\u{1f4e6}]{0,12}".prop_map(|name| std::sync::Arc::from(name.as_str())), inner.clone());
        prop_oneof![
            proptest::collection::vec(inner, 0..5).prop_map(Value::Array),
            proptest::collection::vec(member, 0..5).prop_map(Value::Struct),
        ]
    })
}

/// The value after a pass through an XML reader that was given raw carriage returns, in texts and in names.
fn line_ends_as_read(value: &serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::String(text) => text.replace("\r\n", "\n").replace('\r', "\n").into(),
        serde_json::Value::Array(items) => items.iter().map(line_ends_as_read).collect(),
        other => other.clone(),
    }
}

static PYTHON: Mutex<Option<Python>> = Mutex::new(None);

fn python(document: &str) -> (serde_json::Value, Vec<u8>) {
    let mut slot = PYTHON.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    slot.get_or_insert_with(Python::start).read(document)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn python_reads_what_we_write_and_we_read_what_python_writes(value in values()) {
        let (understood, rewritten) = python(&encode_response(&value));
        prop_assert_eq!(&understood, &tagged(&value));
        // Python writes \r raw, which every XML reader must turn into \n: compare as that
        let read_back = decode_response(&rewritten).expect("a response").expect("no fault");
        prop_assert_eq!(tagged(&read_back), line_ends_as_read(&understood));
    }
}

#[test]
fn text_that_xml_cannot_carry_reaches_python_all_the_same() {
    let everything: String = (0..0x2100).filter_map(char::from_u32).chain(['\u{fffe}', '\u{ffff}', '\u{10ffff}']).collect();
    let (understood, _) = python(&encode_response(&Value::from(everything.as_str())));
    assert_eq!(understood[1], serde_json::json!(koji_session::wire_text(&everything)));
}
