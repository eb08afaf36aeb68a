//! Which paths are left out of a layer.

use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::error::PackError;

/// A rule for paths that are left out of a layer. Paths are those of the image, with or without a leading slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathRule {
    /// The path itself and everything below it.
    Whole(PathBuf),
    /// Everything below the path; the directory itself is packed (mount points like `/proc`).
    Below(PathBuf),
}

/// Rules, ready for looking up.
#[derive(Debug, Default)]
pub(super) struct Skip {
    whole: HashSet<Vec<u8>>,
    below: HashSet<Vec<u8>>,
}

impl Skip {
    pub(super) fn new(rules: &[PathRule]) -> Result<Self, PackError> {
        let mut skip = Self::default();
        for rule in rules {
            match rule {
                PathRule::Whole(path) => skip.whole.insert(normal(path)?),
                PathRule::Below(path) => skip.below.insert(normal(path)?),
            };
        }
        Ok(skip)
    }

    /// Whether `path` (relative, no slash at its end) is left out.
    pub(super) fn is_left_out(&self, path: &[u8]) -> bool {
        self.whole.contains(path)
    }

    /// Whether what is in the directory `path` is left out.
    pub(super) fn is_hollow(&self, path: &[u8]) -> bool {
        self.below.contains(path)
    }
}

fn normal(path: &Path) -> Result<Vec<u8>, PackError> {
    let mut parts = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => parts.push(part.as_bytes()),
            Component::RootDir | Component::CurDir => {}
            _ => return Err(PackError::Rule { path: path.to_owned() }),
        }
    }
    if parts.is_empty() {
        return Err(PackError::Rule { path: path.to_owned() });
    }
    Ok(parts.join(&b'/'))
}
