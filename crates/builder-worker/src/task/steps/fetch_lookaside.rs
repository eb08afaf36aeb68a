//! The files that `sources` names, from the site's lookaside cache into the build context. Each is compared with the checksum
//! in the commit before it gets its name there, so the commit decides what is in the image, whatever the cache serves.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use build_model::{Blame, BoxedDiagnose, Diagnose, ScmUrl};
use dist_git::{HashType, LookasideFile, LookasideUrl, SOURCES, parse_sources};
use md5::Md5;
use sha2::{Digest, Sha256, Sha512};

use super::Fetched;
use super::commit_file::{CommitFileError, text_of};
use crate::config::LookasideSettings;
use crate::download::{DownloadError, Downloads, read_authority};
use crate::task::run::{TaskContext, WorkFileError};

/// A `sources` file larger than this is something else.
const MAX_SOURCES: u64 = 1 << 20;

/// Why a file of the lookaside cache cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LookasideError {
    /// The site has no cache.
    #[error("{SOURCES} names {count} files of a lookaside cache, and this site's builders know none")]
    NoCache {
        /// How many.
        count: usize,
    },
    /// `sources` is no text file of the commit.
    #[error(transparent)]
    Sources(#[from] CommitFileError),
    /// The site takes no MD5.
    #[error("{SOURCES}:{line}: the MD5 of {name} is too weak for this site")]
    Md5 {
        /// Line in `sources`.
        line: usize,
        /// The file.
        name: String,
    },
    /// It cannot be fetched.
    #[error("{SOURCES}:{line}: cannot fetch {name}")]
    Fetch {
        /// Line in `sources`.
        line: usize,
        /// The file.
        name: String,
        /// Why.
        source: DownloadError,
    },
    /// All files together are too large.
    #[error("{SOURCES}:{line}: with {name} the files are larger than the {limit_mb} MB this site allows")]
    TooLarge {
        /// Line in `sources`.
        line: usize,
        /// The file.
        name: String,
        /// `lookaside.max_total_mb`.
        limit_mb: u64,
    },
    /// Another file.
    #[error("{SOURCES}:{line}: the cache's {name} has the {kind} {found}")]
    Checksum {
        /// Line in `sources`.
        line: usize,
        /// The file.
        name: String,
        /// Kind of the checksum.
        kind: &'static str,
        /// What it is.
        found: String,
    },
    /// The commit has one of this name.
    #[error("{SOURCES}:{line}: the commit itself has another {name}")]
    InCommit {
        /// Line in `sources`.
        line: usize,
        /// The file.
        name: String,
    },
}

impl Diagnose for LookasideError {
    fn blame(&self) -> Blame {
        match self {
            LookasideError::NoCache { .. } => Blame::Site,
            LookasideError::Sources(error) => error.blame(),
            LookasideError::Fetch { source, .. } if !source.is_not_found() && source.kind() != "download-too-large" => {
                Blame::Site
            }
            _ => Blame::Packager,
        }
    }
    fn kind(&self) -> &'static str {
        match self {
            LookasideError::NoCache { .. } => "lookaside-none",
            LookasideError::Sources(_) => "sources-file",
            LookasideError::Md5 { .. } => "lookaside-md5",
            LookasideError::Fetch { .. } => "lookaside-fetch",
            LookasideError::TooLarge { .. } => "lookaside-too-large",
            LookasideError::Checksum { .. } => "lookaside-checksum",
            LookasideError::InCommit { .. } => "lookaside-in-commit",
        }
    }
    fn hint(&self) -> Option<String> {
        Some(match self {
            LookasideError::NoCache { .. } => {
                "set lookaside.url in the builders' configuration, or remove the file from the repository".into()
            }
            LookasideError::Sources(_) => "let your site's command (`fedpkg new-sources FILE…`) write it".into(),
            LookasideError::Md5 { .. } => "upload the file again with a current client, which records its SHA-512".into(),
            LookasideError::Fetch { source, name, .. } if source.is_not_found() => {
                format!("upload {name} (`fedpkg upload {name}`) before building the commit")
            }
            LookasideError::Fetch { source, .. } if source.kind() == "download-too-large" => {
                "a file may be as large as lookaside.max_file_mb of the builders' configuration".into()
            }
            LookasideError::Fetch { .. } => "submit again when the lookaside cache answers".into(),
            LookasideError::TooLarge { .. } => "keep less in the cache, or ask the site for a larger limit".into(),
            LookasideError::Checksum { .. } => "upload the file again; nothing was built of this one".into(),
            LookasideError::InCommit { name, .. } => format!("remove {name} from git, or from {SOURCES}"),
        })
    }
    fn is_transient(&self) -> bool {
        matches!(self, LookasideError::Fetch { source, .. } if source.is_transient())
    }
}

