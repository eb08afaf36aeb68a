//! `[image]`: the form of the images this builder makes.

use image_layers::{Compression, ManifestFormat};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What images are written as. All builders of a site should agree: digests depend on it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ImageSettings {
    /// `docker-v2s2` (what every client of the field reads) or `oci`.
    pub format: ManifestFormat,
    /// Compression of new layers: `gzip`, `zstd` (OCI only), `none`; a level after a colon where one wants another.
    #[serde(serialize_with = "write", deserialize_with = "read")]
    pub compression: Compression,
}

impl Default for ImageSettings {
    fn default() -> Self {
        Self { format: ManifestFormat::DockerV2s2, compression: Compression::default() }
    }
}

impl ImageSettings {
    /// Key and problem of values that do not go together.
    pub(super) fn check(&self) -> Result<(), (&'static str, &'static str)> {
        if self.format.knows(self.compression) {
            return Ok(());
        }
        Err(("image.compression", "has no name in Docker's manifest format: set image.format = \"oci\""))
    }
}

fn write<S: Serializer>(compression: &Compression, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(compression)
}

fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Compression, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}
