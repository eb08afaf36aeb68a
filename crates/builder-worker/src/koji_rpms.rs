//! What Koji knows of an RPM: the provenance crate's question ([`KojiRpms`]), answered by the `rpmlist.jsonl` of the pinned
//! repositories (hub ≥ 1.34) and, for what is not in them, by multicalls of the hub session.
//!
//! Answers are kept for the session's life: a build asks about the same packages at the gate and in the proof. Digests of
//! Koji's own files do not change, so those are kept on disk ([`FileDigests`]).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use build_model::{BuildId, KojiTag, Nvra};
use futures_util::future::BoxFuture;
use koji_session::{Build, BuildState, HubError, Session};
use rpm_provenance::{KnownRpm, KnownSignature, KojiRpms, LookupError, package_file};

use crate::file_digests::FileDigests;
use crate::provenance::KojiFiles;
use crate::rpm_list::{self, RpmList};

/// A hub session that answers for RPMs.
pub struct HubRpms {
    session: Session,
    /// Where the lists of pinned repositories are.
    lists: Vec<String>,
    listed: tokio::sync::OnceCell<RpmList>,
    digests: FileDigests,
    /// Koji's own files.
    files: Option<KojiFiles>,
    /// Rows, as they are listed or were asked for.
    rows: Mutex<HashMap<Nvra, Option<KnownRpm>>>,
    /// Rows with the states of their builds.
    answers: Mutex<HashMap<Nvra, Option<KnownRpm>>>,
    builds: Mutex<HashMap<BuildId, Build>>,
    tags: Mutex<HashMap<BuildId, Vec<String>>>,
}

impl HubRpms {
    /// Asks through `session` alone.
    pub fn new(session: Session) -> Self {
        Self {
            session,
            lists: Vec::new(),
            listed: tokio::sync::OnceCell::new(),
            digests: FileDigests::in_memory(),
            files: None,
            rows: Mutex::default(),
            answers: Mutex::default(),
            builds: Mutex::default(),
            tags: Mutex::default(),
        }
    }

    /// Reads the `rpmlist.jsonl` at these URLs before the hub is asked.
    #[must_use]
    pub fn with_lists(mut self, urls: Vec<String>) -> Self {
        self.lists = urls;
        self
    }

    /// Keeps what Koji's files say on disk.
    #[must_use]
    pub fn with_digests(mut self, digests: FileDigests) -> Self {
        self.digests = digests;
        self
    }

    /// Reads headers from Koji's own files, where the hub can tell no digest of them.
    #[must_use]
    pub fn with_files(mut self, files: KojiFiles) -> Self {
        self.files = Some(files);
        self
    }

    /// Reads the lists now, when there is something else to wait for; otherwise the first look-up does.
    pub async fn read_lists(&self) {
        self.listed.get_or_init(|| rpm_list::fetch(&self.lists)).await;
    }

