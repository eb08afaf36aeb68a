//! Reading typed rows from hub answers. Extra members are ignored (every Koji release adds some), missing and
//! mistyped ones are named in the error.

use crate::{HubError, Value};

/// A value together with the method that answered it, for messages.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    method: &'static str,
    pub value: &'a Value,
}

impl<'a> Row<'a> {
    pub fn new(method: &'static str, value: &'a Value) -> Self {
        Self { method, value }
    }

    pub fn wrong(&self, problem: impl Into<String>) -> HubError {
        HubError::Answer { method: self.method.to_owned(), problem: problem.into() }
    }

    fn mistyped(&self, key: &str, expected: &str, found: Option<&Value>) -> HubError {
        match found {
            Some(value) => self.wrong(format!("`{key}` is {}, not {expected}", value.type_name())),
            None if self.value.as_struct().is_some() => self.wrong(format!("`{key}` is missing")),
            None => self.wrong(format!("it is {}, not a struct with `{key}`", self.value.type_name())),
        }
    }

    /// A member that is there and not nil.
    pub fn member(&self, key: &str) -> Option<&'a Value> {
        self.value.get(key).filter(|v| !v.is_nil())
    }

    /// This row, or `None` when the hub answered nil.
    pub fn some(self) -> Option<Self> {
        (!self.value.is_nil()).then_some(self)
    }

    pub fn int(&self, key: &str) -> Result<i64, HubError> {
        let found = self.value.get(key);
        found.and_then(Value::as_i64).ok_or_else(|| self.mistyped(key, "an integer", found))
    }

    pub fn opt_int(&self, key: &str) -> Result<Option<i64>, HubError> {
        self.member(key).map(|_| self.int(key)).transpose()
    }

    pub fn float(&self, key: &str) -> Result<f64, HubError> {
        let found = self.value.get(key);
        found.and_then(Value::as_f64).ok_or_else(|| self.mistyped(key, "a number", found))
    }

    pub fn opt_float(&self, key: &str) -> Result<Option<f64>, HubError> {
        self.member(key).map(|_| self.float(key)).transpose()
    }

    pub fn string(&self, key: &str) -> Result<String, HubError> {
        let found = self.value.get(key);
        found.and_then(Value::as_str).map(str::to_owned).ok_or_else(|| self.mistyped(key, "a string", found))
    }

    pub fn opt_string(&self, key: &str) -> Result<Option<String>, HubError> {
        self.member(key).map(|_| self.string(key)).transpose()
    }

    pub fn bool(&self, key: &str) -> Result<bool, HubError> {
        let found = self.value.get(key);
        found.and_then(Value::as_bool).ok_or_else(|| self.mistyped(key, "a boolean", found))
    }

    /// A boolean that is false when absent or nil.
    pub fn flag(&self, key: &str) -> Result<bool, HubError> {
        self.member(key).map_or(Ok(false), |_| self.bool(key))
    }

    /// A member of any type, nil when absent.
    pub fn any(&self, key: &str) -> Value {
        self.value.get(key).cloned().unwrap_or_default()
    }

    /// The whole answer as text.
    pub fn text(&self) -> Result<String, HubError> {
        let text = self.value.as_str().map(str::to_owned);
        text.ok_or_else(|| self.wrong(format!("it is {}, not a string", self.value.type_name())))
    }

    /// The whole answer as an integer.
    pub fn number(&self) -> Result<i64, HubError> {
        self.value.as_i64().ok_or_else(|| self.wrong(format!("it is {}, not an integer", self.value.type_name())))
    }

    /// The whole answer as a list of rows.
    pub fn rows(self) -> Result<impl Iterator<Item = Row<'a>>, HubError> {
        let rows = self.value.as_array().ok_or_else(|| self.wrong(format!("it is {}, not a list", self.value.type_name())))?;
        Ok(rows.iter().map(move |value| Row { method: self.method, value }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_member_and_what_was_found() {
        let value = Value::from_pairs([("id", Value::from("7")), ("gone", Value::Nil)]);
        let row = Row::new("getThing", &value);
        assert_eq!(
            row.int("id").expect_err("a string").to_string(),
            "the answer to getThing is not what Koji documents: `id` is a string, not an integer"
        );
        assert!(row.int("none").expect_err("absent").to_string().ends_with("`none` is missing"));
        assert!(row.string("gone").expect_err("nil").to_string().ends_with("`gone` is nil, not a string"));
        assert_eq!(row.opt_int("gone").expect("nil is none"), None);
        assert!(Row::new("x", &Value::Nil).int("a").expect_err("nil").to_string().contains("it is nil"));
    }
}
