//! The arguments of `buildContainer`, checked before a task exists. Called by the hub plugin's export of that name.

use std::str::FromStr;

use build_model::{BuildContainerParams, ParamsError, ScmUrl, nearest};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::convert::{to_json, to_python};
use crate::fence::fenced;
use crate::refusal::{parameter_error, refusal, sentence};

/// Koji's task priority when nothing is asked for; a lower number is sooner.
const PRIO_DEFAULT: i64 = 20;

/// Checks the arguments of one `buildContainer` call.
///
/// Returns `{"src", "target", "opts", "priority", "needs_admin"}`: the options hold only what says something (no nulls,
/// no false), `priority` is the task's absolute one, `needs_admin` is true when it is sooner than the default.
/// Raises `koji.ParameterError` with a sentence and a hint.
#[pyfunction]
#[pyo3(signature = (src, target, opts=None, priority=None))]
pub fn check_build_container<'py>(
    py: Python<'py>,
    src: &Bound<'py, PyAny>,
    target: &Bound<'py, PyAny>,
    opts: Option<&Bound<'py, PyAny>>,
    priority: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    fenced("buildContainer", || {
        let src = text(py, src, "the source", "give it as git+https://HOST/container/NAME.git#COMMIT")?;
        let target = text(py, target, "the target", "`koji list-targets` shows the targets there are")?;
        ScmUrl::from_str(&src).map_err(|e| refusal(py, &e))?;
        let opts = match opts {
            None => serde_json::Value::Null,
            Some(opts) => to_json(opts, "opts").map_err(|e| parameter_error(py, &sentence(&e.to_string(), None)))?,
        };
        let params = BuildContainerParams::from_opts(&opts)
            .map_err(|e| parameter_error(py, &sentence(&e.to_string(), hint_for(&e).as_deref())))?;
        let relative = relative_priority(py, priority)?;

        let checked = PyDict::new(py);
        checked.set_item("src", src)?;
        checked.set_item("target", target)?;
        checked.set_item("opts", to_python(py, &params.to_opts())?)?;
        checked.set_item("priority", relative.map(|n| PRIO_DEFAULT.saturating_add(n)))?;
        checked.set_item("needs_admin", relative.is_some_and(|n| n < 0))?;
        Ok(checked)
    })
}

/// A non-empty string argument.
fn text(py: Python<'_>, value: &Bound<'_, PyAny>, what: &str, hint: &str) -> PyResult<String> {
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

/// What to do about refused options, where the message does not say it itself.
fn hint_for(error: &ParamsError) -> Option<String> {
    match error {
        ParamsError::NotAStruct { .. } => Some("give the options as a struct like {\"git_branch\": \"f40\"}".to_owned()),
        ParamsError::UnknownKey { suggestion: None, .. } => {
            Some("`koji container-build --help` lists the options there are".to_owned())
        }
        ParamsError::Unsupported { .. } => Some("leave the option out".to_owned()),
        ParamsError::UnknownKey { .. } | ParamsError::WrongType { .. } | ParamsError::Invalid { .. } => None,
    }
}

/// The refusal text for a target that does not exist: names the nearest of `known`, the hub's targets.
#[pyfunction]
pub fn unknown_target(target: &str, known: Vec<String>) -> PyResult<String> {
    fenced("buildContainer", || {
        let near = nearest(target, known.iter().map(String::as_str));
        let hint = near.map(|name| format!("did you mean `{name}`?"));
        let text = format!("there is no build target `{target}`");
        Ok(sentence(&text, Some(hint.as_deref().unwrap_or("`koji list-targets` shows the targets there are"))))
    })
}
