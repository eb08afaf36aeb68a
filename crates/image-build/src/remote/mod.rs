//! ADD of URLs and git repositories (Dockerfile reference, "Adding files from a URL", "Adding files from a Git repository"):
//! what is meant, what its content is called in the instruction cache, and that it is what `--checksum` says. The bytes
//! come from the caller's [`crate::RemoteFetcher`]; `stage/copy.rs` puts them into the image like other sources.

mod checksum;
mod error;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use dockerfile::{Add, GitSource, RemoteSource, url_file_name};
use rustix::fs::{AtFlags, CWD};
use tempfile::TempDir;

use self::checksum::Checksum;
pub use self::error::RemoteError;
use crate::copy::{FoundSource, Selection, find};
use crate::error::{Foreign, StepError};
use crate::hooks::RemoteFetcher;
use crate::rootfs::{RootDir, modification_time};
use crate::snapshot::SnapshotError;

/// What BuildKit calls a file whose URL has no name, which then nobody sees.
const UNNAMED: &str = "__unnamed__";

/// A source of ADD that is not in the build context; words expanded.
#[derive(Debug)]
pub(crate) enum Remote {
    File { url: String, name: String, checksum: Option<Checksum> },
    Repository { text: String, source: GitSource, keep_git_dir: bool, commit: Option<String> },
}

/// What was fetched.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) root: RootDir,
    pub(crate) found: FoundSource,
    /// What its content is called: `sha256:…` or a commit.
    pub(crate) identity: String,
    // Holds the files.
    _dir: TempDir,
}

impl Remote {
    /// The source `text`, when it is one of these. `checksum` is the flag's value after expansion. `into_dir`: the file
    /// needs a name of its own.
    pub(crate) fn of(text: &str, add: Option<&Add>, checksum: Option<&str>, into_dir: bool) -> Result<Option<Self>, RemoteError> {
        let Some(kind) = RemoteSource::of(text) else { return Ok(None) };
        let Some(add) = add else { return Err(RemoteError::Copied { text: text.to_owned() }) };
        Ok(Some(match kind {
            RemoteSource::Url => {
                let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase()).unwrap_or_default();
                if !matches!(scheme.as_str(), "http" | "https") {
                    return Err(RemoteError::Scheme { url: text.to_owned(), scheme });
                }
                let name = match url_file_name(text) {
                    None if into_dir => return Err(RemoteError::NoName { url: text.to_owned() }),
                    name => name.unwrap_or_else(|| UNNAMED.to_owned()),
                };
                let checksum = checksum.map(Checksum::parse).transpose()?;
                Remote::File { url: text.to_owned(), name, checksum }
            }
            RemoteSource::Git => {
                let source = GitSource::parse(text)?;
                let commit = checksum.map(checksum::commit).transpose()?.or_else(|| source.commit.clone());
                let keep_git_dir = source.keep_git_dir.unwrap_or(add.keep_git_dir);
                Remote::Repository { text: text.to_owned(), source, keep_git_dir, commit }
            }
        }))
    }

    /// As in the Dockerfile.
    pub(crate) fn text(&self) -> &str {
        match self {
            Remote::File { url, .. } => url,
            Remote::Repository { text, .. } => text,
        }
    }

    /// Besides its identity, what decides what it brings into an image.
    pub(crate) fn shape(&self) -> String {
        match self {
            Remote::File { name, .. } => format!("file {name}"),
            // The repository's own data holds its address and the ref.
            Remote::Repository { text, keep_git_dir: true, .. } => format!("repository with data {text}"),
            Remote::Repository { source, .. } => format!("repository {}", source.subdir),
        }
    }

    /// [`Fetched::identity`], where it is known without fetching anything.
    pub(crate) fn known_identity(&self) -> Option<String> {
        match self {
            Remote::File { checksum, .. } => checksum.as_ref().and_then(Checksum::identity),
            Remote::Repository { source, commit, .. } => {
                let pinned = source.pinned_commit()?.to_ascii_lowercase();
                commit.as_ref().is_none_or(|commit| pinned.starts_with(commit)).then_some(pinned)
            }
        }
    }

    /// Fetches it into `dir` and checks it.
    pub(crate) fn fetch(&self, fetcher: &dyn RemoteFetcher, dir: TempDir) -> Result<Fetched, StepError> {
        let failed = |source| RemoteError::Fetch { text: self.text().to_owned(), source: Foreign(source) };
        match self {
            Remote::File { url, name, checksum } => {
                let path = dir.path().join("file");
                let modified = fetcher.file(url, &path).map_err(failed)?;
                let identity = checksum::verify(&path, checksum.as_ref(), url)?;
                // BuildKit's, also where the server tells no time.
                set_mode_and_time(&path, modified.unwrap_or(0)).map_err(SnapshotError::path("set mode and time of", &path))?;
                let root = RootDir::open(dir.path()).map_err(SnapshotError::path("open", dir.path()))?;
                let mut found = found_at(&root, "file", url)?;
                found.named = name.into();
                Ok(Fetched { root, found, identity, _dir: dir })
            }
            Remote::Repository { source, keep_git_dir, commit, .. } => {
                let tree = fetcher.repository(source, *keep_git_dir, &dir.path().join("tree")).map_err(failed)?;
                let begins = |hash: &String| commit.as_ref().is_none_or(|wanted| hash.starts_with(wanted));
                if !begins(&tree.commit) && !tree.tag.as_ref().is_some_and(begins) {
                    let expected = commit.clone().unwrap_or_default();
                    return Err(RemoteError::Commit { url: source.remote.clone(), expected, found: tree.commit }.into());
                }
                let root = RootDir::open(&tree.root).map_err(SnapshotError::path("open", &tree.root))?;
                let found = found_at(&root, ".", &source.remote)?;
                Ok(Fetched { root, found, identity: tree.commit, _dir: dir })
            }
        }
    }
}

