//! Packs an overlay upper directory as a layer, in one pass: tar → sha256 (diff id) → compression → sha256 (digest) →
//! blob of the store. Called by the build engine after a step; the same directory gives the same digest every time.

mod compare;
mod error;
mod file_hashes;
mod listing;
mod walk;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use build_model::Digest;
use sha2::{Digest as _, Sha256};

use crate::codec::{BlockWriter, Compression};
use crate::descriptor::Descriptor;
use crate::merged_view::MergedView;
use crate::store::{BlobWriter, FollowedBlob, Store};
use crate::tar_format::TarWriter;
use walk::Walk;

pub use error::PackError;
pub use file_hashes::{FileDigest, FileDigestAlgorithm};

/// The version of what makes the bytes of a layer: order and headers of the tar, block sizes, levels and versions of the
/// compressors. It is part of every name in the instruction cache. A change that gives the same files another digest
/// comes with the next number (`the_layer_writer_has_not_changed` tells).
pub const LAYER_WRITER: u32 = 3;

/// How a layer is packed. The layer depends on all of it except `threads` and `file_digests`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PackOptions {
    /// Compression of the blob.
    pub compression: Compression,
    /// Times of modification after this one (seconds since 1970) are set to it; earlier ones stay.
    pub clamp_mtime: Option<i64>,
    /// Threads that compress; 0 for as many as there are processors.
    pub threads: usize,
    /// Digests taken of every regular file on the way, for [`Store::file_digests`]; none when empty.
    pub file_digests: Vec<FileDigestAlgorithm>,
}

/// A layer that was packed; its blob is in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedLayer {
    /// The blob, with an OCI media type.
    pub descriptor: Descriptor,
    /// Digest of the uncompressed tar.
    pub diff_id: Digest,
    /// Number of entries; 0 means that the layer changes nothing.
    pub entries: u64,
    /// Size of the uncompressed tar in bytes.
    pub uncompressed_size: u64,
}

/// Packs the overlay upper directory `upper` as a layer over `lowers`: all layers below it, top first, none of them for
/// an image from scratch.
///
/// Left out are entries that are the same below (copied up, but not changed), directories of which only the time is new
/// and nothing in them is packed, and sockets. The root directory is an entry only when its
/// owner, mode or attributes are new: give `upper` those of the topmost lower (0755, 0:0 for scratch).
/// `upper` must be at rest and have been mounted with `redirect_dir=off,metacopy=off`.
///
/// # Errors
/// See [`PackError`].
pub fn pack_layer(store: &Store, upper: &Path, lowers: &[PathBuf], options: &PackOptions) -> Result<PackedLayer, PackError> {
    pack(store.blob_writer()?, store, upper, lowers, options)
}

/// As [`pack_layer`], and gives `begun` a reader of the blob that is to be: what is read there is what is packed, as it
/// is packed. Its [`FollowedBlob::digest`] is known in the end.
///
/// # Errors
/// See [`PackError`]; the reader has an error then, too.
pub fn pack_layer_followed(
    store: &Store,
    upper: &Path,
    lowers: &[PathBuf],
    options: &PackOptions,
    begun: &dyn Fn(FollowedBlob),
) -> Result<PackedLayer, PackError> {
    let mut blob = store.blob_writer()?;
    begun(blob.follow().map_err(|source| PackError::Compression { source })?);
    pack(blob, store, upper, lowers, options)
}

fn pack(
    blob: BlobWriter,
    store: &Store,
    upper: &Path,
    lowers: &[PathBuf],
    options: &PackOptions,
) -> Result<PackedLayer, PackError> {
    let blocks =
        BlockWriter::new(blob, options.compression, options.threads).map_err(|source| PackError::Compression { source })?;
    let sink = HashedTar { blocks, sum: Sha256::new() };
    let mut walk = Walk::new(TarWriter::new(sink), options.clamp_mtime, !lowers.is_empty());
    if !options.file_digests.is_empty() {
        walk.take_digests(options.file_digests.clone(), store.file_digest_list()?);
    }
    walk.root(upper, MergedView::new(lowers.to_vec()).root())?;

    let ending = |source| PackError::Io { action: "write the end of", path: "/".to_owned(), source };
    let (list, entries) = (walk.list.take(), walk.entries);
    let (sink, uncompressed_size) = walk.tar.finish().map_err(ending)?;
    let diff_id = Digest::from_sha256(&sink.sum.finalize().into());
    if let Some(list) = list {
        list.publish(&diff_id)?;
    }
    let (digest, size) = sink.blocks.finish().map_err(ending)?.finish(None)?;
    store.note_uncompressed_size(&digest, uncompressed_size);
    let descriptor = Descriptor::new(options.compression.media_type(), digest, size);
    Ok(PackedLayer { descriptor, diff_id, entries, uncompressed_size })
}

/// The tar on its way into the compressor.
struct HashedTar {
    blocks: BlockWriter<BlobWriter>,
    sum: Sha256,
}

impl Write for HashedTar {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.blocks.write(bytes)?;
        self.sum.update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.blocks.flush()
    }
}

#[cfg(test)]
mod tests;
