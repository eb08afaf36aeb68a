//! One file over http(s) to a file on disk: redirections, size and time have limits, and what failed for a moment is
//! tried again.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use build_model::{Blame, Diagnose};
use futures_util::StreamExt as _;
use reqwest::header::LAST_MODIFIED;
use url::Url;

/// How long a server may take to answer, and to send something more.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
const READ_TIMEOUT: Duration = Duration::from_secs(120);
/// Redirections one after the other.
const MAX_REDIRECTS: usize = 10;
/// Tries of one file.
const TRIES: u32 = 3;
/// Pause before the second try; it doubles.
const PAUSE: Duration = Duration::from_millis(500);

/// A file cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FileFetchError {
    /// No HTTP client.
    #[error("cannot set up the HTTP client for ADD")]
    Client(#[source] reqwest::Error),
    /// No URL.
    #[error("it is not a URL: {0}")]
    Url(String),
    /// No answer, or the connection broke.
    #[error("there is no whole answer from {host}{}", cause(.source))]
    Transport {
        /// The server.
        host: String,
        /// What the client said.
        #[source]
        source: reqwest::Error,
    },
    /// The server answered, but not with the file.
    #[error("the server answered {status}{}", .to.as_ref().map(|to| format!(" at {to}")).unwrap_or_default())]
    Status {
        /// HTTP status.
        status: u16,
        /// Where redirections led.
        to: Option<String>,
    },
    /// More than a build may have.
    #[error("it is larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// It cannot be kept.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The innermost reason, which names the host or the certificate.
fn cause(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    format!(": {innermost}")
}

impl Diagnose for FileFetchError {
    fn blame(&self) -> Blame {
        match self {
            FileFetchError::Url(_) | FileFetchError::TooLarge { .. } => Blame::Packager,
            FileFetchError::Status { status: 400..=499, .. } if !self.is_transient() => Blame::Packager,
            FileFetchError::Transport { source, .. } if source.is_redirect() => Blame::Packager,
            _ => Blame::Site,
        }
    }
    fn kind(&self) -> &'static str {
        match self {
            FileFetchError::Client(_) => "add-client",
            FileFetchError::Url(_) => "add-source",
            FileFetchError::Transport { .. } => "add-unreachable",
            FileFetchError::Status { .. } => "add-status",
            FileFetchError::TooLarge { .. } => "add-too-large",
            FileFetchError::Write { .. } => "add-write",
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            FileFetchError::Transport { source, .. } if source.is_redirect() => {
                Some(format!("more than {MAX_REDIRECTS} redirections are not followed: name the place they lead to"))
            }
            FileFetchError::Status { status: 401 | 403, .. } => {
                Some("ADD sends no credentials: use RUN with a --mount=type=secret".to_owned())
            }
            _ => None,
        }
    }
    fn is_transient(&self) -> bool {
        match self {
            FileFetchError::Transport { source, .. } => !source.is_builder() && !source.is_redirect(),
            FileFetchError::Status { status, .. } => matches!(status, 408 | 429 | 500..=599),
            _ => false,
        }
    }
}

/// An HTTP client for files; proxies are the environment's.
pub(super) struct FileClient {
    client: reqwest::Client,
    limit: u64,
}

