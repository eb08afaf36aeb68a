//! The directory of one checkout: made here, removed here when the checkout fails. Removes nothing it did not make.

use std::path::{Path, PathBuf};

use crate::DistGitError;

/// `<dest>/source` for the files, `<dest>/git` for git's own data, `<dest>/home` as an empty home directory, and for a while
/// `<dest>/submodules`.
pub(crate) struct CheckoutDir {
    dest: PathBuf,
    made_dest: bool,
    kept: bool,
}

impl CheckoutDir {
    /// Takes `dest`, which must be empty or absent; its parent must exist.
    pub fn create(dest: &Path) -> Result<Self, DistGitError> {
        let io = |action| move |source| DistGitError::Io { action, path: dest.to_owned(), source };
        let made_dest = match std::fs::create_dir(dest) {
            Ok(()) => true,
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                if std::fs::read_dir(dest).map_err(io("look into"))?.next().is_some() {
                    return Err(DistGitError::DestinationInUse { path: dest.to_owned() });
                }
                false
            }
            Err(e) => return Err(io("make the checkout directory")(e)),
        };
        // from here on Drop cleans up; paths are made absolute because git runs inside
        let dest = std::path::absolute(dest).map_err(io("find"))?;
        let dir = Self { dest, made_dest, kept: false };
        for part in [dir.source(), dir.home()] {
            std::fs::create_dir(&part).map_err(|source| DistGitError::Io { action: "make", path: part, source })?;
        }
        Ok(dir)
    }

    pub fn source(&self) -> PathBuf {
        self.dest.join("source")
    }

    pub fn git_dir(&self) -> PathBuf {
        self.dest.join("git")
    }

    pub fn home(&self) -> PathBuf {
        self.dest.join("home")
    }

    /// Where submodules are put together; made by whoever needs it.
    pub fn submodules(&self) -> PathBuf {
        self.dest.join("submodules")
    }

    /// Puts git's data beside the files, where git looks for it by itself.
    pub fn move_git_dir(&self) -> Result<(), DistGitError> {
        let path = self.git_dir();
        std::fs::rename(&path, self.source().join(".git")).map_err(|source| DistGitError::Io { action: "move", path, source })
    }

    /// The checkout is good: the files stay, for whoever owns `dest`; git's data goes.
    pub fn keep_source(mut self) -> Result<PathBuf, DistGitError> {
        for part in [self.git_dir(), self.home()] {
            match std::fs::remove_dir_all(&part) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    return Err(DistGitError::Io { action: "remove", path: part, source });
                }
                _ => {}
            }
        }
        self.kept = true;
        Ok(self.source())
    }
}

impl Drop for CheckoutDir {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        for part in [self.source(), self.git_dir(), self.home(), self.submodules()] {
            match std::fs::remove_dir_all(&part) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    tracing::warn!(path = %part.display(), %error, "cannot remove a failed checkout");
                }
                _ => {}
            }
        }
        if self.made_dest {
            // refuses when somebody else put a file there
            let _ = std::fs::remove_dir(&self.dest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_checkout_leaves_nothing_behind() {
        let temp = tempfile::tempdir().expect("a directory");
        let dest = temp.path().join("checkout");
        let dir = CheckoutDir::create(&dest).expect("made");
        std::fs::write(dir.source().join("file"), "x").expect("written");
        drop(dir);
        assert!(!dest.exists());
    }

    #[test]
    fn a_directory_that_was_there_stays() {
        let temp = tempfile::tempdir().expect("a directory");
        drop(CheckoutDir::create(temp.path()).expect("taken"));
        assert!(temp.path().exists());
        assert_eq!(std::fs::read_dir(temp.path()).expect("readable").count(), 0);
    }

    #[test]
    fn files_of_others_are_neither_used_nor_removed() {
        let temp = tempfile::tempdir().expect("a directory");
        std::fs::write(temp.path().join("mine"), "x").expect("written");
        assert!(matches!(CheckoutDir::create(temp.path()), Err(DistGitError::DestinationInUse { .. })));
        let dest = temp.path().join("checkout");
        let dir = CheckoutDir::create(&dest).expect("made");
        std::fs::write(dest.join("late"), "x").expect("written");
        drop(dir);
        assert!(dest.join("late").exists() && temp.path().join("mine").exists());
        assert!(!dest.join("source").exists());
    }
}
