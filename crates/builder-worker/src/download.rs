//! Files over HTTP, with a size that is known or bounded before: RPMs and archives of Koji builds, files of the lookaside
//! cache, what ADD names. What was fetched is checked by whoever asked for it; nothing here trusts a server.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use build_model::{Blame, Diagnose, innermost};
use dist_git::Authorization;
use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use system_authorities::with_system_authorities;
use tokio::io::AsyncWriteExt;
use url::Url;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a server may send nothing.
const READ_TIMEOUT: Duration = Duration::from_secs(120);
/// Redirections one after the other.
pub const MAX_REDIRECTS: usize = 10;
/// Attempts in all, for errors that may pass; the pause before the next doubles.
const ATTEMPTS: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// A client for downloads; proxies are the environment's.
#[derive(Debug, Clone)]
pub struct Downloads {
    http: reqwest::Client,
}

/// A file that was fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Downloaded {
    /// Its bytes.
    pub size: u64,
    /// When it was changed last, in seconds since 1970, if the server says.
    pub modified: Option<i64>,
}

/// No client can be set up.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up an HTTP client")]
pub struct DownloadSetupError(#[source] reqwest::Error);

impl Diagnose for DownloadSetupError {
    fn blame(&self) -> Blame {
        Blame::Site
    }
    fn kind(&self) -> &'static str {
        "download-setup"
    }
}

/// A file was not fetched.
#[derive(Debug, thiserror::Error)]
#[error("{url}: {problem}")]
pub struct DownloadError {
    /// Where it should be, without the password that the URL may hold.
    url: String,
    /// Why not.
    #[source]
    problem: DownloadProblem,
}

/// Why a file was not fetched.
#[derive(Debug, thiserror::Error)]
pub enum DownloadProblem {
    /// The URL is none, or of another scheme.
    #[error("it cannot be fetched: {0}")]
    Url(String),
    /// The server does not have it, refuses or fails.
    #[error("{}{}", answered(*.status), .redirected.as_ref().map(|to| format!(" at {to}")).unwrap_or_default())]
    Status {
        /// Its answer.
        status: StatusCode,
        /// Where redirections led.
        redirected: Option<String>,
    },
    /// The connection failed. Of the client's chain of reasons only the innermost says something.
    #[error("there is no whole answer: {}", innermost(.0))]
    Transport(reqwest::Error),
    /// It is larger than it may be.
    #[error("it is larger than {limit} bytes")]
    TooLarge {
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

fn answered(status: StatusCode) -> String {
    match status {
        StatusCode::NOT_FOUND => "it is not there (404)".to_owned(),
        status => format!("the server answers {status}"),
    }
}

impl DownloadProblem {
    /// Whether the server does not have the file.
    pub fn is_not_found(&self) -> bool {
        matches!(self, DownloadProblem::Status { status: StatusCode::NOT_FOUND, .. })
    }

    /// Whether it may be gone when the same is tried again.
    pub fn is_transient(&self) -> bool {
        match self {
            DownloadProblem::Transport(error) => !error.is_builder() && !error.is_redirect(),
            DownloadProblem::Status { status, .. } => matches!(status.as_u16(), 408 | 429 | 500..=599),
            _ => false,
        }
    }
}

impl DownloadError {
    /// No server has any of the places below `url`.
    pub fn not_found(url: &str) -> Self {
        Self { url: shown(url), problem: DownloadProblem::Status { status: StatusCode::NOT_FOUND, redirected: None } }
    }

    /// Whether the server does not have the file.
    pub fn is_not_found(&self) -> bool {
        self.problem.is_not_found()
    }

    /// The reason alone, for those who name the place themselves.
    pub fn into_problem(self) -> DownloadProblem {
        self.problem
    }
}

impl Diagnose for DownloadError {
    fn blame(&self) -> Blame {
        Blame::Site
    }
    fn kind(&self) -> &'static str {
        match &self.problem {
            DownloadProblem::Url(_) => "download-setup",
            problem if problem.is_not_found() => "download-not-found",
            DownloadProblem::Status { .. } | DownloadProblem::Transport(_) => "download-failed",
            DownloadProblem::TooLarge { .. } => "download-too-large",
            DownloadProblem::Write { .. } => "download-write",
        }
    }
    fn is_transient(&self) -> bool {
        self.problem.is_transient()
    }
}

/// The certificate authority that is named for a server cannot be read.
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
        Some("the builder's configuration or --ca names the file; it must be there and readable for this user".into())
    }
}

