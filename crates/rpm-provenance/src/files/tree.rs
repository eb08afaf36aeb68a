//! The image's layers as one tree in which every entry knows its layer: what overlayfs would show, and what it hides.
//!
//! Directories are remembered, so that looking up all files of an image costs about one `lstat` each. Follows
//! Documentation/filesystems/overlayfs.rst; `image_layers::MergedView` has the same rules, but not the layers.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Symbolic links followed for one path, as in Linux.
const LINKS_MAX: usize = 40;
/// Longest path that is looked up, as in Linux.
const PATH_MAX: usize = 4096;
const OPAQUE: &str = "trusted.overlay.opaque";

/// The directories of the layers that make up one directory, top first.
type Stack = Rc<Vec<(usize, PathBuf)>>;

/// Something in a layer.
#[derive(Debug)]
pub(super) struct Entry {
    /// Path in the image, with a leading slash, no link on the way.
    pub path: Vec<u8>,
    /// Its place on this machine.
    pub host: PathBuf,
    /// Number of the layer, 0 is the topmost.
    pub layer: usize,
    pub meta: Metadata,
}

/// What a name in a directory is.
#[derive(Clone)]
enum Node {
    Absent,
    Directory(Stack),
    Link(Rc<[u8]>),
    Other,
}

/// The layers of an image, top first; the first `new` of them are this build's.
pub(super) struct Tree {
    layers: Vec<PathBuf>,
    new: usize,
    nodes: HashMap<Vec<u8>, Node>,
    canonical: HashMap<Vec<u8>, Rc<[u8]>>,
}

/// What the walk saw besides the entries.
#[derive(Debug, Default)]
pub(super) struct Cleared {
    /// Paths below which lower layers are hidden: deleted, or replaced by something else.
    pub paths: HashSet<Vec<u8>>,
    /// Entries of new layers that a later layer hides.
    pub hidden: u64,
    /// Entries that cannot be looked at, with the number of their layer: a path of this machine is longer than theirs.
    pub out_of_reach: Vec<(Vec<u8>, usize)>,
}

impl Tree {
    pub fn new(layers: Vec<PathBuf>, new: usize) -> Self {
        Self { layers, new, nodes: HashMap::new(), canonical: HashMap::new() }
    }

    /// The directories of the layers, top first.
    pub fn layers(&self) -> &[PathBuf] {
        &self.layers
    }

    /// How many of them are this build's.
    pub fn new_layers(&self) -> usize {
        self.new
    }

    /// Whether a layer is this build's.
    pub fn is_new(&self, layer: usize) -> bool {
        layer < self.new
    }

    fn root(&self) -> Stack {
        Rc::new(self.layers.iter().cloned().enumerate().collect())
    }

    /// Calls `visit` for every entry of the new layers that a container sees, directories first, in the order of names.
    pub fn walk(&self, visit: &mut dyn FnMut(Entry)) -> Result<Cleared, (PathBuf, io::Error)> {
        let mut cleared = Cleared::default();
        let mut pending = vec![(Vec::new(), self.root())];
        while let Some((path, stack)) = pending.pop() {
            let mut names = BTreeSet::new();
            for (_, dir) in stack.iter().filter(|(layer, _)| self.is_new(*layer)) {
                for entry in fs::read_dir(dir).map_err(|e| (dir.clone(), e))? {
                    names.insert(entry.map_err(|e| (dir.clone(), e))?.file_name().into_vec());
                }
            }
            let mut below = Vec::new();
            for name in names {
                let child = join(&path, &name);
                let found = self.find(&stack, &name, &child, Some(&mut cleared))?;
                match found {
                    Found::Absent => {}
                    Found::Other(entry) => visit(entry),
                    Found::Directory(stack, entry) => {
                        let descend = stack.iter().any(|(layer, _)| self.is_new(*layer));
                        if self.is_new(entry.layer) {
                            visit(entry);
                        }
                        if descend {
                            below.push((child, stack));
                        }
                    }
                }
            }
            pending.extend(below.into_iter().rev());
        }
        Ok(cleared)
    }

