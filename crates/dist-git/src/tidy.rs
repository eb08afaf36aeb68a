//! The files of a checkout as they are handed on: with modes that are independent of our umask, since COPY carries them into
//! the image, and with a note of what of the repository is not among them.

use std::collections::BTreeSet;
use std::fmt;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::DistGitError;

/// Something of the repository that git did not put there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum NotFetched {
    /// What filters would make of files.
    Filtered,
    /// The files of submodules.
    Submodules,
}

impl fmt::Display for NotFetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NotFetched::Filtered => {
                "note: the repository uses git filters (such as LFS); they are not run, the files are as committed"
            }
            NotFetched::Submodules => "note: the repository has submodules",
        })
    }
}

/// Gives files 0644 or 0755 and directories 0755; returns what of the repository is not there.
///
/// # Errors
/// The disk's.
pub(crate) fn tidy(top: &Path) -> Result<BTreeSet<NotFetched>, DistGitError> {
    let io = |action| move |path: &Path, source| DistGitError::Io { action, path: path.to_owned(), source };
    let (look, change) = (io("look into"), io("set the mode of"));
    let mut notes = BTreeSet::new();
    let mut open = vec![top.to_owned()];
    std::fs::set_permissions(top, std::fs::Permissions::from_mode(0o755)).map_err(|e| change(top, e))?;
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).map_err(|e| look(&dir, e))? {
            let entry = entry.map_err(|e| look(&dir, e))?;
            let path = entry.path();
            let kind = entry.file_type().map_err(|e| look(&path, e))?;
            if kind.is_symlink() {
                continue;
            }
            let mode = if kind.is_dir() {
                0o755
            } else {
                let mode = entry.metadata().map_err(|e| look(&path, e))?.permissions().mode();
                if mode & 0o100 == 0 { 0o644 } else { 0o755 }
            };
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).map_err(|e| change(&path, e))?;
            if kind.is_dir() {
                open.push(path);
            } else if entry.file_name() == ".gitattributes" && std::fs::read(&path).is_ok_and(|t| mentions_filter(&t)) {
                notes.insert(NotFetched::Filtered);
            } else if entry.file_name() == ".gitmodules" && dir == top {
                notes.insert(NotFetched::Submodules);
            }
        }
    }
    Ok(notes)
}

fn mentions_filter(attributes: &[u8]) -> bool {
    attributes.windows(7).any(|window| window == b"filter=")
}
