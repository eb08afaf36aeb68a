//! The values of XML-RPC as Koji speaks it: nil and 64-bit integers included (koji/xmlrpcplus.py).
//! Read by every typed call of this crate, and by the worker for task requests and results.

use std::sync::Arc;

/// One XML-RPC value.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// `<nil/>`, Python's `None`.
    #[default]
    Nil,
    /// `<boolean>`.
    Bool(bool),
    /// `<int>`, `<i4>`, `<i8>`.
    Int(i64),
    /// `<double>`.
    Double(f64),
    /// `<string>`, or bare text in `<value>`.
    String(String),
    /// `<base64>`.
    Bytes(Vec<u8>),
    /// `<dateTime.iso8601>`, kept as its text. The hub itself sends times as strings.
    DateTime(String),
    /// `<array>`.
    Array(Vec<Value>),
    /// `<struct>`, in the order of the wire. Names are shared: rows of one answer hold them once.
    Struct(Vec<(Arc<str>, Value)>),
}

impl Value {
    /// A struct from name and value pairs.
    pub fn from_pairs<K: Into<Arc<str>>>(pairs: impl IntoIterator<Item = (K, Value)>) -> Self {
        Value::Struct(pairs.into_iter().map(|(k, v)| (k.into(), v)).collect())
    }

    /// The member `name` of a struct; of two members with one name the last, as in Python. `None` for anything else.
    pub fn get(&self, name: &str) -> Option<&Value> {
        match self {
            Value::Struct(members) => members.iter().rev().find(|(k, _)| &**k == name).map(|(_, v)| v),
            _ => None,
        }
    }

    /// Whether this is nil.
    pub fn is_nil(&self) -> bool {
        matches!(self, Value::Nil)
    }

    /// The boolean, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(b) => Some(*b),
            _ => None,
        }
    }

    /// The integer, if it is one.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Value::Int(i) => Some(*i),
            _ => None,
        }
    }

    /// The number, if it is one; integers are converted.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Double(d) => Some(*d),
            #[allow(clippy::cast_precision_loss)] // loads and times, far below 2^53
            Value::Int(i) => Some(*i as f64),
            _ => None,
        }
    }

    /// The text, if it is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(s) => Some(s),
            _ => None,
        }
    }

    /// The elements, if it is an array.
    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Value::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The members, if it is a struct.
    pub fn as_struct(&self) -> Option<&[(Arc<str>, Value)]> {
        match self {
            Value::Struct(members) => Some(members),
            _ => None,
        }
    }

    /// The word for this kind of value in messages.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Nil => "nil",
            Value::Bool(_) => "a boolean",
            Value::Int(_) => "an integer",
            Value::Double(_) => "a double",
            Value::String(_) => "a string",
            Value::Bytes(_) => "base64 data",
            Value::DateTime(_) => "a dateTime",
            Value::Array(_) => "an array",
            Value::Struct(_) => "a struct",
        }
    }
}

macro_rules! from {
    ($($kind:ty => $variant:expr),* $(,)?) => {$(
        impl From<$kind> for Value {
            fn from(value: $kind) -> Self {
                #[allow(clippy::redundant_closure_call)]
                ($variant)(value)
            }
        }
    )*};
}
from! {
    bool => Value::Bool,
    i64 => Value::Int,
    i32 => |i| Value::Int(i64::from(i)),
    u32 => |i| Value::Int(i64::from(i)),
    f64 => Value::Double,
    String => Value::String,
    &str => |s: &str| Value::String(s.to_owned()),
    Vec<Value> => Value::Array,
    build_model::TaskId => |id: build_model::TaskId| Value::Int(id.0),
    build_model::BuildId => |id: build_model::BuildId| Value::Int(id.0),
    build_model::EventId => |id: build_model::EventId| Value::Int(id.0),
    build_model::RepoId => |id: build_model::RepoId| Value::Int(id.0),
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Nil, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_two_members_with_one_name_counts() {
        let row = Value::from_pairs([("a", Value::Int(1)), ("a", Value::Int(2))]);
        assert_eq!(row.get("a"), Some(&Value::Int(2)));
        assert_eq!(row.get("b"), None);
        assert_eq!(Value::Nil.get("a"), None);
    }

    #[test]
    fn an_absent_option_is_nil() {
        assert_eq!(Value::from(None::<&str>), Value::Nil);
        assert_eq!(Value::from(Some(7)), Value::Int(7));
    }
}
