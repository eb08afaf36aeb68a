//! One request: which file it means, whether it may have it, and the verdict either way.
//!
//! `/repo/NAME/PATH` is all there is. Requests that mean another host (a proxy's absolute form, CONNECT, a foreign
//! `Host`) are the sandbox trying to get out, and are refused by name instead of failing without a word.

use std::sync::{Arc, Mutex, PoisonError};

use build_model::chain;
use http::header::HOST;
use http::{HeaderMap, Method, Response, StatusCode, Uri};
use tokio::sync::watch;

use super::cache::{Fetched, FileCache};
use super::release::{Decision, Examined, Releases, STREAMED_ABOVE, Source, Unanswered};
use super::response::{self, Body, Content, Validators, Verified};
use super::source::{MAX_METADATA, PinnedSource};
use super::upstream::FetchError;
use crate::repodata::{self, Listed};
use crate::verdict::{BuildStep, VerdictLog};
use crate::{Rule, Verdict};

/// What all connections of a gate share.
pub(super) struct Shared {
    pub sources: Vec<PinnedSource>,
    pub cache: Arc<FileCache>,
    pub releases: Releases,
    pub log: Mutex<VerdictLog>,
    /// The RUN that is running.
    pub step: Mutex<Option<BuildStep>>,
    /// Requests without a verdict yet: under way, or answered by a file that is still being verified.
    pub open: watch::Sender<usize>,
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

/// A file that is handed out.
struct Granted {
    response: Response<Body>,
    verdict: Verdict,
    /// Waited for before the verdict counts: a file whose end is not here yet.
    pending: Option<Pending>,
}

enum Pending {
    Rpm(Arc<Examined>),
    Metadata(Arc<super::cache::Download>),
}

/// Counts a request as open for as long as it exists.
struct Open(watch::Sender<usize>);

impl Open {
    fn new(counter: &watch::Sender<usize>) -> Self {
        counter.send_modify(|n| *n += 1);
        Open(counter.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.send_modify(|n| *n = n.saturating_sub(1));
    }
}

impl Shared {
    pub async fn answer(self: &Arc<Self>, asked: &Asked) -> Response<Body> {
        let open = Open::new(&self.open);
        match self.find(asked).await {
            Ok(Granted { response, verdict, pending: None }) => {
                self.record(verdict);
                response
            }
            Ok(Granted { response, verdict, pending: Some(pending) }) => {
                let shared = self.clone();
                tokio::spawn(async move {
                    let verdict = settled(verdict, pending).await;
                    shared.record(verdict);
                    drop(open);
                });
                response
            }
            Err(refused) => {
                let response = response::refusal(refused.status, &refused.verdict);
                self.record(refused.verdict);
                response
            }
        }
    }

    /// The answer to what is no request.
    pub fn malformed(&self, status: StatusCode, reason: String) -> Response<Body> {
        let verdict = Verdict::new(Rule::MalformedRequest, "-", "-", reason);
        let response = response::refusal(status, &verdict);
        self.record(verdict);
        response
    }

    fn record(&self, mut verdict: Verdict) {
        verdict.step = self.step.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.log.lock().unwrap_or_else(PoisonError::into_inner).push(verdict);
    }

    async fn find(&self, asked: &Asked) -> Result<Granted, Box<Refused>> {
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
        if !repodata::is_inside(location) {
            return Err(refuse(Rule::PathEscapes, format!("the path `{}` leads out of the repository", location.escape_debug())));
        }
        let found = if location == "repodata/repomd.xml" {
            Ok(self.repomd(asked, source))
        } else if source.repomd.files.contains_key(location) {
            self.metadata(asked, source, location).await
        } else {
            self.package(asked, source, location).await
        };
        found.map_err(|mut refused| {
            refused.verdict.source = Some(source.pin.name.clone());
            refused
        })
    }

    fn repomd(&self, asked: &Asked, source: &PinnedSource) -> Granted {
        let mut verdict = asked.verdict(Rule::PinnedMetadata, "repomd.xml as it was pinned");
        verdict.source = Some(source.pin.name.clone());
        verdict.checksum = Some(format!("sha256:{}", source.pin.repomd_sha256));
        let validators = Validators { digest: &source.pin.repomd_sha256, modified: source.timestamp };
        let response = response::bytes(&asked.method, &asked.headers, &source.repomd_xml, &validators);
        Granted { response, verdict, pending: None }
    }

