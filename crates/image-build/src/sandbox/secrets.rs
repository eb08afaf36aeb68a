//! Secrets of RUN steps (`RUN --mount=type=secret`): given by the caller, shown from a file system in memory that exists
//! for one RUN, and never written to a disk, a layer, a cache key or a log.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use build_model::{Blame, Diagnose};

/// Longest secret, as Docker has it.
const LIMIT: u64 = 500 * 1024;

/// The secrets of a build by id. Their content is in nobody's `Debug` text.
#[derive(Clone, Default)]
pub struct Secrets(BTreeMap<String, Vec<u8>>);

/// A secret that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Its file cannot be read.
    #[error("cannot read the secret `{id}` from {path}")]
    Read {
        /// The secret.
        id: String,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is too long.
    #[error("the secret `{id}` is longer than {} KiB", LIMIT / 1024)]
    TooLong {
        /// The secret.
        id: String,
    },
}

impl Diagnose for SecretError {
    fn blame(&self) -> Blame {
        Blame::Site
    }
    fn kind(&self) -> &'static str {
        match self {
            SecretError::Read { .. } => "secret-read",
            SecretError::TooLong { .. } => "secret-too-long",
        }
    }
}

impl Secrets {
    /// Adds the secret `id` with this content.
    ///
    /// # Errors
    /// It is too long.
    pub fn add(&mut self, id: &str, content: Vec<u8>) -> Result<(), SecretError> {
        if content.len() as u64 > LIMIT {
            return Err(SecretError::TooLong { id: id.to_owned() });
        }
        self.0.insert(id.to_owned(), content);
        Ok(())
    }

    /// Adds the secret `id` with the content of a file.
    ///
    /// # Errors
    /// The file cannot be read, or is too long.
    pub fn add_file(&mut self, id: &str, path: &Path) -> Result<(), SecretError> {
        let mut content = Vec::new();
        let read = File::open(path).and_then(|file| file.take(LIMIT + 1).read_to_end(&mut content));
        read.map_err(|source| SecretError::Read { id: id.to_owned(), path: path.to_owned(), source })?;
        self.add(id, content)
    }

    /// The content of a secret.
    pub fn get(&self, id: &str) -> Option<&[u8]> {
        self.0.get(id).map(Vec::as_slice)
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_read_and_never_printed() {
        let dir = tempfile::tempdir().expect("tempdir");
        std::fs::write(dir.path().join("s"), "hunter2").expect("write");
        let mut secrets = Secrets::default();
        secrets.add_file("a", &dir.path().join("s")).expect("secret");
        assert_eq!(secrets.get("a"), Some(&b"hunter2"[..]));
        assert_eq!(format!("{secrets:?}"), r#"{"a"}"#);
        assert!(matches!(secrets.add_file("b", &dir.path().join("none")), Err(SecretError::Read { .. })));
        assert!(matches!(secrets.add("c", vec![0; LIMIT as usize + 1]), Err(SecretError::TooLong { .. })));
    }
}
