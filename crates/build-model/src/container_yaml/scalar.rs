//! What a scalar of YAML means. The earlier service read the file with PyYAML, so its words for true and false count.

/// The type of a scalar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scalar {
    /// Nothing, or `null` or `~`.
    Null,
    /// `true`, `yes`, `on`, …
    Flag(bool),
    /// Looks like a number; the text as it is in the file.
    Number(String),
    /// Everything else, and everything in quotes.
    Text(String),
}

impl Scalar {
    /// The meaning of an unquoted scalar.
    pub(super) fn plain(text: &str) -> Self {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => Scalar::Null,
            "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Scalar::Flag(true),
            "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Scalar::Flag(false),
            _ if is_number(text) => Scalar::Number(text.to_owned()),
            _ => Scalar::Text(text.to_owned()),
        }
    }

    /// A number that is whole, not negative and written in the usual way: `010` would be 8 to some readers, 10 to others.
    pub(super) fn whole(&self) -> Option<u64> {
        match self {
            Scalar::Number(text) if text == "0" || !text.starts_with(['0', '+']) => text.parse().ok(),
            _ => None,
        }
    }
}

/// Integers and floats of YAML 1.1 and 1.2, without base 60.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(digits, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let based = [("0x", 16), ("0o", 8), ("0b", 2)];
    if let Some((rest, base)) = based.iter().find_map(|(prefix, base)| Some((digits.strip_prefix(prefix)?, *base))) {
        return !rest.is_empty() && rest.chars().all(|c| c == '_' || c.is_digit(base));
    }
    let starts = digits.strip_prefix('.').unwrap_or(digits).starts_with(|c: char| c.is_ascii_digit());
    starts && digits.replace('_', "").parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unquoted_words_are_what_pyyaml_takes_them_for() {
        for text in ["1", "-1", "1.0", "1e3", "0x1f", "0o17", "010", "1_000", ".5", ".inf"] {
            assert_eq!(Scalar::plain(text), Scalar::Number(text.into()));
        }
        for text in ["1.2.3", "inf", "nan", "x86_64", "1-2", "v1", "0x", "-", ".", "1.0-beta", "tRue", "y"] {
            assert_eq!(Scalar::plain(text), Scalar::Text(text.into()));
        }
        assert_eq!((Scalar::plain("~"), Scalar::plain("yes")), (Scalar::Null, Scalar::Flag(true)));
    }

    #[test]
    fn whole_numbers_are_decimal_and_not_ambiguous() {
        let whole = |text| Scalar::plain(text).whole();
        assert_eq!((whole("0"), whole("3600"), whole("18446744073709551615")), (Some(0), Some(3600), Some(u64::MAX)));
        for text in ["010", "-1", "+1", "1.0", "1e3", "1_000", "0x10", "18446744073709551616", "true", ""] {
            assert_eq!(whole(text), None, "{text}");
        }
    }
}
