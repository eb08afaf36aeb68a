//! One question to a registry that speaks plain http: which digest has this tag (distribution-spec, "Checking if content
//! exists")? Called for every build whose base image is unpacked already, where it is most of what there is to do: an HTTP
//! client with TLS reads all certificate authorities of the machine first, which takes ten times as long as the answer.

use std::io;
use std::time::Duration;

use build_model::Digest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::document::ACCEPTED;
use crate::endpoint::{CONNECT_TIMEOUT, READ_TIMEOUT, USER_AGENT};
use crate::image_reference::ImageReference;

/// Most bytes of an answer's head.
const HEAD_MAX: usize = 64 << 10;
const HEADERS_MAX: usize = 100;
const HTTP_PORT: u16 = 80;

/// The digest of the tag in `location`; `None` for every answer that is no plain one: whoever asks has a real client to ask
/// again, and to tell what is wrong.
pub(crate) async fn digest(location: &ImageReference) -> Option<Digest> {
    let limit = CONNECT_TIMEOUT + READ_TIMEOUT;
    let head = within(limit, answer(location)).await.inspect_err(|error| tracing::debug!(%location, %error, "not told plainly"));
    digest_in(&head.ok()?)
}

async fn within(limit: Duration, answer: impl Future<Output = io::Result<Vec<u8>>>) -> io::Result<Vec<u8>> {
    tokio::time::timeout(limit, answer).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// The head of the answer, up to the empty line.
async fn answer(location: &ImageReference) -> io::Result<Vec<u8>> {
    let registry = &location.registry;
    let mut connection = match registry.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
        Some(_) => TcpStream::connect(registry.as_str()).await?,
        None => TcpStream::connect((registry.as_str(), HTTP_PORT)).await?,
    };
    let tag = location.tag.as_deref().unwrap_or("latest");
    // A reference holds no character that would need quoting (`ImageReference` sees to that).
    let question = format!(
        "HEAD /v2/{}/manifests/{tag} HTTP/1.1\r\nHost: {registry}\r\nUser-Agent: {USER_AGENT}\r\nAccept: {}\r\n\
         Connection: close\r\n\r\n",
        location.repository,
        ACCEPTED.join(", "),
    );
    connection.write_all(question.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() > HEAD_MAX || connection.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    Ok(head)
}

/// The digest an answer of status 200 names.
fn digest_in(head: &[u8]) -> Option<Digest> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut answer = httparse::Response::new(&mut headers);
    answer.parse(head).ok()?.is_complete().then_some(())?;
    if answer.code != Some(200) {
        return None;
    }
    let found = answer.headers.iter().find(|header| header.name.eq_ignore_ascii_case("docker-content-digest"))?;
    std::str::from_utf8(found.value).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_yes_is_an_answer() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let head = |status: &str, headers: &str| format!("HTTP/1.1 {status}\r\n{headers}\r\n").into_bytes();
        let named = format!("Content-Length: 7\r\nDocker-Content-Digest: {digest}\r\n");
        assert_eq!(digest_in(&head("200 OK", &named)).expect("a digest").as_str(), digest);
        let others = [
            head("401 Unauthorized", &named),
            head("404 Not Found", &named),
            head("307 Elsewhere", &named),
            head("200 OK", "Content-Length: 7\r\n"),
            head("200 OK", "Docker-Content-Digest: sha256:xyz\r\n"),
            head("200 OK", "Docker-Content-Digest: \u{fffd}\r\n"),
            b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec(),
            Vec::new(),
        ];
        for other in others {
            assert_eq!(digest_in(&other), None, "{}", String::from_utf8_lossy(&other));
        }
    }
}