/// What the commit's `sources` names; nothing when there is no such file. Checked before anything is built.
///
/// # Errors
/// [`LookasideError`] or the file's first bad line.
pub fn read_sources(root: &Path, site: &LookasideSettings) -> Result<Vec<LookasideFile>, BoxedDiagnose> {
    // A directory of this name is the packager's own.
    if root.join(SOURCES).symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
        return Ok(Vec::new());
    }
    let Some(text) = text_of(root, SOURCES, MAX_SOURCES).map_err(LookasideError::from)? else { return Ok(Vec::new()) };
    let files = parse_sources(&text)?;
    if let Some(weak) = files.iter().find(|file| file.hash_type == HashType::Md5 && !site.allow_md5) {
        return Err(LookasideError::Md5 { line: weak.line, name: weak.name.clone() }.into());
    }
    if !files.is_empty() && site.url.is_none() {
        return Err(LookasideError::NoCache { count: files.len() }.into());
    }
    Ok(files)
}

/// Fetches what `sources` names into the build context.
///
/// # Errors
/// [`LookasideError`], the first file's.
pub async fn fetch_lookaside(context: &TaskContext<'_>, fetched: &Fetched) -> Result<(), BoxedDiagnose> {
    let (site, scratch) = (&context.settings.lookaside, context.work_dir.join("lookaside"));
    if let Some(got) = fetch_lookaside_files(site, &fetched.source, &fetched.tree.root, &scratch).await? {
        context.log.step(&format!("{} files of the lookaside cache, {} kB", got.files, got.bytes >> 10));
    }
    Ok(())
}

/// What came from the cache.
pub struct FromLookaside {
    /// How many files `sources` names.
    pub files: usize,
    /// Bytes that were fetched.
    pub bytes: u64,
}

/// Fetches what the `sources` of a checkout names into its directory `root`, by way of `scratch`; `None` when that is
/// nothing. Used by a build, and by `verify` for the commit of a build.
///
/// # Errors
/// As [`fetch_lookaside`].
pub async fn fetch_lookaside_files(
    site: &LookasideSettings,
    source: &ScmUrl,
    root: &Path,
    scratch: &Path,
) -> Result<Option<FromLookaside>, BoxedDiagnose> {
    let files = read_sources(root, site)?;
    let Some(url) = site.url.as_ref().filter(|_| !files.is_empty()) else { return Ok(None) };
    let ca = read_authority(site.ca.as_deref())?;
    let cache = Cache { downloads: Downloads::new(ca.as_deref())?, url, site, source };
    std::fs::create_dir_all(scratch).map_err(|source| WorkFileError { path: scratch.to_owned(), source })?;
    let bytes = cache.fetch_all(&files, root, scratch).await?;
    Ok(Some(FromLookaside { files: files.len(), bytes }))
}

struct Cache<'a> {
    downloads: Downloads,
    url: &'a LookasideUrl,
    site: &'a LookasideSettings,
    source: &'a ScmUrl,
}

impl Cache<'_> {
    /// Fetches the files to `root` by way of `scratch`; how many bytes.
    async fn fetch_all(&self, files: &[LookasideFile], root: &Path, scratch: &Path) -> Result<u64, BoxedDiagnose> {
        let (file_limit, total_limit) = (self.site.max_file_mb << 20, self.site.max_total_mb << 20);
        let mut total = 0;
        for file in files {
            let (line, name) = (file.line, file.name.clone());
            let to = root.join(&file.name);
            if to.symlink_metadata().is_ok() {
                // Also a link: nothing is written through what the commit has.
                let same = to.symlink_metadata().is_ok_and(|meta| meta.is_file()) && sum(file.hash_type, &to)? == file.hash;
                if same {
                    continue;
                }
                return Err(LookasideError::InCommit { line, name }.into());
            }
            let part = scratch.join(&file.name);
            let url = self.url.of(self.source, file);
            let downloaded = self.downloads.fetch(&url, &part, file_limit).await;
            total += downloaded.map_err(|source| LookasideError::Fetch { line, name: name.clone(), source })?.size;
            if total > total_limit {
                return Err(LookasideError::TooLarge { line, name, limit_mb: self.site.max_total_mb }.into());
            }
            let found = tokio::task::block_in_place(|| sum(file.hash_type, &part))?;
            if found != file.hash {
                return Err(LookasideError::Checksum { line, name, kind: file.hash_type.name(), found }.into());
            }
            place(&part, &to).map_err(|source| WorkFileError { path: to, source })?;
        }
        Ok(total)
    }
}

