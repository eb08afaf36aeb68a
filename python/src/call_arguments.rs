//! The arguments that `buildContainer` and `buildSourceContainer` have in common: target, options, priority. A refusal is
//! `koji.ParameterError` with a sentence and a hint.

use build_model::ParamsError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::convert::to_json;
use crate::refusal::{parameter_error, sentence};

/// Koji's task priority when nothing is asked for; a lower number is sooner.
const PRIO_DEFAULT: i64 = 20;

/// A non-empty string argument.
pub fn text(py: Python<'_>, value: &Bound<'_, PyAny>, what: &str, hint: &str) -> PyResult<String> {
    let text = value.extract::<String>().unwrap_or_default();
    if text.trim().is_empty() {
        return Err(parameter_error(py, &sentence(&format!("{what} must be a non-empty string"), Some(hint))));
    }
    Ok(text)
}

/// The relative priority: null and 0 mean the default. Bounded, as the hub's column is a 32-bit integer.
fn relative_priority(py: Python<'_>, value: Option<&Bound<'_, PyAny>>) -> PyResult<Option<i64>> {
    let Some(value) = value else { return Ok(None) };
    let is_bool = value.is_instance_of::<pyo3::types::PyBool>();
    match value.extract::<i64>() {
        Ok(0) if !is_bool => Ok(None),
        Ok(number) if !is_bool && (-1000..=1000).contains(&number) => Ok(Some(number)),
        _ => Err(parameter_error(
            py,
            &sentence(
                "the priority must be an integer from -1000 to 1000",
                Some("it is relative: 5 runs after ordinary tasks, a negative one before them"),
            ),
        )),
    }
}

/// The target's name.
pub fn target_name(py: Python<'_>, value: &Bound<'_, PyAny>) -> PyResult<String> {
    text(py, value, "the target", "`koji list-targets` shows the targets there are")
}

/// The options as JSON; null when none are given.
pub fn options(py: Python<'_>, opts: Option<&Bound<'_, PyAny>>) -> PyResult<serde_json::Value> {
    match opts {
        None => Ok(serde_json::Value::Null),
        Some(opts) => to_json(opts, "opts").map_err(|e| parameter_error(py, &sentence(&e.to_string(), None))),
    }
}

/// Puts `priority` (the task's absolute one, or None) and `needs_admin` (sooner than the default) into the answer.
pub fn priority_items(py: Python<'_>, checked: &Bound<'_, PyDict>, priority: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
    let relative = relative_priority(py, priority)?;
    checked.set_item("priority", relative.map(|n| PRIO_DEFAULT.saturating_add(n)))?;
    checked.set_item("needs_admin", relative.is_some_and(|n| n < 0))
}

/// The exception for refused options; `help` is the command that lists them.
pub fn params_refusal(py: Python<'_>, error: &ParamsError, help: &str) -> PyErr {
    // What to do, where the message does not say it itself.
    let hint = match error {
        ParamsError::NotAStruct { .. } => Some("give the options as a struct like {\"git_branch\": \"f40\"}".to_owned()),
        ParamsError::UnknownKey { suggestion: None, .. } => Some(format!("`{help}` lists the options there are")),
        ParamsError::Unsupported { .. } => Some("leave the option out".to_owned()),
        ParamsError::UnknownKey { .. } | ParamsError::WrongType { .. } | ParamsError::Invalid { .. } => None,
    };
    parameter_error(py, &sentence(&error.to_string(), hint.as_deref()))
}
