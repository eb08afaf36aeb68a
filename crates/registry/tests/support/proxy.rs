//! A line to a registry that breaks as told: answers of its own for the first requests, or a cut in the middle of a body.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What goes wrong.
#[derive(Clone)]
pub enum Fault {
    /// The first connections get this status instead of the registry's answer.
    Status { code: u16, connections: u64 },
    /// Each of the first connections is cut after the registry sent that many bytes over it.
    CutAfter { bytes: u64, connections: u64 },
    /// The first connections over which the client sends more than that many bytes are cut there.
    CutUpload { bytes: u64, times: u64 },
}

/// A TCP proxy on a free loopback port.
pub struct Proxy {
    /// `127.0.0.1:port`
    pub host: String,
    /// Bytes that came from the registry through this line.
    pub received: Arc<AtomicU64>,
    /// Connections that were cut in the middle.
    pub cuts: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Proxy {
    pub fn start(to: &str, fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let host = listener.local_addr().expect("an address").to_string();
        let (received, cuts, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        std::thread::spawn({
            let (received, cuts, stop, to) = (Arc::clone(&received), Arc::clone(&cuts), Arc::clone(&stop), to.to_owned());
            move || {
                for (number, client) in (0_u64..).zip(listener.incoming()) {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    let (received, cuts) = (Arc::clone(&received), Arc::clone(&cuts));
                    let (to, fault) = (to.clone(), fault.clone());
                    let client = client.expect("a connection");
                    std::thread::spawn(move || serve(client, number, &to, &fault, &received, &cuts));
                }
            }
        });
        Self { host, received, cuts, stop }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the accepting thread.
        let _ = TcpStream::connect(&self.host);
    }
}

fn serve(mut client: TcpStream, number: u64, to: &str, fault: &Fault, received: &AtomicU64, cuts: &Arc<AtomicU64>) {
    let cut = match fault {
        Fault::Status { code, connections } if number < *connections => {
            // The request of these tests fits into one read.
            let mut request = [0; 4096];
            let _ = client.read(&mut request);
            let _ = write!(client, "HTTP/1.1 {code} Faulty\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbusy");
            return;
        }
        Fault::CutAfter { bytes, connections } if number < *connections => *bytes,
        _ => u64::MAX,
    };
    let server = TcpStream::connect(to).expect("the registry");
    let (mut from_client, mut to_server) = (client.try_clone().expect("clone"), server.try_clone().expect("clone"));
    let upload = match fault {
        Fault::CutUpload { bytes, times } => Some((*bytes, *times, Arc::clone(cuts))),
        _ => None,
    };
    std::thread::spawn(move || {
        if let Some((bytes, times, cuts)) = upload {
            let copied = std::io::copy(&mut (&mut from_client).take(bytes), &mut to_server).unwrap_or(0);
            // Looked at, not taken: when no cut is due, the byte still has to go on.
            let more = copied == bytes && from_client.peek(&mut [0]).is_ok_and(|n| n > 0);
            if more && cuts.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| (n < times).then_some(n + 1)).is_ok() {
                let _ = from_client.shutdown(Shutdown::Both);
                let _ = to_server.shutdown(Shutdown::Both);
                return;
            }
        }
        let _ = std::io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    let mut left = cut;
    let mut buffer = [0; 16384];
    let mut server = server;
    while left > 0 {
        let Ok(read @ 1..) = server.read(&mut buffer) else { break };
        let passed = read.min(usize::try_from(left).unwrap_or(usize::MAX));
        received.fetch_add(passed as u64, Ordering::SeqCst);
        if client.write_all(&buffer[..passed]).is_err() {
            break;
        }
        left -= passed as u64;
    }
    cuts.fetch_add(u64::from(left == 0), Ordering::SeqCst);
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}
