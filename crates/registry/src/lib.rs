//! OCI registries: resolve, pull and push images by digest.
