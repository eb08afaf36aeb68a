//! One request: which file it means, whether it may have it, and the verdict either way.
//!
//! `/repo/NAME/PATH` is all there is. Requests that mean another host (a proxy's absolute form, CONNECT, a foreign
//! `Host`) are the sandbox trying to get out, and are refused by name instead of failing without a word.

use std::sync::{Mutex, PoisonError};

use hyper::header::HOST;
use hyper::{HeaderMap, Method, Response, StatusCode, Uri};

use super::location;
use super::release::{Releases, Unanswered, chain};
use super::response::{self, Body, Validators};
use super::source::{MAX_METADATA, PinnedSource};
use super::upstream::FetchError;
use crate::verdict::VerdictLog;
use crate::{Rule, Verdict};

/// What all connections of a gate share.
pub(super) struct Shared {
    pub sources: Vec<PinnedSource>,
    pub cache: std::sync::Arc<super::cache::FileCache>,
    pub releases: Releases,
    pub log: Mutex<VerdictLog>,
}

/// Method, target and headers of a request; bodies are never read.
pub(super) struct Asked {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
}

/// A file that is not handed out.
struct Refused {
    status: StatusCode,
    verdict: Verdict,
}

impl Shared {
    pub async fn answer(&self, asked: &Asked) -> Response<Body> {
        match self.find(asked).await {
            Ok((response, verdict)) => {
                self.record(verdict);
                response
            }
            Err(refused) => {
                let response = response::refusal(refused.status, &refused.verdict);
                self.record(refused.verdict);
                response
            }
        }
    }

