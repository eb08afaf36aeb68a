//! The decision about one RPM, made once per file and build.
//!
//! The headers come first in the file, and Koji knows the digest of the main header: so the file is released or refused
//! before the payload is here (docs/adr/0006-streaming-behind-the-verdict.md). The payload is verified while it comes; until
//! then the client lacks the last byte. What Koji says today is asked for many at once (`confirm`).

use std::collections::HashMap;
use std::io::BufReader;
use std::sync::{Arc, Mutex, PoisonError};

use build_model::chain;
use tokio::sync::{OnceCell, oneshot, watch};

use super::cache::{CachedFile, Download, Fetched, FileCache, Note};
use super::confirm::{Confirmation, Confirmations, Question};
use super::response::Verified;
use super::source::PinnedSource;
use super::upstream::FetchError;
use crate::koji_rpms::complete;
use crate::policy::{Objection, ReleaseRules};
use crate::repodata::{Checksum, Offered};
use crate::rule::judge;
use crate::{HeaderError, KojiRpms, LookupError, RpmIdent, Rule, package_file};

/// Largest RPM without a size in the metadata.
const MAX_RPM: u64 = 16 << 30;
/// Smaller files are answered when they are whole: a refusal then has a status and a text instead of a broken connection.
pub(super) const STREAMED_ABOVE: u64 = 1 << 20;

/// What was decided about an RPM file.
#[derive(Debug, Clone)]
pub(super) struct Decision {
    pub rule: Rule,
    pub evidence: String,
    pub ident: Option<RpmIdent>,
    pub rpm_id: Option<i64>,
    /// What to do about it, where the site's rule says it better than the word does.
    pub remedy: Option<String>,
}

/// A failure that says nothing about the RPM, or a file that is not the one promised; the next request tries again.
#[derive(Debug, Clone)]
pub(super) struct Unanswered {
    pub rule: Rule,
    pub evidence: String,
}

/// A decision, and where the file is.
pub(super) struct Examined {
    /// Of a released file: by what is written down of it. It counts when Koji has confirmed it.
    decision: Decision,
    /// What Koji says today; `None` where nobody is asked any more.
    confirmation: Option<Confirmation>,
    pub source: Source,
}

/// Where a decided file is read from.
pub(super) enum Source {
    Whole(CachedFile),
    Running { download: Arc<Download>, verified: watch::Receiver<Verified>, outcome: watch::Receiver<Option<Outcome>> },
}

/// What became of a payload.
pub(super) type Outcome = Result<CachedFile, Unanswered>;

impl Examined {
    /// The decision as far as it is known.
    pub fn decision(&self) -> Decision {
        self.confirmed_now().and_then(Result::ok).unwrap_or_else(|| self.decision.clone())
    }

    /// Whether Koji's word is still to come.
    pub fn is_open(&self) -> bool {
        self.confirmation.is_some() && self.confirmed_now().is_none()
    }

    /// The decision that counts.
    pub async fn confirmed(&self) -> Result<Decision, Unanswered> {
        match &self.confirmation {
            None => Ok(self.decision.clone()),
            Some(confirmation) => confirmation.wait().await,
        }
    }

    fn confirmed_now(&self) -> Option<Result<Decision, Unanswered>> {
        self.confirmation.as_ref()?.now()
    }

    /// The file when it is verified to its end; `Err` when it turned out not to be what was promised.
    pub async fn outcome(&self) -> Outcome {
        match &self.source {
            Source::Whole(file) => Ok(file.clone()),
            Source::Running { outcome, .. } => wait_for(outcome.clone()).await,
        }
    }

    fn has_failed(&self) -> bool {
        matches!(&self.source, Source::Running { outcome, .. } if matches!(&*outcome.borrow(), Some(Err(_))))
            || matches!(self.confirmed_now(), Some(Err(_)))
    }
}

async fn wait_for(mut outcome: watch::Receiver<Option<Outcome>>) -> Outcome {
    let gone = || Unanswered { rule: Rule::CacheFailed, evidence: "the verification ended without a result".to_owned() };
    let known = outcome.wait_for(Option::is_some).await.map_err(|_| gone())?;
    known.clone().unwrap_or_else(|| Err(gone()))
}

/// What is remembered of an RPM file whose payload was verified.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct CheckedRpm {
    ident: RpmIdent,
    sighash: String,
}

type Cell = Arc<OnceCell<Arc<Examined>>>;

pub(super) struct Releases {
    cache: Arc<FileCache>,
    rules: Arc<ReleaseRules>,
    /// Who asks Koji, now and about what was handed out; `None` for builds without a hub.
    pub confirmations: Option<Arc<Confirmations>>,
    decided: Mutex<HashMap<String, Cell>>,
}

