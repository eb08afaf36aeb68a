//! The files of the dist-git commit by content. Read once; a file is hashed only when one of its size is asked for.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::hash::sha256_of;

struct Source {
    path: PathBuf,
    sum: OnceLock<Option<[u8; 32]>>,
}

/// The files a Dockerfile may copy.
#[derive(Default)]
pub(super) struct Commit {
    root: PathBuf,
    by_size: HashMap<u64, Vec<Source>>,
}

impl Commit {
    /// Lists the files below `root`, without `.git`. Links are not followed.
    pub fn list(root: &Path) -> Result<Self, (PathBuf, io::Error)> {
        let mut by_size: HashMap<u64, Vec<Source>> = HashMap::new();
        let mut pending = vec![root.to_owned()];
        while let Some(dir) = pending.pop() {
            for entry in fs::read_dir(&dir).map_err(|e| (dir.clone(), e))? {
                let entry = entry.map_err(|e| (dir.clone(), e))?;
                let meta = entry.metadata().map_err(|e| (entry.path(), e))?;
                if meta.is_dir() {
                    if entry.file_name() != ".git" {
                        pending.push(entry.path());
                    }
                } else if meta.is_file() && meta.len() > 0 {
                    by_size.entry(meta.len()).or_default().push(Source { path: entry.path(), sum: OnceLock::new() });
                }
            }
        }
        by_size.values_mut().for_each(|list| list.sort_by(|a, b| a.path.cmp(&b.path)));
        Ok(Self { root: root.to_owned(), by_size })
    }

    pub fn has_size(&self, size: u64) -> bool {
        self.by_size.contains_key(&size)
    }

    /// The path in the commit of a file with this content.
    pub fn with_content(&self, size: u64, sha256: &[u8; 32]) -> Option<String> {
        let list = self.by_size.get(&size)?;
        let same = |s: &&Source| s.sum.get_or_init(|| sha256_of(&s.path).ok()).as_ref() == Some(sha256);
        let found = list.iter().find(same)?;
        Some(found.path.strip_prefix(&self.root).unwrap_or(&found.path).to_string_lossy().into_owned())
    }
}
