//! Where a content source's files really lie: an HTTP server, or a directory (`file://`).

use std::path::PathBuf;

use build_model::{Blame, Diagnose};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

/// A file could not be had from a content source, or is not the one that was promised.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No answer, or the connection broke.
    #[error("cannot fetch {url}")]
    Transport {
        /// What was asked for.
        url: String,
        /// What the HTTP client said.
        #[source]
        source: reqwest::Error,
    },
    /// The server answered, but not with the file.
    #[error("{url} answered {status}")]
    Status {
        /// What was asked for.
        url: String,
        /// HTTP status.
        status: u16,
    },
    /// A `file://` source whose file cannot be read.
    #[error("cannot read {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// More bytes than promised or allowed.
    #[error("{url} has more than the {limit} bytes it should have")]
    TooLarge {
        /// What was fetched.
        url: String,
        /// The size promised, or the limit.
        limit: u64,
    },
    /// Other bytes than promised.
    #[error("{url} should be {expected} with {expected_size} bytes, but is {computed} with {size} bytes")]
    ChecksumDiffers {
        /// What was fetched.
        url: String,
        /// Algorithm and digest promised.
        expected: String,
        /// Size promised; 0 when none was.
        expected_size: u64,
        /// Digest of what came.
        computed: String,
        /// Size of what came.
        size: u64,
    },
    /// The cache directory failed.
    #[error("cannot write {path} in the gate's cache")]
    Cache {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl Diagnose for FetchError {
    fn blame(&self) -> Blame {
        Blame::Site
    }
    fn kind(&self) -> &'static str {
        match self {
            FetchError::Transport { .. } | FetchError::Status { .. } | FetchError::File { .. } => "content-source-unreachable",
            FetchError::TooLarge { .. } | FetchError::ChecksumDiffers { .. } => "content-source-changed",
            FetchError::Cache { .. } => "gate-cache",
        }
    }
    fn is_transient(&self) -> bool {
        match self {
            FetchError::Transport { source, .. } => !source.is_builder(),
            FetchError::Status { status, .. } => matches!(status, 408 | 429 | 500..=599),
            FetchError::ChecksumDiffers { .. } | FetchError::TooLarge { .. } => true,
            FetchError::File { .. } | FetchError::Cache { .. } => false,
        }
    }
}

/// A content source's server or directory.
#[derive(Debug, Clone)]
pub(super) enum Upstream {
    Http { client: reqwest::Client, base: Url },
    Directory(PathBuf),
}

/// What is left alone in a path: everything but what would end it or change its meaning.
const PATH: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/').remove(b'+').remove(b'^');

impl Upstream {
    /// From a base URL; `Err` says what is wrong with it.
    pub fn new(base_url: &str, client: reqwest::Client) -> Result<Self, String> {
        let mut base = Url::parse(base_url).map_err(|e| e.to_string())?;
        match base.scheme() {
            "file" => {
                let path = base.to_file_path().map_err(|()| "it names no directory".to_owned())?;
                Ok(Upstream::Directory(path))
            }
            "http" | "https" => {
                if !base.path().ends_with('/') {
                    let path = format!("{}/", base.path());
                    base.set_path(&path);
                }
                base.set_query(None);
                base.set_fragment(None);
                Ok(Upstream::Http { client, base })
            }
            other => Err(format!("the scheme `{other}` is none of http, https, file")),
        }
    }

    /// The place of a file, for messages. Passwords in the base URL do not show.
    pub fn name_of(&self, path: &str) -> String {
        match self {
            Upstream::Directory(dir) => dir.join(path).display().to_string(),
            Upstream::Http { base, .. } => {
                let mut shown = base.clone();
                let _ = shown.set_username("");
                let _ = shown.set_password(None);
                format!("{shown}{}", utf8_percent_encode(path, PATH))
            }
        }
    }

    /// Opens a file; `path` has been checked to stay inside.
    pub async fn open(&self, path: &str) -> Result<BoxStream<'static, Result<Bytes, FetchError>>, FetchError> {
        match self {
            Upstream::Directory(dir) => {
                let path = dir.join(path);
                let failed = |source| FetchError::File { path: path.clone(), source };
                let file = tokio::fs::File::open(&path).await.map_err(failed)?;
                if !file.metadata().await.map_err(failed)?.is_file() {
                    return Err(failed(std::io::ErrorKind::IsADirectory.into()));
                }
                let stream = tokio_util::io::ReaderStream::with_capacity(file, 256 << 10);
                Ok(stream.map(move |piece| piece.map_err(|source| FetchError::File { path: path.clone(), source })).boxed())
            }
            Upstream::Http { client, base } => {
                let shown = self.name_of(path);
                let url = format!("{base}{}", utf8_percent_encode(path, PATH));
                let failed = {
                    let shown = shown.clone();
                    move |source: reqwest::Error| FetchError::Transport { url: shown.clone(), source: source.without_url() }
                };
                // The file itself is wanted, byte for byte.
                let request = client.get(url).header("accept-encoding", "identity");
                let answer = request.send().await.map_err(&failed)?;
                if answer.status() != reqwest::StatusCode::OK {
                    return Err(FetchError::Status { url: shown, status: answer.status().as_u16() });
                }
                Ok(answer.bytes_stream().map(move |piece| piece.map_err(&failed)).boxed())
            }
        }
    }
}
