//! Extended header records: `LENGTH KEY=VALUE\n`, where the length counts itself (POSIX pax).

use super::error::TarError;

/// Keys and values, in order.
type Records<'a> = Vec<(&'a [u8], &'a [u8])>;

/// Splits the content of an extended header into its records, in order.
pub(super) fn parse(mut data: &[u8], offset: u64) -> Result<Records<'_>, TarError> {
    let bad = || TarError::Extension { offset };
    let mut records = Vec::new();
    // Some writers fill the last block with NULs and count them in.
    while !data.is_empty() && data.iter().any(|b| *b != 0) {
        let blank = data.iter().take(20).position(|b| *b == b' ').ok_or_else(bad)?;
        let length = decimal(data.get(..blank).ok_or_else(bad)?).ok_or_else(bad)?;
        let length = usize::try_from(length).map_err(|_| bad())?;
        let record = data.get(blank + 1..length).ok_or_else(bad)?;
        let record = record.strip_suffix(b"\n").ok_or_else(bad)?;
        let equals = record.iter().position(|b| *b == b'=').ok_or_else(bad)?;
        let (key, value) = record.split_at(equals);
        records.push((key, value.get(1..).unwrap_or_default()));
        data = data.get(length..).ok_or_else(bad)?;
    }
    Ok(records)
}

/// Appends a record.
pub(super) fn push(data: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = 1 + key.len() + 1 + value.len() + 1;
    let mut digits = 1;
    // The length includes its own digits: one more round when they push it over a power of ten.
    while digits != (digits + rest).to_string().len() {
        digits = (digits + rest).to_string().len();
    }
    data.extend_from_slice((digits + rest).to_string().as_bytes());
    data.push(b' ');
    data.extend_from_slice(key);
    data.push(b'=');
    data.extend_from_slice(value);
    data.push(b'\n');
}

/// A decimal number without sign.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// `[-]SECONDS[.FRACTION]` as seconds and nanoseconds after them.
pub(super) fn time(text: &[u8]) -> Option<(i64, u32)> {
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut parts = text.splitn(2, |b| *b == b'.');
    let seconds = i64::try_from(decimal(parts.next()?)?).ok()?;
    let mut nanos = 0_u32;
    let mut unit = 100_000_000_u32;
    for digit in parts.next().unwrap_or_default() {
        if !digit.is_ascii_digit() {
            return None;
        }
        nanos += u32::from(digit - b'0') * unit;
        unit /= 10;
    }
    Some(match (negative, nanos) {
        (false, _) => (seconds, nanos),
        (true, 0) => (-seconds, 0),
        (true, _) => (-seconds - 1, 1_000_000_000 - nanos),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_counts_its_own_digits() {
        let mut data = Vec::new();
        push(&mut data, b"path", b"a");
        push(&mut data, b"k", &[b'v'; 94]); // 99 without, 101 with its own digits
        assert!(data.starts_with(b"9 path=a\n101 k=vv"));
        let records = parse(&data, 0).expect("records");
        assert_eq!(records[0], (&b"path"[..], &b"a"[..]));
        assert_eq!(records[1].1.len(), 94);
    }

    #[test]
    fn times_before_1970_count_backwards() {
        assert_eq!(time(b"12.5"), Some((12, 500_000_000)));
        assert_eq!(time(b"-1.25"), Some((-2, 750_000_000)));
        assert_eq!(time(b"-3"), Some((-3, 0)));
        assert_eq!(time(b"1.123456789999"), Some((1, 123_456_789)));
        for bad in ["", "x", "1.x", "--1", "99999999999999999999"] {
            assert_eq!(time(bad.as_bytes()), None, "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn records_survive_the_way_there_and_back(key in "[a-zA-Z.]{1,40}", value: Vec<u8>) {
            let mut data = Vec::new();
            push(&mut data, key.as_bytes(), &value);
            let records = parse(&data, 0).expect("records");
            proptest::prop_assert_eq!(records, vec![(key.as_bytes(), value.as_slice())]);
        }

        #[test]
        fn damaged_records_never_panic(data: Vec<u8>) {
            let _ = parse(&data, 0);
            let _ = time(&data);
        }
    }
}
