//! A web server over a directory that can be told to stop half-way, break off, or send other bytes.

#![allow(dead_code, clippy::unwrap_used, missing_docs)]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

#[derive(Clone)]
pub enum Conduct {
    /// Sends half, and the rest when a permit is there.
    HalfUntil(Arc<Semaphore>),
    /// Closes the connection after half of what was asked for, this many times.
    BreaksOff(usize),
    /// As `BreaksOff`, and knows no ranges.
    BreaksOffWithoutRanges(usize),
    /// Redirects to a URL.
    LeadsTo(String),
    /// Another last byte.
    LastByteDiffers,
}

#[derive(Default)]
struct State {
    conducts: HashMap<String, Conduct>,
    /// Path and `Range` of every request.
    requests: Vec<(String, Option<String>)>,
}

pub struct Upstream {
    pub port: u16,
    state: Arc<Mutex<State>>,
}

impl Upstream {
    pub async fn start(dir: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State::default()));
        let (dir, shared) = (dir.to_owned(), state.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, dir.clone(), shared.clone()));
            }
        });
        Upstream { port, state }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    pub fn conduct(&self, path: &str, conduct: Conduct) {
        self.state.lock().unwrap().conducts.insert(path.to_owned(), conduct);
    }

    pub fn requests(&self, path: &str) -> Vec<Option<String>> {
        let state = self.state.lock().unwrap();
        state.requests.iter().filter(|(p, _)| p == path).map(|(_, range)| range.clone()).collect()
    }
}

async fn serve(stream: TcpStream, dir: PathBuf, state: Arc<Mutex<State>>) {
    let mut stream = BufReader::new(stream);
    let (mut line, mut path, mut range) = (String::new(), None, None);
    while stream.read_line(&mut line).await.is_ok_and(|n| n > 2) {
        if path.is_none() {
            path = line.split(' ').nth(1).map(|p| p.trim_start_matches('/').to_owned());
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("range: ") {
            range = Some(value.trim().to_owned());
        }
        line.clear();
    }
    let Some(path) = path else { return };
    let conduct = {
        let mut state = state.lock().unwrap();
        state.requests.push((path.clone(), range.clone()));
        match state.conducts.get_mut(&path) {
            Some(Conduct::BreaksOff(0) | Conduct::BreaksOffWithoutRanges(0)) | None => None,
            Some(conduct) => {
                let now = conduct.clone();
                if let Conduct::BreaksOff(left) | Conduct::BreaksOffWithoutRanges(left) = conduct {
                    *left -= 1;
                }
                Some(now)
            }
        }
    };
    if let Some(Conduct::LeadsTo(url)) = &conduct {
        let head = format!("HTTP/1.1 302 Found\r\nlocation: {url}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        let _ = stream.write_all(head.as_bytes()).await;
        return;
    }
    let Ok(mut content) = std::fs::read(dir.join(path.split('?').next().unwrap())) else {
        let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
        return;
    };
    if let Some(Conduct::LastByteDiffers) = conduct {
        *content.last_mut().unwrap() ^= 1;
    }
    let ranges = !matches!(state.lock().unwrap().conducts.get(&path), Some(Conduct::BreaksOffWithoutRanges(_)));
    let from: usize =
        range.filter(|_| ranges).and_then(|r| r.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()).unwrap_or(0);
    let status = if from > 0 {
        format!("206 Partial Content\r\ncontent-range: bytes {from}-{}/{}", content.len() - 1, content.len())
    } else {
        "200 OK".to_owned()
    };
    let part = &content[from..];
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", part.len());
    let _ = stream.write_all(head.as_bytes()).await;
    let (first, rest) = part.split_at(part.len() / 2);
    let _ = stream.write_all(first).await;
    let _ = stream.flush().await;
    match conduct {
        Some(Conduct::BreaksOff(_) | Conduct::BreaksOffWithoutRanges(_)) => return,
        Some(Conduct::HalfUntil(go)) => drop(go.acquire().await),
        _ => {}
    }
    let _ = stream.write_all(rest).await;
    let _ = stream.shutdown().await;
}
