//! Numbers in tar headers: octal text, or big-endian binary with the top bit set (GNU).

/// The number in a header field. Blank means 0. `None` when it is no number or does not fit.
pub(super) fn parse(field: &[u8]) -> Option<i64> {
    match field.first() {
        Some(first) if first & 0x80 != 0 => parse_binary(*first, field),
        _ => parse_octal(field),
    }
}

fn parse_binary(first: u8, field: &[u8]) -> Option<i64> {
    // 0x80: positive, 0xff: two's complement. The rest of the first byte belongs to the number.
    let negative = first & 0x40 != 0;
    let mut number: i128 = if negative { -1 } else { 0 };
    for (index, byte) in field.iter().enumerate() {
        let byte = if index == 0 && !negative { byte & 0x7f } else { *byte };
        number = number.checked_mul(256)? | i128::from(byte);
    }
    i64::try_from(number).ok()
}

fn parse_octal(field: &[u8]) -> Option<i64> {
    let digits = field.split(|b| *b == 0).next().unwrap_or_default().trim_ascii();
    let mut number: i64 = 0;
    for digit in digits {
        if !matches!(digit, b'0'..=b'7') {
            return None;
        }
        number = number.checked_mul(8)?.checked_add(i64::from(digit - b'0'))?;
    }
    Some(number)
}

/// Writes `number` in octal with leading zeros and a NUL at the end; `false` when it does not fit.
pub(super) fn format(field: &mut [u8], number: i64) -> bool {
    let Ok(mut rest) = u64::try_from(number) else { return false };
    let Some((last, digits)) = field.split_last_mut() else { return false };
    *last = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest & 7) as u8;
        rest >>= 3;
    }
    rest == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octal_and_binary_fields_are_read() {
        assert_eq!(parse(b"0000644\0"), Some(0o644));
        assert_eq!(parse(b"   644 \0"), Some(0o644));
        assert_eq!(parse(b"\0\0\0\0"), Some(0));
        assert_eq!(parse(b"77777777777\0"), Some(0o77777777777));
        assert_eq!(parse(b"\x80\0\0\0\0\0\0\x02\0\0\0\0"), Some(8 << 30));
        assert_eq!(parse(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe"), Some(-2));
        assert_eq!(parse(b"9\0"), None);
        assert_eq!(parse(b"-1\0"), None);
        assert_eq!(parse(b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), None);
    }

    #[test]
    fn a_number_that_does_not_fit_is_not_written() {
        let mut field = [0; 8];
        assert!(format(&mut field, 0o7777777) && field == *b"7777777\0");
        assert!(!format(&mut field, 0o10000000));
        assert!(!format(&mut field, -1));
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_again(number in 0_i64..0o100000000000) {
            let mut field = [0; 12];
            proptest::prop_assert!(format(&mut field, number));
            proptest::prop_assert_eq!(parse(&field), Some(number));
        }

        #[test]
        fn no_field_makes_the_parser_panic(field: Vec<u8>) {
            let _ = parse(&field);
        }
    }
}
