//! Answers: files with ranges and validators (RFC 9110 §13 and §14), and refusals a person can read.

use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Response, StatusCode};
use tokio::sync::watch;

use super::cache::{CachedFile, Download};
use crate::Verdict;

/// What follows the headers.
pub(super) enum Body {
    Bytes(Bytes),
    /// A part of a verified file, sent by the kernel.
    File {
        file: Arc<File>,
        first: u64,
        length: u64,
    },
    /// A part of a file that is still coming.
    Growing(Growing),
}

/// A part of a file on its way. Its very last byte is sent when `verified` says so; the connection is broken off when
/// it says that the file is not what was promised.
pub(super) struct Growing {
    pub download: Arc<Download>,
    pub verified: watch::Receiver<Verified>,
    pub first: u64,
    pub length: u64,
    /// Of the whole file.
    pub size: u64,
}

/// Whether a file turned out to be what its headers and the metadata say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Verified {
    #[default]
    NotYet,
    Yes,
    No,
}

/// What [`file`] sends.
pub(super) enum Content {
    Whole(CachedFile),
    Growing { download: Arc<Download>, verified: watch::Receiver<Verified>, size: u64 },
}

impl Body {
    fn empty() -> Self {
        Body::Bytes(Bytes::new())
    }
}

fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Who the client has to ask about a refusal: rule, evidence, remedy.
pub(super) fn refusal(status: StatusCode, verdict: &Verdict) -> Response<Body> {
    let mut text = format!(
        "refused by the RPM gate: {}\nrequest: {} {}\nevidence: {}\n",
        verdict.rule, verdict.method, verdict.url, verdict.evidence
    );
    if let Some(nvra) = &verdict.nvra {
        text.push_str(&format!("rpm: {nvra}\n"));
    }
    if let Some(remedy) = &verdict.remedy {
        text.push_str(&format!("remedy: {remedy}\n"));
    }
    let length = text.len();
    let body = if verdict.method == "HEAD" { Body::empty() } else { Body::Bytes(text.into()) };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-gate-rule", header(verdict.rule.as_str()));
    response
}

/// What a file is validated by.
pub(super) struct Validators<'a> {
    /// Digest, for `ETag`.
    pub digest: &'a str,
    /// Seconds since 1970, for `Last-Modified`.
    pub modified: Option<u64>,
}

/// Which bytes of a file to send.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    Whole,
    Range(u64, u64),
    NotModified,
    Unsatisfiable,
}

impl Validators<'_> {
    fn etag(&self) -> String {
        format!("\"{}\"", self.digest)
    }

    /// Reads the conditional and range headers.
    fn part(&self, method: &Method, headers: &HeaderMap, size: u64) -> Part {
        let text = |name| headers.get(name).and_then(|v: &HeaderValue| v.to_str().ok());
        let etag = self.etag();
        let time = |value: &str| {
            let time = httpdate::parse_http_date(value).ok()?;
            time.duration_since(UNIX_EPOCH).ok().map(|d| d.as_secs())
        };
        let lists_tag =
            |value: &str| value.split(',').any(|t| matches!(t.trim(), "*") || t.trim().trim_start_matches("W/") == etag);
        if let Some(tags) = text(header::IF_NONE_MATCH) {
            if lists_tag(tags) {
                return Part::NotModified;
            }
        } else if let (Some(since), Some(modified)) = (text(header::IF_MODIFIED_SINCE).and_then(time), self.modified)
            && modified <= since
        {
            return Part::NotModified;
        }
        if method != Method::GET {
            return Part::Whole;
        }
        // A range of another version of the file is no use to anybody.
        if let Some(value) = text(header::IF_RANGE)
            && value != etag
            && (time(value).is_none() || time(value) != self.modified)
        {
            return Part::Whole;
        }
        text(header::RANGE).map_or(Part::Whole, |range| parse_range(range, size))
    }
}

/// One range of bytes; several at once, and what is malformed, are answered with the whole file, as RFC 9110 allows.
fn parse_range(value: &str, size: u64) -> Part {
    let Some((first, last)) = value.strip_prefix("bytes=").filter(|r| !r.contains(',')).and_then(|r| r.trim().split_once('-'))
    else {
        return Part::Whole;
    };
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
    match (first, number(first), last, number(last)) {
        ("", _, _, Some(0)) => Part::Unsatisfiable,
        ("", _, _, Some(_)) if size == 0 => Part::Unsatisfiable,
        ("", _, _, Some(n)) => Part::Range(size.saturating_sub(n), size - 1),
        (_, Some(first), "", _) if first < size => Part::Range(first, size - 1),
        (_, Some(first), _, Some(last)) if first <= last && first < size => Part::Range(first, last.min(size - 1)),
        (_, Some(first), "", _) if first >= size => Part::Unsatisfiable,
        (_, Some(first), _, Some(last)) if first <= last => Part::Unsatisfiable,
        _ => Part::Whole,
    }
}

