//! Between XML-RPC values and JSON, for parameters checked as JSON and for results written as JSON.

use std::sync::Arc;

use base64::Engine as _;
use serde_json::Value as Json;

use crate::Value;

impl Value {
    /// The same value as JSON. Base64 data becomes its base64 text, a dateTime its text, NaN and infinities null.
    pub fn to_json(&self) -> Json {
        match self {
            Value::Nil => Json::Null,
            Value::Bool(b) => Json::Bool(*b),
            Value::Int(i) => Json::from(*i),
            Value::Double(d) => Json::from(*d),
            Value::String(s) | Value::DateTime(s) => Json::String(s.clone()),
            Value::Bytes(bytes) => Json::String(base64::engine::general_purpose::STANDARD.encode(bytes)),
            Value::Array(items) => items.iter().map(Value::to_json).collect(),
            Value::Struct(members) => members.iter().map(|(k, v)| (k.to_string(), v.to_json())).collect(),
        }
    }

    /// The value for a piece of JSON. Integers beyond 64 bits become doubles.
    pub fn from_json(json: &Json) -> Self {
        match json {
            Json::Null => Value::Nil,
            Json::Bool(b) => Value::Bool(*b),
            Json::Number(n) => match n.as_i64() {
                Some(i) => Value::Int(i),
                None => Value::Double(n.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(s) => Value::String(s.clone()),
            Json::Array(items) => Value::Array(items.iter().map(Value::from_json).collect()),
            Json::Object(map) => Value::Struct(map.iter().map(|(k, v)| (Arc::from(k.as_str()), Value::from_json(v))).collect()),
        }
    }
}

impl From<&Json> for Value {
    fn from(json: &Json) -> Self {
        Value::from_json(json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_survives_the_way_there_and_back() {
        let json = serde_json::json!({"a": [1, 2.5, null, true, "x"], "b": {"c": -9_000_000_000_i64}});
        assert_eq!(Value::from_json(&json).to_json(), json);
    }

    #[test]
    fn what_json_lacks_becomes_text_or_null() {
        assert_eq!(Value::Bytes(vec![0, 255]).to_json(), serde_json::json!("AP8="));
        assert_eq!(Value::Double(f64::NAN).to_json(), Json::Null);
        assert_eq!(Value::from_json(&serde_json::json!(u64::MAX)), Value::Double(18_446_744_073_709_551_615.0));
    }
}