/// The additional certificate authority that the site's configuration or a user names, in PEM form.
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
    /// What is in `ca` are no certificates, or there is no TLS.
    pub fn new(ca: Option<&[u8]>) -> Result<Self, DownloadSetupError> {
        let client = reqwest::Client::builder()
            .user_agent(concat!("containerbuild/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .redirect(reqwest::redirect::Policy::limited(MAX_REDIRECTS));
        let http = trusting(client, ca).and_then(reqwest::ClientBuilder::build).map_err(DownloadSetupError)?;
        Ok(Self { http })
    }

    /// Fetches `url` into the file `to`, at most `limit` bytes. Errors that may pass are tried again. On an error the file may
    /// be there in part.
    ///
    /// # Errors
    /// [`DownloadError`] of the last attempt.
    pub async fn fetch(&self, url: &str, to: &Path, limit: u64) -> Result<Downloaded, DownloadError> {
        self.fetch_as(None, url, to, limit).await
    }

    /// As [`Downloads::fetch`], showing this to the URL's host, and to no other that it leads to.
    ///
    /// # Errors
    /// As there.
    pub async fn fetch_as(
        &self,
        authorization: Option<&Authorization>,
        url: &str,
        to: &Path,
        limit: u64,
    ) -> Result<Downloaded, DownloadError> {
        let authorization = authorization.and_then(|value| HeaderValue::from_str(value.as_str()).ok()).map(|mut value| {
            value.set_sensitive(true);
            value
        });
        let authorization = authorization.as_ref();
        let failed = |problem| DownloadError { url: shown(url), problem };
        let parsed = Url::parse(url).map_err(|error| failed(DownloadProblem::Url(error.to_string())))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(failed(DownloadProblem::Url("the scheme is neither http nor https".to_owned())));
        }
        let mut pause = FIRST_PAUSE;
        for _ in 1..ATTEMPTS {
            match self.attempt(authorization, &parsed, to, limit).await {
                Err(problem) if problem.is_transient() => {
                    tracing::warn!(url = shown(url), %problem, "a download failed, trying again");
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                other => return other.map_err(failed),
            }
        }
        self.attempt(authorization, &parsed, to, limit).await.map_err(failed)
    }

    async fn attempt(
        &self,
        authorization: Option<&HeaderValue>,
        url: &Url,
        to: &Path,
        limit: u64,
    ) -> Result<Downloaded, DownloadProblem> {
        let transport = |error: reqwest::Error| DownloadProblem::Transport(error.without_url());
        let write = |source| DownloadProblem::Write { path: to.to_owned(), source };
        let mut request = self.http.get(url.clone()).header("accept-encoding", "identity");
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value.clone());
        }
        let mut answer = request.send().await.map_err(transport)?;
        let status = answer.status();
        if !status.is_success() {
            let redirected = (answer.url() != url).then(|| shown(answer.url().as_str()));
            return Err(DownloadProblem::Status { status, redirected });
        }
        if answer.content_length().is_some_and(|length| length > limit) {
            return Err(DownloadProblem::TooLarge { limit });
        }
        let modified = answer.headers().get("last-modified").and_then(|value| value.to_str().ok()).and_then(seconds);
        let mut file = tokio::fs::File::create(to).await.map_err(write)?;
        let mut size = 0_u64;
        while let Some(chunk) = answer.chunk().await.map_err(transport)? {
            size += chunk.len() as u64;
            if size > limit {
                return Err(DownloadProblem::TooLarge { limit });
            }
            file.write_all(&chunk).await.map_err(write)?;
        }
        file.flush().await.map_err(write)?;
        Ok(Downloaded { size, modified })
    }
}

/// An HTTP date in seconds since 1970.
fn seconds(date: &str) -> Option<i64> {
    let time: SystemTime = httpdate::parse_http_date(date).ok()?;
    i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()
}

/// A URL as messages show it: without user, password and query, which may be a token.
fn shown(url: &str) -> String {
    let Ok(mut parsed) = Url::parse(url) else { return "the URL".to_owned() };
    // They are refused only where there is no host, and then there is no password.
    let _ = parsed.set_username("");
    let _ = parsed.set_password(None);
    parsed.set_query(None);
    parsed.to_string()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::{Read, Write};

    use super::*;

    /// A server that gives one answer to each of as many connections; a URL of it with a password, and its thread.
    pub(crate) fn server(answers: Vec<&'static str>) -> (String, std::thread::JoinHandle<()>) {
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
        (format!("http://user:hunter2@{at}/file?token=hunter2"), thread)
    }

    async fn fetch(url: &str, limit: u64) -> (Result<Downloaded, DownloadError>, String) {
        let dir = tempfile::tempdir().expect("a directory");
        let to = dir.path().join("file");
        let result = Downloads::new(None).expect("a client").fetch(url, &to, limit).await;
        (result, std::fs::read_to_string(to).unwrap_or_default())
    }

    const GOOD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";

    #[tokio::test]
    async fn a_server_that_comes_back_is_waited_for_and_leaves_no_bytes_of_before() {
        let cut = "HTTP/1.1 200 OK\r\nContent-Length: 50\r\nConnection: close\r\n\r\nhalf of something";
        let (url, thread) = server(vec!["HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", cut, GOOD]);
        let (result, text) = fetch(&url, 50).await;
        assert_eq!((result.expect("fetched"), text.as_str()), (Downloaded { size: 5, modified: None }, "hello"));
        thread.join().expect("the server ended");
    }

    #[tokio::test]
    async fn a_file_comes_with_its_time() {
        for (date, modified) in [("Fri, 13 Feb 2009 23:31:30 GMT", Some(1_234_567_890)), ("yesterday", None)] {
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\nLast-Modified: {date}\r\n\r\n");
            let (url, thread) = server(vec![answer.leak()]);
            assert_eq!(fetch(&url, 5).await.0.expect("fetched"), Downloaded { size: 0, modified });
            thread.join().expect("the server ended");
        }
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
        let told = crate::task::chain(&error);
        assert!(!told.contains("hunter2") && told.contains("refused") && error.is_transient(), "{told}");
    }

    #[tokio::test]
    async fn where_a_redirection_led_is_told_and_a_circle_is_no_moments_failure() {
        let moved = "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nConnection: close\r\nLocation: /there?token=hunter2\r\n\r\n";
        let (url, thread) = server(vec![moved, "HTTP/1.1 404 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"]);
        let error = fetch(&url, 4).await.0.expect_err("absent");
        assert!(error.is_not_found() && error.to_string().ends_with("/there"), "{error}");
        thread.join().expect("the server ended");
        let (url, thread) = server(vec![moved; MAX_REDIRECTS + 1]);
        let error = fetch(&url, 4).await.0.expect_err("a circle");
        assert!(!error.is_transient() && error.to_string().contains("too many redirects"), "{error}");
        thread.join().expect("the server ended");
    }
}
