//! The decoder: what it accepts, what it refuses, and that nothing makes it panic.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::{encode_call, encode_fault, encode_response};

fn response(inner: &str) -> Result<Value, CodecError> {
    let document = format!("<?xml version='1.0'?><methodResponse><params><param>{inner}</param></params></methodResponse>");
    decode_response(document.as_bytes()).map(|outcome| outcome.expect("no fault"))
}

#[test]
fn every_type_is_read() {
    let text = |s: &str| Value::String(s.to_owned());
    for (xml, value) in [
        ("<value><int>5</int></value>", Value::Int(5)),
        ("<value><i4> -5\n</i4></value>", Value::Int(-5)),
        ("<value><i8>9223372036854775807</i8></value>", Value::Int(i64::MAX)),
        ("<value><boolean>1</boolean></value>", Value::Bool(true)),
        ("<value><double>1e+16</double></value>", Value::Double(1e16)),
        ("<value><double>-0.5</double></value>", Value::Double(-0.5)),
        ("<value><string></string></value>", text("")),
        ("<value><string>   </string></value>", text("   ")),
        ("<value><string/></value>", text("")),
        ("<value>bare &amp; &lt;&#65;&#x42;</value>", text("bare & <AB")),
        ("<value>  </value>", text("  ")),
        ("<value/>", text("")),
        ("<value>\n<string>\n x\n</string>\n</value>", text("\n x\n")),
        ("<value><string>a\r\nb\rc&#13;d</string></value>", text("a\nb\nc\rd")),
        ("<value><string>a<![CDATA[<&>]]>b<!-- no -->c</string></value>", text("a<&>bc")),
        ("<value><string>\u{1b}[0m\u{7f}ü\u{1f4e6}</string></value>", text("\u{1b}[0m\u{7f}ü\u{1f4e6}")),
        ("<value><nil/></value>", Value::Nil),
        ("<value><nil></nil></value>", Value::Nil),
        ("<value xmlns:ex='x'><ex:nil/></value>", Value::Nil),
        ("<value><base64>\nAP8\n=\n</base64></value>", Value::Bytes(vec![0, 255])),
        ("<value><base64>AP8</base64></value>", Value::Bytes(vec![0, 255])),
        ("<value><dateTime.iso8601>20240506T07:08:09</dateTime.iso8601></value>", Value::DateTime("20240506T07:08:09".into())),
        ("<value><array/></value>", Value::Array(vec![])),
        ("<value><array><data/></array></value>", Value::Array(vec![])),
        (
            "<value><array><data><value>1</value><value><int>1</int></value></data></array></value>",
            Value::Array(vec![text("1"), Value::Int(1)]),
        ),
        ("<value><struct/></value>", Value::Struct(vec![])),
        (
            "<value><struct><member><name> a </name><value>1</value></member><member><name></name>\n<value>2</value></member></struct></value>",
            Value::from_pairs([(" a ", text("1")), ("", text("2"))]),
        ),
    ] {
        assert_eq!(response(xml).expect(xml), value, "{xml}");
    }
}

#[test]
fn broken_documents_say_what_is_broken() {
    for (xml, reason) in [
        ("<value><int>5.0</int></value>", "no 64-bit integer"),
        ("<value><int></int></value>", "no 64-bit integer"),
        ("<value><i8>9223372036854775808</i8></value>", "no 64-bit integer"),
        ("<value><boolean>true</boolean></value>", "no boolean"),
        ("<value><double>x</double></value>", "no double"),
        ("<value><base64>!</base64></value>", "no base64"),
        ("<value><nil>x</nil></value>", "no nil"),
        ("<value><long>1</long></value>", "unknown type <long>"),
        ("<value>a<int>1</int></value>", "out of place"),
        ("<value><int>1</int>a</value>", "text where none belongs"),
        ("<value><int>1</int><int>1</int></value>", "out of place"),
        ("<value><struct><member><value>1</value></member></struct></value>", "out of place"),
        ("<value><struct><member><name>a</name></member></struct></value>", "without a value"),
        ("<value><struct><name>a</name></struct></value>", "out of place"),
        ("<value><array><value>1</value></array></value>", "out of place"),
        ("<value>&nbsp;</value>", "entity"),
        ("<value>1</value><value>2</value>", "out of place"),
        ("", "empty <param>"),
        ("<value>", "not well-formed"),
        ("<value></int>", "not well-formed"),
        ("<value>&#x110000;</value>", "not well-formed"),
        ("<value>a & b</value>", "not well-formed"),
    ] {
        let error = response(xml).expect_err(xml).to_string();
        assert!(error.contains(reason), "{xml}: {error}");
    }
    for (document, reason) in [
        ("", "ends early"),
        ("hello", "text where none belongs"),
        ("<html><body>502</body></html>", "<html> is out of place"),
        ("<methodResponse/>", "an empty method response"),
        ("<methodResponse><params/></methodResponse>", "a response with 0 values"),
        ("<methodResponse><params><param><value>1</value></param>", "ends early"),
        ("<methodResponse><fault><value>1</value></fault></methodResponse>", "without an integer faultCode"),
        ("<methodResponse><params><param><value>1</value></param></params></methodResponse><x/>", "second root"),
        ("<methodResponse><params><param><value>1</value></param></params></methodResponse>x", "text where none belongs"),
        ("<!DOCTYPE x [<!ENTITY a 'b'>]><methodResponse/>", "document type"),
        ("<?xml version='1.0' encoding='iso-8859-1'?><methodResponse/>", "only UTF-8"),
        ("<methodCall><methodName>x</methodName></methodCall>", "method call where a response was expected"),
    ] {
        let error = decode_response(document.as_bytes()).expect_err(document).to_string();
        assert!(error.contains(reason), "{document}: {error}");
    }
    assert!(matches!(decode_response(b"<methodResponse>\xff"), Err(CodecError::NotUtf8 { offset: 16 })));
}

