//! The options of a task as clients send them, `{"name": value}`: reading one value of a wanted type, and what can be wrong
//! with it. Shared by the options of `buildContainer` (`container_params.rs`) and `buildSourceContainer`
//! (`source_container_params.rs`).
//!
//! Every key may be null: rpkg sends all the keys it knows.

use serde_json::{Map, Value};

use crate::{Blame, Diagnose, nearest};

/// Why options are refused. `key` names the culprit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParamsError {
    /// The options are not a struct.
    #[error("the options must be a struct, not {found}")]
    NotAStruct {
        /// What was given instead.
        found: &'static str,
    },
    /// A key nobody knows.
    #[error("unknown option `{key}`{}", suggestion.map(|s| format!("; did you mean `{s}`?")).unwrap_or_default())]
    UnknownKey {
        /// The key given.
        key: String,
        /// The nearest valid key.
        suggestion: Option<&'static str>,
    },
    /// A value of the wrong type.
    #[error("option `{key}` must be {expected}, not {found}")]
    WrongType {
        /// The key.
        key: &'static str,
        /// What it should be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// A value that breaks a rule.
    #[error("option `{key}`: {rule}")]
    Invalid {
        /// The key.
        key: &'static str,
        /// The rule.
        rule: String,
    },
    /// A feature of the earlier service that this one does not have.
    #[error("option `{key}` is not supported: {reason}")]
    Unsupported {
        /// The key.
        key: &'static str,
        /// Why, and what to do instead.
        reason: &'static str,
    },
}

impl Diagnose for ParamsError {
    fn blame(&self) -> Blame {
        Blame::Packager
    }
    fn kind(&self) -> &'static str {
        match self {
            ParamsError::NotAStruct { .. } | ParamsError::WrongType { .. } => "option-type",
            ParamsError::UnknownKey { .. } => "option-unknown",
            ParamsError::Invalid { .. } => "option-invalid",
            ParamsError::Unsupported { .. } => "option-unsupported",
        }
    }
}

/// The options as a map; null means none were given.
///
/// # Errors
/// [`ParamsError::NotAStruct`].
pub(crate) fn map_of(opts: &Value) -> Result<Map<String, Value>, ParamsError> {
    match opts {
        Value::Null => Ok(Map::new()),
        Value::Object(map) => Ok(map.clone()),
        other => Err(ParamsError::NotAStruct { found: type_name(other) }),
    }
}

/// Refuses keys that are not in `keys`, and keys of `unsupported` (with the reason) that say something: null, false and
/// empty values say nothing.
///
/// # Errors
/// [`ParamsError::UnknownKey`] or [`ParamsError::Unsupported`].
pub(crate) fn check_keys(
    map: &Map<String, Value>,
    keys: &'static [&'static str],
    unsupported: &[(&'static str, &'static str)],
) -> Result<(), ParamsError> {
    if let Some(key) = map.keys().find(|k| !keys.contains(&k.as_str())) {
        return Err(ParamsError::UnknownKey { key: key.clone(), suggestion: nearest(key, keys.iter().copied()) });
    }
    for (key, reason) in unsupported {
        let says_nothing = match map.get(*key) {
            None | Some(Value::Null | Value::Bool(false)) => true,
            Some(Value::Array(items)) => items.is_empty(),
            Some(Value::String(text)) => text.is_empty(),
            Some(_) => false,
        };
        if !says_nothing {
            return Err(ParamsError::Unsupported { key, reason });
        }
    }
    Ok(())
}

pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a struct",
    }
}

pub(crate) fn wrong(key: &'static str, expected: &'static str, value: &Value) -> ParamsError {
    ParamsError::WrongType { key, expected, found: type_name(value) }
}

pub(crate) fn boolean(map: &Map<String, Value>, key: &'static str) -> Result<bool, ParamsError> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(on)) => Ok(*on),
        Some(other) => Err(wrong(key, "a boolean", other)),
    }
}

/// An empty string counts as not given: old clients send it for unset options.
pub(crate) fn string(map: &Map<String, Value>, key: &'static str) -> Result<Option<String>, ParamsError> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(other) => Err(wrong(key, "a string", other)),
    }
}

pub(crate) fn userdata(map: &Map<String, Value>) -> Result<Option<Map<String, Value>>, ParamsError> {
    match map.get("userdata") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(data)) => Ok(Some(data.clone())),
        Some(other) => Err(wrong("userdata", "a struct", other)),
    }
}
