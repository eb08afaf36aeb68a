//! The decision about one RPM: fetched, checksum verified, digests recomputed, Koji asked. Made once per file and gate.

use std::collections::HashMap;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use super::cache::FileCache;
use super::primary::Offered;
use super::source::PinnedSource;
use super::upstream::FetchError;
use crate::koji_rpms::lookup_all;
use crate::rule::judge;
use crate::{HeaderError, KojiRpms, RpmIdent, Rule, package_file};

/// Largest RPM without a size in the metadata.
const MAX_RPM: u64 = 16 << 30;

/// What was decided about an RPM file.
#[derive(Debug, Clone)]
pub(super) struct Decision {
    pub rule: Rule,
    pub evidence: String,
    pub ident: Option<RpmIdent>,
    pub rpm_id: Option<i64>,
    /// The verified file in the cache.
    pub file: PathBuf,
}

/// A failure that says nothing about the RPM; the next request tries again.
#[derive(Debug, Clone)]
pub(super) struct Unanswered {
    pub rule: Rule,
    pub evidence: String,
}

type Cell = Arc<OnceCell<Decision>>;

pub(super) struct Releases {
    cache: Arc<FileCache>,
    /// `None` for builds without a hub.
    koji: Option<Arc<dyn KojiRpms>>,
    decided: Mutex<HashMap<String, Cell>>,
}

impl Releases {
    pub fn new(cache: Arc<FileCache>, koji: Option<Arc<dyn KojiRpms>>) -> Self {
        Releases { cache, koji, decided: Mutex::default() }
    }

    /// The decision about a listed RPM; concurrent requests for it wait for one.
    pub async fn decide(&self, source: &PinnedSource, location: &str, offered: &Offered) -> Result<Decision, Unanswered> {
        let cell = {
            // The name is part of the key: the same bytes listed under another name are another question.
            let key = format!("{} {}", offered.checksum, offered.nvra);
            self.decided.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone()
        };
        cell.get_or_try_init(|| self.examine(source, location, offered)).await.cloned()
    }

    async fn examine(&self, source: &PinnedSource, location: &str, offered: &Offered) -> Result<Decision, Unanswered> {
        let fetched = self.cache.fetch(&source.upstream, location, &offered.checksum, offered.size, MAX_RPM).await;
        let file = fetched.map_err(|e| {
            let rule = match &e {
                FetchError::ChecksumDiffers { .. } | FetchError::TooLarge { .. } => Rule::ChecksumDiffers,
                FetchError::Cache { .. } => Rule::CacheFailed,
                _ => Rule::UpstreamFailed,
            };
            Unanswered { rule, evidence: chain(&e) }
        })?;
        let refused = |rule, evidence: String, ident| Decision { rule, evidence, ident, rpm_id: None, file: file.clone() };

        let path = file.clone();
        let read = tokio::task::spawn_blocking(move || read_rpm(&path)).await;
        let ident = match read {
            Ok(Ok(ident)) => ident,
            Ok(Err(e)) => return Ok(refused(Rule::BrokenRpm, chain(&e), None)),
            Err(e) => return Err(Unanswered { rule: Rule::CacheFailed, evidence: e.to_string() }),
        };
        // Metadata writes "no epoch" and epoch 0 alike.
        let epochs_agree = ident.epoch.unwrap_or_default() == offered.epoch.unwrap_or_default();
        if ident.nvra != offered.nvra || !epochs_agree {
            let listed = format!("{}:{}", offered.epoch.unwrap_or_default(), offered.nvra);
            let evidence = format!("the metadata lists {listed}, the file holds {}", ident.nevra());
            return Ok(refused(Rule::NameDiffers, evidence, Some(ident)));
        }
        let Some(koji) = &self.koji else {
            let evidence = "no hub is set; only the repository's checksum was verified".to_owned();
            return Ok(refused(Rule::NotChecked, evidence, Some(ident)));
        };
        let asked = [ident.nvra.clone()];
        let known = match lookup_all(koji.as_ref(), &asked).await {
            Ok(mut answers) => answers.pop().flatten(),
            Err(e) => return Err(Unanswered { rule: Rule::LookupFailed, evidence: chain(&e) }),
        };
        let rpm_id = known.as_ref().map(|k| k.rpm_id);
        let (rule, evidence) = match judge(&ident, known.as_ref()) {
            Ok(by) => (Rule::KojiRpm, format!("rpm {} in Koji, by {}", rpm_id.unwrap_or_default(), by.describe())),
            Err(refusal) => refusal,
        };
        Ok(Decision { rule, evidence, ident: Some(ident), rpm_id, file })
    }
}

fn read_rpm(path: &Path) -> Result<RpmIdent, HeaderError> {
    let file = std::fs::File::open(path).map_err(|source| HeaderError::Read { part: "lead", source })?;
    let mut reader = BufReader::with_capacity(128 << 10, file);
    package_file::read_header(&mut reader)?.verify_payload(&mut reader)
}

/// An error with its causes, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(e) = cause {
        text = format!("{text}: {e}");
        cause = e.source();
    }
    text
}
