//! One POST to the hub: TLS, time-outs, status and size checks. Knows nothing of sessions or retries.
//!
//! Native TLS, because hubs with old private CAs, certificates without alternative names and X.509 v1 client
//! certificates must keep working. Redirections are never followed: a POST would become a GET.

use std::error::Error as _;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use build_model::innermost;
use reqwest::{Certificate, Client, ClientBuilder, Identity};
use system_authorities::with_system_authorities;
use url::Url;

use crate::kerberos::{Handshake, KerberosError, KerberosIdentity};
use crate::private_key::split_pem;
use crate::{Credentials, HubConfig, HubError};

/// Longest answer read, in bytes after decompression.
const MAX_ANSWER: usize = 256 << 20;
/// How much of an error page is shown.
const EXCERPT: usize = 200;

/// The hub's addresses and the HTTP clients for them.
pub(crate) struct HubHttp {
    pub url: Url,
    pub login_url: Url,
    client: Client,
    /// For certificate logins: what the client for them is made of, and that client once it was needed. It is held to TLS 1.2:
    /// Apache asks for the certificate only at `/ssllogin`, after the handshake; TLS 1.2 renegotiates for that, TLS 1.3 needs
    /// post-handshake authentication, which this TLS library never offers. Making it takes 40 ms, and a task's process, which
    /// goes on with a session, never needs it.
    certificate: Option<(HubConfig, OnceLock<Client>)>,
}

/// A request without its address.
pub(crate) struct Post<'a> {
    pub method: &'a str,
    pub content_type: &'static str,
    pub headers: &'a [(&'static str, String)],
    pub body: &'a [u8],
    pub timeout: Duration,
}

/// An answer with status 200.
pub(crate) struct Answer {
    pub body: Vec<u8>,
    /// The `Koji-Version` header, on hubs since 1.35.
    pub hub_version: Option<String>,
    /// The token of a `WWW-Authenticate: Negotiate` header: the end of a Kerberos handshake.
    negotiate: Option<String>,
}

impl HubHttp {
    /// Reads certificates and keys and makes the clients. Connects to nothing yet.
    pub fn new(config: &HubConfig) -> Result<Self, HubError> {
        let bad = |problem| HubError::Url { url: config.url.clone(), problem };
        let url = Url::parse(config.url.trim_end_matches('/')).map_err(|_| bad("it is no URL"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(bad("it must begin with https:// or http:// and name a host"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(bad("it must end with the hub's path"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("it must not hold a user or a password"));
        }
        let login_url = Url::parse(&format!("{url}/ssllogin")).map_err(|_| bad("it is no URL"))?;
        let client = build_client(config, false)?;
        let certificate = match &config.credentials {
            Credentials::Certificate { .. } | Credentials::Kerberos(_) if url.scheme() != "https" => {
                return Err(bad("logging in with a certificate or a Kerberos ticket needs https"));
            }
            Credentials::Certificate { .. } => Some((config.clone(), OnceLock::new())),
            _ => None,
        };
        Ok(Self { url, login_url, client, certificate })
    }

    /// Sends a call.
    pub async fn post(&self, url: &Url, post: &Post<'_>) -> Result<Answer, HubError> {
        send(&self.client, url, post).await
    }

    /// Sends `sslLogin`, with what the credentials take. Where a hub has no TLS 1.2 any more, a certificate is tried with
    /// whatever the hub offers.
    pub async fn post_login(&self, post: &Post<'_>, credentials: &Credentials) -> Result<Answer, HubError> {
        if let Credentials::Kerberos(identity) = credentials {
            return self.post_kerberos(post, identity).await;
        }
        let Some((config, made)) = &self.certificate else { return self.post(&self.login_url, post).await };
        let login_client = match made.get() {
            Some(client) => client,
            None => {
                let client = build_client(config, true)?;
                made.get_or_init(|| client)
            }
        };
        match send(login_client, &self.login_url, post).await {
            Err(HubError::Tls { .. }) => send(&self.client, &self.login_url, post).await,
            other => other,
        }
    }

    /// One request with a fresh ticket; the hub's answer to it is checked, where there is one.
    async fn post_kerberos(&self, post: &Post<'_>, identity: &KerberosIdentity) -> Result<Answer, HubError> {
        let failed = |source| HubError::Kerberos { url: self.login_url.to_string(), source };
        let (identity, host) = (identity.clone(), self.login_url.host_str().unwrap_or_default().to_owned());
        // Asks the KDC, which may take its time.
        let (handshake, token) = blocking(move || Handshake::begin(&identity, &host)).await.map_err(failed)?;
        let mut headers = post.headers.to_vec();
        headers.push(("Authorization", format!("Negotiate {}", BASE64.encode(token))));
        let answer = send(&self.client, &self.login_url, &Post { headers: &headers, ..*post }).await?;
        if let Some(token) = &answer.negotiate {
            let unreadable = |e: base64::DecodeError| failed(KerberosError::Hub { problem: e.to_string() });
            let token = BASE64.decode(token).map_err(unreadable)?;
            blocking(move || handshake.finish(&token)).await.map_err(failed)?;
        }
        Ok(answer)
    }
}

/// Runs what waits for others on a thread of its own.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(ended) => match ended.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // the runtime is shutting down: nobody is left to go on
            Err(_) => std::future::pending().await,
        },
    }
}

/// Sends one request and reads the whole answer.
async fn send(client: &Client, url: &Url, post: &Post<'_>) -> Result<Answer, HubError> {
    let shown = || url.origin().ascii_serialization() + url.path();
    let failed = |error: reqwest::Error| {
        // the query holds file names only, but the error repeats it at length
        let source = error.without_url();
        if is_tls_refusal(&source) {
            HubError::Tls { url: shown(), source }
        } else {
            HubError::Transport { method: post.method.to_owned(), url: shown(), source }
        }
    };
    let mut request = client
        .post(url.clone())
        .header("Content-Type", post.content_type)
        // by hand, because the client leaves it out for an empty body, and an empty file is an empty block
        .header("Content-Length", post.body.len())
        .timeout(post.timeout)
        .body(post.body.to_vec());
    for (name, value) in post.headers {
        request = request.header(*name, value);
    }
    let mut response = request.send().await.map_err(failed)?;
    let status = response.status().as_u16();
    let hub_version = response.headers().get("Koji-Version").and_then(|v| v.to_str().ok()).map(str::to_owned);
    let negotiate = response.headers().get_all("WWW-Authenticate").iter().find_map(|v| {
        let (scheme, token) = v.to_str().ok()?.split_once(' ')?;
        (scheme.eq_ignore_ascii_case("Negotiate")).then(|| token.trim().to_owned())
    });
    let limit = if status == 200 { MAX_ANSWER } else { EXCERPT };
    let mut body = Vec::new();
    while body.len() <= limit {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => break,
            Err(_) if status != 200 => break,
            Err(error) => return Err(failed(error)),
        }
    }
    if status != 200 {
        body.truncate(EXCERPT);
        let body = crate::fault_text(&String::from_utf8_lossy(&body)).trim().replace('\n', " ");
        return Err(HubError::Status { method: post.method.to_owned(), url: shown(), status, body });
    }
    Ok(Answer { body, hub_version, negotiate })
}