/// Bytes in memory (repomd.xml).
pub(super) fn bytes(method: &Method, headers: &HeaderMap, content: &Bytes, validators: &Validators<'_>) -> Response<Body> {
    let part = validators.part(method, headers, content.len() as u64);
    let piece = match part {
        _ if method != Method::GET => Bytes::new(),
        // parse_range keeps both ends below the size
        Part::Range(first, last) => content.slice(first as usize..=last as usize),
        _ => content.clone(),
    };
    respond(&part, content.len() as u64, validators, Body::Bytes(piece))
}

/// A file.
pub(super) fn file(method: &Method, headers: &HeaderMap, content: Content, validators: &Validators<'_>) -> Response<Body> {
    let size = match &content {
        Content::Whole(file) => file.size,
        Content::Growing { size, .. } => *size,
    };
    let part = validators.part(method, headers, size);
    let (first, length) = match part {
        Part::Range(first, last) => (first, last - first + 1),
        _ => (0, size),
    };
    let body = match content {
        _ if method != Method::GET => Body::empty(),
        Content::Whole(file) => Body::File { file: file.file, first, length },
        Content::Growing { download, verified, size } => Body::Growing(Growing { download, verified, first, length, size }),
    };
    respond(&part, size, validators, body)
}

fn respond(part: &Part, size: u64, validators: &Validators<'_>, body: Body) -> Response<Body> {
    let (status, length, range) = match *part {
        Part::Whole => (StatusCode::OK, Some(size), None),
        Part::Range(first, last) => {
            (StatusCode::PARTIAL_CONTENT, Some(last - first + 1), Some(format!("bytes {first}-{last}/{size}")))
        }
        Part::NotModified => (StatusCode::NOT_MODIFIED, None, None),
        Part::Unsatisfiable => (StatusCode::RANGE_NOT_SATISFIABLE, Some(0), Some(format!("bytes */{size}"))),
    };
    let body = if matches!(part, Part::NotModified | Part::Unsatisfiable) { Body::empty() } else { body };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::ETAG, header(&validators.etag()));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    if let Some(length) = length {
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
    if let Some(range) = range {
        headers.insert(header::CONTENT_RANGE, header(&range));
    }
    if let Some(time) = validators.modified.and_then(|s| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(s))) {
        // beyond the year 9999 there is no HTTP date
        if validators.modified.is_some_and(|s| s < 253_402_300_800) {
            headers.insert(header::LAST_MODIFIED, header(&httpdate::fmt_http_date(time)));
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_to_the_file_and_odd_ones_get_all_of_it() {
        for (value, part) in [
            ("bytes=0-4", Part::Range(0, 4)),
            ("bytes=5-", Part::Range(5, 9)),
            ("bytes=-3", Part::Range(7, 9)),
            ("bytes=-30", Part::Range(0, 9)),
            ("bytes=8-99", Part::Range(8, 9)),
            ("bytes=10-", Part::Unsatisfiable),
            ("bytes=10-12", Part::Unsatisfiable),
            ("bytes=-0", Part::Unsatisfiable),
            ("bytes=4-2", Part::Whole),
            ("bytes=0-1,4-5", Part::Whole),
            ("bytes=+1-2", Part::Whole),
            ("lines=1-2", Part::Whole),
            ("bytes=99999999999999999999-", Part::Whole),
        ] {
            assert_eq!(parse_range(value, 10), part, "{value}");
        }
        assert_eq!(parse_range("bytes=-1", 0), Part::Unsatisfiable);
    }

    #[test]
    fn validators_decide_between_the_file_and_not_modified() {
        let validators = Validators { digest: "ab", modified: Some(784_111_777) };
        let part = |pairs: &[(header::HeaderName, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(name.clone(), header(value));
            }
            validators.part(&Method::GET, &headers, 10)
        };
        assert_eq!(part(&[(header::IF_MODIFIED_SINCE, "Sun, 06 Nov 1994 08:49:37 GMT")]), Part::NotModified);
        assert_eq!(part(&[(header::IF_MODIFIED_SINCE, "Sun, 06 Nov 1994 08:49:36 GMT")]), Part::Whole);
        assert_eq!(part(&[(header::IF_NONE_MATCH, "\"x\", \"ab\"")]), Part::NotModified);
        assert_eq!(part(&[(header::RANGE, "bytes=1-2"), (header::IF_RANGE, "\"ab\"")]), Part::Range(1, 2));
        assert_eq!(part(&[(header::RANGE, "bytes=1-2"), (header::IF_RANGE, "\"old\"")]), Part::Whole);
    }
}
