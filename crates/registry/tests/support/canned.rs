//! A registry that answers whatever a test wants: for behaviour no real registry shows on demand.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request as it came: `GET /v2/` and the headers in lower case.
#[derive(Debug, Clone)]
pub struct Request {
    pub line: String,
    pub headers: Vec<(String, String)>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// An answer: status, headers, body.
pub struct Answer(pub u16, pub Vec<(&'static str, String)>, pub Vec<u8>);

/// The server, on a free loopback port, until the test process ends.
pub struct Canned {
    pub host: String,
    pub seen: Arc<Mutex<Vec<Request>>>,
}

impl Canned {
    /// `answer` gets the server's own address and the request.
    pub fn start(answer: impl Fn(&str, &Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let host = listener.local_addr().expect("an address").to_string();
        let seen: Arc<Mutex<Vec<Request>>> = Arc::default();
        std::thread::spawn({
            let (host, seen, answer) = (host.clone(), Arc::clone(&seen), Arc::new(answer));
            move || {
                for stream in listener.incoming().flatten() {
                    let (host, seen, answer) = (host.clone(), Arc::clone(&seen), Arc::clone(&answer));
                    std::thread::spawn(move || serve(stream, &host, &seen, answer.as_ref()));
                }
            }
        });
        Self { host, seen }
    }
}

fn serve(stream: TcpStream, host: &str, seen: &Mutex<Vec<Request>>, answer: &dyn Fn(&str, &Request) -> Answer) {
    let mut reader = BufReader::new(stream.try_clone().expect("clone"));
    let mut stream = stream;
    loop {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let line = line.trim_end().to_owned();
            if line.is_empty() {
                break;
            }
            lines.push(line);
        }
        let headers: Vec<_> =
            lines[1..].iter().filter_map(|l| l.split_once(": ")).map(|(n, v)| (n.to_lowercase(), v.to_owned())).collect();
        let request = Request { line: lines[0].trim_end_matches(" HTTP/1.1").to_owned(), headers };
        let length = request.header("content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
        std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink()).expect("the body");
        let mut chunk = String::new();
        while request.header("transfer-encoding") == Some("chunked") && chunk != "0\r\n" {
            chunk.clear();
            reader.read_line(&mut chunk).expect("a chunk's size");
            let length = u64::from_str_radix(chunk.trim_end(), 16).expect("a size");
            std::io::copy(&mut reader.by_ref().take(length + 2), &mut std::io::sink()).expect("a chunk");
        }
        let Answer(status, headers, body) = answer(host, &request);
        let head = request.line.starts_with("HEAD");
        seen.lock().expect("lock").push(request);
        let mut text = format!("HTTP/1.1 {status} Status\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        let sent = stream.write_all(text.as_bytes()).and_then(|()| if head { Ok(()) } else { stream.write_all(&body) });
        if sent.is_err() {
            return;
        }
    }
}