    fn find(
        &self,
        stack: &Stack,
        name: &[u8],
        path: &[u8],
        mut cleared: Option<&mut Cleared>,
    ) -> Result<Found, (PathBuf, io::Error)> {
        let mut dirs: Vec<(usize, PathBuf)> = Vec::new();
        let mut top: Option<Entry> = None;
        for (layer, dir) in stack.iter() {
            let host = dir.join(OsStr::from_bytes(name));
            let meta = match fs::symlink_metadata(&host) {
                Ok(meta) => meta,
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) if e.kind() == io::ErrorKind::InvalidFilename => {
                    // A name from a listing is there; the walk must not pass it over.
                    if let Some(cleared) = cleared.as_deref_mut().filter(|_| self.is_new(*layer)) {
                        cleared.out_of_reach.push((path.to_vec(), *layer));
                    }
                    continue;
                }
                Err(e) => return Err((host, e)),
            };
            let whiteout = meta.file_type().is_char_device() && meta.rdev() == 0;
            let is_file = top.is_some() && dirs.is_empty();
            if whiteout || (top.is_some() && (is_file || !meta.is_dir())) {
                // Below this, everything is hidden.
                if let Some(cleared) = cleared.as_deref_mut() {
                    if !whiteout && self.is_new(*layer) {
                        cleared.hidden += 1; // what this build made and hid again is only counted
                        if is_file {
                            continue;
                        }
                    }
                    if whiteout && top.is_none() {
                        cleared.hidden += self.hidden_below(stack, *layer, name);
                    }
                    cleared.paths.insert(path.to_vec());
                }
                break;
            }
            if meta.is_dir() {
                let opaque = is_opaque(&host).map_err(|e| (host.clone(), e))?;
                dirs.push((*layer, host.clone()));
                top.get_or_insert_with(|| Entry { path: path.to_vec(), host, layer: *layer, meta });
                if opaque {
                    if let Some(cleared) = cleared.as_deref_mut() {
                        cleared.paths.insert(path.to_vec());
                    }
                    break;
                }
                continue;
            }
            top = Some(Entry { path: path.to_vec(), host, layer: *layer, meta });
            if cleared.is_none() {
                break;
            }
        }
        Ok(match top {
            None => Found::Absent,
            Some(entry) if dirs.is_empty() => Found::Other(entry),
            Some(entry) => Found::Directory(Rc::new(dirs), entry),
        })
    }

    /// How many of this build's own entries a whiteout in `layer` hides; a directory counts as one.
    fn hidden_below(&self, stack: &Stack, layer: usize, name: &[u8]) -> u64 {
        let lower = stack.iter().filter(|(l, _)| *l > layer && self.is_new(*l));
        lower.filter(|(_, dir)| fs::symlink_metadata(dir.join(OsStr::from_bytes(name))).is_ok()).count() as u64
    }

    /// What a container finds at a canonical path.
    pub fn entry(&mut self, path: &[u8]) -> Result<Option<Entry>, (PathBuf, io::Error)> {
        let (dir, name) = split(path);
        let Some(stack) = self.stack(dir)? else { return Ok(None) };
        Ok(match self.find(&stack, name, path, None)? {
            Found::Absent => None,
            Found::Other(entry) | Found::Directory(_, entry) => Some(entry),
        })
    }

    /// Whether there is a directory at a canonical path.
    pub fn is_directory(&mut self, path: &[u8]) -> Result<bool, (PathBuf, io::Error)> {
        Ok(self.stack(path)?.is_some())
    }

    /// The symbolic links in the directory `dir` and, `depth` levels deep, in those below it; with the directory's name as it
    /// was given.
    pub fn links_below(&mut self, dir: &[u8], depth: usize) -> Result<Vec<Vec<u8>>, (PathBuf, io::Error)> {
        let place = self.canonical_dir(dir)?;
        let Some(stack) = self.stack(&place)? else { return Ok(Vec::new()) };
        let (mut links, mut dirs) = (BTreeSet::new(), BTreeSet::new());
        for (_, host) in stack.iter() {
            for entry in fs::read_dir(host).map_err(|e| (host.clone(), e))? {
                let entry = entry.map_err(|e| (host.clone(), e))?;
                let kind = entry.file_type().map_err(|e| (entry.path(), e))?;
                match kind {
                    kind if kind.is_symlink() => links.insert(entry.file_name().into_vec()),
                    kind if kind.is_dir() && depth > 0 => dirs.insert(entry.file_name().into_vec()),
                    _ => false,
                };
            }
        }
        let mut found = Vec::new();
        for name in links {
            // An upper layer may have put something else in its place.
            if matches!(self.find(&stack, &name, &join(&place, &name), None)?, Found::Other(entry) if entry.meta.is_symlink()) {
                found.push(join(dir, &name));
            }
        }
        for name in dirs {
            found.extend(self.links_below(&join(dir, &name), depth - 1)?);
        }
        Ok(found)
    }

    /// The directory at a canonical path, when it is one.
    fn stack(&mut self, dir: &[u8]) -> Result<Option<Stack>, (PathBuf, io::Error)> {
        if dir.is_empty() {
            return Ok(Some(self.root()));
        }
        let (mut stack, mut path) = (self.root(), Vec::new());
        for name in components(dir) {
            path = join(&path, name);
            match self.node(&stack, name, &path)? {
                Node::Directory(next) => stack = next,
                _ => return Ok(None),
            }
        }
        Ok(Some(stack))
    }

    fn node(&mut self, stack: &Stack, name: &[u8], path: &[u8]) -> Result<Node, (PathBuf, io::Error)> {
        if let Some(node) = self.nodes.get(path) {
            return Ok(node.clone());
        }
        let node = match self.find(stack, name, path, None)? {
            Found::Absent => Node::Absent,
            Found::Directory(stack, _) => Node::Directory(stack),
            Found::Other(entry) if entry.meta.is_symlink() => {
                let target = fs::read_link(&entry.host).map_err(|e| (entry.host, e))?;
                Node::Link(target.into_os_string().into_vec().into())
            }
            Found::Other(_) => Node::Other,
        };
        self.nodes.insert(path.to_vec(), node.clone());
        Ok(node)
    }

    /// The directory `dir` without links on the way, no slash at its end: the one the kernel would open. What does not
    /// exist keeps its spelling.
    pub fn canonical_dir(&mut self, dir: &[u8]) -> Result<Rc<[u8]>, (PathBuf, io::Error)> {
        if let Some(known) = self.canonical.get(dir) {
            return Ok(Rc::clone(known));
        }
        let resolved: Rc<[u8]> = self.resolve(dir)?.into();
        self.canonical.insert(dir.to_vec(), Rc::clone(&resolved));
        Ok(resolved)
    }

    fn resolve(&mut self, dir: &[u8]) -> Result<Vec<u8>, (PathBuf, io::Error)> {
        if dir.len() > PATH_MAX {
            return Ok(dir.to_vec());
        }
        let mut pending: VecDeque<Vec<u8>> = components(dir).map(<[u8]>::to_vec).collect();
        let mut reached: Vec<(Vec<u8>, Option<Stack>)> = vec![(Vec::new(), Some(self.root()))];
        let mut links = 0;
        while let Some(name) = pending.pop_front() {
            if name == b".." {
                if reached.len() > 1 {
                    reached.pop();
                }
                continue;
            }
            let Some((path, stack)) = reached.last().cloned() else { break };
            let child = join(&path, &name);
            let node = match &stack {
                Some(stack) => self.node(stack, &name, &child)?,
                None => Node::Absent,
            };
            match node {
                Node::Link(target) if links < LINKS_MAX => {
                    links += 1;
                    if target.starts_with(b"/") {
                        reached.truncate(1);
                    }
                    for (at, part) in components(&target).enumerate() {
                        pending.insert(at, part.to_vec());
                    }
                }
                Node::Directory(next) => reached.push((child, Some(next))),
                _ => reached.push((child, None)),
            }
        }
        Ok(reached.pop().map(|(path, _)| path).unwrap_or_default())
    }
}

enum Found {
    Absent,
    Directory(Stack, Entry),
    Other(Entry),
}

fn is_opaque(path: &Path) -> io::Result<bool> {
    let mut value = [0_u8; 2];
    match rustix::fs::lgetxattr(path, OPAQUE, &mut value) {
        Ok(length) => Ok(value.get(..length) == Some(b"y".as_slice())),
        Err(rustix::io::Errno::NODATA | rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::RANGE) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|b| *b == b'/').filter(|part| !part.is_empty() && *part != b".")
}

/// `/dir` and `name` as one path; the root is empty.
pub(super) fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(dir.len() + 1 + name.len());
    path.extend_from_slice(dir);
    path.push(b'/');
    path.extend_from_slice(name);
    path
}

/// Directory and name of a path.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    let at = path.iter().rposition(|b| *b == b'/');
    match at {
        Some(at) => (path.get(..at).unwrap_or_default(), path.get(at + 1..).unwrap_or_default()),
        None => (&[], path),
    }
}
