//! The value of an `Authorization` header: what a server is shown to let somebody in. In nobody's `Debug` text, and never on
//! a command line, which everybody on the machine can read.

use std::fmt;

/// One line of printable ASCII.
#[derive(Clone, PartialEq, Eq)]
pub struct Authorization(String);

impl Authorization {
    /// The value; blanks around it, such as the line end of a file, are dropped. `None` when it could be no header.
    pub fn new(value: &str) -> Option<Self> {
        let value = value.trim();
        let printable = value.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
        (printable && !value.is_empty()).then(|| Self(value.to_owned()))
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorization")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_one_line_that_nothing_prints() {
        let value = Authorization::new(" Bearer x\n").expect("a value");
        assert_eq!((value.as_str(), format!("{value:?}").as_str()), ("Bearer x", "Authorization"));
        for bad in ["", " \n", "a\r\nHost: other", "a\0b", "schlüssel"] {
            assert_eq!(Authorization::new(bad), None, "{bad:?}");
        }
    }
}
