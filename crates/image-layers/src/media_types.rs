//! The media types of manifests, configs and layers, in OCI's and in Docker's spelling, and the way between them
//! (image-spec media-types.md, "Compatibility matrix").

/// OCI image manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// OCI image index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// OCI image config.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// OCI layer, plain tar.
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// OCI layer, tar in gzip.
pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// OCI layer, tar in zstd. Docker's format has no counterpart.
pub const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
/// Docker manifest, version 2 schema 2.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker manifest list.
pub const DOCKER_MANIFEST_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Docker image config.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// Docker layer, plain tar.
pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
/// Docker layer, tar in gzip.
pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/// Whether `media_type` names a list of manifests, one per platform.
pub fn is_index(media_type: &str) -> bool {
    matches!(media_type, OCI_INDEX | DOCKER_MANIFEST_LIST)
}

/// Whether `media_type` names the manifest of one image.
pub fn is_manifest(media_type: &str) -> bool {
    matches!(media_type, OCI_MANIFEST | DOCKER_MANIFEST)
}

/// A layer's media type in OCI's spelling; `None` when it is no layer type known to either format.
pub fn layer_to_oci(media_type: &str) -> Option<&'static str> {
    match media_type {
        OCI_LAYER | DOCKER_LAYER => Some(OCI_LAYER),
        OCI_LAYER_GZIP | DOCKER_LAYER_GZIP => Some(OCI_LAYER_GZIP),
        OCI_LAYER_ZSTD => Some(OCI_LAYER_ZSTD),
        _ => None,
    }
}

/// A layer's media type in Docker's spelling; `None` for zstd layers and for unknown types.
pub fn layer_to_docker(media_type: &str) -> Option<&'static str> {
    match media_type {
        OCI_LAYER | DOCKER_LAYER => Some(DOCKER_LAYER),
        OCI_LAYER_GZIP | DOCKER_LAYER_GZIP => Some(DOCKER_LAYER_GZIP),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layer_types_translate_both_ways_except_zstd() {
        assert_eq!(layer_to_oci(DOCKER_LAYER_GZIP), Some(OCI_LAYER_GZIP));
        assert_eq!(layer_to_docker(OCI_LAYER), Some(DOCKER_LAYER));
        assert_eq!(layer_to_docker(OCI_LAYER_ZSTD), None);
        assert_eq!(layer_to_oci("application/vnd.example"), None);
        assert!(is_index(OCI_INDEX) && !is_index(OCI_MANIFEST) && is_manifest(DOCKER_MANIFEST));
    }
}
