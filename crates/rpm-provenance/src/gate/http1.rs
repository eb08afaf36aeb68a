//! HTTP/1.1 on one connection (RFC 9112), as much of it as a file server needs: requests without a body, answers with a
//! known length. Files go from the page cache to the socket inside the kernel (sendfile(2)).
//!
//! Not hyper's server: there a file has to come through user space in pieces that a blocking thread reads.

use std::fs::File;
use std::io;
use std::time::Duration;

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::{Method, Response, StatusCode, Uri};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::TcpStream;

use super::response::{Body, Growing, Verified};

/// Bytes of one request's line and headers.
const MAX_HEAD: usize = 16 << 10;
const MAX_HEADERS: usize = 64;
/// How long a client may take to say what it wants. dnf keeps connections open between files.
const HEAD_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a client may take nothing of what it asked for. A step that waits for its lock, say, comes back in time.
const SEND_TIMEOUT: Duration = Duration::from_secs(600);
/// Bytes given to one sendfile(2): much for the socket, little for whoever waits for this thread.
const PIECE: usize = 1 << 20;

/// Method, target and headers of a request.
pub(super) struct Head {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    /// Whether another request may follow.
    pub keep_alive: bool,
}

/// What came on a connection.
pub(super) enum Received {
    Request(Box<Head>),
    /// Nothing more.
    Closed,
    /// No request, and the status that says so.
    Malformed(StatusCode, String),
}

