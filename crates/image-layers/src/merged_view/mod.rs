//! What a container of an image would see: a stack of layer directories as one tree, without mounting anything.
//!
//! Whiteouts and opaque directories are honoured as overlayfs does it; symbolic links are resolved inside the tree and
//! never lead out of it. The layers must not change meanwhile (those of the store never do).

use std::collections::{BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::overlay;

/// Symbolic links followed for one path, as in Linux.
const LINKS_MAX: usize = 40;

/// A stack of layer directories as one tree.
#[derive(Debug, Clone)]
pub struct MergedView {
    root: MergedDir,
}

/// One directory of the merged tree: the directories of the layers that contribute to it, top first.
#[derive(Debug, Clone)]
pub(crate) struct MergedDir {
    dirs: Vec<PathBuf>,
}

/// What a name stands for.
#[derive(Debug)]
pub(crate) enum Found {
    /// A directory.
    Dir(MergedDir),
    /// Anything else, with its place on this machine.
    Other(PathBuf, Metadata),
}

impl MergedDir {
    /// The directory whose owner, mode and times count; `None` only for the root of no layers at all.
    pub(crate) fn top(&self) -> Option<&Path> {
        self.dirs.first().map(PathBuf::as_path)
    }

    /// A directory that nothing contributes to.
    pub(crate) fn empty() -> Self {
        Self { dirs: Vec::new() }
    }

    /// The entry `name` (one component, neither `.` nor `..`); symbolic links are not followed.
    pub(crate) fn child(&self, name: &OsStr) -> io::Result<Option<Found>> {
        let mut dirs = Vec::new();
        for dir in &self.dirs {
            let path = dir.join(name);
            let meta = match fs::symlink_metadata(&path) {
                Ok(meta) => meta,
                Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidFilename) => continue,
                Err(error) => return Err(error),
            };
            if is_whiteout(&meta) {
                break;
            }
            if !meta.is_dir() {
                // Below a directory of a higher layer it is hidden, and hides what is further down.
                if dirs.is_empty() {
                    return Ok(Some(Found::Other(path, meta)));
                }
                break;
            }
            let opaque = overlay::is_opaque(&path)?;
            dirs.push(path);
            if opaque {
                break;
            }
        }
        Ok((!dirs.is_empty()).then_some(Found::Dir(Self { dirs })))
    }

    /// The names in it, sorted.
    pub(crate) fn names(&self) -> io::Result<Vec<OsString>> {
        let mut seen = BTreeSet::new();
        let mut hidden = BTreeSet::new();
        for dir in &self.dirs {
            let mut here = Vec::new();
            for entry in fs::read_dir(dir)? {
                let entry = entry?;
                let name = entry.file_name();
                if seen.contains(&name) || hidden.contains(&name) {
                    continue;
                }
                let deleted = entry.file_type()?.is_char_device() && is_whiteout(&entry.metadata()?);
                here.push((name, deleted));
            }
            for (name, deleted) in here {
                if deleted {
                    hidden.insert(name)
                } else {
                    seen.insert(name)
                };
            }
        }
        Ok(seen.into_iter().collect())
    }
}

fn is_whiteout(meta: &Metadata) -> bool {
    meta.file_type().is_char_device() && meta.rdev() == 0
}

impl MergedView {
    /// The tree of `layer_dirs_top_first`: an overlay mount's lower directories, the topmost first.
    pub fn new(layer_dirs_top_first: Vec<PathBuf>) -> Self {
        Self { root: MergedDir { dirs: layer_dirs_top_first } }
    }

    /// Where on this machine `path` of the image is; symbolic links are followed. `None` when there is no such thing.
    /// Of a directory, this is the topmost layer's part only: use [`MergedView::list`] to see what is in it.
    pub fn lookup(&self, path: &str) -> Option<PathBuf> {
        match self.resolve(path.as_bytes(), true) {
            Ok(found) => found.and_then(Found::into_path),
            Err(error) => {
                tracing::debug!(path, %error, "cannot look up a path of the image");
                None
            }
        }
    }

