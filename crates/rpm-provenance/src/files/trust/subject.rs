//! Whom a certificate speaks of: the subject of an X.509 certificate (RFC 5280, 4.1), for reports.

use build_model::hex;

use super::der::element;

/// Attributes that are shown, by the last bytes of their identifiers below `2.5.4` (RFC 4519).
const ATTRIBUTES: [(u8, &str); 3] = [(3, "CN"), (11, "OU"), (10, "O")];

/// `CN=…, O=…`; the certificate's SHA-256 where no name can be read.
pub(super) fn of(certificate: &[u8]) -> String {
    let names = names(certificate).unwrap_or_default();
    if names.is_empty() { format!("SHA-256 {}", hex(&super::fingerprint(certificate))) } else { names.join(", ") }
}

fn names(certificate: &[u8]) -> Option<Vec<String>> {
    const VERSION: u8 = 0xa0;
    let (_, signed, _) = element(certificate)?;
    let (_, mut rest, _) = element(signed)?;
    if rest.first() == Some(&VERSION) {
        rest = element(rest)?.2;
    }
    // Serial number, algorithm, issuer, validity.
    for _ in 0..4 {
        rest = element(rest)?.2;
    }
    let (_, mut subject, _) = element(rest)?;
    let mut found = Vec::new();
    while !subject.is_empty() {
        let (_, set, next) = element(subject)?;
        let (_, pair, _) = element(set)?;
        let (_, kind, value) = element(pair)?;
        let (_, value, _) = element(value)?;
        if let [0x55, 4, last] = kind
            && let Some((_, name)) = ATTRIBUTES.iter().find(|(known, _)| known == last)
        {
            found.push(format!("{name}={}", crate::files::shown(value)));
        }
        subject = next;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrap(tag: u8, parts: &[Vec<u8>]) -> Vec<u8> {
        let content = parts.concat();
        [vec![tag, u8::try_from(content.len()).expect("short")], content].concat()
    }

    #[test]
    fn the_subject_is_told_and_the_issuer_is_not() {
        let name = |text: &str| wrap(0x31, &[wrap(0x30, &[wrap(6, &[vec![0x55, 4, 3]]), wrap(12, &[text.into()])])]);
        let empty = || wrap(0x30, &[]);
        let (issuer, subject) = (wrap(0x30, &[name("Issuer")]), wrap(0x30, &[name("Evil\nRoot")]));
        let signed = |version: Vec<u8>| {
            let parts = [version, wrap(2, &[vec![1]]), empty(), issuer.clone(), empty(), subject.clone(), empty()];
            wrap(0x30, &[wrap(0x30, &parts), empty()])
        };
        assert_eq!(of(&signed(wrap(0xa0, &[wrap(2, &[vec![2]])]))), "CN=Evil\\nRoot");
        assert_eq!(of(&signed(Vec::new())), "CN=Evil\\nRoot");
        assert!(of(b"\x30\x00").starts_with("SHA-256 "));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..100)) {
            let _ = of(&bytes);
        }
    }
}
