//! PEM files of certificate authorities. `oci-client` takes one certificate at a time, files hold bundles.

use std::path::Path;

use oci_client::client::{Certificate, CertificateEncoding};

use crate::error::RegistryError;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// The certificates of one PEM file; at least one.
pub(crate) fn read(path: &Path) -> Result<Vec<Certificate>, RegistryError> {
    let text = std::fs::read_to_string(path).map_err(|source| RegistryError::ReadFile {
        what: "CA file",
        path: path.to_owned(),
        source,
    })?;
    let found = split(&text);
    if found.is_empty() {
        return Err(RegistryError::NoCertificate { path: path.to_owned() });
    }
    Ok(found.into_iter().map(|pem| Certificate { encoding: CertificateEncoding::Pem, data: pem.as_bytes().to_vec() }).collect())
}

fn split(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(from) = rest.find(BEGIN) {
        let part = rest.get(from..).unwrap_or_default();
        let Some(to) = part.find(END) else { break };
        let (certificate, after) = part.split_at(to + END.len());
        found.push(certificate);
        rest = after;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_taken_apart_and_remarks_are_left_out() {
        let text = format!("# ours\n{BEGIN}\nAAA\n{END}\nkey follows\n{BEGIN}\nBBB\n{END}\n{BEGIN}\ncut off");
        assert_eq!(split(&text), [format!("{BEGIN}\nAAA\n{END}"), format!("{BEGIN}\nBBB\n{END}")]);
        assert!(split("nothing").is_empty());
    }
}