/// Whether the handshake was refused for what it said, not because the line broke: decided by the error's types.
fn is_tls_refusal(error: &reqwest::Error) -> bool {
    let mut tls = false;
    let mut cause = error.source();
    while let Some(inner) = cause {
        tls |= inner.is::<native_tls::Error>();
        if tls && inner.is::<std::io::Error>() {
            return false;
        }
        cause = inner.source();
    }
    tls
}

fn build_client(config: &HubConfig, at_most_tls_1_2: bool) -> Result<Client, HubError> {
    let mut builder: ClientBuilder = Client::builder()
        .user_agent(concat!("containerbuild/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(60))
        // a hub that vanished without a word is noticed in about two minutes, not after the call's 12 hours
        .tcp_keepalive(Duration::from_secs(60))
        .tcp_keepalive_interval(Duration::from_secs(15))
        .tcp_keepalive_retries(4);
    let mut only = Vec::new();
    if let Some(ca) = &config.ca {
        only.extend(read_ca(ca)?);
    }
    if let Credentials::Certificate { pem, ca } = &config.credentials {
        if let Some(ca) = ca {
            only.extend(read_ca(ca)?);
        }
        builder = builder.identity(read_identity(pem)?);
    }
    if at_most_tls_1_2 {
        builder = builder.tls_version_max(reqwest::tls::Version::TLS_1_2);
    }
    let is_plain = !at_most_tls_1_2 && !matches!(config.credentials, Credentials::Certificate { .. });
    if !only.is_empty() {
        builder = builder.tls_certs_only(only);
    } else if is_plain {
        // A hub without TLS takes it, too: a configuration that trusts nobody costs as much as one that reads everything.
        builder = with_system_authorities(builder);
    }
    builder.build().map_err(|source| HubError::Tls { url: config.url.clone(), source })
}

fn read(path: &Path, action: &'static str) -> Result<Vec<u8>, HubError> {
    std::fs::read(path).map_err(|source| HubError::Io { action, path: path.to_owned(), source })
}

fn read_ca(path: &Path) -> Result<Vec<Certificate>, HubError> {
    let bad = |problem: String| HubError::Credentials { path: path.to_owned(), problem };
    let certificates = Certificate::from_pem_bundle(&read(path, "read the CA file")?).map_err(|e| bad(innermost(&e)))?;
    if certificates.is_empty() {
        return Err(bad("it holds no certificate".to_owned()));
    }
    Ok(certificates)
}

fn read_identity(path: &Path) -> Result<Identity, HubError> {
    let bad = |problem: String| HubError::Credentials { path: path.to_owned(), problem };
    let text = read(path, "read the client certificate")?;
    let pem = split_pem(&String::from_utf8_lossy(&text)).map_err(bad)?;
    Identity::from_pkcs8_pem(pem.certificates.as_bytes(), pem.key.as_bytes()).map_err(|e| bad(innermost(&e)))
}
