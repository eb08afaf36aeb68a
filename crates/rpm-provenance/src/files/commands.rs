//! Programs of RPMs under the name of another RPM's program: `cp /usr/bin/true /usr/local/bin/rpm`, or a link that does the
//! same. Its content is proven, and whoever calls `rpm` gets something else.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;

use super::file_list::Kind;
use super::owners::{Owned, Owners, SHA256};
use super::tree::{Tree, split};

/// Where a shell looks for commands, whatever the image's configuration says.
const DIRECTORIES: [&str; 4] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"];

/// A program by the name that people call it by.
struct Program {
    /// Where its package has it.
    path: Vec<u8>,
    /// The file behind it, links resolved.
    file: Vec<u8>,
    /// SHA-256 of that file, as its package has it.
    digest: Option<Vec<u8>>,
    package: String,
}

/// The commands of an image's packages by name.
#[derive(Default)]
pub(super) struct Commands {
    directories: Vec<Vec<u8>>,
    by_name: HashMap<Vec<u8>, Vec<Program>>,
}

impl Commands {
    /// Gathers the programs of the packages in the directories that commands are looked for in; `search` is the `PATH` of
    /// the image's configuration.
    pub fn gather(search: Option<&str>, owners: &Owners<'_>, tree: &mut Tree) -> Result<Self, (PathBuf, io::Error)> {
        let mut commands = Self::default();
        let named = search.into_iter().flat_map(|search| search.split(':')).filter(|dir| dir.starts_with('/'));
        for dir in named.chain(DIRECTORIES) {
            let dir = tree.canonical_dir(dir.as_bytes())?.to_vec();
            if !commands.directories.contains(&dir) {
                commands.directories.push(dir);
            }
        }
        for (path, owned) in owners.paths() {
            let is_program = |o: &&Owned<'_>| !o.file.is_ghost() && (o.file.is_code() || o.file.kind() == Kind::Link);
            let Some(owner) = owned.iter().find(is_program).filter(|_| commands.looks_in(path)) else { continue };
            let file = if owner.file.kind() == Kind::Link { tree.canonical_dir(path)?.to_vec() } else { path.to_vec() };
            let digest = digest_of(owners.of(&file));
            let program = Program { path: path.to_vec(), file, digest, package: owner.name() };
            commands.by_name.entry(split(path).1.to_vec()).or_default().push(program);
        }
        Ok(commands)
    }

    /// Whether commands are looked for where `path` lies.
    pub fn looks_in(&self, path: &[u8]) -> bool {
        self.directories.iter().any(|dir| dir == split(path).0)
    }

    /// Whether `path` has the name of a program that a package has somewhere else, so that it is worth a look.
    pub fn has_name_of_another(&self, path: &[u8]) -> bool {
        self.looks_in(path) && self.others(path).next().is_some()
    }

    /// The programs of that name in other places.
    fn others(&self, path: &[u8]) -> impl Iterator<Item = &Program> {
        self.by_name.get(split(path).1).into_iter().flatten().filter(move |program| program.path != path)
    }

    /// What is wrong with the name of the command at `path`: behind it is `file`, whose content is that of `original`, a
    /// file of a package. `None` where it is what people call by that name, or another version of it.
    pub fn objection(&self, path: &[u8], file: &[u8], sha256: Option<&[u8]>, original: &Owned<'_>) -> Option<String> {
        if !self.looks_in(path) || stem(split(path).1) == stem(&original.file.name) {
            return None;
        }
        let is_it = |program: &Program| program.file == file || (sha256.is_some() && program.digest.as_deref() == sha256);
        if self.others(path).any(is_it) {
            return None;
        }
        let hidden = self.others(path).next()?;
        Some(format!("not the {} of {}, which has that name", super::shown(&hidden.path), hidden.package))
    }
}

/// SHA-256 of a file by its packages.
fn digest_of(owned: &[Owned<'_>]) -> Option<Vec<u8>> {
    let known = |o: &&Owned<'_>| o.package.digest_algorithm == SHA256 && o.file.digest.len() == 32;
    owned.iter().find(known).map(|o| o.file.digest.to_vec())
}

/// A name without its version: `python3` and `python3.12` are one program.
fn stem(name: &[u8]) -> &[u8] {
    let end = name.iter().rposition(|b| !(b.is_ascii_digit() || matches!(b, b'.' | b'-'))).map_or(name.len(), |at| at + 1);
    name.get(..end).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::stem;

    #[test]
    fn versions_of_one_program_have_one_name_without_them() {
        for (name, expected) in [("python3.12", "python"), ("node-20", "node"), ("sh", "sh"), ("7z", "7z"), ("2", "2")] {
            assert_eq!(stem(name.as_bytes()), expected.as_bytes());
        }
    }
}
