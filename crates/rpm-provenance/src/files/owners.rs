//! Who owns what: the files of all packages by canonical path, by size and by content.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::file_list::{Kind, PackageFile, PackageFiles};
use super::tree::{Tree, join};

/// rpm's number of SHA-256.
pub(super) const SHA256: u64 = 8;

/// A file of a package.
#[derive(Clone, Copy)]
pub(super) struct Owned<'a> {
    pub package: &'a PackageFiles,
    pub file: &'a PackageFile,
}

impl Owned<'_> {
    pub fn name(&self) -> String {
        self.package.nvra.to_string()
    }

    /// The path as the package has it, links not resolved.
    pub fn path(&self) -> Vec<u8> {
        join(
            self.package.dirs.get(self.file.dir).map(|dir| dir.strip_suffix(b"/").unwrap_or(dir)).unwrap_or_default(),
            &self.file.name,
        )
    }
}

/// The owners of one path.
#[derive(Default)]
struct OwnedPath<'a> {
    owners: Vec<Owned<'a>>,
    /// The walk over the new layers found something there.
    is_new: AtomicBool,
}

/// Owners by path and by content.
pub(super) struct Owners<'a> {
    by_path: HashMap<Vec<u8>, OwnedPath<'a>>,
    by_content: HashMap<&'a [u8], Owned<'a>>,
    sizes: HashSet<u64>,
}

impl<'a> Owners<'a> {
    /// Indexes the packages of an image. Their paths are those of the tree, links on the way resolved.
    pub fn index(packages: &'a [PackageFiles], tree: &mut Tree) -> Result<Self, (PathBuf, io::Error)> {
        let count = packages.iter().map(PackageFiles::len).sum();
        let mut owners =
            Self { by_path: HashMap::with_capacity(count), by_content: HashMap::with_capacity(count), sizes: HashSet::new() };
        for package in packages {
            let mut dirs: Vec<Rc<[u8]>> = Vec::with_capacity(package.dirs.len());
            for dir in &package.dirs {
                dirs.push(tree.canonical_dir(dir)?);
            }
            for file in &package.files {
                let dir = dirs.get(file.dir).map(AsRef::as_ref).unwrap_or_default();
                owners.by_path.entry(join(dir, &file.name)).or_default().owners.push(Owned { package, file });
            }
            owners.add_content(package);
        }
        Ok(owners)
    }

    /// Indexes packages that are not in the image by content alone.
    pub fn of_content(packages: &'a [PackageFiles]) -> Self {
        let mut owners = Self { by_path: HashMap::new(), by_content: HashMap::new(), sizes: HashSet::new() };
        for package in packages {
            owners.add_content(package);
        }
        owners
    }

    /// MD5 can be made to collide, so only SHA-256 tells where content came from.
    fn add_content(&mut self, package: &'a PackageFiles) {
        if package.digest_algorithm != SHA256 {
            return;
        }
        for file in &package.files {
            if file.kind() == Kind::File && file.size > 0 && file.digest.len() == 32 && !file.is_ghost() {
                self.by_content.entry(&file.digest).or_insert(Owned { package, file });
                self.sizes.insert(file.size);
            }
        }
    }

    /// The packages that own a path.
    pub fn of(&self, path: &[u8]) -> &[Owned<'a>] {
        self.by_path.get(path).map(|owned| owned.owners.as_slice()).unwrap_or_default()
    }

    /// As [`Owners::of`], of a path that the walk over the new layers found.
    pub fn of_new(&self, path: &[u8]) -> &[Owned<'a>] {
        let Some(owned) = self.by_path.get(path) else { return &[] };
        owned.is_new.store(true, Ordering::Relaxed);
        &owned.owners
    }

    /// Whether the walk over the new layers found something at an owned path.
    pub fn was_found_new(&self, path: &[u8]) -> bool {
        self.by_path.get(path).is_some_and(|owned| owned.is_new.load(Ordering::Relaxed))
    }

    /// Whether some package has a file of that size: only then is content worth hashing.
    pub fn has_size(&self, size: u64) -> bool {
        self.sizes.contains(&size)
    }

    /// A package that has this content, by SHA-256.
    pub fn with_content(&self, sha256: &[u8]) -> Option<Owned<'a>> {
        self.by_content.get(sha256).copied()
    }

    /// All owned paths.
    pub fn paths(&self) -> impl Iterator<Item = (&[u8], &[Owned<'a>])> {
        self.by_path.iter().map(|(path, owned)| (path.as_slice(), owned.owners.as_slice()))
    }
}
