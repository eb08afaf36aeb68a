//! `containerbuild_hub`: the decisions of the hub plugin, as a Python extension module.
//!
//! The plugin itself must be a Python file (Koji's loader renames what it loads, and decorates functions), so
//! `koji-plugin/hub/containerbuild.py` is a shim that calls these functions. They only look at their arguments:
//! no network, no processes, no files, no state between calls.
//! Refusals are `koji.ParameterError` (fault 1019); a panic becomes a plain `RuntimeError`, because `PanicException`
//! is no `Exception` and would pass the hub's own error handling as an HTTP 500.

mod build_container;
mod build_source_container;
mod call_arguments;
mod convert;
mod fence;
mod import_check;
mod refusal;

use pyo3::prelude::*;

/// Validation and import checks for the containerbuild hub plugin.
#[pymodule(gil_used = false)]
mod containerbuild_hub {
    #[pymodule_export]
    use crate::build_container::{check_build_container, unknown_target};
    #[pymodule_export]
    use crate::build_source_container::{check_build_source_container, check_source_build};
    #[pymodule_export]
    use crate::import_check::{check_import, container_import};

    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
