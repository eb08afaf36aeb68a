//! The JSON form of an instruction's arguments: `["a", "b"]`, strictly JSON (engine notes L7).

use serde_json::Value;

/// What a text is, taken as JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum JsonForm {
    /// An array of strings.
    Strings(Vec<String>),
    /// A JSON array with something else in it: always a mistake, never shell text.
    NotStrings,
    /// No JSON array: the other form of the instruction.
    NotJson,
}

/// Reads a text that may be a JSON array.
pub(super) fn read(text: &str) -> JsonForm {
    if !text.starts_with('[') {
        return JsonForm::NotJson;
    }
    let Ok(Value::Array(values)) = serde_json::from_str(text) else { return JsonForm::NotJson };
    let strings: Option<Vec<String>> = values
        .into_iter()
        .map(|v| match v {
            Value::String(s) => Some(s),
            _ => None,
        })
        .collect();
    strings.map_or(JsonForm::NotStrings, JsonForm::Strings)
}

/// Whether a text that is no JSON was surely meant to be: it begins with `["` or `['`, and ends with `]`.
pub(super) fn looks_meant(text: &str) -> bool {
    let inside = text.strip_prefix('[').map(str::trim_start).unwrap_or_default();
    inside.starts_with(['"', '\'', '“', '‘']) && text.trim_end().ends_with(']') && !inside.starts_with("\" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_strict_json_is_the_json_form() {
        assert_eq!(read(r#"["a", "\u0041\n"]"#), JsonForm::Strings(vec!["a".into(), "A\n".into()]));
        assert_eq!(read("[]"), JsonForm::Strings(vec![]));
        for text in ["['a']", r#"["a",]"#, r#"["a"] b"#, r#"["a""#, "[ -f x ]", "a", "", "[\"a\tb\"]"] {
            assert_eq!(read(text), JsonForm::NotJson, "{text}");
        }
        for text in ["[1]", r#"["a", ["b"]]"#, "[null]", r#"[{"a":"b"}]"#] {
            assert_eq!(read(text), JsonForm::NotStrings, "{text}");
        }
        // Deep nesting must not exhaust the stack.
        assert_eq!(read(&"[".repeat(100_000)), JsonForm::NotJson);
    }
}
