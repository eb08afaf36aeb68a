//! Image manifests and indexes, OCI's and Docker's (image-spec manifest.md, image-index.md; Docker manifest v2 schema 2).
//!
//! Fields this program does not know are kept. A manifest that came from elsewhere is never written again from these
//! types: its digest is that of its bytes, and [`crate::LocalImage`] keeps those.

use std::collections::BTreeMap;

use build_model::Digest;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::descriptor::{Descriptor, Platform};
use crate::image::ImageError;
use crate::media_types::{DOCKER_MANIFEST, DOCKER_MANIFEST_LIST, OCI_INDEX, OCI_MANIFEST};

/// The manifest of one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// May be missing in OCI manifests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The image config.
    pub config: Descriptor,
    /// The layers, bottom first.
    pub layers: Vec<Descriptor>,
    /// Free remarks; OCI only.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_default")]
    pub annotations: BTreeMap<String, String>,
    /// Unknown fields, as they came.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// An image index (Docker: manifest list).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// May be missing in OCI indexes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What it lists.
    #[serde(deserialize_with = "null_is_default")]
    pub manifests: Vec<IndexEntry>,
    /// Free remarks; OCI only.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_default")]
    pub annotations: BTreeMap<String, String>,
    /// Unknown fields, as they came.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// One line of an [`Index`]: a descriptor with a platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IndexEntry {
    /// Media type of the manifest or nested index.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// What the image runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Free remarks, among them `org.opencontainers.image.ref.name` in layouts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_default")]
    pub annotations: BTreeMap<String, String>,
    /// Unknown fields, as they came.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// `null` where the specification wants a list or a map: Go programs write it for empty ones.
pub(crate) fn null_is_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

impl Manifest {
    /// Reads a manifest and says which of the two formats it is in.
    ///
    /// `media_type` is what the registry or the index said; where it is empty, the manifest's own field counts.
    ///
    /// # Errors
    /// No JSON of a manifest; another schema version; a media type that differs from what was promised; a document
    /// that is a manifest and an index at once (CVE-2021-41190).
    pub fn parse(bytes: &[u8], media_type: &str) -> Result<(Self, String), ImageError> {
        let manifest: Self = serde_json::from_slice(bytes).map_err(|source| ImageError::Json { what: "manifest", source })?;
        if manifest.schema_version != 2 {
            return Err(ImageError::SchemaVersion { found: manifest.schema_version });
        }
        if manifest.other.contains_key("manifests") || manifest.other.contains_key("fsLayers") {
            return Err(ImageError::Ambiguous { what: "manifest" });
        }
        let actual = agreed_media_type(media_type, manifest.media_type.as_deref(), &[OCI_MANIFEST, DOCKER_MANIFEST])?;
        Ok((manifest, actual))
    }
}

impl Index {
    /// Reads an index or manifest list; the same rules as for [`Manifest::parse`].
    ///
    /// # Errors
    /// As [`Manifest::parse`].
    pub fn parse(bytes: &[u8], media_type: &str) -> Result<(Self, String), ImageError> {
        let index: Self = serde_json::from_slice(bytes).map_err(|source| ImageError::Json { what: "image index", source })?;
        if index.schema_version != 2 {
            return Err(ImageError::SchemaVersion { found: index.schema_version });
        }
        if index.other.contains_key("layers") || index.other.contains_key("config") {
            return Err(ImageError::Ambiguous { what: "image index" });
        }
        let actual = agreed_media_type(media_type, index.media_type.as_deref(), &[OCI_INDEX, DOCKER_MANIFEST_LIST])?;
        Ok((index, actual))
    }

    /// An OCI index of `manifests`.
    pub fn oci(manifests: Vec<IndexEntry>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(OCI_INDEX.to_owned()),
            manifests,
            annotations: BTreeMap::new(),
            other: Map::new(),
        }
    }

    /// The entry for `linux` on `arch` (OCI spelling): the one that says so, or the only entry without a platform.
    pub fn for_arch(&self, arch: &str) -> Option<&IndexEntry> {
        let fits = |e: &&IndexEntry| e.platform.as_ref().is_some_and(|p| p.architecture == arch && p.os == "linux");
        let mut unnamed = self.manifests.iter().filter(|e| e.platform.is_none());
        self.manifests.iter().find(fits).or_else(|| unnamed.next().filter(|_| unnamed.next().is_none()))
    }
}

