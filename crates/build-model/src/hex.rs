//! Bytes as hex digits, and back: how digests, key ids and names derived from them are written. Called wherever a digest
//! that is not a [`crate::Digest`] is shown, kept or compared.

/// Lower-case hex digits, two a byte.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |n: u8| char::from(DIGITS[usize::from(n & 15)]);
    bytes.iter().flat_map(|b| [digit(b >> 4), digit(*b)]).collect()
}

/// The bytes that hex digits of either case stand for; `None` for anything else.
pub fn unhex(text: &[u8]) -> Option<Box<[u8]>> {
    let digit = |b: &u8| char::from(*b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    if !text.len().is_multiple_of(2) {
        return None;
    }
    text.chunks_exact(2).map(|pair| Some(digit(pair.first()?)? << 4 | digit(pair.get(1)?)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::unhex;

    #[test]
    fn digits_are_hex_or_nothing() {
        assert_eq!(unhex(b"00fFa1").as_deref(), Some(&[0, 255, 161][..]));
        assert_eq!(unhex(b"").as_deref(), Some(&[][..]));
        assert!(unhex(b"0").is_none() && unhex(b"zz").is_none() && unhex(b"+1").is_none());
    }

    #[test]
    fn every_byte_has_two_digits() {
        assert_eq!(super::hex(&[0x00, 0x0f, 0xa1, 0xff]), "000fa1ff");
        assert_eq!(super::hex(&[]), "");
    }
}
