//! The arguments of `buildSourceContainer`, checked before a task exists: options, and the build whose sources are wanted.
//! Called by the hub plugin's export of that name.

use build_model::{BuildId, Nvr, SourceBuildRow, SourceContainerParams};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde::Deserialize;

use crate::call_arguments::{options, params_refusal, priority_items, target_name};
use crate::convert::{to_json, to_python};
use crate::fence::fenced;
use crate::refusal::{parameter_error, refusal, sentence};

/// Checks the arguments of one `buildSourceContainer` call.
///
/// Returns `{"target", "opts", "priority", "needs_admin"}` as `check_build_container` does. Raises `koji.ParameterError`.
#[pyfunction]
#[pyo3(signature = (target, opts=None, priority=None))]
pub fn check_build_source_container<'py>(
    py: Python<'py>,
    target: &Bound<'py, PyAny>,
    opts: Option<&Bound<'py, PyAny>>,
    priority: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    fenced("buildSourceContainer", || {
        let target = target_name(py, target)?;
        let params = read(py, &options(py, opts)?)?;
        let checked = PyDict::new(py);
        checked.set_item("target", target)?;
        checked.set_item("opts", to_python(py, &params.to_opts())?)?;
        priority_items(py, &checked, priority)?;
        Ok(checked)
    })
}

/// Checks the build that checked options name: `by_id` and `by_nvr` are rows of the hub, None where there is no such build.
///
/// Returns the options with both number and name of the build. Raises `koji.ParameterError`.
#[pyfunction]
pub fn check_source_build<'py>(
    py: Python<'py>,
    opts: &Bound<'py, PyAny>,
    by_id: &Bound<'py, PyAny>,
    by_nvr: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    fenced("buildSourceContainer", || {
        let mut params = read(py, &options(py, Some(opts))?)?;
        let build = params.source_build(row(py, by_id)?, row(py, by_nvr)?).map_err(|error| refusal(py, &error))?;
        (params.koji_build_id, params.koji_build_nvr) = (Some(build.id), Some(build.nvr));
        to_python(py, &params.to_opts())
    })
}

fn read(py: Python<'_>, opts: &serde_json::Value) -> PyResult<SourceContainerParams> {
    SourceContainerParams::from_opts(opts).map_err(|e| params_refusal(py, &e, "koji source-container-build --help"))
}

/// A row of the hub's `getBuild`.
#[derive(Deserialize)]
struct Row {
    id: i64,
    name: String,
    version: String,
    release: String,
    state: i64,
    #[serde(default)]
    extra: serde_json::Value,
}

fn row(py: Python<'_>, value: &Bound<'_, PyAny>) -> PyResult<Option<SourceBuildRow>> {
    let bad = |text: String| {
        let text = format!("the hub's record of the build cannot be read ({text})");
        parameter_error(py, &sentence(&text, Some("this is for the administrators of the hub")))
    };
    let json = to_json(value, "build").map_err(|e| bad(e.to_string()))?;
    let row: Option<Row> = serde_json::from_value(json).map_err(|e| bad(e.to_string()))?;
    Ok(row.map(|row| SourceBuildRow {
        id: BuildId(row.id),
        nvr: Nvr { name: row.name, version: row.version, release: row.release },
        state: row.state,
        extra: row.extra,
    }))
}