impl IndexEntry {
    /// An entry for a manifest of `size` bytes.
    pub fn new(media_type: impl Into<String>, digest: Digest, size: u64, platform: Option<Platform>) -> Self {
        let (annotations, other) = (BTreeMap::new(), Map::new());
        Self { media_type: media_type.into(), digest, size, platform, annotations, other }
    }
}

/// The media type both sides agree on: the first of `known` when neither says anything.
fn agreed_media_type(promised: &str, own: Option<&str>, known: &[&'static str; 2]) -> Result<String, ImageError> {
    // Registries append parameters like `; charset=utf-8`.
    let promised = promised.split(';').next().unwrap_or_default().trim();
    let promised = if promised == "application/json" { "" } else { promised };
    let own = own.unwrap_or_default();
    if !promised.is_empty() && !own.is_empty() && promised != own {
        return Err(ImageError::MediaType { promised: promised.to_owned(), found: own.to_owned() });
    }
    let said = if own.is_empty() { promised } else { own };
    let said = if said.is_empty() { known[0] } else { said };
    if !known.contains(&said) {
        return Err(ImageError::MediaType { promised: known.join(" or "), found: said.to_owned() });
    }
    Ok(said.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(extra: &str) -> String {
        let digest = format!("sha256:{}", "1".repeat(64));
        format!(
            r#"{{"schemaVersion":2{extra},"config":{{"mediaType":"c","digest":"{digest}","size":2}},"layers":[{{"mediaType":"l","digest":"{digest}","size":3,"urls":["u"]}}]}}"#
        )
    }

    #[test]
    fn unknown_fields_survive_reading_and_writing() {
        let text = manifest(r#","annotations":null,"subject":{"a":1}"#);
        let (read, media_type) = Manifest::parse(text.as_bytes(), "").expect("a manifest");
        assert_eq!(media_type, OCI_MANIFEST);
        let again: Value = serde_json::to_value(&read).expect("json");
        assert_eq!(again["subject"]["a"], 1);
        assert_eq!(again["layers"][0]["urls"][0], "u");
        assert!(again.get("annotations").is_none());
    }

    #[test]
    fn a_document_that_is_manifest_and_index_at_once_is_refused() {
        let err = Manifest::parse(manifest(r#","manifests":[]"#).as_bytes(), "").expect_err("ambiguous");
        assert!(matches!(err, ImageError::Ambiguous { .. }), "{err}");
    }

    #[test]
    fn the_promised_media_type_must_be_the_documents_own() {
        let text = manifest(&format!(r#","mediaType":"{DOCKER_MANIFEST}""#));
        assert!(matches!(Manifest::parse(text.as_bytes(), OCI_MANIFEST), Err(ImageError::MediaType { .. })));
        assert_eq!(Manifest::parse(text.as_bytes(), "").expect("own type").1, DOCKER_MANIFEST);
        assert_eq!(Manifest::parse(manifest("").as_bytes(), &format!("{DOCKER_MANIFEST}; x=y")).expect("ok").1, DOCKER_MANIFEST);
        assert!(Manifest::parse(manifest("").as_bytes(), "text/html").is_err());
    }

    #[test]
    fn an_index_entry_is_chosen_by_architecture() {
        let digest = |c: &str| format!("sha256:{}", c.repeat(64)).parse::<Digest>().expect("digest");
        let entry = |c, arch: Option<&str>| IndexEntry::new(OCI_MANIFEST, digest(c), 1, arch.map(Platform::linux));
        let index = Index::oci(vec![entry("1", Some("amd64")), entry("2", Some("arm64"))]);
        assert_eq!(index.for_arch("arm64").map(|e| e.digest.clone()), Some(digest("2")));
        assert_eq!(index.for_arch("s390x"), None);
        let single = Index::oci(vec![entry("3", None)]);
        assert_eq!(single.for_arch("s390x").map(|e| e.digest.clone()), Some(digest("3")));
    }
}