    fn record(&self, verdict: Verdict) {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).push(verdict);
    }

    async fn find(&self, asked: &Asked) -> Result<(Response<Body>, Verdict), Box<Refused>> {
        let refuse =
            |rule: Rule, evidence: String| Box::new(Refused { status: status(rule), verdict: asked.verdict(rule, evidence) });
        if let Some(host) = asked.foreign_host() {
            let evidence = format!("host not allowed: the build asked for {}", host.escape_debug());
            return Err(refuse(Rule::HostNotAllowed, evidence));
        }
        if asked.method != Method::GET && asked.method != Method::HEAD {
            return Err(refuse(Rule::MethodNotAllowed, format!("the method is {}", asked.method)));
        }
        let path = percent_encoding::percent_decode_str(asked.uri.path()).decode_utf8_lossy().into_owned();
        let Some((name, location)) = path.strip_prefix("/repo/").and_then(|rest| rest.split_once('/')) else {
            return Err(refuse(Rule::NotFound, "only /repo/NAME/PATH is served here".to_owned()));
        };
        let Some(source) = self.sources.iter().find(|s| s.pin.name == name) else {
            return Err(refuse(Rule::NotFound, format!("there is no content source `{}`", name.escape_debug())));
        };
        if !location::is_inside(location) {
            return Err(refuse(Rule::PathEscapes, format!("the path `{}` leads out of the repository", location.escape_debug())));
        }
        let found = if location == "repodata/repomd.xml" {
            Ok(self.repomd(asked, source))
        } else if source.files.contains_key(location) {
            self.metadata(asked, source, location).await
        } else {
            self.package(asked, source, location).await
        };
        found.map_err(|mut refused| {
            refused.verdict.source = Some(source.pin.name.clone());
            refused
        })
    }

    fn repomd(&self, asked: &Asked, source: &PinnedSource) -> (Response<Body>, Verdict) {
        let mut verdict = asked.verdict(Rule::PinnedMetadata, "repomd.xml as it was pinned");
        verdict.source = Some(source.pin.name.clone());
        verdict.checksum = Some(format!("sha256:{}", source.pin.repomd_sha256));
        let validators = Validators { digest: &source.pin.repomd_sha256, modified: source.timestamp };
        (response::bytes(&asked.method, &asked.headers, &source.repomd, &validators), verdict)
    }

    async fn metadata(
        &self,
        asked: &Asked,
        source: &PinnedSource,
        location: &str,
    ) -> Result<(Response<Body>, Verdict), Box<Refused>> {
        let refuse =
            |rule: Rule, evidence: String| Box::new(Refused { status: status(rule), verdict: asked.verdict(rule, evidence) });
        let Some(wanted) = source.files.get(location) else {
            return Err(refuse(Rule::NotFound, "repomd.xml does not list it".to_owned()));
        };
        let fetched = self.cache.fetch(&source.upstream, location, &wanted.checksum, wanted.size, MAX_METADATA).await;
        let file = fetched.map_err(|e| {
            let rule = match &e {
                // gone from the server: repositories delete old metadata when they are regenerated
                FetchError::ChecksumDiffers { .. } | FetchError::TooLarge { .. } | FetchError::Status { status: 404, .. } => {
                    Rule::MetadataChanged
                }
                FetchError::File { source, .. } if source.kind() == std::io::ErrorKind::NotFound => Rule::MetadataChanged,
                FetchError::Cache { .. } => Rule::CacheFailed,
                _ => Rule::UpstreamFailed,
            };
            refuse(rule, chain(&e))
        })?;
        let validators = Validators { digest: &wanted.checksum.hex, modified: wanted.timestamp };
        let sent = response::file(&asked.method, &asked.headers, &file, &validators).await;
        let sent = sent.map_err(|e| refuse(Rule::CacheFailed, format!("cannot read {}: {e}", file.display())))?;
        let mut verdict = asked.verdict(Rule::PinnedMetadata, format!("{} with the checksum repomd.xml gives", wanted.kind));
        verdict.source = Some(source.pin.name.clone());
        verdict.checksum = Some(wanted.checksum.to_string());
        verdict.size = wanted.size;
        Ok((sent, verdict))
    }

    async fn package(
        &self,
        asked: &Asked,
        source: &PinnedSource,
        location: &str,
    ) -> Result<(Response<Body>, Verdict), Box<Refused>> {
        let refuse =
            |rule: Rule, evidence: String| Box::new(Refused { status: status(rule), verdict: asked.verdict(rule, evidence) });
        if let Some(reason) = source.offer.unusable.get(location) {
            return Err(refuse(Rule::NotListed, format!("the repository lists it, but {reason}")));
        }
        let Some(offered) = source.offer.packages.get(location) else {
            return Err(if location.ends_with(".rpm") {
                refuse(Rule::NotListed, "the repository's metadata does not list it".to_owned())
            } else {
                refuse(Rule::NotFound, "the repository has no such file".to_owned())
            });
        };
        let named = |mut verdict: Verdict| {
            verdict.source = Some(source.pin.name.clone());
            verdict.nvra = Some(offered.nvra.clone());
            verdict.checksum = Some(offered.checksum.to_string());
            verdict.size = offered.size;
            verdict
        };
        let refuse = |rule: Rule, evidence: String| {
            Box::new(Refused { status: status(rule), verdict: named(asked.verdict(rule, evidence)) })
        };
        let decision = self.releases.decide(source, location, offered).await;
        let decision = decision.map_err(|Unanswered { rule, evidence }| refuse(rule, evidence))?;
        let mut verdict = named(asked.verdict(decision.rule, decision.evidence));
        verdict.rpm_id = decision.rpm_id;
        if let Some(ident) = decision.ident {
            verdict.sha256header = Some(ident.computed.sha256);
            verdict.sigmd5 = ident.sigmd5;
            verdict.nvra = Some(ident.nvra);
        }
        if !verdict.released {
            return Err(Box::new(Refused { status: status(decision.rule), verdict }));
        }
        let validators = Validators { digest: &offered.checksum.hex, modified: offered.file_time };
        let sent = response::file(&asked.method, &asked.headers, &decision.file, &validators).await;
        let sent = sent.map_err(|e| refuse(Rule::CacheFailed, format!("cannot read {}: {e}", decision.file.display())))?;
        Ok((sent, verdict))
    }
}

/// The HTTP status of a refusal. dnf tries another mirror after most of them; there is none.
fn status(rule: Rule) -> StatusCode {
    match rule {
        Rule::NotFound => StatusCode::NOT_FOUND,
        Rule::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Rule::UpstreamFailed | Rule::LookupFailed => StatusCode::BAD_GATEWAY,
        Rule::CacheFailed => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::FORBIDDEN,
    }
}

impl Asked {
    fn verdict(&self, rule: Rule, evidence: impl Into<String>) -> Verdict {
        Verdict::new(rule, self.method.as_str(), &self.uri.to_string(), evidence)
    }

    /// The host meant, when it is not this gate. Clients that use the gate as a proxy for itself are let through.
    fn foreign_host(&self) -> Option<String> {
        if self.method == Method::CONNECT {
            return Some(self.uri.to_string());
        }
        if let Some(authority) = self.uri.authority() {
            let plain = self.uri.scheme_str().is_none_or(|s| s.eq_ignore_ascii_case("http"));
            return (!plain || !is_loopback(authority.host())).then(|| authority.to_string());
        }
        let host = self.headers.get(HOST)?;
        let Ok(host) = host.to_str() else { return Some("(a name that is not ASCII)".to_owned()) };
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => host,
        };
        (!is_loopback(name)).then(|| host.to_owned())
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.is_empty()
        || bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
