//! How a refusal reaches the caller: `koji.ParameterError` (fault 1019), one sentence and a hint.

use build_model::Diagnose;
use pyo3::prelude::*;

/// The exception for an error of the model: its message, then the hint in a second sentence.
pub fn refusal(py: Python<'_>, error: &dyn Diagnose) -> PyErr {
    parameter_error(py, &sentence(&error.to_string(), error.hint().as_deref()))
}

/// `koji.ParameterError(message)`. `koji` is looked up per refusal: importing this module must not import anything.
pub fn parameter_error(py: Python<'_>, message: &str) -> PyErr {
    match py.import("koji").and_then(|koji| koji.getattr("ParameterError")?.call1((message,))) {
        Ok(exception) => PyErr::from_value(exception),
        Err(import_failed) => import_failed,
    }
}

/// One message out of a text and its hint: `Text. Hint.` Only what follows the first letter is left as it is.
pub fn sentence(text: &str, hint: Option<&str>) -> String {
    let parts = [Some(text), hint];
    let sentences: Vec<String> = parts
        .into_iter()
        .flatten()
        .filter(|part| !part.is_empty())
        .map(|part| {
            let mut chars = part.chars();
            let first: String = chars.next().map(|c| c.to_uppercase().collect()).unwrap_or_default();
            let end = if part.ends_with(['.', '?', '!']) { "" } else { "." };
            format!("{first}{}{end}", chars.as_str())
        })
        .collect();
    sentences.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_and_its_hint_make_two_sentences() {
        assert_eq!(
            sentence("unknown option `x`; did you mean `y`?", Some("see --help")),
            "Unknown option `x`; did you mean `y`? See --help."
        );
        assert_eq!(sentence("it failed", None), "It failed.");
    }
}
