//! Unpacks the layers of strangers into the form overlayfs wants: whiteouts become character devices 0:0, opaque
//! directories get an extended attribute. Called by [`crate::Store::unpack_layer`], which publishes the result.
//!
//! A layer may be malformed or hostile. Nothing outside the directory can be reached, what cannot be unpacked as it is
//! meant is refused with the entry named, and limits bound what a small blob can inflate to.

mod apply;
mod contents;
mod digests;
mod error;
mod name;
mod stream;
mod tree;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use build_model::Digest;

use apply::{Applier, READING};
use contents::Contents;
use digests::DigestSink;
use stream::TarStream;
use tree::LayerTree;

use crate::store::BlobSource;
use crate::tar_format::{TarError, TarReader, shown};

pub use digests::UnpackedDigests;
pub use error::{EntryProblem, UnpackError};

/// Bounds on what a layer may make this machine do. The defaults are far above any sane image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnpackLimits {
    /// Bytes of the uncompressed tar.
    pub uncompressed_bytes: u64,
    /// Bytes of one file.
    pub file_bytes: u64,
    /// Number of entries.
    pub entries: u64,
    /// Bytes of a path within the layer.
    pub path_bytes: usize,
    /// Bytes of the extended headers of one entry: long names and extended attributes.
    pub extension_bytes: u64,
}

impl Default for UnpackLimits {
    fn default() -> Self {
        Self {
            uncompressed_bytes: 64 << 30,
            file_bytes: 32 << 30,
            entries: 4_000_000,
            path_bytes: 4095,
            extension_bytes: 1 << 20,
        }
    }
}

/// What was unpacked.
#[derive(Debug)]
pub(crate) struct Unpacked {
    pub(crate) uncompressed_size: u64,
    /// Of its files, where they were asked for.
    pub(crate) digests: Option<UnpackedDigests>,
}

/// Unpacks the layer `blob` into the empty directory `dir` and verifies both digests. On an error, the caller
/// removes `dir`. With `take_digests`, files are hashed while they are written.
pub(crate) fn unpack_tar(
    dir: &Path,
    blob: BlobSource,
    layer: &Digest,
    diff_id: &Digest,
    lowers: &[PathBuf],
    limits: &UnpackLimits,
    take_digests: bool,
) -> Result<Unpacked, UnpackError> {
    let failed = |action| move |source| UnpackError::Directory { action, layer: layer.clone(), source };
    let tree = LayerTree::new(dir, lowers).map_err(failed("prepare"))?;
    let digests = take_digests.then(Arc::<DigestSink>::default);
    let size = std::thread::scope(|scope| {
        let (stream, inflating) = stream::start(scope, blob, limits.uncompressed_bytes).map_err(failed("start a thread for"))?;
        let contents = Contents::start(scope, digests.clone()).map_err(failed("start a thread for"))?;
        // The stream is dropped in there; the other threads go on to the end of the blob.
        let applied = apply_all(tree, stream, contents, digests.clone(), layer, limits);
        let sums = inflating.finish();
        let found = sums
            .blob
            .map_err(|source| UnpackError::Archive { layer: layer.clone(), source: TarError::Read { offset: 0, source } })?;
        // First of all: a damaged blob explains every other error.
        if found != *layer {
            return Err(UnpackError::BlobDigest { layer: layer.clone(), found });
        }
        applied?;
        if sums.tar != *diff_id {
            return Err(UnpackError::DiffId { layer: layer.clone(), expected: diff_id.clone(), found: sums.tar });
        }
        Ok(sums.size)
    })?;
    // The threads have ended: nobody else holds it.
    let digests = digests.and_then(Arc::into_inner).map(DigestSink::into_digests);
    Ok(Unpacked { uncompressed_size: size, digests })
}

/// Applies every entry.
fn apply_all(
    tree: LayerTree,
    stream: TarStream,
    contents: Contents,
    digests: Option<Arc<DigestSink>>,
    layer: &Digest,
    limits: &UnpackLimits,
) -> Result<(), UnpackError> {
    let mut tar = TarReader::new(stream, limits.extension_bytes).with_sparse_files();
    let mut applier = Applier::new(tree, contents, limits, digests);
    let (mut entries, mut sparse_bytes) = (0, 0_u64);
    let mut last = String::new();
    let limit = |what, limit, entry: &str| UnpackError::Limit { layer: layer.clone(), what, limit, entry: entry.to_owned() };
    let too_large = |entry: &str| limit("too many bytes", limits.uncompressed_bytes, entry);
    let refused = |entry: &str, source| UnpackError::Entry { layer: layer.clone(), entry: entry.to_owned(), source };
    loop {
        let entry = match tar.next_entry() {
            Ok(Some(entry)) => entry,
            Ok(None) => break,
            Err(_) if tar.get_ref().is_over() => return Err(too_large(&last)),
            Err(source) => return Err(UnpackError::Archive { layer: layer.clone(), source }),
        };
        last = entry.shown_path();
        entries += 1;
        if entries > limits.entries {
            return Err(limit("too many entries", limits.entries, &last));
        }
        if entry.size > limits.file_bytes {
            return Err(limit("a file of too many bytes", limits.file_bytes, &last));
        }
        // Holes cost nothing here, but whoever reads the files later.
        if entry.sparse.is_some() {
            sparse_bytes = entry.size.saturating_add(sparse_bytes);
            if sparse_bytes > limits.uncompressed_bytes {
                return Err(limit("sparse files of too many bytes", limits.uncompressed_bytes, &last));
            }
        }
        match applier.apply(&entry, &mut tar) {
            Ok(()) => {}
            Err(_) if tar.get_ref().is_over() => return Err(too_large(&last)),
            Err(EntryProblem::System { action: READING, source }) => {
                let offset = tar.offset();
                let source = match source.kind() {
                    std::io::ErrorKind::UnexpectedEof => TarError::Truncated { offset },
                    _ => TarError::Read { offset, source },
                };
                return Err(UnpackError::Archive { layer: layer.clone(), source });
            }
            // What another entry's content met may be why this one cannot go on.
            Err(source) => {
                return Err(match applier.finish() {
                    Err((entry, earlier)) => refused(&shown(&entry), earlier),
                    Ok(_) => refused(&last, source),
                });
            }
        }
    }
    let mut rest = tar.into_inner();
    // What follows the archive's end counts for the digest, too.
    if let Err(source) = rest.drain() {
        if rest.is_over() {
            return Err(too_large(&last));
        }
        return Err(UnpackError::Archive { layer: layer.clone(), source: TarError::Read { offset: 0, source } });
    }
    let tree = applier.finish().map_err(|(entry, source)| refused(&shown(&entry), source))?;
    tree.finish().map_err(|source| UnpackError::Directory { action: "finish", layer: layer.clone(), source })
}

#[cfg(test)]
mod blob_tests;
#[cfg(test)]
mod sparse_tests;
#[cfg(test)]
mod tests;
