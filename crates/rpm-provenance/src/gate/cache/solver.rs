//! Caches of package managers (`.solv` files and the metadata they were made of), by a key of the caller's: what the
//! programs of one base image made of one state of the repositories (docs/adr/0007-solver-caches.md).

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{FileCache, evict};

/// Depth and number of entries that are kept; dnf's cache is three deep and has some twenty files a repository.
const MAX_DEPTH: usize = 8;
const MAX_ENTRIES: usize = 20_000;

impl FileCache {
    /// The directory kept under a key.
    pub fn solver_cache(&self, key: &str) -> Option<PathBuf> {
        let dir = self.root().join("solver").join(key);
        evict::touch(&File::open(&dir).ok()?);
        Some(dir)
    }

    /// A directory to make one in.
    pub fn solver_scratch(&self) -> io::Result<TempDir> {
        tempfile::Builder::new().prefix("solver-").tempdir_in(self.root().join("tmp"))
    }

    /// Keeps the tree `made`, which lies in a [`FileCache::solver_scratch`]: plain files and directories of it, moved.
    /// When another build was faster, its tree stays. `None` when there is no file in it.
    pub fn keep_solver_cache(&self, key: &str, made: &Path) -> io::Result<Option<PathBuf>> {
        let clean = self.solver_scratch()?;
        let tree = clean.path().join("tree");
        fs::create_dir(&tree)?;
        let mut left = MAX_ENTRIES;
        take_plain(made, &tree, 0, &mut left)?;
        if left == MAX_ENTRIES {
            return Ok(None);
        }
        let target = self.root().join("solver").join(key);
        match fs::rename(&tree, &target) {
            Ok(()) => {}
            Err(e) if matches!(e.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists) => {}
            Err(e) => return Err(e),
        }
        Ok(self.solver_cache(key))
    }
}

/// Moves files and directories; links, devices, sockets and files with several names stay behind. The tree was written
/// by programs of an image: what is no plain data has no business in a cache.
fn take_plain(from: &Path, to: &Path, depth: usize, left: &mut usize) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (meta, target) = (entry.metadata()?, to.join(entry.file_name()));
        if meta.is_dir() && depth < MAX_DEPTH {
            fs::create_dir(&target)?;
            // Whatever the umask of this process is: builds see these directories, and layers hold those they change.
            fs::set_permissions(&target, Permissions::from_mode(0o755))?;
            take_plain(&entry.path(), &target, depth + 1, left)?;
        } else if meta.is_file() && meta.nlink() == 1 && meta.mode() & 0o7000 == 0 {
            *left = left.checked_sub(1).ok_or_else(|| io::Error::other(format!("more than {MAX_ENTRIES} files")))?;
            fs::rename(entry.path(), target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_data_is_kept_and_nothing_else() {
        let dir = tempfile::tempdir().expect("tempdir");
        let cache = FileCache::open(dir.path()).expect("cache");
        let scratch = cache.solver_scratch().expect("scratch");
        let made = scratch.path().join("made");
        fs::create_dir_all(made.join("var/cache/dnf/repo")).expect("mkdir");
        fs::write(made.join("var/cache/dnf/koji.solv"), "solv").expect("write");
        fs::write(made.join("var/cache/dnf/repo/repomd.xml"), "xml").expect("write");
        fs::write(made.join("var/cache/dnf/twice"), "x").expect("write");
        fs::hard_link(made.join("var/cache/dnf/twice"), made.join("var/cache/dnf/again")).expect("link");
        std::os::unix::fs::symlink("/etc/passwd", made.join("var/cache/dnf/link")).expect("symlink");
        assert_eq!(cache.solver_cache("key"), None);
        let kept = cache.keep_solver_cache("key", &made).expect("keep").expect("something");
        assert_eq!(cache.solver_cache("key"), Some(kept.clone()));
        assert_eq!(fs::read_to_string(kept.join("var/cache/dnf/koji.solv")).expect("read"), "solv");
        assert!(kept.join("var/cache/dnf/repo/repomd.xml").exists());
        for name in ["twice", "again", "link"] {
            assert!(fs::symlink_metadata(kept.join("var/cache/dnf").join(name)).is_err(), "{name}");
        }
        // the first one stays
        fs::create_dir_all(made.join("var")).expect("mkdir");
        fs::write(made.join("var/other"), "").expect("write");
        assert_eq!(cache.keep_solver_cache("key", &made).expect("keep"), Some(kept.clone()));
        assert!(!kept.join("var/other").exists());
        assert_eq!(cache.keep_solver_cache("empty", &kept.join("var/cache/dnf/repo/none")).ok(), None);
    }
}
