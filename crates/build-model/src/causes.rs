//! Errors with what caused them, as text. Used wherever an error becomes a line of a log, a verdict or another error's text.

use std::error::Error;

/// An error and all its causes, outermost first, in one line.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// The last cause alone, for libraries whose outer errors say nothing: it names the host, the certificate, the file.
pub fn innermost(error: &dyn Error) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] std::num::ParseIntError);

    #[test]
    fn causes_are_told_in_order_or_the_last_one_alone() {
        let cause = "x".parse::<u8>().expect_err("no number");
        let error = Outer(cause.clone());
        assert_eq!(chain(&error), format!("outer: {cause}"));
        assert_eq!(innermost(&error), cause.to_string());
        assert_eq!((chain(&cause), innermost(&cause)), (cause.to_string(), cause.to_string()));
    }
}
