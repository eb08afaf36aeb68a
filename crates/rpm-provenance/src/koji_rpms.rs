//! What Koji knows about an RPM, and who is asked. The worker answers from the hub (`getRPM` in multicalls, or the
//! repo's `rpmlist.jsonl`); tests answer from a map.

use build_model::{Blame, BoxedDiagnose, Diagnose, Nvra};
use futures_util::future::BoxFuture;

/// One row of Koji's `getRPM`.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct KnownRpm {
    /// `id`.
    pub rpm_id: i64,
    /// `build_id`; 0 when Koji names none (external RPMs).
    pub build_id: i64,
    /// Name-version-release of the build, when the answer holds it.
    pub build_nvr: Option<String>,
    /// `epoch`.
    pub epoch: Option<u32>,
    /// `payloadhash`: SIGMD5 in hex; `sha256::HEX` and the like for RPMs without one (hub ≥ 1.36).
    pub payloadhash: String,
    /// `sha1header` (hub ≥ 1.36).
    pub sha1header: Option<String>,
    /// `sha256header` (hub ≥ 1.36), or that of Koji's own file.
    pub sha256header: Option<String>,
    /// Whether `sha256header` was read from Koji's own file, because the hub records none.
    pub header_from_file: bool,
    /// `sha3_256header` (hub ≥ 1.36, RPMs of rpm 6).
    pub sha3_256header: Option<String>,
    /// `external_repo_id`; 0 for RPMs built in this Koji.
    pub external_repo_id: i64,
    /// `external_repo_name`, for messages.
    pub external_repo_name: Option<String>,
    /// `draft`.
    pub draft: bool,
    /// Whether its build is in state DELETED.
    pub build_deleted: bool,
}

/// The question could not be answered.
// By hand and not by thiserror, which does not take a boxed `Diagnose` for a source.
#[derive(Debug)]
pub enum LookupError {
    /// The hub could not be asked.
    Hub {
        /// How many were asked for.
        count: usize,
        /// The hub's error.
        source: BoxedDiagnose,
    },
    /// The answers do not fit the questions.
    Answers {
        /// Questions.
        asked: usize,
        /// Answers.
        got: usize,
    },
}

impl std::fmt::Display for LookupError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LookupError::Hub { count, .. } => write!(f, "cannot look up {count} RPMs at the hub"),
            LookupError::Answers { asked, got } => write!(f, "asked the hub for {asked} RPMs and got {got} answers"),
        }
    }
}

impl std::error::Error for LookupError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            LookupError::Hub { source, .. } => Some(source.as_ref()),
            LookupError::Answers { .. } => None,
        }
    }
}

impl Diagnose for LookupError {
    fn blame(&self) -> Blame {
        match self {
            LookupError::Hub { source, .. } => source.blame(),
            LookupError::Answers { .. } => Blame::Hub,
        }
    }
    fn kind(&self) -> &'static str {
        match self {
            LookupError::Hub { source, .. } => source.kind(),
            LookupError::Answers { .. } => "rpm-lookup-answers",
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            LookupError::Hub { source, .. } => source.hint(),
            LookupError::Answers { .. } => None,
        }
    }
    fn is_transient(&self) -> bool {
        match self {
            LookupError::Hub { source, .. } => source.is_transient(),
            LookupError::Answers { .. } => false,
        }
    }
}

/// A signature that Koji recorded for an RPM: one row of `queryRPMSigs`.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct KnownSignature {
    /// Key id, 8 hex digits; empty for the unsigned copy.
    pub sigkey: String,
    /// MD5 of the signature header.
    pub sighash: String,
}

/// Who knows Koji's RPMs.
pub trait KojiRpms: Send + Sync {
    /// Looks up RPMs by name-version-release.arch, internal ones preferred; one answer per question, in order,
    /// `None` for unknown ones.
    fn lookup<'a>(&'a self, rpms: &'a [Nvra]) -> BoxFuture<'a, Result<Vec<Option<KnownRpm>>, LookupError>>;

    /// What is written down of RPMs once and for all: as `lookup`, but nobody is asked about the state of their builds, so that
    /// `build_deleted` may be false of a deleted one. For an implementation that knows the rows without asking; whoever uses it
    /// asks `lookup` before anything counts.
    fn rows<'a>(&'a self, rpms: &'a [Nvra]) -> BoxFuture<'a, Result<Vec<Option<KnownRpm>>, LookupError>> {
        self.lookup(rpms)
    }

    /// SHA-256 of the headers of Koji's own files, for RPMs whose row holds none (hubs before 1.36, packages built before rpm
    /// 4.14): one answer per RPM, in order, `None` where Koji's file cannot be looked at. Asked for RPMs that only SIGMD5
    /// speaks for.
    fn header_digests<'a>(&'a self, rpms: &'a [KnownRpm]) -> BoxFuture<'a, Result<Vec<Option<String>>, LookupError>> {
        Box::pin(async move { Ok(vec![None; rpms.len()]) })
    }

    /// The signatures recorded for RPMs, by Koji's ids; one list per question, in order. Asked only where a site allows
    /// certain keys. Without an implementation there are none, and nothing counts as signed.
    fn signatures<'a>(&'a self, rpm_ids: &'a [i64]) -> BoxFuture<'a, Result<Vec<Vec<KnownSignature>>, LookupError>> {
        let none = vec![Vec::new(); rpm_ids.len()];
        Box::pin(async move { Ok(none) })
    }

    /// The tags that builds are in, by Koji's ids; one list per question, in order. Asked only where a site has a rule
    /// about tags. Without an implementation they are in none.
    fn build_tags<'a>(&'a self, build_ids: &'a [i64]) -> BoxFuture<'a, Result<Vec<Vec<String>>, LookupError>> {
        let none = vec![Vec::new(); build_ids.len()];
        Box::pin(async move { Ok(none) })
    }

    /// The tags that a tag inherits from.
    fn inherited_tags<'a>(&'a self, _tag: &'a str) -> BoxFuture<'a, Result<Vec<String>, LookupError>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

/// RPMs per question: one `multiCall` of the hub is one transaction.
const BATCH: usize = 500;

/// Asks in batches and checks that every question got its answer.
pub(crate) async fn lookup_all(koji: &dyn KojiRpms, rpms: &[Nvra]) -> Result<Vec<Option<KnownRpm>>, LookupError> {
    let mut known = Vec::with_capacity(rpms.len());
    for batch in rpms.chunks(BATCH) {
        known.extend(complete(batch.len(), koji.lookup(batch).await?)?);
    }
    Ok(known)
}

/// Asks for the header digests of Koji's files in batches.
pub(crate) async fn header_digests_of(koji: &dyn KojiRpms, rpms: &[KnownRpm]) -> Result<Vec<Option<String>>, LookupError> {
    let mut digests = Vec::with_capacity(rpms.len());
    for batch in rpms.chunks(BATCH) {
        digests.extend(complete(batch.len(), koji.header_digests(batch).await?)?);
    }
    Ok(digests)
}

/// Every question has its answer.
pub(crate) fn complete<T>(asked: usize, answers: Vec<T>) -> Result<Vec<T>, LookupError> {
    let got = answers.len();
    if got == asked { Ok(answers) } else { Err(LookupError::Answers { asked, got }) }
}
