//! The certificates in the files of `/etc/pki/ca-trust`: PEM and OpenSSL's trusted PEM, DER, p11-kit's own format, Java's key
//! store (version 2, as p11-kit's `trust extract --format=java-cacerts` writes it) and EDK2's signature lists.
//!
//! A source may hold anything besides; a result must be whole certificates from its first to its last byte.

use super::der;
use crate::header::decode_base64;

/// The certificates of a file that `update-ca-trust` reads. What is not understood gives none.
pub(super) fn in_source(bytes: &[u8]) -> Vec<Vec<u8>> {
    if let Some(certificate) = der::sequence(bytes).filter(|certificate| certificate.len() == bytes.len()) {
        return vec![certificate.to_vec()];
    }
    if let Ok(found) = in_store(bytes) {
        return found;
    }
    pem(bytes).0
}

/// The certificates of a file it writes; why it is no such file.
pub(super) fn in_result(bytes: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    if let Some(certificate) = der::sequence(bytes).filter(|certificate| certificate.len() == bytes.len()) {
        return Ok(vec![certificate.to_vec()]);
    }
    if bytes.starts_with(JAVA) || bytes.starts_with(EDK2) {
        return in_store(bytes);
    }
    let (found, clean) = pem(bytes);
    if clean { Ok(found) } else { Err("it holds something else than certificates".into()) }
}

fn in_store(bytes: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let read = if bytes.starts_with(JAVA) { java(bytes) } else { edk2(bytes) };
    read.ok_or_else(|| "it is a damaged store of certificates".into())
}

/// The certificates between PEM's lines; and whether there is nothing else but comments, empty lines, and a name before
/// each certificate.
fn pem(bytes: &[u8]) -> (Vec<Vec<u8>>, bool) {
    const TRUSTED: &[u8] = b"TRUSTED CERTIFICATE";
    const KINDS: [&[u8]; 2] = [b"CERTIFICATE", TRUSTED];
    let (mut found, mut clean, mut named) = (Vec::new(), true, false);
    let mut open: Option<(&[u8], Vec<u8>)> = None;
    for line in bytes.split(|b| *b == b'\n').map(<[u8]>::trim_ascii) {
        let between = |start: &[u8]| Some(line.strip_prefix(start)?.strip_suffix(b"-----")?.to_vec());
        if let Some(kind) = between(b"-----BEGIN ") {
            let known = KINDS.iter().find(|known| **known == kind.as_slice());
            clean &= open.is_none() && known.is_some();
            named = false;
            open = known.map(|kind| (*kind, Vec::new()));
        } else if let Some(kind) = between(b"-----END ") {
            let block = open.take().filter(|(begun, _)| *begun == kind.as_slice()).and_then(|(_, text)| decode_base64(&text));
            // A trusted certificate has OpenSSL's notes behind it.
            match block.as_deref().and_then(|block| Some((der::sequence(block)?, block.len()))) {
                Some((certificate, length)) if kind == TRUSTED || certificate.len() == length => {
                    found.push(certificate.to_vec());
                }
                _ => clean = false,
            }
        } else if let Some((_, text)) = &mut open {
            text.extend_from_slice(line);
        } else if !line.is_empty() && !line.starts_with(b"#") {
            // Programs that read PEM skip it.
            clean &= !named && line.iter().all(|b| (b' '..=b'~').contains(b));
            named = true;
        }
    }
    (found, clean && !named && open.is_none())
}

const JAVA: &[u8] = &[0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2];
/// `EFI_CERT_X509_GUID` (UEFI 2.10, 32.4.1).
const EDK2: &[u8] = &[0xa1, 0x59, 0xc0, 0xa5, 0xe4, 0x94, 0xa7, 0x4a, 0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72];
/// Length of the digest at the end of a Java key store, which depends on a password everybody knows.
const JAVA_DIGEST: usize = 20;

/// Bytes that are read from the front.
struct Front<'a>(&'a [u8]);

