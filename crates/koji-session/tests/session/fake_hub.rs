//! An HTTP server on a std socket that records every request and answers as the test says, or hangs up.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use koji_session::{Credentials, HubConfig, RetryPolicy, Session, Value, decode_call, encode_fault, encode_response};

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct Request {
    /// How many came before it.
    pub number: usize,
    pub path: String,
    pub query: HashMap<String, String>,
    /// Names in lower case.
    pub headers: HashMap<String, String>,
    /// `rawUpload` for uploads.
    pub method: String,
    pub params: Vec<Value>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub fn callnum(&self) -> Option<u64> {
        self.header("koji-session-callnum").map(|n| n.parse().expect("a number"))
    }

    /// A keyword argument.
    pub fn kwarg(&self, name: &str) -> Option<Value> {
        self.params.last().filter(|last| last.get("__starstar").is_some()).and_then(|last| last.get(name)).cloned()
    }
}

/// What the server does with a request.
pub enum Reply {
    Value(Value),
    Fault(i64, &'static str),
    /// Closes the connection without a word.
    HangUp,
    Status(u16, &'static str),
    /// This body with status 200.
    Body(Vec<u8>),
    /// Waits for the test to go on before answering.
    WaitFor(Arc<tokio::sync::Notify>, Value),
}

/// The running server; its thread ends with the test's process.
pub struct FakeHub {
    pub url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl FakeHub {
    pub fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/kojihub", listener.local_addr().expect("an address"));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (recorded, answer) = (Arc::clone(&requests), Arc::new(answer));
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let (recorded, answer) = (Arc::clone(&recorded), Arc::clone(&answer));
                std::thread::spawn(move || serve(&connection, &recorded, &*answer));
            }
        });
        Self { url, requests }
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("requests").clone()
    }

    pub fn config(&self) -> HubConfig {
        let credentials = Credentials::Password { user: "worker".into(), password: "s3cret".into() };
        HubConfig { url: self.url.clone(), credentials, retry: patience(4), ca: None }
    }

    pub async fn login(&self) -> Session {
        Session::login(&self.config()).await.expect("logged in")
    }
}

/// Quick retries.
pub fn patience(attempts: u32) -> RetryPolicy {
    let pause = Duration::from_millis(1);
    RetryPolicy { attempts, interval: pause, offline_interval: pause, ..RetryPolicy::default() }
}

/// What a login answers.
pub fn session_info(id: i64, key: &str) -> Reply {
    Reply::Value(Value::from_pairs([
        ("session-id", Value::Int(id)),
        ("session-key", Value::from(key)),
        ("header-auth", Value::Bool(true)),
    ]))
}

/// A hub that lets `worker` in as session 7 and answers everything else through `answer`.
pub fn hub(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> FakeHub {
    FakeHub::start(move |request| if request.method == "login" { session_info(7, "key-1") } else { answer(request) })
}

fn serve(connection: &TcpStream, recorded: &Mutex<Vec<Request>>, answer: &(dyn Fn(&Request) -> Reply + Send + Sync)) {
    let mut reader = BufReader::new(connection);
    while let Some(mut request) = read_request(&mut reader) {
        {
            let mut all = recorded.lock().expect("requests");
            request.number = all.len();
            all.push(request.clone());
        }
        let (status, body) = match answer(&request) {
            Reply::Value(value) => (200, encode_response(&value).into_bytes()),
            Reply::Fault(code, message) => (200, encode_fault(code, message).into_bytes()),
            Reply::Body(body) => (200, body),
            Reply::Status(status, body) => (status, body.as_bytes().to_vec()),
            Reply::HangUp => {
                let _ = connection.shutdown(std::net::Shutdown::Both);
                return;
            }
            Reply::WaitFor(gate, value) => {
                let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
                runtime.block_on(gate.notified());
                (200, encode_response(&value).into_bytes())
            }
        };
        let head = format!(
            "HTTP/1.1 {status} X\r\nKoji-Version: 1.35.3\r\nLocation: /elsewhere\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let mut writer = connection;
        if writer.write_all(head.as_bytes()).and_then(|()| writer.write_all(&body)).is_err() {
            return;
        }
    }
}

fn read_request(reader: &mut BufReader<&TcpStream>) -> Option<Request> {
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let target = first.strip_prefix("POST ")?.split(' ').next()?.to_owned();
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").expect("a content length").parse().expect("a number");
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let query = query.split('&').filter_map(|pair| pair.split_once('='));
    let query = query.map(|(k, v)| (k.to_owned(), v.replace("%2F", "/"))).collect();
    let (method, params) = if headers.get("content-type").is_some_and(|t| t == "application/octet-stream") {
        ("rawUpload".to_owned(), vec![])
    } else {
        let call = decode_call(&body).expect("a method call");
        (call.method, call.params)
    };
    Some(Request { number: 0, path: path.to_owned(), query, headers, method, params, body })
}
