//! Files over HTTP, with a size that is known or bounded before: RPMs and archives of Koji builds, files of the lookaside
//! cache. What was fetched is checked by whoever asked for it; nothing here trusts a server.

use std::path::{Path, PathBuf};
use std::time::Duration;

use build_model::{Blame, Diagnose};
use system_authorities::with_system_authorities;
use tokio::io::AsyncWriteExt;
use url::Url;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a server may send nothing.
const READ_TIMEOUT: Duration = Duration::from_secs(120);
/// Attempts in all, for errors that may pass; the pause before the next doubles.
const ATTEMPTS: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// A client for downloads.
#[derive(Debug, Clone)]
pub struct Downloads {
    http: reqwest::Client,
}

/// Why a file was not fetched. URLs are shown without the password they may hold.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// No client can be set up.
    #[error("cannot set up an HTTP client")]
    Client(#[source] reqwest::Error),
    /// The URL is none, or of another scheme.
    #[error("cannot fetch {url}: {problem}")]
    Url {
        /// The URL.
        url: String,
        /// What is wrong.
        problem: String,
    },
    /// The server does not have it.
    #[error("{url} is not there (404)")]
    NotFound {
        /// The URL.
        url: String,
    },
    /// The server refuses or fails.
    #[error("{url}: the server answers {status}")]
    Status {
        /// The URL.
        url: String,
        /// Its answer.
        status: reqwest::StatusCode,
    },
    /// The connection failed.
    #[error("cannot fetch {url}")]
    Transport {
        /// The URL.
        url: String,
        /// Why.
        source: reqwest::Error,
    },
    /// It is larger than it may be.
    #[error("{url} is larger than {limit} bytes")]
    TooLarge {
        /// The URL.
        url: String,
        /// The limit.
        limit: u64,
    },
    /// It cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl DownloadError {
    /// Whether the server does not have the file.
    pub fn is_not_found(&self) -> bool {
        matches!(self, DownloadError::NotFound { .. })
    }
}

impl Diagnose for DownloadError {
    fn blame(&self) -> Blame {
        Blame::Site
    }
    fn kind(&self) -> &'static str {
        match self {
            DownloadError::Client(_) | DownloadError::Url { .. } => "download-setup",
            DownloadError::NotFound { .. } => "download-not-found",
            DownloadError::Status { .. } | DownloadError::Transport { .. } => "download-failed",
            DownloadError::TooLarge { .. } => "download-too-large",
            DownloadError::Write { .. } => "download-write",
        }
    }
    fn is_transient(&self) -> bool {
        match self {
            DownloadError::Transport { source, .. } => !source.is_builder(),
            DownloadError::Status { status, .. } => matches!(status.as_u16(), 408 | 429 | 500..=599),
            _ => false,
        }
    }
}

/// The certificate authority that a site names for a server cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the certificate authority {path}")]
pub struct AuthorityError {
    path: PathBuf,
    source: std::io::Error,
}

impl Diagnose for AuthorityError {
    fn blame(&self) -> Blame {
        Blame::Site
    }
    fn kind(&self) -> &'static str {
        "ca-unreadable"
    }
    fn hint(&self) -> Option<String> {
        Some("the builder's configuration names the file; the worker must be able to read it".into())
    }
}

/// The additional certificate authority that a site names, in PEM form.
///
/// # Errors
/// The file cannot be read.
pub fn read_authority(path: Option<&Path>) -> Result<Option<Vec<u8>>, AuthorityError> {
    let read = |path: &Path| std::fs::read(path).map_err(|source| AuthorityError { path: path.to_owned(), source });
    path.map(read).transpose()
}

/// Has a client trust the machine's certificate authorities, and those in `ca`, in PEM form.
///
/// # Errors
/// What is in `ca` are no certificates.
pub fn trusting(builder: reqwest::ClientBuilder, ca: Option<&[u8]>) -> Result<reqwest::ClientBuilder, reqwest::Error> {
    let Some(ca) = ca else { return Ok(with_system_authorities(builder)) };
    let certificates = reqwest::Certificate::from_pem_bundle(ca)?;
    Ok(certificates.into_iter().fold(builder, reqwest::ClientBuilder::add_root_certificate))
}

impl Downloads {
    /// A client; `ca` is an additional certificate authority in PEM form.
    ///
    /// # Errors
    /// [`DownloadError::Client`].
    pub fn new(ca: Option<&[u8]>) -> Result<Self, DownloadError> {
        let client = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(READ_TIMEOUT);
        let http = trusting(client, ca).and_then(reqwest::ClientBuilder::build).map_err(DownloadError::Client)?;
        Ok(Self { http })
    }

