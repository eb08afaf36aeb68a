//! The digests of a layer's files, kept beside the layer: `files/HEX`, named by its diff id. One record a file:
//! `SIZE ALGORITHM=HEX[,ALGORITHM=HEX] PATH` and a NUL. Written in the packing pass ([`crate::PackOptions`]), read by
//! whoever accounts for the files of an image; also long after the build, when the layer comes from the cache.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::PathBuf;

use build_model::{Digest, hex, unhex};

use super::Store;
use super::error::StoreError;
use crate::pack::{FileDigest, FileDigestAlgorithm};

/// Longest record: a path of 4095 bytes, five digests in hex and what is around them.
const RECORD_MAX: usize = 8 << 10;

/// A list being written; dropped without [`FileDigestList::publish`], it leaves nothing behind.
pub(crate) struct FileDigestList {
    file: BufWriter<tempfile::NamedTempFile>,
    store: Store,
}

impl FileDigestList {
    pub(crate) fn push(&mut self, file: &FileDigest) -> io::Result<()> {
        write!(self.file, "{} ", file.size)?;
        for (at, (algorithm, digest)) in file.digests.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(self.file, "{comma}{}={}", algorithm.name(), hex(digest))?;
        }
        self.file.write_all(b" ")?;
        self.file.write_all(&file.path)?;
        self.file.write_all(b"\0")
    }

    /// Makes it the list of the layer `diff_id`.
    pub(crate) fn publish(self, diff_id: &Digest) -> Result<(), StoreError> {
        let path = self.store.file_digests_path(diff_id);
        let file = self.file.into_inner().map_err(|e| StoreError::io("write", &path)(e.into_error()))?;
        file.persist(&path).map_err(|e| StoreError::io("publish", &path)(e.error))?;
        Ok(())
    }
}

impl Store {
    fn file_digests_path(&self, diff_id: &Digest) -> PathBuf {
        self.root().join("files").join(diff_id.hex())
    }

    pub(crate) fn file_digest_list(&self) -> Result<FileDigestList, StoreError> {
        let dir = self.session_dir();
        let file = tempfile::Builder::new().prefix("files-").tempfile_in(dir).map_err(StoreError::io("create a file in", dir))?;
        Ok(FileDigestList { file: BufWriter::with_capacity(64 << 10, file), store: self.clone() })
    }

    /// The digests of all regular files of the layer `diff_id`, in the order of the layer; `None` when nobody asked for
    /// them when it was packed (a base image's layer, for example).
    ///
    /// # Errors
    /// The list cannot be opened.
    pub fn file_digests(&self, diff_id: &Digest) -> Result<Option<FileDigests>, StoreError> {
        let path = self.file_digests_path(diff_id);
        match File::open(&path) {
            Ok(file) => Ok(Some(FileDigests { file: BufReader::with_capacity(64 << 10, file), path })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::Io { action: "open", path, source }),
        }
    }
}

/// The digests of a layer's files, one after the other.
#[derive(Debug)]
pub struct FileDigests {
    file: BufReader<File>,
    path: PathBuf,
}

impl Iterator for FileDigests {
    type Item = Result<FileDigest, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut record = Vec::new();
        let read = io::Read::take(&mut self.file, RECORD_MAX as u64).read_until(0, &mut record);
        match read {
            Ok(0) => None,
            Ok(_) => {
                let bad = || StoreError::io("read", &self.path)(io::ErrorKind::InvalidData.into());
                Some(parse(&record).ok_or_else(bad))
            }
            Err(error) => Some(Err(StoreError::io("read", &self.path)(error))),
        }
    }
}

fn parse(record: &[u8]) -> Option<FileDigest> {
    let record = record.strip_suffix(b"\0")?;
    let mut fields = record.splitn(3, |b| *b == b' ');
    let mut text = || std::str::from_utf8(fields.next()?).ok();
    let (size, list) = (text()?.parse().ok()?, text()?);
    let digest = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        Some((FileDigestAlgorithm::from_name(name)?, unhex(value.as_bytes())?.into_vec()))
    };
    let digests = list.split(',').map(digest).collect::<Option<_>>()?;
    Some(FileDigest { path: fields.next()?.to_vec(), size, digests })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{sha256, store};

    #[test]
    fn lists_are_read_as_they_were_written_and_damage_is_an_error() {
        let (_dir, store) = store();
        let diff_id = sha256(b"layer");
        assert!(store.file_digests(&diff_id).expect("no error").is_none());
        let file = |path: &[u8], size| FileDigest {
            path: path.to_vec(),
            size,
            digests: vec![(FileDigestAlgorithm::Sha256, vec![0xab; 32]), (FileDigestAlgorithm::Md5, vec![1; 16])],
        };
        let files = [file(b"usr/bin/a b", 7), file(b"etc/\xff\n", u64::MAX)];
        let mut list = store.file_digest_list().expect("a list");
        files.iter().for_each(|file| list.push(file).expect("written"));
        list.publish(&diff_id).expect("published");
        let read: Result<Vec<_>, _> = store.file_digests(&diff_id).expect("no error").expect("a list").collect();
        assert_eq!(read.expect("readable"), files);
        std::fs::write(store.file_digests_path(&diff_id), b"7 sha256=zz usr/bin/a\0").expect("damaged");
        let mut damaged = store.file_digests(&diff_id).expect("no error").expect("a list");
        assert!(damaged.next().expect("a record").is_err());
    }
}