impl Releases {
    pub fn new(cache: Arc<FileCache>, koji: Option<Arc<dyn KojiRpms>>, rules: ReleaseRules) -> Self {
        let rules = Arc::new(rules);
        let confirmations = koji.map(|koji| Arc::new(Confirmations::new(koji, rules.clone())));
        Releases { cache, rules, confirmations, decided: Mutex::default() }
    }

    /// The decision about a listed RPM; concurrent requests for it wait for one.
    pub async fn decide(&self, source: &PinnedSource, location: &str, offered: &Offered) -> Result<Arc<Examined>, Unanswered> {
        // The name is part of the key: the same bytes listed under another name are another question.
        let key = format!("{} {}", offered.checksum, offered.nvra);
        let cell = {
            let mut decided = self.decided.lock().unwrap_or_else(PoisonError::into_inner);
            let cell = decided.entry(key).or_default();
            // What broke off on the way is fetched anew for the next who asks.
            if cell.get().is_some_and(|e| e.has_failed()) {
                *cell = Cell::default();
            }
            cell.clone()
        };
        cell.get_or_try_init(|| self.examine(source, location, offered)).await.cloned()
    }

    async fn examine(&self, source: &PinnedSource, location: &str, offered: &Offered) -> Result<Arc<Examined>, Unanswered> {
        let (source, checked) = match self.cache.fetch(&source.upstream, location, &offered.checksum, offered.size, MAX_RPM) {
            Fetched::Ready(file) => {
                let checked = self.checked(&file, &offered.checksum).await?;
                (Source::Whole(file), checked)
            }
            Fetched::Running(download) => {
                let (header, verified, outcome) = self.verify(download.clone(), offered.checksum.clone());
                let checked = match header.await {
                    Ok(checked) => checked,
                    Err(_) => Err(wait_for(outcome.clone()).await.err().unwrap_or_else(verification_failed).evidence),
                };
                // The checksum goes before what is inside: damage on the way is not a damaged RPM.
                if checked.is_err() {
                    download.finished().await.map_err(|e| unanswered(&e))?;
                }
                (Source::Running { download, verified, outcome }, checked)
            }
        };
        let (decision, confirmation) = self.judge(offered, checked).await?;
        let examined = Arc::new(Examined { decision, confirmation, source });
        let small = offered.size.is_none_or(|size| size <= STREAMED_ABOVE);
        if small && examined.decision.rule.releases() {
            examined.outcome().await?;
        }
        Ok(examined)
    }

    /// The identity of a file in the cache; its payload is read when no earlier build did.
    async fn checked(&self, file: &CachedFile, checksum: &Checksum) -> Result<Result<CheckedRpm, String>, Unanswered> {
        if let Some(note) = self.cache.note(Note::Ident, checksum)
            && let Ok(checked) = serde_json::from_slice(&note)
        {
            return Ok(Ok(checked));
        }
        let (file, cache, checksum) = (file.clone(), self.cache.clone(), checksum.clone());
        let read = tokio::task::spawn_blocking(move || {
            let mut reader = BufReader::with_capacity(128 << 10, file.reader());
            let checked = read_rpm(&mut reader)?;
            remember(&cache, &checksum, &checked);
            Ok::<_, HeaderError>(checked)
        });
        match read.await {
            Ok(read) => Ok(read.map_err(|e| chain(&e))),
            Err(e) => Err(Unanswered { rule: Rule::CacheFailed, evidence: e.to_string() }),
        }
    }

    /// Reads the headers of a download, and goes on to its end on a thread of its own.
    #[allow(clippy::type_complexity)] // three ends of one thread, used once
    fn verify(
        &self,
        download: Arc<Download>,
        checksum: Checksum,
    ) -> (oneshot::Receiver<Result<CheckedRpm, String>>, watch::Receiver<Verified>, watch::Receiver<Option<Outcome>>) {
        let (header, headers) = oneshot::channel();
        let (verified, verifieds) = watch::channel(Verified::NotYet);
        let (outcome, outcomes) = watch::channel(None);
        let cache = self.cache.clone();
        let runtime = tokio::runtime::Handle::current();
        tokio::task::spawn_blocking(move || {
            let mut reader = BufReader::with_capacity(128 << 10, download.reader(runtime.clone()));
            let inside = match package_file::read_header(&mut reader) {
                Err(error) => {
                    let _ = header.send(Err(chain(&error)));
                    Err(chain(&error))
                }
                Ok(read) => {
                    let checked = CheckedRpm { ident: read.ident.clone(), sighash: read.sighash.clone() };
                    let _ = header.send(Ok(checked.clone()));
                    read.verify_payload(&mut reader).map(|_| checked).map_err(|e| chain(&e))
                }
            };
            let end = match (runtime.block_on(download.finished()), inside) {
                (Err(error), _) => Err(unanswered(&error)),
                (Ok(_), Err(evidence)) => Err(Unanswered { rule: Rule::BrokenRpm, evidence }),
                (Ok(file), Ok(checked)) => {
                    remember(&cache, &checksum, &checked);
                    Ok(file)
                }
            };
            verified.send_replace(if end.is_ok() { Verified::Yes } else { Verified::No });
            outcome.send_replace(Some(end));
        });
        (headers, verifieds, outcomes)
    }

