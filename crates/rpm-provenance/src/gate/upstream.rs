//! Where a content source's files really lie: an HTTP server, or a directory (`file://`).

use std::path::PathBuf;
use std::time::Duration;

use build_model::{Blame, Diagnose};
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use system_authorities::with_system_authorities;
use tokio::io::AsyncSeekExt as _;
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
    /// The build ended before the file was there.
    #[error("the download was given up because the build ended")]
    Stopped,
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
            FetchError::Stopped => "gate-stopped",
        }
    }
    fn is_transient(&self) -> bool {
        match self {
            FetchError::Transport { source, .. } => !source.is_builder(),
            FetchError::Status { status, .. } => matches!(status, 408 | 429 | 500..=599),
            FetchError::ChecksumDiffers { .. } | FetchError::TooLarge { .. } => true,
            FetchError::File { .. } | FetchError::Cache { .. } | FetchError::Stopped => false,
        }
    }
}

/// How long a server may take to answer, and to send something more.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
const READ_TIMEOUT: Duration = Duration::from_secs(120);
/// Redirections one after the other.
const MAX_REDIRECTS: usize = 10;

/// For `http://` and `https://` sources.
#[derive(Debug, Clone)]
pub struct HttpClients {
    open: reqwest::Client,
    confined: reqwest::Client,
}

impl HttpClients {
    /// Clients without proxies: the gate is reached by builds, and goes out by itself.
    ///
    /// # Errors
    /// When there is no TLS, as [`reqwest::ClientBuilder::build`].
    pub fn new() -> Result<Self, reqwest::Error> {
        let builder = || {
            let builder = reqwest::Client::builder().no_proxy().connect_timeout(CONNECT_TIMEOUT).read_timeout(READ_TIMEOUT);
            with_system_authorities(builder)
        };
        let same_host = reqwest::redirect::Policy::custom(|attempt| {
            let first = attempt.previous().first().and_then(|url| url.host_str().map(str::to_owned));
            if attempt.previous().len() > MAX_REDIRECTS {
                attempt.error("too many redirections")
            } else if attempt.url().host_str() == first.as_deref() {
                attempt.follow()
            } else {
                attempt.stop()
            }
        });
        let open = builder().redirect(reqwest::redirect::Policy::limited(MAX_REDIRECTS)).build()?;
        Ok(HttpClients { open, confined: builder().redirect(same_host).build()? })
    }

    pub(super) fn for_source(&self, confined: bool) -> reqwest::Client {
        if confined { self.confined.clone() } else { self.open.clone() }
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

    /// Opens a file from its byte `from` on; `path` has been checked to stay inside.
    pub async fn open(&self, path: &str, from: u64) -> Result<BoxStream<'static, Result<Bytes, FetchError>>, FetchError> {
        match self {
            Upstream::Directory(dir) => {
                let path = dir.join(path);
                let failed = |source| FetchError::File { path: path.clone(), source };
                let mut file = tokio::fs::File::open(&path).await.map_err(failed)?;
                if !file.metadata().await.map_err(failed)?.is_file() {
                    return Err(failed(std::io::ErrorKind::IsADirectory.into()));
                }
                file.seek(std::io::SeekFrom::Start(from)).await.map_err(failed)?;
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
                let mut request = client.get(url).header("accept-encoding", "identity");
                if from > 0 {
                    request = request.header("range", format!("bytes={from}-"));
                }
                let answer = request.send().await.map_err(&failed)?;
                let skip = match answer.status() {
                    reqwest::StatusCode::OK => from,
                    reqwest::StatusCode::PARTIAL_CONTENT if from > 0 && begins_at(&answer, from) => 0,
                    status => return Err(FetchError::Status { url: shown, status: status.as_u16() }),
                };
                let stream = answer.bytes_stream().map(move |piece| piece.map_err(&failed));
                Ok(if skip > 0 { skipped(stream, skip).boxed() } else { stream.boxed() })
            }
        }
    }
}

fn begins_at(answer: &reqwest::Response, from: u64) -> bool {
    let range = answer.headers().get("content-range").and_then(|v| v.to_str().ok());
    range.and_then(|r| r.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()) == Some(from)
}

/// A server that knows no ranges sends everything again. What is skipped was hashed the first time.
fn skipped(
    stream: impl Stream<Item = Result<Bytes, FetchError>> + Send + 'static,
    mut skip: u64,
) -> impl Stream<Item = Result<Bytes, FetchError>> + Send + 'static {
    stream.map(move |piece| {
        let mut piece = piece?;
        let now = usize::try_from(skip).unwrap_or(usize::MAX).min(piece.len());
        skip -= now as u64;
        bytes::Buf::advance(&mut piece, now);
        Ok(piece)
    })
}