/// One client.
pub(super) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub fn new(stream: TcpStream) -> Self {
        // A small answer should not wait for a large one's acknowledgement.
        let _ = stream.set_nodelay(true);
        Connection { stream, buffer: Vec::with_capacity(2048) }
    }

    /// The next request.
    pub async fn receive(&mut self) -> io::Result<Received> {
        let begun = tokio::time::Instant::now();
        loop {
            match parse(&self.buffer) {
                Parsed::Request(head, length) => {
                    self.buffer.drain(..length);
                    return Ok(Received::Request(head));
                }
                Parsed::Malformed(status, reason) => return Ok(Received::Malformed(status, reason)),
                Parsed::Partial => {}
            }
            let left = HEAD_TIMEOUT.saturating_sub(begun.elapsed());
            match tokio::time::timeout(left, self.stream.read_buf(&mut self.buffer)).await {
                Err(_) => return Ok(Received::Closed),
                Ok(Ok(0)) => return Ok(Received::Closed),
                Ok(read) => read?,
            };
        }
    }

    /// Sends an answer. An error leaves the connection useless: a body may be cut off.
    pub async fn send(&mut self, answer: Response<Body>, keep_alive: bool) -> io::Result<()> {
        let (parts, body) = answer.into_parts();
        let mut head = format!("HTTP/1.1 {} {}\r\n", parts.status.as_str(), parts.status.canonical_reason().unwrap_or_default());
        for (name, value) in &parts.headers {
            // every value is ASCII text of our own making
            head.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap_or_default()));
        }
        head.push_str(&format!("date: {}\r\n", httpdate::fmt_http_date(std::time::SystemTime::now())));
        head.push_str(if keep_alive { "\r\n" } else { "connection: close\r\n\r\n" });
        let mut first = head.into_bytes();
        if let Body::Bytes(bytes) = &body {
            first.extend_from_slice(bytes);
        }
        timely(self.stream.write_all(&first)).await?;
        match body {
            Body::Bytes(_) => Ok(()),
            Body::File { file, first, length } => self.send_file(&file, first, first + length).await,
            Body::Growing(growing) => self.send_growing(growing).await,
        }
    }

    /// Waits until the client has everything, so that closing does not take it away again.
    pub async fn close(mut self) {
        let _ = self.stream.shutdown().await;
        let mut rest = [0; 1024];
        let linger = async { while self.stream.read(&mut rest).await.is_ok_and(|n| n > 0) {} };
        let _ = tokio::time::timeout(Duration::from_secs(1), linger).await;
    }

    async fn send_file(&self, file: &File, mut at: u64, end: u64) -> io::Result<()> {
        while at < end {
            let piece = usize::try_from(end - at).unwrap_or(PIECE).min(PIECE);
            timely(self.stream.writable()).await?;
            let sent = self.stream.try_io(Interest::WRITABLE, || {
                rustix::fs::sendfile(&self.stream, file, Some(&mut at), piece).map_err(io::Error::from)
            });
            match sent {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    async fn send_growing(&self, growing: Growing) -> io::Result<()> {
        let Growing { download, mut verified, first, length, size } = growing;
        let (mut at, end) = (first, first + length);
        let mut progress = download.watch();
        while at < end {
            let now = progress.borrow_and_update().clone();
            let judged = *verified.borrow_and_update();
            let may = match judged {
                Verified::No => return Err(io::Error::other("the file is not what was promised")),
                Verified::Yes => now.written,
                Verified::NotYet => now.written.min(size.saturating_sub(1)),
            };
            if at < may.min(end) {
                let whole = now.end.and_then(Result::ok).map(|f| f.file);
                let file = whole.or_else(|| download.part()).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
                self.send_file(&file, at, may.min(end)).await?;
                at = may.min(end);
                continue;
            }
            tokio::select! {
                changed = progress.changed(), if now.written < size => changed.map_err(io::Error::other)?,
                changed = verified.changed() => changed.map_err(io::Error::other)?,
            }
        }
        Ok(())
    }
}

async fn timely<T>(sending: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(SEND_TIMEOUT, sending).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

enum Parsed {
    Request(Box<Head>, usize),
    Partial,
    Malformed(StatusCode, String),
}

fn parse(bytes: &[u8]) -> Parsed {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) if length <= MAX_HEAD => length,
        Ok(httparse::Status::Partial) if bytes.len() < MAX_HEAD => return Parsed::Partial,
        Ok(_) | Err(httparse::Error::TooManyHeaders) => {
            let reason = format!("a request line and headers of more than {MAX_HEAD} bytes or {MAX_HEADERS} lines");
            return Parsed::Malformed(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, reason);
        }
        Err(error) => return Parsed::Malformed(StatusCode::BAD_REQUEST, error.to_string()),
    };
    match head(&request) {
        Ok(head) => Parsed::Request(Box::new(head), length),
        Err(reason) => Parsed::Malformed(StatusCode::BAD_REQUEST, reason),
    }
}

fn head(request: &httparse::Request<'_, '_>) -> Result<Head, String> {
    let method: Method = request.method.unwrap_or_default().parse().map_err(|_| "no method".to_owned())?;
    let uri: Uri = request.path.unwrap_or_default().parse().map_err(|e| format!("the target is no URI: {e}"))?;
    let mut headers = HeaderMap::new();
    for field in request.headers.iter() {
        let name: HeaderName = field.name.parse().map_err(|_| "a header without a name".to_owned())?;
        let value = HeaderValue::from_bytes(field.value).map_err(|_| format!("the header `{name}` is no text"))?;
        headers.append(name, value);
    }
    // RFC 9112, 3.2 and 6.1: whoever reads such a request may see another one than the next who reads it.
    if headers.get_all(HOST).iter().count() > 1 {
        return Err("several headers `host`".to_owned());
    }
    if headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH) {
        return Err("both `transfer-encoding` and `content-length`".to_owned());
    }
    // A body is not read, so what follows could not be told from it.
    let has_body = headers.contains_key(TRANSFER_ENCODING) || headers.get_all(CONTENT_LENGTH).iter().any(|v| v != "0");
    let says = |word: &str| {
        let values = headers.get_all(CONNECTION).iter().filter_map(|v| v.to_str().ok());
        values.flat_map(|v| v.split(',')).any(|v| v.trim().eq_ignore_ascii_case(word))
    };
    let keep_alive = !has_body && if request.version == Some(1) { !says("close") } else { says("keep-alive") };
    Ok(Head { method, uri, headers, keep_alive })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(Head, usize), Option<StatusCode>> {
        match parse(text.as_bytes()) {
            Parsed::Request(head, length) => Ok((*head, length)),
            Parsed::Partial => Err(None),
            Parsed::Malformed(status, _) => Err(Some(status)),
        }
    }

    #[test]
    fn a_request_is_read_up_to_its_end() {
        let text = "GET /a%20b HTTP/1.1\r\nHost: h\r\n\r\nGET /next";
        let (head, length) = read(text).map_err(|_| ()).expect("a request");
        assert_eq!((head.method, head.uri.path(), &text[length..]), (Method::GET, "/a%20b", "GET /next"));
        assert!(head.keep_alive);
        for end in 0..length {
            assert!(matches!(read(&text[..end]), Err(None)), "{end}");
        }
    }

    #[test]
    fn connections_end_where_the_next_request_could_not_be_told() {
        let keeps = |text: &str| read(text).map_err(|_| ()).expect("a request").0.keep_alive;
        assert!(!keeps("GET / HTTP/1.1\r\nConnection: close\r\n\r\n"));
        assert!(!keeps("GET / HTTP/1.0\r\n\r\n"));
        assert!(keeps("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
        assert!(!keeps("GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\n"));
        assert!(!keeps("GET / HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n"));
        assert!(!keeps("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"));
        assert!(keeps("GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"));
    }

    #[test]
    fn what_is_no_request_is_told_from_one_that_is_too_long() {
        let bad = Some(StatusCode::BAD_REQUEST);
        let of = |headers: &str| format!("GET / HTTP/1.1\r\n{headers}\r\n\r\n");
        for text in [of("Host: a\r\nHost: b"), of("Content-Length: 5\r\nTransfer-Encoding: chunked")] {
            assert_eq!(read(&text).map(|_| ()).expect_err("ambiguous"), bad, "{text:?}");
        }
        for text in ["\u{16}\u{3}\u{1}\0\r\n\r\n", "SSH-2.0-x\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9\r\n\r\n"] {
            assert_eq!(read(text).map(|_| ()).expect_err(text), bad, "{text:?}");
        }
        let large = Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(MAX_HEAD));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(MAX_HEADERS + 1));
        for text in [&long[..MAX_HEAD], &long, &many] {
            assert_eq!(read(text).map(|_| ()).expect_err("too large"), large);
        }
    }
}
