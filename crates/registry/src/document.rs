//! Manifest or index? And which entry of an index is for an architecture (image-spec image-index.md).

use build_model::Arch;
use image_layers::media_types::{DOCKER_MANIFEST, DOCKER_MANIFEST_LIST, OCI_INDEX, OCI_MANIFEST};
use image_layers::{ImageConfig, ImageError, Index, IndexEntry, Manifest};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// What is asked for when something is looked up.
pub(crate) const ACCEPTED: [&str; 4] = [OCI_INDEX, DOCKER_MANIFEST_LIST, OCI_MANIFEST, DOCKER_MANIFEST];

/// A parsed manifest or index, with its media type.
#[derive(Debug)]
pub(crate) enum Document {
    Image(Box<Manifest>, String),
    Index(Index, String),
}

#[derive(Deserialize)]
struct Probe {
    #[serde(rename = "schemaVersion", default)]
    schema_version: u32,
    #[serde(default)]
    manifests: Option<IgnoredAny>,
}

impl Document {
    /// The media type is the document's own, or follows from its form: `oci-client` does not hand out the header.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, ImageError> {
        let what = "manifest";
        let probe: Probe = serde_json::from_slice(bytes).map_err(|source| ImageError::Json { what, source })?;
        if probe.schema_version != 2 {
            return Err(ImageError::SchemaVersion { found: probe.schema_version });
        }
        if probe.manifests.is_some() {
            let (index, media_type) = Index::parse(bytes, "")?;
            Ok(Document::Index(index, media_type))
        } else {
            let (manifest, media_type) = Manifest::parse(bytes, "")?;
            Ok(Document::Image(Box::new(manifest), media_type))
        }
    }

    pub(crate) fn media_type(&self) -> &str {
        match self {
            Document::Image(_, media_type) | Document::Index(_, media_type) => media_type,
        }
    }
}

/// The entry for linux on `arch`: the plain variant if there is one (`v7` for 32-bit arm, none or `v8` elsewhere), else the first.
pub(crate) fn entry_for<'a>(index: &'a Index, arch: &Arch) -> Option<&'a IndexEntry> {
    let plain = |variant: Option<&str>| match variant {
        None | Some("") => arch.as_str() != "armhfp",
        Some("v7") => arch.as_str() == "armhfp",
        Some("v8") => arch.as_str() == "aarch64",
        Some(_) => false,
    };
    let fitting = || {
        let fits = |e: &&IndexEntry| e.platform.as_ref().is_some_and(|p| p.os == "linux" && p.architecture == arch.oci());
        index.manifests.iter().filter(fits)
    };
    fitting()
        .find(|e| e.platform.as_ref().is_some_and(|p| plain(p.variant.as_deref())))
        .or_else(|| fitting().next())
        // Lists of one entry that names no platform exist (made by simple tools); the config is checked after the pull.
        .or_else(|| index.for_arch(arch.oci()))
}

/// The platforms an index lists, for messages.
pub(crate) fn platforms(index: &Index) -> Vec<String> {
    let name = |e: &IndexEntry| match &e.platform {
        None => "an unnamed platform".to_owned(),
        Some(p) => match p.variant.as_deref() {
            Some(v) if !v.is_empty() => format!("{}/{}/{v}", p.os, p.architecture),
            _ => format!("{}/{}", p.os, p.architecture),
        },
    };
    // Attestations are listed as unknown/unknown; they are no images.
    index.manifests.iter().map(name).filter(|n| n != "unknown/unknown").collect()
}

/// What an image's config says it runs on, if that is not linux on `arch`.
pub(crate) fn other_platform(config: &ImageConfig, arch: &Arch) -> Option<String> {
    let os = if config.os.is_empty() { "linux" } else { &config.os };
    // Some old base images leave the architecture out.
    let same = os == "linux" && (config.architecture.is_empty() || config.architecture == arch.oci());
    (!same).then(|| format!("{os}/{}", config.architecture))
}

#[cfg(test)]
mod tests {
    use super::*;
    use build_model::Digest;
    use image_layers::Platform;
    use proptest::prelude::*;

    fn entry(n: u8, architecture: &str, variant: Option<&str>) -> IndexEntry {
        let platform = Platform { variant: variant.map(str::to_owned), ..Platform::linux(architecture) };
        IndexEntry::new(OCI_MANIFEST, Digest::from_sha256(&[n; 32]), 1, Some(platform))
    }

    fn chosen(index: &Index, arch: &str) -> Option<u8> {
        let arch = Arch::canonical(arch).expect("an arch");
        let digest = &entry_for(index, &arch)?.digest;
        (0..20).find(|n| Digest::from_sha256(&[*n; 32]) == *digest)
    }

    #[test]
    fn the_plain_variant_is_preferred() {
        let index = Index::oci(vec![
            entry(1, "arm", Some("v6")),
            entry(2, "arm", Some("v7")),
            entry(3, "amd64", Some("v3")),
            entry(4, "amd64", None),
            entry(5, "arm64", Some("v8")),
            entry(6, "unknown", None),
            entry(7, "ppc64le", Some("power10")),
        ]);
        for (arch, n) in [("armv7hl", Some(2)), ("x86_64", Some(4)), ("aarch64", Some(5)), ("ppc64le", Some(7)), ("s390x", None)]
        {
            assert_eq!(chosen(&index, arch), n, "{arch}");
        }
    }

    #[test]
    fn manifests_and_indexes_are_told_apart_without_a_media_type() {
        let digest = Digest::from_sha256(&[1; 32]);
        let manifest = format!(r#"{{"schemaVersion":2,"config":{{"mediaType":"x","digest":"{digest}","size":1}},"layers":[]}}"#);
        assert_eq!(Document::parse(manifest.as_bytes()).expect("a manifest").media_type(), OCI_MANIFEST);
        let index = r#"{"schemaVersion":2,"manifests":[]}"#;
        assert_eq!(Document::parse(index.as_bytes()).expect("an index").media_type(), OCI_INDEX);
        let docker = format!(r#"{{"schemaVersion":2,"mediaType":"{DOCKER_MANIFEST_LIST}","manifests":[]}}"#);
        assert_eq!(Document::parse(docker.as_bytes()).expect("a list").media_type(), DOCKER_MANIFEST_LIST);
    }

    #[test]
    fn dockers_schema_1_is_named_as_such() {
        let old = r#"{"schemaVersion":1,"name":"a","fsLayers":[]}"#;
        assert!(matches!(Document::parse(old.as_bytes()), Err(ImageError::SchemaVersion { found: 1 })));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in any::<Vec<u8>>()) {
            let _ = Document::parse(&bytes);
        }
    }
}
