//! Durations as Go's `time.ParseDuration` reads them (`1h30m`, `1.5s`, `300ms`): HEALTHCHECK's times.

use std::time::Duration;

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not numbers with units.
    #[error("`{0}` is not a duration like 30s or 1m30s")]
    Syntax(String),
    /// A number without a unit.
    #[error("`{0}` has no unit (ns, us, ms, s, m, h)")]
    NoUnit(String),
    /// More than 292 years, the most Go can hold.
    #[error("`{0}` is too long a duration")]
    TooLong(String),
    /// Less than nothing.
    #[error("`{0}` is a negative duration")]
    Negative(String),
}

/// Reads a Go duration; `0` needs no unit.
///
/// # Errors
/// Any text that Go would refuse, and negative durations.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let syntax = || DurationError::Syntax(text.to_owned());
    let too_long = || DurationError::TooLong(text.to_owned());
    let (negative, unsigned) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    if unsigned == "0" {
        return Ok(Duration::ZERO);
    }
    if unsigned.is_empty() {
        return Err(syntax());
    }
    let mut nanos: u128 = 0;
    let mut rest = unsigned;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(number_end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(syntax());
        }
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, after) = tail.split_at(unit_end);
        let unit: u128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "" => return Err(DurationError::NoUnit(text.to_owned())),
            _ => return Err(syntax()),
        };
        if whole.len() > 19 {
            return Err(too_long());
        }
        let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| syntax())? };
        nanos += whole * unit;
        // Digits below a nanosecond of any unit are dropped, as Go drops them.
        let mut scale = unit;
        for digit in fraction.bytes() {
            scale /= 10;
            nanos += u128::from(digit - b'0') * scale;
        }
        if nanos > i64::MAX as u128 {
            return Err(too_long());
        }
        rest = after;
    }
    if negative && nanos > 0 {
        return Err(DurationError::Negative(text.to_owned()));
    }
    u64::try_from(nanos).map(Duration::from_nanos).map_err(|_| too_long())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_durations_are_read() {
        for (text, millis) in [
            ("30s", 30_000),
            ("1m30s", 90_000),
            ("1.5s", 1_500),
            (".5h", 1_800_000),
            ("300ms", 300),
            ("0", 0),
            ("-0s", 0),
            ("1h1m1s", 3_661_000),
        ] {
            assert_eq!(parse_duration(text).expect(text), Duration::from_millis(millis), "{text}");
        }
        assert_eq!(parse_duration("1µs").expect("micro"), Duration::from_micros(1));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "5", "s", "1x", "-1s", "1.2.3s", "1 s", "300y", "9999999h", "99999999999999999999s", "+", "1s-1s", "."] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
