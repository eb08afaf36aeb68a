//! Python values of an XML-RPC call to JSON and back.
//!
//! Only what XML-RPC can carry into `opts` and import metadata: null, booleans, 64-bit integers, floats, text, lists, structs.

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use serde_json::{Map, Number, Value};

/// Deeper nesting than any metadata has; a bound, so that a hostile value cannot exhaust the stack.
const DEPTH: usize = 64;

/// Why a Python value has no JSON form.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// Another type, like bytes or a date.
    #[error("in {path} there is a value of type {type_name}, which cannot be used here")]
    Type {
        /// Where, like `opts["userdata"][0]`.
        path: String,
        /// The Python type.
        type_name: String,
    },
    /// Not a 64-bit integer or not a finite number.
    #[error("in {path} there is a number that is out of range")]
    Range {
        /// Where.
        path: String,
    },
    /// A key that is no text.
    #[error("in {path} there is a key that is not a string")]
    Key {
        /// Where.
        path: String,
    },
    /// Nested too deeply, or containing itself.
    #[error("{path} is nested too deeply")]
    Depth {
        /// Where.
        path: String,
    },
}

/// The JSON form of `value`; `path` is its name in messages.
///
/// # Errors
/// [`ConvertError`] with the place of the first part that has no JSON form.
pub fn to_json(value: &Bound<'_, PyAny>, path: &str) -> Result<Value, ConvertError> {
    convert(value, path, DEPTH)
}

fn convert(value: &Bound<'_, PyAny>, path: &str, depth: usize) -> Result<Value, ConvertError> {
    let Some(depth) = depth.checked_sub(1) else { return Err(ConvertError::Depth { path: path.to_owned() }) };
    let range = || ConvertError::Range { path: path.to_owned() };
    if value.is_none() {
        Ok(Value::Null)
    } else if let Ok(on) = value.cast::<PyBool>() {
        Ok(Value::Bool(on.is_true()))
    } else if value.is_instance_of::<PyInt>() {
        value.extract::<i64>().map(Value::from).map_err(|_| range())
    } else if value.is_instance_of::<PyFloat>() {
        let number = value.extract::<f64>().ok().and_then(Number::from_f64);
        number.map(Value::Number).ok_or_else(range)
    } else if value.is_instance_of::<PyString>() {
        // a lone surrogate has no UTF-8 form
        value
            .extract::<String>()
            .map(Value::String)
            .map_err(|_| ConvertError::Type { path: path.to_owned(), type_name: "text that is not valid Unicode".to_owned() })
    } else if let Ok(list) = value.cast::<PyList>() {
        list.iter().enumerate().map(|(n, item)| convert(&item, &format!("{path}[{n}]"), depth)).collect()
    } else if let Ok(tuple) = value.cast::<PyTuple>() {
        tuple.iter().enumerate().map(|(n, item)| convert(&item, &format!("{path}[{n}]"), depth)).collect()
    } else if let Ok(dict) = value.cast::<PyDict>() {
        let mut map = Map::new();
        for (key, item) in dict.iter() {
            let key: String = key.extract().map_err(|_| ConvertError::Key { path: path.to_owned() })?;
            let item = convert(&item, &format!("{path}[{key:?}]"), depth)?;
            map.insert(key, item);
        }
        Ok(Value::Object(map))
    } else {
        let type_name = value.get_type().name().map(|name| name.to_string()).unwrap_or_else(|_| "value".to_owned());
        Err(ConvertError::Type { path: path.to_owned(), type_name })
    }
}

/// The Python form of `value`.
///
/// # Errors
/// Only what Python itself raises while objects are made.
pub fn to_python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    match value {
        Value::Null => Ok(py.None().into_bound(py)),
        Value::Bool(on) => Ok(PyBool::new(py, *on).to_owned().into_any()),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(int), _) => Ok(int.into_pyobject(py)?.into_any()),
            (None, Some(int)) => Ok(int.into_pyobject(py)?.into_any()),
            (None, None) => Ok(number.as_f64().into_pyobject(py)?),
        },
        Value::String(text) => Ok(PyString::new(py, text).into_any()),
        Value::Array(items) => {
            let list = PyList::empty(py);
            for item in items {
                list.append(to_python(py, item)?)?;
            }
            Ok(list.into_any())
        }
        Value::Object(map) => {
            let dict = PyDict::new(py);
            for (key, item) in map {
                dict.set_item(key, to_python(py, item)?)?;
            }
            Ok(dict.into_any())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eval(code: &str) -> Result<Value, String> {
        Python::initialize();
        Python::attach(|py| {
            let code = std::ffi::CString::new(code).expect("no NUL");
            let value = py.eval(&code, None, None).expect("an expression");
            to_json(&value, "opts").map_err(|e| e.to_string())
        })
    }

    #[test]
    fn what_xmlrpc_can_carry_is_converted() {
        let json = eval("{'a': None, 'b': [True, 2**40, 1.5, 'ü'], 'c': ({},)}").expect("convertible");
        assert_eq!(json, serde_json::json!({"a": null, "b": [true, 1u64 << 40, 1.5, "ü"], "c": [{}]}));
    }

    #[test]
    fn what_it_cannot_carry_is_named_with_its_place() {
        assert_eq!(
            eval("{'a': [b'x']}").expect_err("bytes"),
            "in opts[\"a\"][0] there is a value of type bytes, which cannot be used here"
        );
        assert_eq!(eval("{'a': 2**70}").expect_err("too big"), "in opts[\"a\"] there is a number that is out of range");
        assert_eq!(eval("{1: 2}").expect_err("key"), "in opts there is a key that is not a string");
        assert!(eval("(lambda a: (a.append(a), a)[1])([])").expect_err("endless").ends_with("is nested too deeply"));
    }
}
