//! Koji's combined PEM files: certificates and a private key in any order, taken apart for the TLS library.
//!
//! The TLS library wants the key as PKCS#8 (`BEGIN PRIVATE KEY`). Certificates made with older OpenSSL carry the
//! RSA form (`BEGIN RSA PRIVATE KEY`, PKCS#1); it is wrapped here, so that no operator has to convert files.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The two halves of a combined PEM file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PemIdentity {
    /// All certificate blocks, in the file's order.
    pub certificates: String,
    /// One `PRIVATE KEY` block.
    pub key: String,
}

/// Takes a combined PEM file apart.
///
/// # Errors
/// A sentence saying what is missing or not usable.
pub(crate) fn split_pem(text: &str) -> Result<PemIdentity, String> {
    let mut certificates = String::new();
    let mut key = None;
    let mut rest = text;
    while let Some(start) = rest.find("-----BEGIN ") {
        let block = &rest[start..];
        let after_begin = &block["-----BEGIN ".len()..];
        let Some((label, body)) = after_begin.split_once("-----") else { break };
        let end = format!("-----END {label}-----");
        let Some((body, after)) = body.split_once(end.as_str()) else {
            return Err(format!("the block `{}` does not end", label.chars().take(40).collect::<String>()));
        };
        rest = after;
        match label {
            "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE" => {
                certificates.push_str(&format!("-----BEGIN {label}-----{body}{end}\n"));
            }
            "PRIVATE KEY" => key = Some(format!("-----BEGIN PRIVATE KEY-----{body}{end}\n")),
            "RSA PRIVATE KEY" if body.contains("ENCRYPTED") => return Err(ENCRYPTED.to_owned()),
            "RSA PRIVATE KEY" => key = Some(wrap_pkcs1(body)?),
            "ENCRYPTED PRIVATE KEY" => return Err(ENCRYPTED.to_owned()),
            "EC PRIVATE KEY" => {
                return Err("its EC key must be converted first: openssl pkcs8 -topk8 -nodes".to_owned());
            }
            _ => {} // DH parameters, EC parameters and the like
        }
    }
    if certificates.is_empty() {
        return Err("it holds no certificate".to_owned());
    }
    Ok(PemIdentity { certificates, key: key.ok_or("it holds no private key")? })
}

const ENCRYPTED: &str = "its private key is encrypted; a service needs a key without a passphrase";

/// A PKCS#1 RSA key as PKCS#8 (RFC 5208): version 0, algorithm rsaEncryption with NULL parameters, the key as octets.
fn wrap_pkcs1(body: &str) -> Result<String, String> {
    const VERSION_AND_ALGORITHM: [u8; 18] =
        [0x02, 0x01, 0x00, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
    let packed: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let pkcs1 = STANDARD.decode(packed).map_err(|_| "its RSA key is not base64 data".to_owned())?;
    let mut inner = VERSION_AND_ALGORITHM.to_vec();
    inner.push(0x04);
    push_length(&mut inner, pkcs1.len());
    inner.extend(&pkcs1);
    let mut der = vec![0x30];
    push_length(&mut der, inner.len());
    der.extend(inner);
    let encoded = STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = more;
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    Ok(pem)
}

/// A DER length: one byte below 128, else the count of length bytes and the bytes.
fn push_length(out: &mut Vec<u8>, length: usize) {
    if let (true, Ok(short)) = (length < 128, u8::try_from(length)) {
        out.push(short);
        return;
    }
    let bytes = length.to_be_bytes();
    let significant: Vec<u8> = bytes.into_iter().skip_while(|b| *b == 0).collect();
    out.push(0x80 | u8::try_from(significant.len()).unwrap_or(8));
    out.extend(significant);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_combined_file_is_taken_apart_in_any_order() {
        let cert = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----";
        let key = "-----BEGIN PRIVATE KEY-----\nBBBB\n-----END PRIVATE KEY-----";
        for text in [format!("{cert}\n{key}\n"), format!("Bag Attributes: x\n{key}\n{cert}")] {
            let identity = split_pem(&text).expect("a PEM identity");
            assert_eq!(identity.certificates.trim_end(), cert);
            assert_eq!(identity.key.trim_end(), key);
        }
    }

    #[test]
    fn files_that_cannot_serve_say_why() {
        let cert = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (text, reason) in [
            (String::new(), "no certificate"),
            (cert.to_owned(), "no private key"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n".to_owned(), "does not end"),
            (format!("{cert}-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n-----END ENCRYPTED PRIVATE KEY-----"), "encrypted"),
            (
                format!("{cert}-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAA==\n-----END RSA PRIVATE KEY-----"),
                "encrypted",
            ),
            (format!("{cert}-----BEGIN EC PRIVATE KEY-----\nAA==\n-----END EC PRIVATE KEY-----"), "openssl pkcs8"),
            (format!("{cert}-----BEGIN RSA PRIVATE KEY-----\n!!\n-----END RSA PRIVATE KEY-----"), "base64"),
        ] {
            let problem = split_pem(&text).expect_err(&text);
            assert!(problem.contains(reason), "{problem}");
        }
    }

    #[test]
    fn an_rsa_key_is_wrapped_so_that_openssl_reads_it() {
        let openssl = |args: &[&str], input: &str| {
            let mut child = std::process::Command::new("openssl")
                .args(args)
                .stdin(std::process::Stdio::piped())
                .stdout(std::process::Stdio::piped())
                .stderr(std::process::Stdio::null())
                .spawn()
                .expect("openssl runs");
            std::io::Write::write_all(&mut child.stdin.take().expect("stdin"), input.as_bytes()).expect("written");
            let out = child.wait_with_output().expect("openssl ends");
            assert!(out.status.success(), "openssl {args:?}");
            String::from_utf8(out.stdout).expect("text")
        };
        let pkcs1 = openssl(&["genrsa", "-traditional", "1024"], "");
        assert!(pkcs1.contains("BEGIN RSA PRIVATE KEY"));
        let identity =
            split_pem(&format!("{pkcs1}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")).expect("split");
        assert!(identity.key.starts_with("-----BEGIN PRIVATE KEY-----"));
        assert_eq!(openssl(&["rsa", "-modulus", "-noout"], &identity.key), openssl(&["rsa", "-modulus", "-noout"], &pkcs1));
    }
}