    async fn metadata(&self, asked: &Asked, source: &PinnedSource, location: &str) -> Result<Granted, Box<Refused>> {
        let refuse =
            |rule: Rule, evidence: String| Box::new(Refused { status: status(rule), verdict: asked.verdict(rule, evidence) });
        let Some(wanted) = source.repomd.files.get(location) else {
            return Err(refuse(Rule::NotFound, "repomd.xml does not list it".to_owned()));
        };
        let fetched = self.cache.fetch(&source.upstream, location, &wanted.checksum, wanted.size, MAX_METADATA);
        let (content, pending) = match (fetched, wanted.size.filter(|size| *size > STREAMED_ABOVE)) {
            (Fetched::Ready(file), _) => (Content::Whole(file), None),
            (Fetched::Running(download), None) => {
                let file = download.finished().await.map_err(|e| refuse(metadata_rule(&e), chain(&e)))?;
                (Content::Whole(file), None)
            }
            (Fetched::Running(download), Some(size)) => {
                let (verified, verifieds) = watch::channel(Verified::NotYet);
                let followed = download.clone();
                tokio::spawn(async move {
                    let ok = followed.finished().await.is_ok();
                    verified.send_replace(if ok { Verified::Yes } else { Verified::No });
                });
                let pending = Some(Pending::Metadata(download.clone()));
                (Content::Growing { download, verified: verifieds, size }, pending)
            }
        };
        let validators = Validators { digest: wanted.checksum.hex(), modified: wanted.timestamp };
        let response = response::file(&asked.method, &asked.headers, content, &validators);
        let mut verdict = asked.verdict(Rule::PinnedMetadata, format!("{} with the checksum repomd.xml gives", wanted.kind));
        verdict.source = Some(source.pin.name.clone());
        verdict.checksum = Some(wanted.checksum.to_string());
        verdict.size = wanted.size;
        Ok(Granted { response, verdict, pending })
    }

    async fn package(&self, asked: &Asked, source: &PinnedSource, location: &str) -> Result<Granted, Box<Refused>> {
        let refuse =
            |rule: Rule, evidence: String| Box::new(Refused { status: status(rule), verdict: asked.verdict(rule, evidence) });
        let offered = match source.offer.get(location) {
            Some(Listed::Offered(offered)) => offered,
            Some(Listed::Unusable(reason)) => {
                return Err(refuse(Rule::NotListed, format!("the repository lists it, but {reason}")));
            }
            None if location.ends_with(".rpm") => {
                return Err(refuse(Rule::NotListed, "the repository's metadata does not list it".to_owned()));
            }
            None => return Err(refuse(Rule::NotFound, "the repository has no such file".to_owned())),
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
        let examined = self.releases.decide(source, location, &offered).await;
        let examined = examined.map_err(|Unanswered { rule, evidence }| refuse(rule, evidence))?;
        let decision = examined.decision();
        let (rule, mut verdict) = (decision.rule, named(asked.verdict(decision.rule, decision.evidence.clone())));
        verdict.rpm_id = decision.rpm_id;
        if let Some(remedy) = &decision.remedy {
            verdict.remedy = Some(remedy.clone());
        }
        if let Some(ident) = decision.ident {
            verdict.sha256header = Some(ident.computed.sha256);
            verdict.sigmd5 = ident.sigmd5;
            verdict.nvra = Some(ident.nvra);
        }
        if !verdict.released {
            return Err(Box::new(Refused { status: status(rule), verdict }));
        }
        let (content, growing) = match (&examined.source, offered.size) {
            (Source::Whole(file), _) => (Content::Whole(file.clone()), false),
            (Source::Running { download, verified, outcome }, Some(size)) if outcome.borrow().is_none() => {
                let content = Content::Growing { download: download.clone(), verified: verified.clone(), size };
                (content, true)
            }
            // Over already, or of unknown size, and then it was waited for.
            (Source::Running { .. }, _) => {
                let file = examined.outcome().await;
                (Content::Whole(file.map_err(|Unanswered { rule, evidence }| refuse(rule, evidence))?), false)
            }
        };
        let pending = (growing || examined.is_open()).then(|| Pending::Rpm(examined.clone()));
        let validators = Validators { digest: offered.checksum.hex(), modified: offered.file_time };
        let response = response::file(&asked.method, &asked.headers, content, &validators);
        Ok(Granted { response, verdict, pending })
    }
}

/// The verdict once the file's end and Koji's word are here: what was promised may have turned out to be something else.
async fn settled(mut verdict: Verdict, pending: Pending) -> Verdict {
    let broken_off = match &pending {
        Pending::Rpm(examined) => examined.outcome().await.err().map(|Unanswered { rule, evidence }| (rule, evidence)),
        Pending::Metadata(download) => download.finished().await.err().map(|e| (metadata_rule(&e), chain(&e))),
    };
    if let Some((rule, evidence)) = broken_off {
        verdict.turn_into(rule, format!("{evidence}; the connection was broken off before its end"));
        return verdict;
    }
    let Pending::Rpm(examined) = pending else { return verdict };
    match examined.confirmed().await {
        Ok(Decision { rule, evidence, remedy, .. }) => {
            verdict.turn_into(rule, evidence);
            verdict.remedy = remedy.or(verdict.remedy);
        }
        Err(Unanswered { rule, evidence }) => verdict.turn_into(rule, evidence),
    }
    verdict
}

/// Why metadata that was pinned cannot be had.
fn metadata_rule(error: &FetchError) -> Rule {
    match error {
        // gone from the server: repositories delete old metadata when they are regenerated
        FetchError::ChecksumDiffers { .. } | FetchError::TooLarge { .. } | FetchError::Status { status: 404, .. } => {
            Rule::MetadataChanged
        }
        FetchError::File { source, .. } if source.kind() == std::io::ErrorKind::NotFound => Rule::MetadataChanged,
        FetchError::Cache { .. } => Rule::CacheFailed,
        _ => Rule::UpstreamFailed,
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