    fn remembered(&self, rpm: &Nvra) -> Option<Option<KnownRpm>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).get(rpm).cloned()
    }

    /// The rows of RPMs, listed or asked for.
    async fn rows_of(&self, rpms: &[Nvra]) -> Result<Vec<Option<KnownRpm>>, HubError> {
        let listed = self.listed.get_or_init(|| rpm_list::fetch(&self.lists)).await;
        let row = |rpm: &Nvra| match listed.get(rpm) {
            Some(row) => Some(Some(row.clone())),
            None => self.rows.lock().unwrap_or_else(PoisonError::into_inner).get(rpm).cloned(),
        };
        let asked: Vec<Nvra> = rpms.iter().filter(|rpm| row(rpm).is_none()).cloned().collect();
        let found = self.session.get_rpms(&asked).await?;
        let found = asked.into_iter().zip(found.into_iter().map(|row| row.map(known_rpm)));
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).extend(found);
        Ok(rpms.iter().map(|rpm| row(rpm).flatten()).collect())
    }

    /// The rows of RPMs and the states of their builds: deleting a build deletes its files, but no row of its RPMs (Koji's
    /// `_delete_build`), so the row alone cannot say.
    async fn ask(&self, unknown: Vec<Nvra>) -> Result<(), HubError> {
        let rows = self.rows_of(&unknown).await?;
        let mut rows: Vec<(Nvra, Option<KnownRpm>)> = unknown.into_iter().zip(rows).collect();
        let mut builds: Vec<BuildId> =
            rows.iter().filter_map(|(_, row)| Some(row.as_ref()?.build_id)).filter(|id| *id != 0).map(BuildId).collect();
        builds.sort_unstable();
        builds.dedup();
        builds.retain(|build| self.build(*build).is_none());
        for build in self.session.get_builds(&builds).await?.into_iter().flatten() {
            self.builds.lock().unwrap_or_else(PoisonError::into_inner).insert(build.id, build);
        }
        for row in rows.iter_mut().filter_map(|(_, row)| row.as_mut()) {
            if let Some(build) = self.build(BuildId(row.build_id)) {
                row.build_deleted = build.state == BuildState::Deleted;
                row.build_nvr = Some(build.nvr.to_string());
            }
        }
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).extend(rows);
        Ok(())
    }

    async fn header_digests(&self, rpms: &[KnownRpm]) -> Result<Vec<Option<String>>, LookupError> {
        let missing: Vec<&KnownRpm> = rpms.iter().filter(|rpm| self.digests.get(rpm).is_none()).collect();
        if !missing.is_empty() {
            let ids: Vec<i64> = missing.iter().map(|rpm| rpm.rpm_id).collect();
            let found = self.session.rpm_file_digests(&ids).await;
            let found = found.map_err(|error| LookupError::Hub { count: ids.len(), source: error.into() })?;
            let mut digests = Vec::new();
            for (rpm, digest) in missing.iter().zip(found) {
                let digest = match digest {
                    Some(digest) => Some(digest),
                    None => self.digest_of_file(rpm).await,
                };
                digests.extend(digest.map(|digest| (*rpm, digest)));
            }
            self.digests.keep(digests.into_iter());
        }
        Ok(rpms.iter().map(|rpm| self.digests.get(rpm)).collect())
    }

    /// SHA-256 of the header of Koji's own file, read from the hub's files: packages built before rpm 4.14 declare none, so
    /// the hub cannot tell it.
    async fn digest_of_file(&self, rpm: &KnownRpm) -> Option<String> {
        let files = self.files.as_ref()?;
        let build = self.build(BuildId(rpm.build_id))?;
        let named =
            |(nvra, row): (&Nvra, &Option<KnownRpm>)| row.as_ref().filter(|r| r.rpm_id == rpm.rpm_id).map(|_| nvra.clone());
        let nvra = self.answers.lock().unwrap_or_else(PoisonError::into_inner).iter().find_map(named)?;
        let head = match files.rpm_head(&build, &nvra).await {
            Ok(head) => head,
            Err(error) => {
                tracing::warn!(%nvra, "cannot read Koji's own file: {}", crate::task::chain(&error));
                return None;
            }
        };
        match package_file::read_header(&mut head.as_slice()) {
            // The file is Koji's by its place; its name is looked at to tell a mistaken place from another content.
            Ok(header) if header.ident.nvra == nvra => Some(header.ident.computed.sha256),
            Ok(header) => {
                tracing::warn!(%nvra, found = %header.ident.nvra, "the file at Koji's place for it holds another package");
                None
            }
            Err(error) => {
                tracing::warn!(%nvra, %error, "Koji's own file is damaged");
                None
            }
        }
    }

    fn build(&self, build: BuildId) -> Option<Build> {
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

    fn rows<'a>(&'a self, rpms: &'a [Nvra]) -> BoxFuture<'a, Result<Vec<Option<KnownRpm>>, LookupError>> {
        Box::pin(async move {
            let found = self.rows_of(rpms).await;
            found.map_err(|error| LookupError::Hub { count: rpms.len(), source: error.into() })
        })
    }

    fn header_digests<'a>(&'a self, rpms: &'a [KnownRpm]) -> BoxFuture<'a, Result<Vec<Option<String>>, LookupError>> {
        Box::pin(self.header_digests(rpms))
    }

    fn signatures<'a>(&'a self, rpm_ids: &'a [i64]) -> BoxFuture<'a, Result<Vec<Vec<KnownSignature>>, LookupError>> {
        Box::pin(async move {
            let found = self.session.query_rpm_sigs(rpm_ids).await;
            let found = found.map_err(|error| LookupError::Hub { count: rpm_ids.len(), source: error.into() })?;
            let known = |s: koji_session::RpmSignature| KnownSignature { sigkey: s.sigkey, sighash: s.sighash };
            Ok(found.into_iter().map(|signatures| signatures.into_iter().map(known).collect()).collect())
        })
    }

    fn build_tags<'a>(&'a self, build_ids: &'a [i64]) -> BoxFuture<'a, Result<Vec<Vec<String>>, LookupError>> {
        Box::pin(async move {
            let builds: Vec<BuildId> = build_ids.iter().copied().map(BuildId).collect();
            let unknown: Vec<BuildId> = {
                let tags = self.tags.lock().unwrap_or_else(PoisonError::into_inner);
                builds.iter().filter(|build| !tags.contains_key(build)).copied().collect()
            };
            if !unknown.is_empty() {
                let found = self.session.tags_of_builds(&unknown).await;
                let found = found.map_err(|error| LookupError::Hub { count: unknown.len(), source: error.into() })?;
                let mut tags = self.tags.lock().unwrap_or_else(PoisonError::into_inner);
                tags.extend(unknown.into_iter().zip(found.into_iter().map(names)));
            }
            let tags = self.tags.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(builds.iter().map(|build| tags.get(build).cloned().unwrap_or_default()).collect())
        })
    }

    fn inherited_tags<'a>(&'a self, tag: &'a str) -> BoxFuture<'a, Result<Vec<String>, LookupError>> {
        Box::pin(async move {
            let found = self.session.full_inheritance(&KojiTag(tag.to_owned())).await;
            Ok(names(found.map_err(|error| LookupError::Hub { count: 1, source: error.into() })?))
        })
    }
}

/// Tags by their names.
fn names(tags: Vec<KojiTag>) -> Vec<String> {
    tags.into_iter().map(|tag| tag.0).collect()
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
        header_from_file: false,
        sha3_256header: rpm.sha3_256header,
        external_repo_id: rpm.external_repo_id,
        external_repo_name: None,
        draft: rpm.draft,
        build_deleted: false, // until its build is looked at
    }
}
