//! The key id of the OpenPGP signature in a header (RFC 9580 §5.2, and the version 3 form of RFC 4880).
//!
//! Only says who *claims* to have signed; verifying signatures is the image's own `gpgcheck`.

use super::{Header, tag};

/// What an OpenPGP signature packet says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signature {
    /// Number of the public key algorithm.
    pub key_algorithm: u8,
    /// Number of the digest.
    pub digest_algorithm: u8,
    /// Seconds since 1970.
    pub time: Option<u32>,
    /// Issuer's key id, 16 lower-case hex digits.
    pub key_id: Option<String>,
}

/// Issuer key id of the first signature found, 16 lower-case hex digits. Koji's `sigkey` is its last 8.
pub(crate) fn signing_key_id(header: &Header) -> Option<String> {
    // Header-only signatures first, as rpm prefers them; the 1000s are the signature header's own numbers.
    let binary = [tag::RSAHEADER, tag::DSAHEADER, tag::SIGPGP, tag::SIGGPG, tag::SIGTAG_PGP, tag::SIGTAG_GPG];
    let found = binary.into_iter().filter_map(|t| header.binary(t).ok().flatten()).find_map(|p| signature(p)?.key_id);
    // rpm 6 has a list of them, as base64; any number of keys may have signed.
    found.or_else(|| {
        let all = header.all_strings(tag::OPENPGP).ok()?;
        all.into_iter().find_map(|text| signature(&decode_base64(text)?)?.key_id)
    })
}

/// Reads a signature packet.
pub(crate) fn signature(packet: &[u8]) -> Option<Signature> {
    let body = signature_body(packet)?;
    match *body.first()? {
        // version, length 5, type, four bytes of time, key id, algorithms
        3 => Some(Signature {
            time: body.get(3..7).and_then(be32),
            key_id: Some(build_model::hex(body.get(7..15)?)),
            key_algorithm: *body.get(15)?,
            digest_algorithm: *body.get(16)?,
        }),
        // version, type, algorithms, two runs of subpackets
        version @ (4 | 6) => {
            let wide = version == 6;
            let (hashed, rest) = counted(body.get(4..)?, wide)?;
            let (unhashed, _) = counted(rest, wide)?;
            Some(Signature {
                time: time_subpacket(hashed),
                key_id: issuer_subpacket(hashed).or_else(|| issuer_subpacket(unhashed)),
                key_algorithm: *body.get(2)?,
                digest_algorithm: *body.get(3)?,
            })
        }
        _ => None,
    }
}

fn be32(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

/// The body of a packet with tag 2 (signature), old or new framing.
fn signature_body(packet: &[u8]) -> Option<&[u8]> {
    let (&head, rest) = packet.split_first()?;
    if head & 0x80 == 0 {
        return None;
    }
    if head & 0x40 != 0 {
        let (length, rest) = new_length(rest)?;
        return if head & 0x3f == 2 { rest.get(..length) } else { None };
    }
    if head >> 2 & 0x0f != 2 {
        return None;
    }
    let width = match head & 3 {
        0 => 1,
        1 => 2,
        2 => 4,
        _ => return Some(rest),
    };
    let length = rest.get(..width)?.iter().fold(0usize, |n, b| n << 8 | usize::from(*b));
    rest.get(width..)?.get(..length)
}

/// The one-, two- and five-byte lengths of new packets and of subpackets.
fn new_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    match first {
        0..=191 => Some((first.into(), rest)),
        192..=254 => {
            let (&second, rest) = rest.split_first()?;
            Some((((usize::from(first) - 192) << 8) + usize::from(second) + 192, rest))
        }
        255 => {
            let length = u32::from_be_bytes(rest.get(..4)?.try_into().ok()?);
            Some((length as usize, rest.get(4..)?))
        }
    }
}

/// A run of subpackets after its length: two bytes, four in version 6.
fn counted(bytes: &[u8], wide: bool) -> Option<(&[u8], &[u8])> {
    let width = if wide { 4 } else { 2 };
    let length = bytes.get(..width)?.iter().fold(0usize, |n, b| n << 8 | usize::from(*b));
    bytes.get(width..)?.split_at_checked(length)
}

/// Signature creation time (2).
fn time_subpacket(mut bytes: &[u8]) -> Option<u32> {
    while !bytes.is_empty() {
        let (length, rest) = new_length(bytes)?;
        let (packet, after) = rest.split_at_checked(length)?;
        bytes = after;
        if let Some((kind, time)) = packet.split_first()
            && kind & 0x7f == 2
        {
            return be32(time);
        }
    }
    None
}

/// Issuer (16), or the key id inside an issuer fingerprint (33).
fn issuer_subpacket(mut bytes: &[u8]) -> Option<String> {
    let mut from_fingerprint = None;
    while !bytes.is_empty() {
        let (length, rest) = new_length(bytes)?;
        let (packet, after) = rest.split_at_checked(length)?;
        bytes = after;
        match packet.split_first() {
            Some((kind, id)) if kind & 0x7f == 16 && id.len() == 8 => return Some(build_model::hex(id)),
            Some((kind, fingerprint)) if kind & 0x7f == 33 => {
                from_fingerprint = match fingerprint.split_first() {
                    Some((4, print)) => print.get(12..20).map(build_model::hex),
                    Some((_, print)) => print.get(..8).map(build_model::hex),
                    None => None,
                };
            }
            _ => {}
        }
    }
    from_fingerprint
}

/// Standard base64 with line breaks; rpm 6 stores signatures as text.
pub(crate) fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    use base64::Engine as _;
    let text: Vec<u8> = text.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 8] = [0xde, 0xad, 0xbe, 0xef, 1, 2, 3, 4];

    fn key_of(packet: &[u8]) -> Option<String> {
        signature(packet)?.key_id
    }

    #[test]
    fn version_3_signatures_name_the_key_in_place() {
        let mut packet = vec![0x88, 0x13, 3, 5, 0, 1, 2, 3, 4];
        packet.extend(KEY);
        packet.extend([1, 8, 0xaa, 0xbb]);
        assert_eq!(key_of(&packet).as_deref(), Some("deadbeef01020304"));
    }

    #[test]
    fn version_4_signatures_name_it_in_a_subpacket_or_a_fingerprint() {
        let mut subpacket = vec![9, 16];
        subpacket.extend(KEY);
        let mut body = vec![4, 0, 1, 8, 0, 0, 0, subpacket.len() as u8];
        body.extend(&subpacket);
        let mut packet = vec![0xc2, body.len() as u8];
        packet.extend(&body);
        assert_eq!(key_of(&packet).as_deref(), Some("deadbeef01020304"));

        let mut print = vec![22, 33, 4];
        print.extend([0; 12]);
        print.extend(KEY);
        let mut body = vec![4, 0, 1, 8, 0, print.len() as u8];
        body.extend(&print);
        body.extend([0, 0]);
        let mut packet = vec![0xc2, body.len() as u8];
        packet.extend(&body);
        assert_eq!(key_of(&packet).as_deref(), Some("deadbeef01020304"));
    }

    #[test]
    fn cut_off_signatures_name_nobody() {
        let mut packet = vec![0x88, 0x13, 3, 5, 0, 1, 2, 3, 4];
        packet.extend(KEY);
        for end in 0..packet.len() {
            assert_eq!(key_of(&packet[..end]), None);
        }
    }

    #[test]
    fn base64_is_read_and_other_text_is_not() {
        assert_eq!(decode_base64(b"aGVs\nbG8="), Some(b"hello".to_vec()));
        assert_eq!(decode_base64(b"a*b"), None);
    }
}