    /// Metadata of what `path` leads to; `None` when there is no such thing.
    ///
    /// # Errors
    /// A layer cannot be read, or there are more than 40 symbolic links on the way.
    pub fn metadata(&self, path: &str) -> io::Result<Option<Metadata>> {
        self.resolve(path.as_bytes(), true)?.map(Found::into_metadata).transpose().map(Option::flatten)
    }

    /// As [`MergedView::metadata`], but of the symbolic link itself when `path` is one.
    ///
    /// # Errors
    /// As [`MergedView::metadata`].
    pub fn symlink_metadata(&self, path: &str) -> io::Result<Option<Metadata>> {
        self.resolve(path.as_bytes(), false)?.map(Found::into_metadata).transpose().map(Option::flatten)
    }

    /// The content of the file `path`; `None` when there is no such thing.
    ///
    /// # Errors
    /// It is no regular file, is larger than `limit` bytes (`InvalidData`), or cannot be read.
    pub fn read(&self, path: &str, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let (host, meta) = match self.resolve(path.as_bytes(), true)? {
            None => return Ok(None),
            Some(Found::Dir(_)) => return Err(io::Error::new(io::ErrorKind::IsADirectory, format!("{path} is a directory"))),
            Some(Found::Other(host, meta)) => (host, meta),
        };
        if !meta.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{path} is no regular file")));
        }
        let mut bytes = Vec::new();
        File::open(host)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{path} has more than {limit} bytes")));
        }
        Ok(Some(bytes))
    }

    /// The names in the directory `dir`, sorted; bytes that are no UTF-8 are replaced.
    ///
    /// # Errors
    /// `NotFound` or `NotADirectory`, or a layer cannot be read.
    pub fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        match self.resolve(dir.as_bytes(), true)? {
            None => Err(io::Error::new(io::ErrorKind::NotFound, format!("there is no {dir} in the image"))),
            Some(Found::Other(..)) => Err(io::Error::new(io::ErrorKind::NotADirectory, format!("{dir} is no directory"))),
            Some(Found::Dir(found)) => Ok(found.names()?.iter().map(|name| name.to_string_lossy().into_owned()).collect()),
        }
    }

    /// The root directory.
    pub(crate) fn root(&self) -> &MergedDir {
        &self.root
    }

    /// Walks `path` from the root. The last component's link is followed only with `follow`.
    pub(crate) fn resolve(&self, path: &[u8], follow: bool) -> io::Result<Option<Found>> {
        let mut pending: VecDeque<Vec<u8>> = components(path).collect();
        let mut stack = vec![self.root.clone()];
        let mut links = 0;
        while let Some(name) = pending.pop_front() {
            if name == b".." {
                // Above the root is the root.
                if stack.len() > 1 {
                    stack.pop();
                }
                continue;
            }
            let Some(current) = stack.last() else { return Ok(None) };
            match current.child(OsStr::from_bytes(&name))? {
                None => return Ok(None),
                Some(Found::Dir(dir)) => stack.push(dir),
                Some(Found::Other(host, meta)) if meta.is_symlink() && (follow || !pending.is_empty()) => {
                    links += 1;
                    if links > LINKS_MAX {
                        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many symbolic links"));
                    }
                    let target = fs::read_link(host)?.into_os_string().into_vec();
                    if target.starts_with(b"/") {
                        stack.truncate(1);
                    }
                    for (at, part) in components(&target).enumerate() {
                        pending.insert(at, part);
                    }
                }
                Some(other) => return Ok(pending.is_empty().then_some(other)),
            }
        }
        Ok(stack.pop().map(Found::Dir))
    }
}

impl Found {
    fn into_path(self) -> Option<PathBuf> {
        match self {
            Found::Dir(dir) => dir.dirs.into_iter().next(),
            Found::Other(path, _) => Some(path),
        }
    }

    fn into_metadata(self) -> io::Result<Option<Metadata>> {
        match self {
            Found::Dir(dir) => dir.top().map(fs::symlink_metadata).transpose(),
            Found::Other(_, meta) => Ok(Some(meta)),
        }
    }
}

/// The parts of a path that mean something.
fn components(path: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    path.split(|b| *b == b'/').filter(|part| !part.is_empty() && *part != b".").map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests;