impl FileClient {
    /// A client that takes files of up to `limit` bytes.
    pub(super) fn new(limit: u64) -> Result<Self, FileFetchError> {
        let client = reqwest::Client::builder()
            .user_agent(concat!("containerbuild/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .redirect(reqwest::redirect::Policy::limited(MAX_REDIRECTS))
            .build()
            .map_err(FileFetchError::Client)?;
        Ok(Self { client, limit })
    }

    /// Writes what `url` has to the new file `into`; gives its `Last-Modified`.
    pub(super) async fn fetch(&self, url: &str, into: &Path) -> Result<Option<i64>, FileFetchError> {
        let url = Url::parse(url).map_err(|error| FileFetchError::Url(error.to_string()))?;
        let mut pause = PAUSE;
        for _ in 1..TRIES {
            match self.attempt(&url, into).await {
                Err(error) if error.is_transient() => {
                    tracing::debug!(host = url.host_str(), %error, "trying again");
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                other => return other,
            }
        }
        self.attempt(&url, into).await
    }

    async fn attempt(&self, url: &Url, into: &Path) -> Result<Option<i64>, FileFetchError> {
        let broken = |source| FileFetchError::Transport { host: url.host_str().unwrap_or_default().to_owned(), source };
        let write = |source| FileFetchError::Write { path: into.to_owned(), source };
        let answer = self.client.get(url.clone()).send().await.map_err(broken)?;
        let status = answer.status();
        if !status.is_success() {
            let to = (answer.url() != url).then(|| shown(answer.url()));
            return Err(FileFetchError::Status { status: status.as_u16(), to });
        }
        let too_large = || FileFetchError::TooLarge { limit: self.limit };
        if answer.content_length().is_some_and(|length| length > self.limit) {
            return Err(too_large());
        }
        let modified = answer.headers().get(LAST_MODIFIED).and_then(|value| value.to_str().ok()).and_then(seconds);
        let mut file = File::create(into).map_err(write)?;
        let mut left = self.limit;
        let mut body = answer.bytes_stream();
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(broken)?;
            left = left.checked_sub(piece.len() as u64).ok_or_else(too_large)?;
            file.write_all(&piece).map_err(write)?;
        }
        Ok(modified)
    }
}

/// An HTTP date in seconds since 1970.
fn seconds(date: &str) -> Option<i64> {
    let time: SystemTime = httpdate::parse_http_date(date).ok()?;
    i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()
}

/// Without what might be a password or a token.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead as _, BufReader};
    use std::net::TcpListener;

    /// Answers one connection after the other with the given texts, the last one for ever; gives its address.
    fn server(answers: Vec<String>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let Ok(mut stream) = stream else { return };
                let request = BufReader::new(&stream).lines();
                for line in request.map_while(Result::ok) {
                    if line.is_empty() {
                        break;
                    }
                }
                let answer = answers.get(number).or(answers.last()).expect("an answer");
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        address
    }

    fn answer(status: &str, headers: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n{body}", body.len())
    }

    async fn fetched(answers: Vec<String>, limit: u64) -> Result<(String, Option<i64>), FileFetchError> {
        let dir = tempfile::tempdir().expect("tempdir");
        let into = dir.path().join("file");
        let client = FileClient::new(limit)?;
        let modified = client.fetch(&format!("http://{}/x", server(answers)), &into).await?;
        Ok((std::fs::read_to_string(into).expect("read"), modified))
    }

    #[tokio::test]
    async fn a_file_comes_with_its_time() {
        let plain = answer("200 OK", "Last-Modified: Fri, 13 Feb 2009 23:31:30 GMT\r\n", "hello");
        assert_eq!(fetched(vec![plain], 100).await.expect("fetched"), ("hello".to_owned(), Some(1_234_567_890)));
        let bad_date = answer("200 OK", "Last-Modified: yesterday\r\n", "");
        assert_eq!(fetched(vec![bad_date], 100).await.expect("fetched"), (String::new(), None));
    }

    #[tokio::test]
    async fn a_moments_failure_is_overcome_and_leaves_no_bytes() {
        let cut = "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf of something".to_owned();
        let busy = answer("503 Service Unavailable", "", "wait");
        let (text, _) = fetched(vec![cut, busy, answer("200 OK", "", "whole")], 100).await.expect("fetched");
        assert_eq!(text, "whole");
    }

    #[tokio::test]
    async fn an_error_says_whose_move_it_is() {
        let err = fetched(vec![answer("404 Not Found", "", "")], 100).await.expect_err("missing");
        assert_eq!((err.blame(), err.kind(), err.is_transient()), (Blame::Packager, "add-status", false), "{err}");
        let err = fetched(vec![answer("500 Oh", "", "")], 100).await.expect_err("broken");
        assert_eq!((err.blame(), err.is_transient()), (Blame::Site, true), "{err}");
        let err = fetched(vec![answer("302 Found", "Location: /x\r\n", "")], 100).await.expect_err("a circle");
        assert_eq!((err.blame(), err.kind()), (Blame::Packager, "add-unreachable"), "{err}");
        assert!(err.hint().is_some_and(|hint| hint.contains("redirections")));
        let client = FileClient::new(1).expect("a client");
        let err = client.fetch("http://", Path::new("/nonexistent/x")).await.expect_err("no URL");
        assert_eq!(err.blame(), Blame::Packager);
    }

    #[tokio::test]
    async fn no_file_is_larger_than_the_limit() {
        let err = fetched(vec![answer("200 OK", "", "hello")], 4).await.expect_err("announced");
        assert!(matches!(err, FileFetchError::TooLarge { limit: 4 }), "{err}");
        let unannounced = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello".to_owned();
        let err = fetched(vec![unannounced], 4).await.expect_err("found out");
        assert!(matches!(err, FileFetchError::TooLarge { limit: 4 }), "{err}");
    }
}
