//! The digests of a layer's files, as the store keeps them beside the layer, in the form the file accounting takes them: of
//! layers that a build packed ([`Store::file_digests`]), and of those that `verify` unpacked ([`Store::unpacked_digests`]).

use build_model::Digest;
use image_layers::{FileDigestAlgorithm, Store, StoreError, UnpackedLayer};
use rpm_provenance::files::{LayerDigests, PackedDigests};

/// Of the packed layer `diff_id`; without them, its files are read again.
///
/// # Errors
/// The list cannot be read.
pub fn of_packed(store: &Store, diff_id: &Digest) -> Result<LayerDigests, StoreError> {
    let Some(list) = store.file_digests(diff_id)? else { return Ok(LayerDigests::Unknown) };
    let mut layer = PackedDigests::default();
    for file in list {
        let file = file?;
        if let Some(Ok(sha256)) = file.get(FileDigestAlgorithm::Sha256).map(<[u8; 32]>::try_from) {
            layer.insert(&file.path, file.size, sha256);
        }
    }
    Ok(LayerDigests::Packed(layer))
}

/// Of a layer that was unpacked to be verified; without them, its files are read again.
pub fn of_unpacked(store: &Store, layer: &UnpackedLayer) -> LayerDigests {
    store.unpacked_digests(layer).map_or(LayerDigests::Unknown, LayerDigests::Unpacked)
}
