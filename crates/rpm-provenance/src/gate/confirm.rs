//! What Koji says today of RPMs that were handed out: whether their builds are still there, in which tags, and which
//! signatures it recorded. Asked for many at once, because dnf asks the gate for one file after another
//! (docs/adr/0019-what-koji-says-today.md).
//!
//! `release` adds a question for each file it lets through by what is written down of it; a task of the gate asks when there
//! are many, when nothing was added for a while, or when a RUN ends and `Gate::settle` waits. Until then no verdict counts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use build_model::{Nvra, chain};
use tokio::sync::{OnceCell, watch};

use super::release::{Decision, Unanswered};
use crate::koji_rpms::{complete, lookup_all};
use crate::policy::{Objection, ReleaseRules};
use crate::rule::judge;
use crate::{KnownRpm, KnownSignature, KojiRpms, LookupError, RpmIdent, Rule};

/// Questions that are not kept waiting any longer. Two requests answer them.
const MANY: usize = 200;
/// Nothing added for this long, and what is there is asked: the hub's word is often here before the RUN ends. Doubled each
/// time within a RUN, so that a slow mirror does not make a request of every file.
const QUIET: Duration = Duration::from_millis(250);
const LONGEST_QUIET: Duration = Duration::from_secs(60);

/// An RPM that was let through.
pub(super) struct Question {
    pub ident: RpmIdent,
    pub sighash: String,
    /// By what is written down of it.
    pub decision: Decision,
    /// What the site says against its name without refusing it.
    pub objections: Vec<Objection>,
}

type Answer = Result<Decision, Unanswered>;

/// Where the answer to a question will be.
pub(super) struct Confirmation(watch::Receiver<Option<Answer>>);

impl Confirmation {
    /// The answer, when it is here.
    pub fn now(&self) -> Option<Answer> {
        // In this order: what was sent before its sender went is there to be read.
        let gone = self.0.has_changed().is_err();
        self.0.borrow().clone().or_else(|| gone.then(|| Err(ended())))
    }

    pub async fn wait(&self) -> Answer {
        let mut answer = self.0.clone();
        let answered = answer.wait_for(Option::is_some).await.map_err(|_| ended())?;
        answered.clone().unwrap_or_else(|| Err(ended()))
    }
}

fn ended() -> Unanswered {
    Unanswered { rule: Rule::LookupFailed, evidence: "the gate ended before Koji was asked".to_owned() }
}

/// The questions that wait.
#[derive(Default)]
struct Waiting {
    questions: Vec<(Question, watch::Sender<Option<Answer>>)>,
    /// Nobody asks any more.
    closed: bool,
}

/// Collects questions and asks them.
pub(super) struct Confirmations {
    pub koji: Arc<dyn KojiRpms>,
    rules: Arc<ReleaseRules>,
    /// What the tags that the rules name inherit from, asked for once.
    inheritance: OnceCell<BTreeMap<String, Vec<String>>>,
    waiting: watch::Sender<Waiting>,
    /// How many wait for the answers at the end of a RUN.
    hurry: watch::Sender<usize>,
}

/// Answers are wanted now, for as long as this lives.
pub(super) struct Hurry(watch::Sender<usize>);

impl Drop for Hurry {
    fn drop(&mut self) {
        self.0.send_modify(|n| *n = n.saturating_sub(1));
    }
}

/// Ends the waiting of all when the gate's task ends, however it ends.
struct Closing<'a>(&'a Confirmations);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.waiting.send_modify(|waiting| *waiting = Waiting { questions: Vec::new(), closed: true });
    }
}

impl Confirmations {
    pub fn new(koji: Arc<dyn KojiRpms>, rules: Arc<ReleaseRules>) -> Self {
        let waiting = watch::Sender::new(Waiting::default());
        Confirmations { koji, rules, inheritance: OnceCell::new(), waiting, hurry: watch::Sender::new(0) }
    }

    /// Adds a question.
    pub fn ask(&self, question: Question) -> Confirmation {
        let (sender, receiver) = watch::channel(None);
        self.waiting.send_modify(|waiting| {
            if !waiting.closed {
                waiting.questions.push((question, sender));
            }
        });
        Confirmation(receiver)
    }

    /// Has what waits asked now, and what is added meanwhile.
    pub fn hurry(&self) -> Hurry {
        self.hurry.send_modify(|n| *n += 1);
        Hurry(self.hurry.clone())
    }

    /// Asks until `stop` changes. Run once, by the gate.
    pub async fn serve(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let _closing = Closing(&self);
        tokio::select! {
            _ = stop.changed() => {}
            () = self.ask_all() => {}
        }
    }

