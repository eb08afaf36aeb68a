//! Digests of a layer's files, taken while the layer was packed or unpacked: with them nothing is read a second time.

use std::collections::HashMap;

use image_layers::UnpackedDigests;

use super::tree::Entry;

/// What is known of the content of one layer's files before they are looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum LayerDigests {
    /// Nothing: they are read.
    #[default]
    Unknown,
    /// The layer was packed on this machine, by this build or an earlier one.
    Packed(PackedDigests),
    /// The layer is another machine's and was unpacked here.
    Unpacked(UnpackedDigests),
}

impl LayerDigests {
    /// The SHA-256 of a file of the layer.
    pub(super) fn of(&self, entry: &Entry) -> Option<[u8; 32]> {
        match self {
            LayerDigests::Unknown => None,
            LayerDigests::Packed(packed) => packed.get(&entry.path, entry.meta.len()),
            LayerDigests::Unpacked(unpacked) => unpacked.get(&entry.meta),
        }
    }
}

/// SHA-256 of the regular files of one layer by their path in the image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PackedDigests {
    sums: HashMap<Vec<u8>, (u64, [u8; 32])>,
}

impl PackedDigests {
    /// Notes a file. The path is the layer's, with or without a leading slash.
    pub fn insert(&mut self, path: &[u8], size: u64, sha256: [u8; 32]) {
        let path = path.strip_prefix(b"./").unwrap_or(path);
        let path = path.strip_prefix(b"/").unwrap_or(path);
        self.sums.insert([b"/", path].concat(), (size, sha256));
    }

    /// The digest of a file, if one of this size was packed.
    pub(super) fn get(&self, path: &[u8], size: u64) -> Option<[u8; 32]> {
        self.sums.get(path).filter(|(packed, _)| *packed == size).map(|(_, sum)| *sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_found_by_its_path_in_the_image_and_its_size() {
        let mut packed = PackedDigests::default();
        packed.insert(b"usr/bin/a", 3, [1; 32]);
        packed.insert(b"./etc/b", 0, [2; 32]);
        assert_eq!(packed.get(b"/usr/bin/a", 3), Some([1; 32]));
        assert_eq!(packed.get(b"/usr/bin/a", 4), None, "another file than was packed");
        assert_eq!(packed.get(b"/etc/b", 0), Some([2; 32]));
    }
}
