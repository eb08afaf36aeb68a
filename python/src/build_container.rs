//! The arguments of `buildContainer`, checked before a task exists. Called by the hub plugin's export of that name.

use std::str::FromStr;

use build_model::{BuildContainerParams, ScmUrl, nearest};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::call_arguments::{options, params_refusal, priority_items, target_name, text};
use crate::convert::to_python;
use crate::fence::fenced;
use crate::refusal::{refusal, sentence};

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
        let target = target_name(py, target)?;
        ScmUrl::from_str(&src).map_err(|e| refusal(py, &e))?;
        let params = BuildContainerParams::from_opts(&options(py, opts)?)
            .map_err(|e| params_refusal(py, &e, "koji container-build --help"))?;

        let checked = PyDict::new(py);
        checked.set_item("src", src)?;
        checked.set_item("target", target)?;
        checked.set_item("opts", to_python(py, &params.to_opts())?)?;
        priority_items(py, &checked, priority)?;
        Ok(checked)
    })
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
