//! Elements of DER (X.690): as much of it as tells certificates apart and finds their subject.

/// Tag of a sequence: what a certificate is.
const SEQUENCE: u8 = 0x30;

/// Tag and content of the element that `bytes` begin with, and what follows.
pub(super) fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match usize::from(*first) {
        short @ 0..=0x7f => (short, rest),
        count @ 0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(count - 0x80)?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

/// The sequence that `bytes` begin with, whole.
pub(super) fn sequence(bytes: &[u8]) -> Option<&[u8]> {
    let (_, _, rest) = element(bytes).filter(|(tag, _, _)| *tag == SEQUENCE)?;
    bytes.get(..bytes.len() - rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_short_or_long_and_never_beyond_the_end() {
        assert_eq!(sequence(&[0x30, 1, 7, 9]), Some(&[0x30, 1, 7][..]));
        assert_eq!(sequence(&[0x30, 0x81, 1, 7, 9]), Some(&[0x30, 0x81, 1, 7][..]));
        for bad in [&[0x30, 2, 7][..], &[0x31, 0], &[0x30], &[], &[0x30, 0x80], &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]] {
            assert_eq!(sequence(bad), None, "{bad:?}");
        }
    }
}