impl<'a> Front<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }
    fn big(&mut self, width: usize) -> Option<usize> {
        Some(self.take(width)?.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }
    fn little(&mut self) -> Option<usize> {
        Some(self.take(4)?.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }
}

fn java(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    const TRUSTED: usize = 2;
    let mut front = Front(bytes);
    front.take(JAVA.len())?;
    let mut found = Vec::new();
    for _ in 0..front.big(4)? {
        if front.big(4)? != TRUSTED {
            return None;
        }
        let alias = front.big(2)?;
        front.take(alias + 8)?; // and the time
        let kind = front.big(2)?;
        (front.take(kind)? == b"X.509").then_some(())?;
        let length = front.big(4)?;
        let certificate = front.take(length)?;
        (der::sequence(certificate)?.len() == length).then_some(())?;
        found.push(certificate.to_vec());
    }
    (front.0.len() == JAVA_DIGEST).then_some(found)
}

fn edk2(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    const OWNER: usize = 16;
    let mut front = Front(bytes);
    let mut found = Vec::new();
    while !front.0.is_empty() {
        (front.take(EDK2.len())? == EDK2).then_some(())?;
        let (list, header, signature) = (front.little()?, front.little()?, front.little()?);
        (header == 0 && list == EDK2.len() + 12 + signature).then_some(())?;
        front.take(OWNER)?;
        let certificate = front.take(signature.checked_sub(OWNER)?)?;
        (der::sequence(certificate)?.len() == certificate.len()).then_some(())?;
        found.push(certificate.to_vec());
    }
    (!found.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sequence of `length` bytes: what the readers take for a certificate.
    pub(super) fn sequence(length: u8) -> Vec<u8> {
        [vec![0x30, length], vec![7; usize::from(length)]].concat()
    }

    fn armoured(kind: &str, der: &[u8]) -> String {
        use base64::Engine as _;
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        format!("-----BEGIN {kind}-----\n{text}\n-----END {kind}-----\n")
    }

    #[test]
    fn a_result_of_pem_holds_certificates_names_and_comments() {
        let (a, b) = (sequence(5), sequence(100));
        let bundle = format!("# An authority\n{}\nAnother one\n{}", armoured("CERTIFICATE", &a), armoured("CERTIFICATE", &b));
        assert_eq!(in_result(bundle.as_bytes()).expect("clean"), [a.clone(), b]);
        let trusted = armoured("TRUSTED CERTIFICATE", &[a.clone(), vec![0x30, 0]].concat());
        assert_eq!(in_result(trusted.as_bytes()).expect("clean"), std::slice::from_ref(&a));
        for bad in [
            armoured("CERTIFICATE", &[a.clone(), vec![0x30, 0]].concat()),
            armoured("PRIVATE KEY", &a),
            armoured("CERTIFICATE", b"text"),
            "-----BEGIN CERTIFICATE-----\nMAA=\n".to_owned(),
            format!("\u{0}{}", armoured("CERTIFICATE", &a)),
            "text\n".to_owned(),
            format!("one\ntwo\n{}", armoured("CERTIFICATE", &a)),
            format!("{}name\n", armoured("CERTIFICATE", &a)),
        ] {
            assert!(in_result(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn stores_are_read_to_their_last_byte() {
        let certificate = sequence(9);
        let length = u8::try_from(certificate.len()).expect("short");
        let mut java = [JAVA, &[0, 0, 0, 1, 0, 0, 0, 2, 0, 1, b'a'], &[0; 8], &[0, 5], b"X.509", &[0, 0, 0, length]].concat();
        java.extend(&certificate);
        java.extend([1; JAVA_DIGEST]);
        assert_eq!(in_result(&java).expect("a store"), std::slice::from_ref(&certificate));
        java.push(0);
        assert!(in_result(&java).is_err());
        let signature = 16 + length;
        let mut edk2 = [EDK2, &[28 + signature, 0, 0, 0], &[0; 4], &[signature, 0, 0, 0], &[5; 16]].concat();
        edk2.extend(&certificate);
        assert_eq!(in_result(&edk2).expect("a list"), std::slice::from_ref(&certificate));
        assert!(in_result(edk2.get(..edk2.len() - 1).unwrap_or_default()).is_err());
    }

    #[test]
    fn sources_may_hold_other_things_besides() {
        let certificate = sequence(7);
        let p11_kit =
            format!("[p11-kit-object-v1]\nlabel: \"A\"\n{}x-distrusted: false\n", armoured("CERTIFICATE", &certificate));
        assert_eq!(in_source(p11_kit.as_bytes()), std::slice::from_ref(&certificate));
        assert_eq!(in_source(&certificate), std::slice::from_ref(&certificate));
        assert!(in_source(b"text").is_empty());
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_readers_panic(head in proptest::sample::select(vec![&b""[..], JAVA, EDK2, b"-----BEGIN CERTIFICATE-----\n", b"\x30\x84"]), bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let bytes = [head, &bytes].concat();
            let _ = in_result(&bytes);
            let _ = in_source(&bytes);
        }
    }
}