    async fn ask_all(&self) {
        let mut quiet = QUIET;
        let (mut waiting, mut hurry) = (self.waiting.subscribe(), self.hurry.subscribe());
        let mut enough = self.waiting.subscribe();
        // The senders are part of `self`: none of these can fail.
        while waiting.wait_for(|waiting| !waiting.questions.is_empty()).await.is_ok() {
            tokio::select! {
                _ = enough.wait_for(|waiting| waiting.questions.len() >= MANY) => {}
                _ = hurry.wait_for(|n| *n > 0) => quiet = QUIET,
                () = nothing_added(&mut waiting, quiet) => quiet = (quiet * 2).min(LONGEST_QUIET),
            }
            let mut taken = Vec::new();
            self.waiting.send_modify(|waiting| taken = std::mem::take(&mut waiting.questions));
            let (questions, senders): (Vec<Question>, Vec<_>) = taken.into_iter().unzip();
            match self.answers(&questions).await {
                Ok(answers) => senders.iter().zip(answers).for_each(|(sender, answer)| {
                    sender.send_replace(Some(Ok(answer)));
                }),
                Err(error) => {
                    let failed = Unanswered { rule: Rule::LookupFailed, evidence: chain(&error) };
                    senders.iter().for_each(|sender| {
                        sender.send_replace(Some(Err(failed.clone())));
                    });
                }
            }
        }
    }

    /// One decision per question, in order.
    async fn answers(&self, questions: &[Question]) -> Result<Vec<Decision>, LookupError> {
        let asked: Vec<Nvra> = questions.iter().map(|q| q.ident.nvra.clone()).collect();
        let known = lookup_all(self.koji.as_ref(), &asked).await?;
        let judged: Vec<Result<&KnownRpm, (Rule, String)>> = questions.iter().zip(&known).map(judged).collect();
        let let_through: Vec<&KnownRpm> = judged.iter().filter_map(|j| j.as_ref().ok().copied()).collect();
        // Asked together: they go in one request.
        let (signatures, tags) = futures_util::future::try_join(self.signatures(&let_through), self.tags(&let_through)).await?;
        let (mut signatures, mut tags) = (signatures.into_iter(), tags.into_iter());
        let decisions = questions.iter().zip(judged).map(|(question, judged)| {
            if let Err((rule, evidence)) = judged {
                return Decision { rule, evidence, ..question.decision.clone() };
            }
            let mut objections = question.objections.clone();
            let rpm = &question.ident;
            if self.rules.ask_for_keys() {
                let recorded = signatures.next().unwrap_or_default();
                let key = rpm.signing_key.as_deref();
                objections.extend(self.rules.judge_signature(&rpm.nvra, key, &question.sighash, &recorded));
            }
            if let Some(inheritance) = self.inheritance.get() {
                objections.extend(self.rules.judge_tags(&rpm.nvra, &tags.next().unwrap_or_default(), inheritance));
            }
            question.decision.clone().with(objections)
        });
        Ok(decisions.collect())
    }

    /// The recorded signatures of each, where the site has rules about keys.
    async fn signatures(&self, rpms: &[&KnownRpm]) -> Result<Vec<Vec<KnownSignature>>, LookupError> {
        if !self.rules.ask_for_keys() || rpms.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<i64> = rpms.iter().map(|rpm| rpm.rpm_id).collect();
        complete(ids.len(), self.koji.signatures(&ids).await?)
    }

    /// The tags of the build of each, where the site has rules about tags.
    async fn tags(&self, rpms: &[&KnownRpm]) -> Result<Vec<Vec<String>>, LookupError> {
        let Some(named) = self.rules.tags().filter(|_| !rpms.is_empty()) else { return Ok(Vec::new()) };
        let inheritance = self.inheritance.get_or_try_init(|| async {
            let mut all = BTreeMap::new();
            for tag in named {
                let inherited = self.koji.inherited_tags(&tag).await?;
                all.insert(tag, inherited);
            }
            Ok(all)
        });
        inheritance.await?;
        let mut builds: Vec<i64> = rpms.iter().map(|rpm| rpm.build_id).collect();
        builds.sort_unstable();
        builds.dedup();
        let tags = complete(builds.len(), self.koji.build_tags(&builds).await?)?;
        let tags: BTreeMap<i64, Vec<String>> = builds.into_iter().zip(tags).collect();
        Ok(rpms.iter().map(|rpm| tags.get(&rpm.build_id).cloned().unwrap_or_default()).collect())
    }
}

/// What Koji says of an RPM now, or why it does not count after all.
fn judged<'a>((question, known): (&Question, &'a Option<KnownRpm>)) -> Result<&'a KnownRpm, (Rule, String)> {
    judge(&question.ident, known.as_ref())?;
    known.as_ref().ok_or_else(|| (Rule::UnknownToKoji, format!("Koji has no RPM {} any more", question.ident.nvra)))
}

/// Waits until nothing was added for a while.
async fn nothing_added(waiting: &mut watch::Receiver<Waiting>, quiet: Duration) {
    waiting.mark_unchanged();
    while let Ok(Ok(())) = tokio::time::timeout(quiet, waiting.changed()).await {}
}