    /// Fetches `url` into the file `to`, at most `limit` bytes, and returns how many came. Errors that may pass are tried
    /// again. On an error the file may be there in part.
    ///
    /// # Errors
    /// [`DownloadError`] of the last attempt.
    pub async fn fetch(&self, url: &str, to: &Path, limit: u64) -> Result<u64, DownloadError> {
        let shown = shown(url);
        let parsed = Url::parse(url).map_err(|e| DownloadError::Url { url: shown.clone(), problem: e.to_string() })?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(DownloadError::Url { url: shown, problem: "the scheme is neither http nor https".into() });
        }
        let mut pause = FIRST_PAUSE;
        for _ in 1..ATTEMPTS {
            match self.attempt(&parsed, &shown, to, limit).await {
                Err(error) if error.is_transient() => {
                    tracing::warn!(%error, "a download failed, trying again");
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                other => return other,
            }
        }
        self.attempt(&parsed, &shown, to, limit).await
    }

    async fn attempt(&self, url: &Url, shown: &str, to: &Path, limit: u64) -> Result<u64, DownloadError> {
        let transport = |source: reqwest::Error| DownloadError::Transport { url: shown.to_owned(), source: source.without_url() };
        let too_large = || DownloadError::TooLarge { url: shown.to_owned(), limit };
        let write = |source| DownloadError::Write { path: to.to_owned(), source };
        let mut answer = self.http.get(url.clone()).header("accept-encoding", "identity").send().await.map_err(transport)?;
        match answer.status() {
            status if status.is_success() => {}
            reqwest::StatusCode::NOT_FOUND => return Err(DownloadError::NotFound { url: shown.to_owned() }),
            status => return Err(DownloadError::Status { url: shown.to_owned(), status }),
        }
        if answer.content_length().is_some_and(|length| length > limit) {
            return Err(too_large());
        }
        let mut file = tokio::fs::File::create(to).await.map_err(write)?;
        let mut size = 0_u64;
        while let Some(chunk) = answer.chunk().await.map_err(transport)? {
            size += chunk.len() as u64;
            if size > limit {
                return Err(too_large());
            }
            file.write_all(&chunk).await.map_err(write)?;
        }
        file.flush().await.map_err(write)?;
        Ok(size)
    }
}

/// A URL as messages show it: without user and password.
fn shown(url: &str) -> String {
    let Ok(mut parsed) = Url::parse(url) else { return "the URL".to_owned() };
    if parsed.password().is_some() || !parsed.username().is_empty() {
        let _ = parsed.set_username("");
        let _ = parsed.set_password(None);
    }
    parsed.to_string()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    /// A server that gives one answer to each of as many connections.
    fn server(answers: Vec<&'static str>) -> (String, std::thread::JoinHandle<()>) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let at = listener.local_addr().expect("an address");
        let thread = std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().expect("a connection");
                let mut request = [0; 4096];
                assert!(stream.read(&mut request).expect("a request") > 0);
                stream.write_all(answer.as_bytes()).expect("answered");
            }
        });
        (format!("http://user:hunter2@{at}/file"), thread)
    }

    async fn fetch(url: &str, limit: u64) -> (Result<u64, DownloadError>, String) {
        let dir = tempfile::tempdir().expect("a directory");
        let to = dir.path().join("file");
        let result = Downloads::new(None).expect("a client").fetch(url, &to, limit).await;
        (result, std::fs::read_to_string(to).unwrap_or_default())
    }

    const GOOD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";

    #[tokio::test]
    async fn a_server_that_comes_back_is_waited_for() {
        let (url, thread) = server(vec!["HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", GOOD]);
        let (result, text) = fetch(&url, 5).await;
        assert_eq!((result.expect("fetched"), text.as_str()), (5, "hello"));
        thread.join().expect("the server ended");
    }

    #[tokio::test]
    async fn what_is_too_large_or_absent_is_refused_without_the_password() {
        let unsized_answer = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello";
        for (answer, kind) in [
            (GOOD, "download-too-large"),
            (unsized_answer, "download-too-large"),
            ("HTTP/1.1 404 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "download-not-found"),
            ("HTTP/1.1 403 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "download-failed"),
        ] {
            let (url, thread) = server(vec![answer]);
            let error = fetch(&url, 4).await.0.expect_err(kind);
            assert_eq!(error.kind(), kind);
            assert!(!crate::task::chain(&error).contains("hunter2"), "{error}");
            thread.join().expect("the server ended");
        }
        let error = fetch("ftp://user:hunter2@host/file", 4).await.0.expect_err("another scheme");
        assert!(!error.to_string().contains("hunter2") && error.kind() == "download-setup", "{error}");
        let error = fetch("http://user:hunter2@127.0.0.1:1/file", 4).await.0.expect_err("nobody there");
        assert!(!crate::task::chain(&error).contains("hunter2") && error.is_transient(), "{error}");
    }
}
