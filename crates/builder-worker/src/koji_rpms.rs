//! What Koji knows of an RPM: the provenance crate's question ([`KojiRpms`]) answered by multicalls of the hub session.
//! Answers are kept for the session's life: a build asks about the same packages at the gate and in the proof.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use build_model::Nvra;
use futures_util::future::BoxFuture;
use koji_session::Session;
use rpm_provenance::{KnownRpm, KnownSignature, KojiRpms, LookupError};

/// A hub session that answers for RPMs.
pub struct HubRpms {
    session: Session,
    answers: Mutex<HashMap<Nvra, Option<KnownRpm>>>,
}

impl HubRpms {
    /// Asks through `session`.
    pub fn new(session: Session) -> Self {
        Self { session, answers: Mutex::default() }
    }

    fn remembered(&self, rpm: &Nvra) -> Option<Option<KnownRpm>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).get(rpm).cloned()
    }
}

impl KojiRpms for HubRpms {
    fn lookup<'a>(&'a self, rpms: &'a [Nvra]) -> BoxFuture<'a, Result<Vec<Option<KnownRpm>>, LookupError>> {
        Box::pin(async move {
            let unknown: Vec<Nvra> = rpms.iter().filter(|rpm| self.remembered(rpm).is_none()).cloned().collect();
            if !unknown.is_empty() {
                let found = self
                    .session
                    .get_rpms(&unknown)
                    .await
                    .map_err(|error| LookupError::Hub { count: unknown.len(), source: error.into() })?;
                let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
                for (rpm, answer) in unknown.into_iter().zip(found) {
                    answers.insert(rpm, answer.map(known_rpm));
                }
            }
            Ok(rpms.iter().map(|rpm| self.remembered(rpm).flatten()).collect())
        })
    }

    fn signatures<'a>(&'a self, rpm_ids: &'a [i64]) -> BoxFuture<'a, Result<Vec<Vec<KnownSignature>>, LookupError>> {
        Box::pin(async move {
            let found = self.session.query_rpm_sigs(rpm_ids).await;
            let found = found.map_err(|error| LookupError::Hub { count: rpm_ids.len(), source: error.into() })?;
            let known = |s: koji_session::RpmSignature| KnownSignature { sigkey: s.sigkey, sighash: s.sighash };
            Ok(found.into_iter().map(|signatures| signatures.into_iter().map(known).collect()).collect())
        })
    }
}

fn known_rpm(rpm: koji_session::KojiRpm) -> KnownRpm {
    KnownRpm {
        rpm_id: rpm.id,
        build_id: rpm.build_id.map_or(0, |id| id.0),
        build_nvr: None,
        epoch: rpm.epoch,
        payloadhash: rpm.payloadhash,
        sha1header: rpm.sha1header,
        sha256header: rpm.sha256header,
        external_repo_id: rpm.external_repo_id,
        external_repo_name: None,
        draft: rpm.draft,
        // Koji deletes the rows of a deleted build's RPMs with its files; a build in that state has no RPM to find.
        build_deleted: false,
    }
}