/// Gives a checked file its name, with the mode a file of the commit has.
fn place(part: &Path, to: &PathBuf) -> std::io::Result<()> {
    std::fs::set_permissions(part, std::fs::Permissions::from_mode(0o644))?;
    std::fs::rename(part, to)
}

/// A file's checksum in hex.
fn sum(kind: HashType, path: &Path) -> Result<String, WorkFileError> {
    let sum = match kind {
        HashType::Md5 => sum_by::<Md5>(path),
        HashType::Sha256 => sum_by::<Sha256>(path),
        HashType::Sha512 => sum_by::<Sha512>(path),
    };
    sum.map_err(|source| WorkFileError { path: path.to_owned(), source })
}

fn sum_by<D: Digest>(path: &Path) -> std::io::Result<String> {
    let (mut file, mut sum, mut buffer) = (std::fs::File::open(path)?, D::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(build_model::hex(&sum.finalize())),
            n => sum.update(buffer.get(..n).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(url: Option<&str>) -> LookasideSettings {
        let url = url.map(|text| LookasideUrl::parse(text).expect("a pattern"));
        LookasideSettings { url, ..LookasideSettings::default() }
    }

    #[test]
    fn checksums_are_those_of_the_usual_programs() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("f");
        std::fs::write(&path, "abc").expect("written");
        assert_eq!(sum(HashType::Md5, &path).expect("read"), "900150983cd24fb0d6963f7d28e17f72");
        assert!(sum(HashType::Sha256, &path).expect("read").starts_with("ba7816bf8f01cfea"));
        assert!(sum(HashType::Sha512, &path).expect("read").starts_with("ddaf35a193617aba"));
    }

    #[test]
    fn a_sources_file_needs_a_cache_and_a_checksum_the_site_takes() {
        let dir = tempfile::tempdir().expect("a directory");
        let url = "https://h/{name}/{file}/{hash}";
        let kind = |settings: &LookasideSettings| read_sources(dir.path(), settings).expect_err("refused").kind();
        assert!(read_sources(dir.path(), &site(None)).expect("no file").is_empty());
        let path = dir.path().join(SOURCES);
        std::fs::write(&path, format!("{}  a.gz\n", "0".repeat(32))).expect("written");
        assert_eq!(kind(&site(None)), "lookaside-none");
        assert_eq!(read_sources(dir.path(), &site(Some(url))).expect("read").len(), 1);
        assert_eq!(kind(&LookasideSettings { allow_md5: false, ..site(Some(url)) }), "lookaside-md5");
        std::fs::write(&path, b"\xff").expect("written");
        assert_eq!(kind(&site(Some(url))), "sources-file");
        std::fs::remove_file(&path).expect("removed");
        std::os::unix::fs::symlink("/etc/passwd", &path).expect("a link");
        assert_eq!(kind(&site(Some(url))), "sources-file");
    }

    #[tokio::test]
    async fn a_file_of_the_commit_is_not_replaced_unless_it_is_the_same() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("a"), "abc").expect("written");
        std::os::unix::fs::symlink("a", dir.path().join("b")).expect("a link");
        let settings = site(Some("http://127.0.0.1:1/{file}/{hash}"));
        let source = "git+https://h/container/web.git#1".parse().expect("an SCM URL");
        let url = settings.url.as_ref().expect("a pattern");
        let cache = Cache { downloads: Downloads::new(None).expect("a client"), url, site: &settings, source: &source };
        let fetch = async |text: &str| {
            let files = parse_sources(text).expect("read");
            cache.fetch_all(&files, dir.path(), dir.path()).await.map_err(|error| error.kind())
        };
        let same = "900150983cd24fb0d6963f7d28e17f72";
        assert_eq!(fetch(&format!("{same}  a")).await, Ok(0));
        assert_eq!(fetch(&format!("{}  a", "0".repeat(32))).await, Err("lookaside-in-commit"));
        assert_eq!(fetch(&format!("{same}  b")).await, Err("lookaside-in-commit"));
    }
}
