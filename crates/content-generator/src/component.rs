//! RPM components: the list Koji stores as the content of an image (CG_Importer.match_components, match_rpm).
//!
//! The hub looks an entry up by NVRA, drops unknown ones with a log line and breaks on a second entry of the same RPM
//! (unique archive_id, rpm_id), so the list is cleaned and checked here.

use std::collections::BTreeMap;

use build_model::Nvra;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::MetadataError;
use crate::output_file::is_lower_hex;

/// One installed RPM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RpmComponent {
    /// Name, version, release, architecture.
    pub nvra: Nvra,
    /// Epoch, null in the document when absent (never 0 for absent, never `(none)`).
    pub epoch: Option<u32>,
    /// SIGMD5 of the package, 32 lower-case hex digits. Equal for signed and unsigned copies. Required by the hub.
    pub sigmd5: Option<String>,
    /// SHA256HEADER, 64 lower-case hex digits; read by hubs from 1.36 on, ignored by older ones.
    pub sha256header: Option<String>,
    /// Id of the key the installed copy was signed with.
    pub signature: Option<String>,
}

/// The component list as the document holds it: sorted, each RPM once.
///
/// `place` names the image or buildroot in errors.
///
/// # Errors
/// A gpg-pubkey, a missing or malformed digest, or one NVRA with two contents.
pub fn components_json(place: &str, components: &[RpmComponent]) -> Result<Vec<Value>, MetadataError> {
    let mut unique: BTreeMap<&Nvra, &RpmComponent> = BTreeMap::new();
    for component in components {
        check(place, component)?;
        match unique.get(&component.nvra) {
            None => {
                unique.insert(&component.nvra, component);
            }
            Some(first) => same_package(place, first, component)?,
        }
    }
    Ok(unique.into_values().map(to_json).collect())
}

fn check(place: &str, component: &RpmComponent) -> Result<(), MetadataError> {
    let nvra = || component.nvra.to_string();
    let nvr = &component.nvra.nvr;
    if nvr.name == "gpg-pubkey" {
        return Err(MetadataError::GpgPubkey { place: place.to_owned(), nvra: nvra() });
    }
    let bad = |field, value: &str, reason| MetadataError::ComponentField {
        place: place.to_owned(),
        nvra: nvra(),
        field,
        value: value.to_owned(),
        reason,
    };
    for (field, value) in
        [("name", &nvr.name), ("version", &nvr.version), ("release", &nvr.release), ("arch", &component.nvra.arch)]
    {
        if value.is_empty() || value == "(none)" {
            return Err(bad(field, value, "every package has one"));
        }
        if value.chars().any(|c| c.is_control() || c.is_whitespace() || c == '/') {
            return Err(bad(field, value, "blanks, slashes and control characters are not allowed"));
        }
        if field != "name" && value.contains('-') {
            return Err(bad(field, value, "a dash is not allowed"));
        }
    }
    match &component.sigmd5 {
        None => return Err(MetadataError::MissingSigMd5 { place: place.to_owned(), nvra: nvra() }),
        Some(hex) if !is_lower_hex(hex, 32) => return Err(bad("sigmd5", hex, "32 lower-case hex digits are needed")),
        Some(_) => {}
    }
    match &component.sha256header {
        Some(hex) if !is_lower_hex(hex, 64) => Err(bad("sha256header", hex, "64 lower-case hex digits are needed")),
        _ => Ok(()),
    }
}

/// Two entries of one NVRA are one package, whatever copy was signed with which key.
fn same_package(place: &str, first: &RpmComponent, second: &RpmComponent) -> Result<(), MetadataError> {
    let text = |o: &Option<String>| o.clone().unwrap_or_else(|| "none".to_owned());
    let epoch = |o: Option<u32>| o.map_or_else(|| "none".to_owned(), |e| e.to_string());
    let (field, a, b) = if first.sigmd5 != second.sigmd5 {
        ("sigmd5", text(&first.sigmd5), text(&second.sigmd5))
    } else if first.sha256header != second.sha256header {
        ("sha256header", text(&first.sha256header), text(&second.sha256header))
    } else if first.epoch != second.epoch {
        ("epoch", epoch(first.epoch), epoch(second.epoch))
    } else {
        return Ok(());
    };
    Err(MetadataError::ConflictingComponent { place: place.to_owned(), nvra: first.nvra.to_string(), field, first: a, second: b })
}

fn to_json(component: &RpmComponent) -> Value {
    let nvr = &component.nvra.nvr;
    let mut value = json!({
        "type": "rpm",
        "name": nvr.name,
        "version": nvr.version,
        "release": nvr.release,
        "epoch": component.epoch,
        "arch": component.nvra.arch,
        "sigmd5": component.sigmd5,
        "signature": component.signature,
    });
    if let (Some(hex), Some(map)) = (&component.sha256header, value.as_object_mut()) {
        map.insert("sha256header".to_owned(), hex.clone().into());
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rpm(nvra: &str) -> RpmComponent {
        let nvra = nvra.parse().expect("an NVRA");
        RpmComponent { nvra, epoch: None, sigmd5: Some("0a".repeat(16)), sha256header: None, signature: None }
    }

    #[test]
    fn a_package_listed_twice_is_recorded_once() {
        let signed = RpmComponent { signature: Some("a15b79cc".into()), ..rpm("jq-1.6-2.fc40.x86_64") };
        let list = components_json("x86_64", &[rpm("zlib-1-1.x86_64"), signed, rpm("jq-1.6-2.fc40.x86_64")]).expect("a list");
        let names: Vec<_> = list.iter().map(|c| c["name"].as_str().expect("name")).collect();
        assert_eq!(names, ["jq", "zlib"]);
    }

    #[test]
    fn one_name_with_two_contents_is_refused() {
        let other = RpmComponent { sigmd5: Some("0b".repeat(16)), ..rpm("jq-1.6-2.fc40.x86_64") };
        let err = components_json("x86_64", &[rpm("jq-1.6-2.fc40.x86_64"), other]).expect_err("conflict");
        assert!(matches!(err, MetadataError::ConflictingComponent { field: "sigmd5", .. }), "{err}");
    }

    #[test]
    fn public_keys_and_unusable_digests_are_refused() {
        let err = components_json("x86_64", &[rpm("gpg-pubkey-a15b79cc-63d04c2c.(none)")]).expect_err("a key");
        assert!(matches!(err, MetadataError::GpgPubkey { .. }));
        for (sigmd5, missing) in [(None, true), (Some("0A".repeat(16)), false), (Some("0a".repeat(15)), false)] {
            let err = components_json("x86_64", &[RpmComponent { sigmd5, ..rpm("a-1-1.noarch") }]).expect_err("digest");
            assert_eq!(matches!(err, MetadataError::MissingSigMd5 { .. }), missing, "{err}");
        }
    }

    #[test]
    fn an_absent_epoch_is_null_and_zero_stays_zero() {
        let list = components_json("x86_64", &[rpm("a-1-1.noarch"), RpmComponent { epoch: Some(0), ..rpm("b-1-1.noarch") }])
            .expect("a list");
        assert_eq!((&list[0]["epoch"], &list[1]["epoch"]), (&Value::Null, &json!(0)));
        assert!(list.iter().all(|c| c.get("id").is_none() && c.get("location").is_none()), "the hub refuses both keys");
    }
}
