//! Real repositories and a real `git daemon` for the checkout tests. Everything lives in temporary directories.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A repository with a working tree, `container/web` below a root that a daemon can serve.
pub struct Upstream {
    pub root: tempfile::TempDir,
    pub path: PathBuf,
}

impl Upstream {
    pub fn new() -> Self {
        Self::with_format("sha1")
    }

    pub fn with_format(format: &str) -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let path = root.path().join("container/web");
        std::fs::create_dir_all(&path).expect("made");
        let upstream = Self { root, path };
        upstream.git(&["init", "--quiet", "--initial-branch=main", &format!("--object-format={format}")]);
        upstream
    }

    /// Runs git on the repository, away from the configuration of whoever runs the tests.
    pub fn git(&self, args: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=packager", "-c", "user.email=packager@example.org", "-c", "protocol.file.allow=always"])
            .args(args)
            .current_dir(&self.path)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_DATE", "2024-05-06T07:08:09Z")
            .env("GIT_COMMITTER_DATE", "2024-05-06T07:08:09Z")
            .output()
            .expect("git runs");
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path.join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        std::fs::write(path, text).expect("written");
    }

    /// Commits everything; gives the commit's hash.
    pub fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    pub fn file_url(&self, rest: &str) -> build_model::ScmUrl {
        format!("git+file://{}{rest}", self.path.display()).parse().expect("an SCM URL")
    }

    pub fn serve(&self) -> Daemon {
        Daemon::start(self.root.path())
    }
}

/// A `git daemon` on a loopback port; ended on drop.
pub struct Daemon {
    child: Child,
    pub port: u16,
}

impl Daemon {
    fn start(root: &Path) -> Self {
        for _ in 0..20 {
            let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
            let mut child = Command::new("git")
                .args(["daemon", "--verbose", "--reuseaddr", "--export-all", "--listen=127.0.0.1"])
                .arg(format!("--port={port}"))
                .arg(format!("--base-path={}", root.display()))
                .env("GIT_CONFIG_GLOBAL", "/dev/null")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .expect("git daemon runs");
            let mut lines = BufReader::new(child.stderr.take().expect("stderr")).lines();
            if lines.by_ref().map_while(Result::ok).any(|line| line.contains("Ready to rumble")) {
                std::thread::spawn(move || lines.for_each(drop));
                return Self { child, port };
            }
            child.wait().expect("ended"); // the port was taken meanwhile
        }
        panic!("git daemon found no port");
    }

    pub fn url(&self, rest: &str) -> build_model::ScmUrl {
        url(self.port, rest)
    }

    /// A port in front of the daemon that makes clients speak protocol version 0, as very old servers do.
    pub fn behind_old_server(&self) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let daemon = self.port;
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                std::thread::spawn(move || relay_as_version_0(client, daemon));
            }
        });
        port
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn url(port: u16, rest: &str) -> build_model::ScmUrl {
    format!("git://127.0.0.1:{port}/container/{rest}").parse().expect("an SCM URL")
}

/// Forwards a connection, with `\0version=2\0` taken from the first packet.
fn relay_as_version_0(mut client: TcpStream, daemon: u16) {
    let mut length = [0; 4];
    client.read_exact(&mut length).expect("a packet length");
    let length = usize::from_str_radix(std::str::from_utf8(&length).expect("hex"), 16).expect("hex");
    let mut packet = vec![0; length - 4];
    client.read_exact(&mut packet).expect("a packet");
    let text = String::from_utf8(packet).expect("text");
    let old = text.split("\0\0").next().expect("the request").to_owned() + "\0";
    let mut server = TcpStream::connect(("127.0.0.1", daemon)).expect("the daemon");
    server.write_all(format!("{:04x}{old}", old.len() + 4).as_bytes()).expect("sent");
    let (mut from_client, mut to_server) = (client.try_clone().expect("clone"), server.try_clone().expect("clone"));
    let up = std::thread::spawn(move || {
        let _ = std::io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(std::net::Shutdown::Write);
    });
    let _ = std::io::copy(&mut server, &mut client);
    let _ = client.shutdown(std::net::Shutdown::Both);
    let _ = up.join();
}
