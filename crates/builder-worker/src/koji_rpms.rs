//! What Koji knows of an RPM: the provenance crate's question ([`KojiRpms`]) answered by multicalls of the hub session.
//! Answers are kept for the session's life: a build asks about the same packages at the gate and in the proof.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use build_model::{BuildId, Nvra};
use futures_util::future::BoxFuture;
use koji_session::{BuildState, HubError, Session};
use rpm_provenance::{KnownRpm, KnownSignature, KojiRpms, LookupError};

/// A hub session that answers for RPMs.
pub struct HubRpms {
    session: Session,
    answers: Mutex<HashMap<Nvra, Option<KnownRpm>>>,
    builds: Mutex<HashMap<BuildId, KnownBuild>>,
}

/// What is kept of a build.
#[derive(Clone)]
struct KnownBuild {
    nvr: String,
    deleted: bool,
}

impl HubRpms {
    /// Asks through `session`.
    pub fn new(session: Session) -> Self {
        Self { session, answers: Mutex::default(), builds: Mutex::default() }
    }

    fn remembered(&self, rpm: &Nvra) -> Option<Option<KnownRpm>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).get(rpm).cloned()
    }

    /// The rows of RPMs, and the states of their builds: deleting a build deletes its files, but no row of its RPMs
    /// (Koji's `_delete_build`), so the row alone cannot say.
    async fn ask(&self, unknown: Vec<Nvra>) -> Result<(), HubError> {
        let found = self.session.get_rpms(&unknown).await?;
        let mut builds: Vec<BuildId> = found.iter().flatten().filter_map(|rpm| rpm.build_id).collect();
        builds.sort_unstable();
        builds.dedup();
        builds.retain(|build| self.build(*build).is_none());
        for build in self.session.get_builds(&builds).await?.into_iter().flatten() {
            let known = KnownBuild { nvr: build.nvr.to_string(), deleted: build.state == BuildState::Deleted };
            self.builds.lock().unwrap_or_else(PoisonError::into_inner).insert(build.id, known);
        }
        let known: Vec<_> = found
            .into_iter()
            .map(|rpm| {
                let build = rpm.as_ref().and_then(|rpm| self.build(rpm.build_id?));
                rpm.map(|rpm| known_rpm(rpm, build))
            })
            .collect();
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).extend(unknown.into_iter().zip(known));
        Ok(())
    }

    fn build(&self, build: BuildId) -> Option<KnownBuild> {
        self.builds.lock().unwrap_or_else(PoisonError::into_inner).get(&build).cloned()
    }
}

impl KojiRpms for HubRpms {
    fn lookup<'a>(&'a self, rpms: &'a [Nvra]) -> BoxFuture<'a, Result<Vec<Option<KnownRpm>>, LookupError>> {
        Box::pin(async move {
            let unknown: Vec<Nvra> = rpms.iter().filter(|rpm| self.remembered(rpm).is_none()).cloned().collect();
            let count = unknown.len();
            if count > 0 {
                self.ask(unknown).await.map_err(|error| LookupError::Hub { count, source: error.into() })?;
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

fn known_rpm(rpm: koji_session::KojiRpm, build: Option<KnownBuild>) -> KnownRpm {
    KnownRpm {
        rpm_id: rpm.id,
        build_id: rpm.build_id.map_or(0, |id| id.0),
        build_nvr: build.as_ref().map(|build| build.nvr.clone()),
        epoch: rpm.epoch,
        payloadhash: rpm.payloadhash,
        sha1header: rpm.sha1header,
        sha256header: rpm.sha256header,
        external_repo_id: rpm.external_repo_id,
        external_repo_name: None,
        draft: rpm.draft,
        build_deleted: build.is_some_and(|build| build.deleted),
    }
}
