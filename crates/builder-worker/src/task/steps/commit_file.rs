//! A small text file at the top of a checkout: `container.yaml`, `sources`, `help.md` and their like. The steps that read them
//! call this; what the text means is theirs.

use std::io::Read as _;
use std::path::Path;

use build_model::{Blame, Diagnose};

/// A file that the commit has cannot be read as text.
#[derive(Debug, thiserror::Error)]
pub enum CommitFileError {
    /// It is there and cannot be read.
    #[error("cannot read {name}")]
    Read {
        /// The file.
        name: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// It is a directory, a device, or a link that leaves the checkout.
    #[error("{name} must be a file of the repository")]
    NotAFile {
        /// The file.
        name: &'static str,
    },
    /// It is something else than its name says.
    #[error("{name} is larger than {} KiB", .limit >> 10)]
    TooLarge {
        /// The file.
        name: &'static str,
        /// Bytes it may have.
        limit: u64,
    },
    /// It is no text.
    #[error("{name}:{line}: the file is not UTF-8 text")]
    NotText {
        /// The file.
        name: &'static str,
        /// The line of the first byte that is not text.
        line: usize,
    },
}

impl Diagnose for CommitFileError {
    fn blame(&self) -> Blame {
        match self {
            CommitFileError::Read { .. } => Blame::Site,
            _ => Blame::Packager,
        }
    }
    fn kind(&self) -> &'static str {
        "repository-file"
    }
}

/// The text of `name` at the top of the checkout `root`; `None` when there is none. Links may point to other files of the
/// checkout only: error messages quote the file, and images hold it.
///
/// # Errors
/// [`CommitFileError`].
pub fn text_of(root: &Path, name: &'static str, limit: u64) -> Result<Option<String>, CommitFileError> {
    let failed = |source| CommitFileError::Read { name, source };
    let path = root.join(name);
    match path.symlink_metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
        Ok(_) => {}
    }
    let inside = root.canonicalize().map_err(failed)?;
    // Canonicalising also fails for links to nothing and for loops.
    let Some(file) = path.canonicalize().ok().filter(|end| end.starts_with(&inside) && end.is_file()) else {
        return Err(CommitFileError::NotAFile { name });
    };
    let mut bytes = Vec::new();
    std::fs::File::open(&file).map_err(failed)?.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(CommitFileError::TooLarge { name, limit });
    }
    String::from_utf8(bytes).map(Some).map_err(|error| {
        let text = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
        CommitFileError::NotText { name, line: 1 + text.filter(|b| **b == b'\n').count() }
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const NAME: &str = "notes.txt";

    fn of_link(target: &str) -> Result<Option<String>, String> {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("other"), "inside").expect("written");
        symlink(target, dir.path().join(NAME)).expect("a link");
        text_of(dir.path(), NAME, 10).map_err(|error| error.to_string())
    }

    fn of_bytes(bytes: &[u8]) -> Result<Option<String>, String> {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join(NAME), bytes).expect("written");
        text_of(dir.path(), NAME, 1024).map_err(|error| error.to_string())
    }

    #[test]
    fn links_are_followed_within_the_checkout_only() {
        assert_eq!(of_link("other"), Ok(Some("inside".to_owned())));
        for target in ["/etc/passwd", "../outside", "nothing", NAME, "."] {
            assert_eq!(of_link(target), Err("notes.txt must be a file of the repository".to_owned()), "{target}");
        }
    }

    #[test]
    fn only_text_of_a_files_usual_size_is_read() {
        let empty = tempfile::tempdir().expect("a directory");
        assert!(text_of(empty.path(), NAME, 10).expect("no file").is_none());
        assert_eq!(of_bytes(&[b'x'; 1024]), Ok(Some("x".repeat(1024))));
        assert_eq!(of_bytes(&[b'x'; 1025]), Err("notes.txt is larger than 1 KiB".to_owned()));
        assert_eq!(of_bytes(b"one\ntw\xff\n"), Err("notes.txt:2: the file is not UTF-8 text".to_owned()));
    }
}
