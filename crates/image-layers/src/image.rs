//! One image whose blobs are all in the store: manifest and config, parsed and as the bytes their digests stand for.

use build_model::{Blame, Diagnose, Digest};
use sha2::{Digest as _, Sha256};

use crate::descriptor::Descriptor;
use crate::image_config::ImageConfig;
use crate::manifest::Manifest;
use crate::store::{Store, StoreError};

/// Largest manifest or index that is read. Registries refuse more than 4 MiB.
pub(crate) const MANIFEST_LIMIT: u64 = 4 << 20;
/// Largest image config that is read.
pub(crate) const CONFIG_LIMIT: u64 = 8 << 20;

/// An image in the [`Store`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalImage {
    /// Digest of `manifest_bytes`.
    pub manifest_digest: Digest,
    /// Media type of the manifest.
    pub manifest_media_type: String,
    /// The manifest as it is stored and sent.
    pub manifest_bytes: Vec<u8>,
    /// The manifest, parsed.
    pub manifest: Manifest,
    /// The config as it is stored and sent.
    pub config_bytes: Vec<u8>,
    /// The config, parsed.
    pub config: ImageConfig,
}

/// Why something is no usable image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A blob is missing or cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Text that is not the document it should be.
    #[error("cannot read the {what}")]
    Json {
        /// Which document.
        what: &'static str,
        /// What the parser says.
        #[source]
        source: serde_json::Error,
    },
    /// Docker's schema 1, or something newer than this program.
    #[error("the manifest has schema version {found}, only 2 is supported")]
    SchemaVersion {
        /// The version given.
        found: u32,
    },
    /// Both a manifest and an index, depending on who reads it.
    #[error("the {what} has the fields of a manifest and of an index at once")]
    Ambiguous {
        /// As what it was read.
        what: &'static str,
    },
    /// Another kind of document than promised.
    #[error("the document is `{found}`, not `{promised}`")]
    MediaType {
        /// What it should be.
        promised: String,
        /// What it says it is.
        found: String,
    },
    /// Manifest and config do not speak of the same layers.
    #[error("the manifest has {layers} layers and the config {diff_ids} diff ids")]
    LayerCount {
        /// Layers of the manifest.
        layers: usize,
        /// Diff ids of the config.
        diff_ids: usize,
    },
    /// History and layers do not fit.
    #[error("the history tells of {history} layers and the image has {layers}")]
    HistoryCount {
        /// History entries that made a layer.
        history: usize,
        /// Layers.
        layers: usize,
    },
    /// A layer that the wanted format cannot name.
    #[error("the layer {digest} has the media type `{media_type}`, which {format} does not know")]
    LayerType {
        /// The layer.
        digest: Digest,
        /// Its media type.
        media_type: String,
        /// The wanted format.
        format: &'static str,
    },
}

impl Diagnose for ImageError {
    fn blame(&self) -> Blame {
        match self {
            ImageError::Store(source) => source.blame(),
            ImageError::HistoryCount { .. } => Blame::Site,
            _ => Blame::Packager,
        }
    }
    fn kind(&self) -> &'static str {
        match self {
            ImageError::Store(source) => source.kind(),
            ImageError::Json { .. } => "image-json",
            ImageError::SchemaVersion { .. } => "image-schema",
            ImageError::Ambiguous { .. } => "image-ambiguous",
            ImageError::MediaType { .. } => "image-media-type",
            ImageError::LayerCount { .. } => "image-layer-count",
            ImageError::HistoryCount { .. } => "image-history",
            ImageError::LayerType { .. } => "image-layer-type",
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            ImageError::Store(source) => source.hint(),
            ImageError::SchemaVersion { .. } => Some("push the image again with a tool of this decade".to_owned()),
            ImageError::LayerType { .. } => Some("zstd layers need the OCI manifest format".to_owned()),
            _ => None,
        }
    }
    fn is_transient(&self) -> bool {
        matches!(self, ImageError::Store(source) if source.is_transient())
    }
}

impl LocalImage {
    /// Loads the image whose manifest is the blob `manifest`. `media_type` is what the registry or index said; may be empty.
    ///
    /// Reads manifest and config and checks both against their digests. Whether the layer blobs are there is not checked:
    /// see [`LocalImage::missing_blobs`].
    ///
    /// # Errors
    /// A blob is missing, too large or damaged; the documents are malformed; the numbers of layers and diff ids differ.
    pub fn load(store: &Store, manifest: &Digest, media_type: &str) -> Result<Self, ImageError> {
        let manifest_bytes = store.read_blob(manifest, MANIFEST_LIMIT)?;
        let (parsed, manifest_media_type) = Manifest::parse(&manifest_bytes, media_type)?;
        let config_bytes = store.read_blob(&parsed.config.digest, CONFIG_LIMIT)?;
        let config: ImageConfig =
            serde_json::from_slice(&config_bytes).map_err(|source| ImageError::Json { what: "image config", source })?;
        if parsed.layers.len() != config.rootfs.diff_ids.len() {
            return Err(ImageError::LayerCount { layers: parsed.layers.len(), diff_ids: config.rootfs.diff_ids.len() });
        }
        Ok(Self {
            manifest_digest: manifest.clone(),
            manifest_media_type,
            manifest_bytes,
            manifest: parsed,
            config_bytes,
            config,
        })
    }

    /// The layers, bottom first.
    pub fn layers(&self) -> &[Descriptor] {
        &self.manifest.layers
    }

    /// The chain id of every layer, bottom first (image-spec config.md, "Layer ChainID").
    pub fn chain_ids(&self) -> Vec<Digest> {
        let mut chain: Vec<Digest> = Vec::with_capacity(self.config.rootfs.diff_ids.len());
        for diff_id in &self.config.rootfs.diff_ids {
            chain.push(chain_id(chain.last(), diff_id));
        }
        chain
    }

    /// Bytes of manifest, config and layers together, as they are transferred.
    pub fn total_size(&self) -> u64 {
        let layers = self.manifest.layers.iter().fold(0_u64, |sum, layer| sum.saturating_add(layer.size));
        layers.saturating_add(self.config_bytes.len() as u64).saturating_add(self.manifest_bytes.len() as u64)
    }

    /// The layer blobs the store does not have.
    pub fn missing_blobs<'a>(&'a self, store: &Store) -> Vec<&'a Descriptor> {
        self.manifest.layers.iter().filter(|layer| !store.has_blob(&layer.digest)).collect()
    }
}

/// The name of a layer on top of `parent`: the diff id alone for the lowest, else the digest of both names.
pub fn chain_id(parent: Option<&Digest>, diff_id: &Digest) -> Digest {
    match parent {
        None => diff_id.clone(),
        Some(parent) => Digest::from_sha256(&Sha256::digest(format!("{parent} {diff_id}")).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_id_is_the_digest_of_parent_and_diff_id() {
        let digest = |c: &str| format!("sha256:{}", c.repeat(64)).parse::<Digest>().expect("digest");
        let (a, b) = (digest("a"), digest("b"));
        assert_eq!(chain_id(None, &a), a);
        let expected = Digest::from_sha256(&Sha256::digest(format!("{a} {b}").as_bytes()).into());
        assert_eq!(chain_id(Some(&a), &b), expected);
    }
}
