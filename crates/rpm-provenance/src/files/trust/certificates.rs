//! The certificates in the files of `/etc/pki/ca-trust`: PEM and OpenSSL's trusted PEM, DER, p11-kit's own format, Java's key
//! store (version 2, as p11-kit's `trust extract --format=java-cacerts` writes it) and EDK2's signature lists.
//!
//! A source may hold anything besides; a result must be whole certificates from its first to its last byte.

use super::der;
use crate::header::decode_base64;

/// A certificate, and whether the file says that it is not to be trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Certificate {
    pub der: Vec<u8>,
    pub is_distrusted: bool,
}

impl Certificate {
    fn trusted(der: &[u8]) -> Self {
        Self { der: der.to_vec(), is_distrusted: false }
    }
}

/// The certificates of a file that `update-ca-trust` reads. What is not understood gives none.
pub(super) fn in_source(bytes: &[u8]) -> Vec<Certificate> {
    if let Some(certificate) = der::sequence(bytes).filter(|certificate| certificate.len() == bytes.len()) {
        return vec![Certificate::trusted(certificate)];
    }
    if let Ok(found) = in_store(bytes) {
        return found;
    }
    pem(bytes).0
}

/// The certificates of a file it writes; why it is no such file.
pub(super) fn in_result(bytes: &[u8]) -> Result<Vec<Certificate>, String> {
    if let Some(certificate) = der::sequence(bytes).filter(|certificate| certificate.len() == bytes.len()) {
        return Ok(vec![Certificate::trusted(certificate)]);
    }
    if bytes.starts_with(JAVA) || bytes.starts_with(EDK2) {
        return in_store(bytes);
    }
    let (found, clean) = pem(bytes);
    if clean { Ok(found) } else { Err("it holds something else than certificates".into()) }
}

fn in_store(bytes: &[u8]) -> Result<Vec<Certificate>, String> {
    let read = if bytes.starts_with(JAVA) { java(bytes) } else { edk2(bytes) };
    let found = read.ok_or_else(|| "it is a damaged store of certificates".to_owned())?;
    Ok(found.into_iter().map(|der| Certificate { der, is_distrusted: false }).collect())
}

/// Whether OpenSSL's notes behind a certificate reject it and trust it for nothing: `CertAux ::= SEQUENCE { trust SEQUENCE OF
/// OBJECT IDENTIFIER OPTIONAL, reject [0] … OPTIONAL, … }` (crypto/x509/x_x509a.c).
fn is_rejected(notes: &[u8]) -> bool {
    const TRUST: u8 = 0x30;
    const REJECT: u8 = 0xa0;
    let Some((TRUST, mut rest, _)) = der::element(notes) else { return false };
    let (mut trusted, mut rejected) = (false, false);
    while let Some((tag, content, next)) = der::element(rest) {
        trusted |= tag == TRUST && !content.is_empty();
        rejected |= tag == REJECT && !content.is_empty();
        rest = next;
    }
    rejected && !trusted
}

/// The certificates between PEM's lines; and whether there is nothing else but comments, empty lines, and a name before
/// each certificate.
fn pem(bytes: &[u8]) -> (Vec<Certificate>, bool) {
    const TRUSTED: &[u8] = b"TRUSTED CERTIFICATE";
    const KINDS: [&[u8]; 2] = [b"CERTIFICATE", TRUSTED];
    /// How p11-kit's own format begins an object, and marks one that is not to be trusted, before or behind its certificate.
    const OBJECT: &[u8] = b"[p11-kit-object-v1]";
    const DISTRUSTED: &[u8] = b"x-distrusted: true";
    let (mut found, mut clean, mut named): (Vec<Certificate>, _, _) = (Vec::new(), true, false);
    let (mut object, mut is_distrusted) = (0, false);
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
            match block.as_deref().and_then(|block| Some((der::sequence(block)?, block))) {
                Some((certificate, block)) if kind == TRUSTED || certificate.len() == block.len() => {
                    let is_rejected = block.get(certificate.len()..).is_some_and(is_rejected);
                    found.push(Certificate { der: certificate.to_vec(), is_distrusted: is_distrusted || is_rejected });
                }
                _ => clean = false,
            }
        } else if let Some((_, text)) = &mut open {
            text.extend_from_slice(line);
        } else if !line.is_empty() && !line.starts_with(b"#") {
            if line == OBJECT {
                (object, is_distrusted) = (found.len(), false);
            } else if line == DISTRUSTED {
                is_distrusted = true;
                found.iter_mut().skip(object).for_each(|certificate| certificate.is_distrusted = true);
            }
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

    fn trusted(certificate: &[u8]) -> Certificate {
        Certificate::trusted(certificate)
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
        assert_eq!(in_result(bundle.as_bytes()).expect("clean"), [trusted(&a), trusted(&b)]);
        for (notes, is_distrusted) in [
            (&[0x30, 0][..], false),
            (&[0x30, 3, 0x30, 1, 6], false),
            (&[0x30, 3, 0xa0, 1, 6], true),
            (&[0x30, 6, 0x30, 1, 6, 0xa0, 1, 6], false),
            (&[0x30, 0x84], false),
        ] {
            let noted = armoured("TRUSTED CERTIFICATE", &[a.as_slice(), notes].concat());
            let expected = Certificate { der: a.clone(), is_distrusted };
            assert_eq!(in_result(noted.as_bytes()).expect("clean"), [expected], "{notes:?}");
        }
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
        assert_eq!(in_result(&java).expect("a store"), [trusted(&certificate)]);
        java.push(0);
        assert!(in_result(&java).is_err());
        let signature = 16 + length;
        let mut edk2 = [EDK2, &[28 + signature, 0, 0, 0], &[0; 4], &[signature, 0, 0, 0], &[5; 16]].concat();
        edk2.extend(&certificate);
        assert_eq!(in_result(&edk2).expect("a list"), [trusted(&certificate)]);
        assert!(in_result(edk2.get(..edk2.len() - 1).unwrap_or_default()).is_err());
    }

    #[test]
    fn sources_may_hold_other_things_besides() {
        let certificate = sequence(7);
        let armoured = armoured("CERTIFICATE", &certificate);
        let p11_kit = format!("[p11-kit-object-v1]\nlabel: \"A\"\n{armoured}x-distrusted: false\n");
        assert_eq!(in_source(p11_kit.as_bytes()), [trusted(&certificate)]);
        let distrusted = Certificate { is_distrusted: true, ..trusted(&certificate) };
        for both in [format!("x-distrusted: true\n{armoured}"), format!("{armoured}x-distrusted: true\n")] {
            let file = format!("[p11-kit-object-v1]\n{both}\n[p11-kit-object-v1]\n{armoured}");
            assert_eq!(in_source(file.as_bytes()), [distrusted.clone(), trusted(&certificate)]);
        }
        assert_eq!(in_source(&certificate), [trusted(&certificate)]);
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