fn found_at(root: &RootDir, path: &str, place: &str) -> Result<FoundSource, StepError> {
    let found = find(root, path, &Selection::default(), place)?;
    found.into_iter().next().ok_or_else(|| StepError::Invalid(format!("nothing came from {place}")))
}

fn set_mode_and_time(path: &Path, modified: i64) -> std::io::Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    rustix::fs::utimensat(CWD, path, &modification_time(modified, 0), AtFlags::empty()).map_err(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dockerfile::InstructionKind;

    fn add(flags: &str) -> Add {
        let text = format!("FROM scratch\nADD {flags} https://h/x /x\n");
        let file = dockerfile::parse(text.as_bytes(), "Dockerfile").unwrap_or_else(|e| panic!("{e}"));
        match &file.stages[0].instructions[0].kind {
            InstructionKind::Add(add) => add.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn remote(text: &str, checksum: Option<&str>) -> Result<Remote, RemoteError> {
        Remote::of(text, Some(&add("")), checksum, true).map(|remote| remote.expect("not a path"))
    }

    #[test]
    fn what_a_checksum_names_is_known_beforehand() {
        let hex = "ab".repeat(32);
        let file = remote("https://h/x", Some(&format!("sha256:{}", hex.to_uppercase()))).expect("a file");
        assert_eq!(file.known_identity(), Some(format!("sha256:{hex}")));
        let longer = remote("https://h/x", Some(&format!("sha512:{}", "ab".repeat(64)))).expect("a file");
        assert_eq!((longer.known_identity(), remote("https://h/x", None).expect("a file").known_identity()), (None, None));

        let commit = "0123456789abcdef0123456789abcdef01234567";
        let pinned = remote(&format!("https://h/r.git#{commit}"), Some("0123")).expect("a repository");
        assert_eq!(pinned.known_identity().as_deref(), Some(commit));
        let other = remote(&format!("https://h/r.git#{commit}"), Some("abcd")).expect("a repository");
        assert_eq!(other.known_identity(), None, "it cannot be right, and the fetch will say so");
        assert_eq!(remote("https://h/r.git#main", Some(commit)).expect("a repository").known_identity(), None);
    }

    #[test]
    fn what_cannot_be_fetched_is_refused() {
        assert!(matches!(remote("ftp://h/x", None), Err(RemoteError::Scheme { .. })));
        assert!(matches!(remote("https://h/", None), Err(RemoteError::NoName { .. })));
        assert!(matches!(remote("https://h/x", Some("md5:00")), Err(RemoteError::BadChecksum { .. })));
        assert!(matches!(remote("https://h/r.git", Some("sha256:00")), Err(RemoteError::BadChecksum { .. })));
        assert!(matches!(remote("https://h/r.git?x=y", None), Err(RemoteError::Git(_))));
        assert!(matches!(Remote::of("https://h/x", None, None, false), Err(RemoteError::Copied { .. })));
        assert!(Remote::of("dir/x", None, None, false).expect("a path").is_none());
    }

    #[test]
    fn the_query_decides_about_the_git_directory() {
        let kept = |text: &str, flags: &str| match Remote::of(text, Some(&add(flags)), None, true).expect("a source") {
            Some(Remote::Repository { keep_git_dir, .. }) => keep_git_dir,
            other => panic!("{other:?}"),
        };
        assert!(kept("https://h/r.git", "--keep-git-dir") && kept("https://h/r.git?keep-git-dir=1", ""));
        assert!(!kept("https://h/r.git?keep-git-dir=0", "--keep-git-dir") && !kept("https://h/r.git", ""));
    }
}
