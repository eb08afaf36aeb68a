//! Writes the config and manifest of a new image: the base's layers, then the new ones, in OCI's or Docker's format.

use std::collections::BTreeMap;

use build_model::Digest;
use serde_json::Map;

use crate::codec::Compression;
use crate::descriptor::Descriptor;
use crate::image::{ImageError, LocalImage};
use crate::image_config::ImageConfig;
use crate::manifest::Manifest;
use crate::media_types::{self, DOCKER_CONFIG, DOCKER_MANIFEST, OCI_CONFIG, OCI_MANIFEST};
use crate::pack::PackedLayer;
use crate::store::Store;

/// The format of a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ManifestFormat {
    /// OCI image manifest.
    #[default]
    Oci,
    /// Docker image manifest, version 2 schema 2. Knows no zstd layers and no annotations.
    DockerV2s2,
}

impl ManifestFormat {
    /// Whether layers of this compression have a name in the format.
    pub fn knows(self, compression: Compression) -> bool {
        match self {
            ManifestFormat::Oci => true,
            ManifestFormat::DockerV2s2 => media_types::layer_to_docker(compression.media_type()).is_some(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            ManifestFormat::Oci => "the OCI format",
            ManifestFormat::DockerV2s2 => "Docker's format",
        }
    }

    /// Media type of the manifest.
    pub fn manifest_type(self) -> &'static str {
        match self {
            ManifestFormat::Oci => OCI_MANIFEST,
            ManifestFormat::DockerV2s2 => DOCKER_MANIFEST,
        }
    }

    fn config_type(self) -> &'static str {
        match self {
            ManifestFormat::Oci => OCI_CONFIG,
            ManifestFormat::DockerV2s2 => DOCKER_CONFIG,
        }
    }

    /// `layer` as this format names it.
    fn layer(self, layer: &Descriptor) -> Result<Descriptor, ImageError> {
        let translated = match self {
            ManifestFormat::Oci => media_types::layer_to_oci(&layer.media_type),
            ManifestFormat::DockerV2s2 => media_types::layer_to_docker(&layer.media_type),
        };
        let media_type = translated.ok_or_else(|| ImageError::LayerType {
            digest: layer.digest.clone(),
            media_type: layer.media_type.clone(),
            format: self.name(),
        })?;
        let mut made = Descriptor::new(media_type, layer.digest.clone(), layer.size);
        if self == ManifestFormat::Oci {
            made.annotations = layer.annotations.clone();
        }
        Ok(made)
    }
}

/// Puts config and manifest of an image into the store: the layers of `base` and then `new_layers`.
///
/// `config.rootfs` is replaced; everything else of `config`, the history included, is written as given. The result
/// depends on the arguments alone: same layers and config, same digests.
///
/// # Errors
/// A layer's media type has no name in `format`; the history (when there is one) has another number of layer-making
/// entries than the image has layers, unless the base already had; the store cannot be written.
pub fn assemble_image(
    store: &Store,
    base: Option<&LocalImage>,
    new_layers: &[PackedLayer],
    mut config: ImageConfig,
    format: ManifestFormat,
) -> Result<LocalImage, ImageError> {
    let base_layers = base.map(LocalImage::layers).unwrap_or_default();
    let base_diff_ids = base.map(|b| b.config.rootfs.diff_ids.as_slice()).unwrap_or_default();
    let layers = base_layers.iter().chain(new_layers.iter().map(|l| &l.descriptor));
    let layers: Vec<Descriptor> = layers.map(|layer| format.layer(layer)).collect::<Result<_, _>>()?;
    let diff_ids: Vec<Digest> = base_diff_ids.iter().chain(new_layers.iter().map(|l| &l.diff_id)).cloned().collect();

    let told = |history: &[crate::History]| history.iter().filter(|h| !h.empty_layer).count();
    let base_is_told = base.is_none_or(|b| told(&b.config.history) == b.layers().len());
    if base_is_told && !config.history.is_empty() && told(&config.history) != layers.len() {
        return Err(ImageError::HistoryCount { history: told(&config.history), layers: layers.len() });
    }

    config.rootfs = crate::RootFs { diff_ids, ..crate::RootFs::default() };
    let config_bytes = serde_json::to_vec(&config).map_err(|source| ImageError::Json { what: "image config", source })?;
    let config_digest = store.put_blob(&config_bytes)?;
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(format.manifest_type().to_owned()),
        config: Descriptor::new(format.config_type(), config_digest, config_bytes.len() as u64),
        layers,
        annotations: BTreeMap::new(),
        other: Map::new(),
    };
    let manifest_bytes = serde_json::to_vec(&manifest).map_err(|source| ImageError::Json { what: "manifest", source })?;
    let manifest_digest = store.put_blob(&manifest_bytes)?;
    let manifest_media_type = format.manifest_type().to_owned();
    Ok(LocalImage { manifest_digest, manifest_media_type, manifest_bytes, manifest, config_bytes, config })
}
