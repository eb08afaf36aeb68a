//! Image layers at rest: store, unpack, pack, OCI layout and docker archive.