#[test]
fn depth_and_size_are_capped() {
    let nested =
        |depth: usize| format!("{}<value/>{}", "<value><array><data>".repeat(depth), "</data></array></value>".repeat(depth));
    assert!(response(&nested(127)).is_ok());
    assert!(matches!(response(&nested(128)), Err(CodecError::TooDeep { limit: 128, .. })));
    assert!(matches!(response(&nested(200_000)), Err(CodecError::TooDeep { .. })));
    let limits = DecodeLimits { max_bytes: 10, max_depth: 1 };
    assert!(matches!(decode(b"<methodResponse/>", limits), Err(CodecError::TooLong { limit: 10 })));
}

#[test]
fn rows_share_their_member_names() {
    let row = "<value><struct><member><name>nvr</name><value>x</value></member></struct></value>";
    let Value::Array(rows) = response(&format!("<value><array><data>{row}{row}</data></array></value>")).expect("rows") else {
        panic!("no array");
    };
    let name = |row: &Value| row.as_struct().and_then(|m| m.first()).map(|(k, _)| Arc::clone(k)).expect("a name");
    assert!(Arc::ptr_eq(&name(&rows[0]), &name(&rows[1])));
}

#[test]
fn calls_and_faults_come_back_as_they_were_written() {
    let params = vec![Value::from("git+https://h/r?#1"), Value::Nil];
    let call = decode_call(encode_call("buildContainer", &params).as_bytes()).expect("a call");
    assert_eq!(call, MethodCall { method: "buildContainer".into(), params });
    let call = decode_call(b"<methodCall><methodName>echo</methodName></methodCall>").expect("a call without parameters");
    assert_eq!(call.params, vec![]);
    let fault = decode_response(encode_fault(2001, "a <b>").as_bytes()).expect("a response").expect_err("a fault");
    assert_eq!(fault, WireFault { code: 2001, message: "a <b>".into() });
}

/// Any value the encoder can be given, without what XML cannot carry.
fn values() -> impl Strategy<Value = Value> {
    let text = "[\\t\\n\\r -~ü€\u{1f4e6}]{0,12}";
    let leaf = prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<i32>().prop_map(|i| Value::Int(i64::from(i))),
        proptest::num::f64::NORMAL.prop_map(Value::Double),
        text.prop_map(Value::String),
        proptest::collection::vec(any::<u8>(), 0..20).prop_map(Value::Bytes),
        "[0-9]{8}T[0-9]{2}:[0-9]{2}:[0-9]{2}".prop_map(Value::DateTime),
    ];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        let member = (text.prop_map(|name| Arc::from(name.as_str())), inner.clone());
        prop_oneof![
            proptest::collection::vec(inner, 0..6).prop_map(Value::Array),
            proptest::collection::vec(member, 0..6).prop_map(Value::Struct),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(value in values()) {
        let document = encode_response(&value);
        prop_assert_eq!(decode_response(document.as_bytes()).expect("a response").expect("no fault"), value);
    }

    #[test]
    fn any_text_is_written_so_that_it_can_be_read(text in any::<String>()) {
        let document = encode_response(&Value::from(text.as_str()));
        let read = decode_response(document.as_bytes()).expect("a response").expect("no fault");
        prop_assert_eq!(read, Value::String(crate::wire_text(&text)));
    }

    #[test]
    fn no_bytes_cause_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = decode_response(&bytes);
        let _ = decode_call(&bytes);
    }

    #[test]
    fn no_shuffled_markup_causes_a_panic(parts in proptest::collection::vec(proptest::sample::select(MARKUP), 0..40)) {
        let document = format!("<methodResponse><params><param>{}", parts.concat());
        let _ = decode_response(document.as_bytes());
    }
}

#[test]
fn markup_beside_the_values_means_nothing() {
    for xml in [
        "<value a='>' b=\"/>\"><int>5</int></value>",
        "<value ><int\n>5</int ></value\t>",
        "<!-- <value> --><value><!----><int><?php echo ?>5</int></value><?x?>",
        "<x:value xmlns:x='y'><x:int>5</x:int></x:value>",
        "<value><int><![CDATA[]]>5<![CDATA[\r]]></int></value>",
    ] {
        assert_eq!(response(xml).expect(xml), Value::Int(5), "{xml}");
    }
    let text = response("<value><string><![CDATA[\r\na\rb]]]]><![CDATA[>]]></string></value>").expect("text");
    assert_eq!(text, Value::from("\na\nb]]>"));
    for xml in [
        "<value a='>",
        "<value <int>",
        "<value/ >",
        "<>",
        "</>",
        "<value></value",
        "<value><![CDATA[x</value>",
        "<!-- ",
        "<?x",
        "<!x>",
    ] {
        let error = response(xml).expect_err(xml).to_string();
        assert!(error.contains("not well-formed"), "{xml}: {error}");
    }
}

const MARKUP: &[&str] = &[
    "<value>",
    "</value>",
    "<int>",
    "</int>",
    "<i8>7</i8>",
    "<string>",
    "</string>",
    "<array>",
    "</array>",
    "<data>",
    "</data>",
    "<struct>",
    "</struct>",
    "<member>",
    "</member>",
    "<name>",
    "</name>",
    "<nil/>",
    "<value/>",
    "x",
    " ",
    "&amp;",
    "&#0;",
    "&x;",
    "&",
    "<![CDATA[",
    "]]>",
    "<!--",
    "-->",
    "<?x?>",
    "<",
    ">",
    "</param>",
    "</params>",
    "</methodResponse>",
    "<fault>",
    "</fault>",
    "=",
    "'",
];