    /// What is said by what is written down: the file, the metadata, the site's rules and Koji's row. What speaks against it is
    /// a refusal now; the rest is Koji's to confirm.
    async fn judge(
        &self,
        offered: &Offered,
        checked: Result<CheckedRpm, String>,
    ) -> Result<(Decision, Option<Confirmation>), Unanswered> {
        let CheckedRpm { ident, sighash } = match checked {
            Ok(checked) => checked,
            Err(evidence) => return Ok((Decision::new(Rule::BrokenRpm, evidence, None), None)),
        };
        // Metadata writes "no epoch" and epoch 0 alike.
        let epochs_agree = ident.epoch.unwrap_or_default() == offered.epoch.unwrap_or_default();
        if ident.nvra != offered.nvra || !epochs_agree {
            let listed = format!("{}:{}", offered.epoch.unwrap_or_default(), offered.nvra);
            let evidence = format!("the metadata lists {listed}, the file holds {}", ident.nevra());
            return Ok((Decision::new(Rule::NameDiffers, evidence, Some(ident)), None));
        }
        let objections = self.rules.judge_name(&ident.nvra);
        let Some(confirmations) = self.confirmations.as_ref().filter(|_| !objections.iter().any(|o| o.refuses)) else {
            let evidence = "no hub is set; only the repository's checksum was verified".to_owned();
            return Ok((Decision::new(Rule::NotChecked, evidence, Some(ident)).with(objections), None));
        };
        let failed = |e: LookupError| Unanswered { rule: Rule::LookupFailed, evidence: chain(&e) };
        let asked = [ident.nvra.clone()];
        let row =
            confirmations.koji.rows(&asked).await.and_then(|rows| complete(asked.len(), rows)).map_err(failed)?.pop().flatten();
        let rpm_id = row.as_ref().map(|row| row.rpm_id);
        let by = match judge(&ident, row.as_ref()) {
            Ok(by) => by,
            Err((rule, evidence)) => return Ok((Decision { rpm_id, ..Decision::new(rule, evidence, Some(ident)) }, None)),
        };
        let mut evidence = format!("rpm {} in Koji, by {}", rpm_id.unwrap_or_default(), by.describe());
        if self.rules.ask_for_keys()
            && let Some(key) = ident.sigkey()
        {
            evidence.push_str(&format!(", signed by {key}"));
        }
        let of_key = self.rules.judge_key(&ident.nvra, ident.signing_key.as_deref());
        let decision = Decision { rpm_id, ..Decision::new(Rule::KojiRpm, evidence, Some(ident.clone())) };
        if of_key.iter().any(|o| o.refuses) {
            return Ok((decision.with(objections).with(of_key), None));
        }
        let question = Question { ident, sighash, decision: decision.clone(), objections };
        Ok((decision, Some(confirmations.ask(question))))
    }
}

impl Decision {
    fn new(rule: Rule, evidence: String, ident: Option<RpmIdent>) -> Self {
        Decision { rule, evidence, ident, rpm_id: None, remedy: None }
    }

    /// Adds what the site's rules say: the first that refuses decides, the others are told.
    pub fn with(self, objections: Vec<Objection>) -> Self {
        let mut decision = self;
        if let Some(refusal) = objections.iter().find(|o| o.refuses) {
            (decision.rule, decision.evidence) = (refusal.rule, refusal.evidence.clone());
            decision.remedy = Some(refusal.remedy.clone());
        }
        for told in objections.iter().filter(|o| !o.refuses) {
            decision.evidence.push_str(&format!("; the site warns: {}", told.evidence));
        }
        decision
    }
}

fn read_rpm(reader: &mut impl std::io::Read) -> Result<CheckedRpm, HeaderError> {
    let header = package_file::read_header(reader)?;
    let sighash = header.sighash.clone();
    Ok(CheckedRpm { ident: header.verify_payload(reader)?, sighash })
}

fn remember(cache: &FileCache, checksum: &Checksum, checked: &CheckedRpm) {
    if let Ok(text) = serde_json::to_vec(checked) {
        cache.put_note(Note::Ident, checksum, &text);
    }
}

fn unanswered(error: &FetchError) -> Unanswered {
    let rule = match error {
        FetchError::ChecksumDiffers { .. } | FetchError::TooLarge { .. } => Rule::ChecksumDiffers,
        FetchError::Cache { .. } => Rule::CacheFailed,
        _ => Rule::UpstreamFailed,
    };
    Unanswered { rule, evidence: chain(error) }
}

fn verification_failed() -> Unanswered {
    Unanswered { rule: Rule::CacheFailed, evidence: "the verification failed".to_owned() }
}
