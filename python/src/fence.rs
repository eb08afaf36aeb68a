//! The fence around every exported function: a panic becomes a plain `RuntimeError`.
//!
//! pyo3 would raise `PanicException`, a `BaseException`; the hub catches `Exception`, so a bug here would end the
//! request with HTTP 500 and no fault the client can show.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

/// Runs `work`; what it panics with becomes the message of a `RuntimeError`.
pub fn fenced<T>(what: &str, work: impl FnOnce() -> PyResult<T>) -> PyResult<T> {
    // The closures hold no state that outlives them, so a half-done one cannot be seen afterwards.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let message = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".to_owned());
        Err(PyRuntimeError::new_err(format!("{what} met a bug in containerbuild's hub extension: {message}; please report it")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_comes_back_as_a_plain_exception() {
        Python::initialize();
        let error = fenced::<()>("check", || panic!("index 7 of 3")).expect_err("the panic is reported");
        Python::attach(|py| {
            assert!(error.is_instance_of::<PyRuntimeError>(py));
            assert!(error.to_string().contains("index 7 of 3"), "{error}");
        });
    }
}
