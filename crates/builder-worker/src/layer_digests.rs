//! The digests of a layer's files, as the store keeps them beside the layer ([`Store::file_digests`]), in the form the file
//! accounting takes them. Read for layers this build packed and for layers that were unpacked to be verified.

use build_model::Digest;
use image_layers::{FileDigestAlgorithm, Store, StoreError};
use rpm_provenance::files::PackedDigests;

/// The list of the layer `diff_id`; empty when there is none, so that its files are read again.
///
/// # Errors
/// The list cannot be read.
pub fn of_layer(store: &Store, diff_id: &Digest) -> Result<PackedDigests, StoreError> {
    let mut layer = PackedDigests::default();
    for file in store.file_digests(diff_id)?.into_iter().flatten() {
        let file = file?;
        if let Some(Ok(sha256)) = file.get(FileDigestAlgorithm::Sha256).map(<[u8; 32]>::try_from) {
            layer.insert(&file.path, file.size, sha256);
        }
    }
    Ok(layer)
}
