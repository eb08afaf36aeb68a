//! A descriptor: media type, digest and size of a blob (image-spec descriptor.md), and the platform beside it in an index.

use std::collections::BTreeMap;

use build_model::Digest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Points at one blob. Make new ones with [`Descriptor::new`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the blob is.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Free remarks; OCI only.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "crate::manifest::null_is_default")]
    pub annotations: BTreeMap<String, String>,
    /// Fields this program does not know (`urls`, `artifactType`, …), kept as they came.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Descriptor {
    /// A descriptor without annotations.
    pub fn new(media_type: impl Into<String>, digest: Digest, size: u64) -> Self {
        Self { media_type: media_type.into(), digest, size, annotations: BTreeMap::new(), other: Map::new() }
    }
}

/// The machine an image is for, in Go's spelling (`linux`, `amd64`, `v8`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// CPU architecture.
    pub architecture: String,
    /// Operating system.
    pub os: String,
    /// Variant of the CPU, `v7` or `v8` for arm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// `os.version`, `os.features` and whatever else was there.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Platform {
    /// `linux` on `architecture`.
    pub fn linux(architecture: &str) -> Self {
        Self { architecture: architecture.to_owned(), os: "linux".to_owned(), variant: None, other: Map::new() }
    }
}
