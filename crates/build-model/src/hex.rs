//! Bytes as hex digits: how digests, key ids and names derived from them are written. Called wherever a digest that is
//! not a [`crate::Digest`] is shown or compared.

/// Lower-case hex digits, two a byte.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |n: u8| char::from(DIGITS[usize::from(n & 15)]);
    bytes.iter().flat_map(|b| [digit(b >> 4), digit(*b)]).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_byte_has_two_digits() {
        assert_eq!(super::hex(&[0x00, 0x0f, 0xa1, 0xff]), "000fa1ff");
        assert_eq!(super::hex(&[]), "");
    }
}
