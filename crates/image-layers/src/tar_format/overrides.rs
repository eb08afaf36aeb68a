//! What extended headers (POSIX pax, "Extended Header Keywords") say about an entry, over what its own header says.

use super::error::TarError;
use super::pax;
use super::sparse::SparseRecords;

/// What extended headers say about an entry.
#[derive(Debug, Clone, Default)]
pub(super) struct Overrides {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) mtime: Option<(i64, u32)>,
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) sparse: SparseRecords,
}

impl Overrides {
    pub(super) fn apply(&mut self, data: &[u8], offset: u64) -> Result<(), TarError> {
        const XATTR: &[u8] = b"SCHILY.xattr.";
        let bad = |field| TarError::Number { field, offset };
        // An empty value takes back what a global header said.
        let count = |value: &[u8], field| match value {
            b"" => Ok(None),
            value => pax::decimal(value).map(Some).ok_or_else(|| bad(field)),
        };
        let text = |value: &[u8]| (!value.is_empty()).then(|| value.to_vec());
        for (key, value) in pax::parse(data, offset)? {
            match key {
                b"path" => self.path = text(value),
                b"linkpath" => self.link = text(value),
                b"size" => self.size = count(value, "size")?,
                b"uid" => self.uid = count(value, "uid")?,
                b"gid" => self.gid = count(value, "gid")?,
                b"mtime" if value.is_empty() => self.mtime = None,
                b"mtime" => self.mtime = Some(pax::time(value).ok_or_else(|| bad("mtime"))?),
                _ => {
                    if let Some(name) = key.strip_prefix(b"GNU.sparse.") {
                        self.sparse.take(name, value).ok_or_else(|| bad("map"))?;
                    } else if let Some(name) = key.strip_prefix(XATTR) {
                        self.xattrs.retain(|(other, _)| other != name);
                        self.xattrs.push((name.to_vec(), value.to_vec()));
                    }
                }
            }
        }
        Ok(())
    }
}
