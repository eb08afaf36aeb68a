//! Certificate logins over real TLS, with the certificates that ten-year-old Koji sites have: a private CA, a server
//! certificate without alternative names, an X.509 v1 client certificate, an RSA key in its old form.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use build_model::Diagnose as _;
use koji_session::{Credentials, HubConfig, HubError, Session};

use crate::fake_hub::patience;

/// A TLS server that demands a client certificate and answers every call with the name in it, as a session.
/// Arguments: directory, lowest TLS version.
const SERVER: &str = r#"
import http.server, ssl, sys, xmlrpc.client
d, lowest = sys.argv[1:]
class Hub(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_POST(self):
        _, method = xmlrpc.client.loads(self.rfile.read(int(self.headers['Content-Length'])))
        name = dict(part[0] for part in self.connection.getpeercert()['subject'])['commonName']
        key = ' '.join([name, self.path, method, self.connection.version()])
        answer = {'session-id': 1, 'session-key': key, 'header-auth': True}
        if method == 'whoami': answer = key
        body = xmlrpc.client.dumps((answer,), methodresponse=True).encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *a): pass
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.minimum_version = getattr(ssl.TLSVersion, lowest)
context.load_cert_chain(d + '/server.crt', d + '/server.key')
context.load_verify_locations(d + '/ca.crt')
context.verify_mode = ssl.CERT_REQUIRED
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Hub)
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
"#;

struct TlsHub {
    child: Child,
    port: u16,
}

impl TlsHub {
    fn start(ca: &Path, lowest: &str) -> Self {
        let mut child = Command::new("/usr/bin/python3")
            .args(["-c", SERVER])
            .arg(ca)
            .arg(lowest)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("python3 runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("stdout")).read_line(&mut line).expect("a port");
        Self { child, port: line.trim().parse().expect("a port") }
    }

    fn config(&self, pem: PathBuf, ca: &Path) -> HubConfig {
        HubConfig {
            url: format!("https://localhost:{}/kojihub", self.port),
            credentials: Credentials::Certificate { pem, ca: Some(ca.join("ca.crt")) },
            retry: patience(3),
            ca: None,
        }
    }
}

impl Drop for TlsHub {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Certificates shared by the tests of this file: making keys is slow.
fn certificates() -> &'static tempfile::TempDir {
    static MADE: OnceLock<tempfile::TempDir> = OnceLock::new();
    MADE.get_or_init(make_certificates)
}

/// A CA, a server certificate with nothing but a common name, and `builder1.pem`: version 1, key in PKCS#1.
fn make_certificates() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let script = r#"
set -e
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.crt
for name in localhost builder1; do
  openssl genrsa -traditional -out $name.key 2048
  openssl req -new -key $name.key -subj /O=koji/CN=$name -out $name.csr
  openssl x509 -req -in $name.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out $name.crt
done
cp localhost.crt server.crt; cp localhost.key server.key
cat builder1.crt builder1.key > builder1.pem
openssl x509 -in builder1.crt -noout -text | grep -q 'Version: 1 '
grep -q 'BEGIN RSA PRIVATE KEY' builder1.pem
"#;
    let done = Command::new("bash").args(["-c", script]).current_dir(dir.path()).output().expect("bash runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    dir
}

#[tokio::test]
async fn old_certificates_log_in() {
    let dir = certificates();
    let hub = TlsHub::start(dir.path(), "TLSv1_2");
    let session = Session::login(&hub.config(dir.path().join("builder1.pem"), dir.path())).await.expect("logged in");
    let key = session.export();
    let key = serde_json::to_string(&key).expect("JSON");
    assert!(key.contains("builder1 /kojihub/ssllogin sslLogin TLSv1.2"), "{key}");
    // other calls go to the hub itself, with the certificate as well, and may use newer TLS
    let answer = session.call("whoami", vec![]).await.expect("answered");
    assert_eq!(answer.as_str(), Some("builder1 /kojihub whoami TLSv1.3"));
}

#[tokio::test]
async fn a_hub_that_speaks_only_newer_tls_is_logged_in_to_as_well() {
    let dir = certificates();
    let hub = TlsHub::start(dir.path(), "TLSv1_3");
    let session = Session::login(&hub.config(dir.path().join("builder1.pem"), dir.path())).await.expect("logged in");
    let key = serde_json::to_string(&session.export()).expect("JSON");
    assert!(key.contains("ssllogin sslLogin TLSv1.3"), "{key}");
}

#[tokio::test]
async fn a_hub_signed_by_a_stranger_is_refused_at_once() {
    let (dir, stranger) = (certificates(), make_certificates());
    let hub = TlsHub::start(dir.path(), "TLSv1_2");
    let mut config = hub.config(dir.path().join("builder1.pem"), stranger.path());
    config.retry = koji_session::RetryPolicy::default(); // with its minutes of patience
    let error = Session::login(&config).await.expect_err("not trusted");
    assert!(matches!(error, HubError::Tls { .. }), "{error:?}");
    assert_eq!((error.kind(), error.is_transient()), ("hub-tls", false));
    assert!(error.hint().is_some_and(|hint| hint.contains("CA")));
}

#[tokio::test]
async fn a_certificate_of_a_stranger_is_refused_by_the_hub() {
    let (dir, stranger) = (certificates(), make_certificates());
    let hub = TlsHub::start(dir.path(), "TLSv1_2");
    let error = Session::login(&hub.config(stranger.path().join("builder1.pem"), dir.path())).await.expect_err("refused");
    assert!(matches!(error, HubError::Tls { .. } | HubError::Transport { .. }), "{error:?}");
}
