//! Header digests of Koji's own files, kept on disk: an RPM in Koji never changes, and a base image's are asked about by
//! every build. One line for each, appended; shared by all builds of a worker.
//!
//! A line holds hub, RPM id, payload hash and digest. The payload hash is part of the key, so that a line of another hub's
//! database under the same address (a hub set up anew) is not believed.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rpm_provenance::KnownRpm;

/// What is kept: about 120 bytes an RPM. A file beyond this is begun anew.
const MAX_BYTES: u64 = 64 << 20;

/// Digests by RPM id and payload hash.
type Known = HashMap<(i64, String), String>;

/// Digests of one hub's files.
pub struct FileDigests {
    hub: String,
    path: Option<PathBuf>,
    known: Mutex<Known>,
}

impl FileDigests {
    /// Forgets with the process.
    pub fn in_memory() -> Self {
        FileDigests { hub: String::new(), path: None, known: Mutex::default() }
    }

    /// Keeps the digests of `hub` (its address) in a file of `dir`. What cannot be read is asked for again.
    pub fn in_dir(dir: &Path, hub: &str) -> Self {
        let path = dir.join("koji-header-digests");
        let known = match read(&path, hub) {
            Ok(known) => known,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(path = %path.display(), %error, "cannot read the kept header digests");
                }
                Known::new()
            }
        };
        FileDigests { hub: hub.to_owned(), path: Some(path), known: Mutex::new(known) }
    }

    pub(crate) fn get(&self, rpm: &KnownRpm) -> Option<String> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&(rpm.rpm_id, rpm.payloadhash.clone())).cloned()
    }

    pub(crate) fn keep<'a>(&self, digests: impl Iterator<Item = (&'a KnownRpm, String)>) {
        let mut lines = String::new();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for (rpm, digest) in digests {
            if is_word(&rpm.payloadhash) && is_word(&digest) && is_word(&self.hub) {
                lines.push_str(&format!("{} {} {} {digest}\n", self.hub, rpm.rpm_id, rpm.payloadhash));
            }
            known.insert((rpm.rpm_id, rpm.payloadhash.clone()), digest);
        }
        if let Some(path) = self.path.as_ref().filter(|_| !lines.is_empty())
            && let Err(error) = append(path, &lines)
        {
            tracing::warn!(path = %path.display(), %error, "cannot keep header digests");
        }
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())
}

fn read(path: &Path, hub: &str) -> io::Result<Known> {
    let mut text = String::new();
    File::open(path)?.take(MAX_BYTES).read_to_string(&mut text)?;
    let mut known = Known::new();
    // A line that another process is just writing has no end yet.
    for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        let mut words = line.split(' ');
        if let (Some(of), Some(id), Some(hash), Some(digest), None) =
            (words.next(), words.next().and_then(|id| id.parse().ok()), words.next(), words.next(), words.next())
            && of == hub
        {
            known.insert((id, hash.to_owned()), digest.to_owned());
        }
    }
    Ok(known)
}

fn append(path: &Path, lines: &str) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|meta| meta.len() > MAX_BYTES) {
        fs::remove_file(path)?;
    }
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    // One write at the end of the file: lines of two builds do not mix.
    OpenOptions::new().create(true).append(true).open(path)?.write_all(lines.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rpm(id: i64, hash: &str) -> KnownRpm {
        KnownRpm { rpm_id: id, payloadhash: hash.into(), ..KnownRpm::default() }
    }

    #[test]
    fn what_is_kept_is_found_by_the_next_build_of_the_same_hub() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = FileDigests::in_dir(dir.path(), "https://koji.example.org/kojihub");
        assert_eq!(first.get(&rpm(5, "aa")), None);
        first.keep([(&rpm(5, "aa"), "d1".to_owned()), (&rpm(6, "bb"), "d2".to_owned())].into_iter());
        assert_eq!(first.get(&rpm(5, "aa")).as_deref(), Some("d1"));
        let next = FileDigests::in_dir(dir.path(), "https://koji.example.org/kojihub");
        assert_eq!(next.get(&rpm(6, "bb")).as_deref(), Some("d2"));
        assert_eq!(next.get(&rpm(6, "cc")), None, "another RPM under this number");
        assert_eq!(FileDigests::in_dir(dir.path(), "https://other.example.org/kojihub").get(&rpm(5, "aa")), None);
    }

    #[test]
    fn damaged_and_unfinished_lines_are_passed_over() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("koji-header-digests");
        fs::write(&path, "hub 1 aa d1\nnonsense\nhub x aa d\nhub 2 bb d2 more\nhub 3 cc d3").expect("written");
        let known = read(&path, "hub").expect("read");
        assert_eq!(known.len(), 1);
    }
}
